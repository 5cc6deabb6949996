//! The answers that are read, field by field, as Kafka's protocol has them.

use kafka_protocol::messages::{ApiVersionsResponse, FetchResponse, MetadataResponse};

use super::{Kind, Shape, Shaped, Tag, always, between, since};

const BOOL: Kind = Kind::Fixed(1);
const I16: Kind = Kind::Fixed(2);
const I32: Kind = Kind::Fixed(4);
const I64: Kind = Kind::Fixed(8);
const UUID: Kind = Kind::Fixed(16);

impl Shaped for ApiVersionsResponse {
    /// As of version 0, the only one that is asked for.
    const SHAPE: Shape = Shape {
        flexible_since: i16::MAX,
        fields: &[always(I16), always(Kind::Array(&[always(I16), always(I16), always(I16)]))],
    };
}

impl Shaped for MetadataResponse {
    const SHAPE: Shape = Shape {
        flexible_since: 9,
        fields: &[
            since(3, I32),
            always(Kind::Array(&[
                always(I32),
                always(Kind::Text),
                always(I32),
                since(1, Kind::Text),
            ])),
            since(2, Kind::Text),
            since(1, I32),
            always(Kind::Array(&[
                always(I16),
                always(Kind::Text),
                since(10, UUID),
                since(1, BOOL),
                always(Kind::Array(&[
                    always(I16),
                    always(I32),
                    always(I32),
                    since(7, I32),
                    always(Kind::Values(4)),
                    always(Kind::Values(4)),
                    since(5, Kind::Values(4)),
                ])),
                since(8, I32),
            ])),
            between(8, 10, I32),
        ],
    };
}

impl Shaped for FetchResponse {
    const SHAPE: Shape = Shape {
        flexible_since: 12,
        fields: &[
            always(I32),
            since(7, I16),
            since(7, I32),
            always(Kind::Array(&[
                between(0, 12, Kind::Text),
                since(13, UUID),
                always(Kind::Array(&[
                    always(I32),
                    always(I16),
                    always(I64),
                    since(4, I64),
                    since(5, I64),
                    since(4, Kind::Array(&[always(I64), always(I64)])),
                    since(11, I32),
                    always(Kind::Bytes),
                    since(12, Kind::Tagged(0, Tag::Structure(&[always(I32), always(I64)]))),
                    since(12, Kind::Tagged(1, Tag::Structure(&[always(I32), always(I32)]))),
                    since(12, Kind::Tagged(2, Tag::Structure(&[always(I64), always(I32)]))),
                ])),
            ])),
            since(
                16,
                Kind::Tagged(
                    0,
                    Tag::Array(&[always(I32), always(Kind::Text), always(I32), always(Kind::Text)]),
                ),
            ),
        ],
    };
}
