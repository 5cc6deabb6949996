//! One connection to a broker: requests out, answers in. Blocks, within limits.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, FetchRequest, FetchResponse, MetadataRequest,
    MetadataResponse, RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{
    Decodable, Encodable, HeaderVersion, StrBytes, encode_request_header_into_buffer,
};

use super::buffers::Buffers;
use super::options::{AddressFamily, DirectOptions};
use super::shape::{self, Shaped};
use crate::source::kafka::not_kafka;

/// How long a try to connect may go on though nobody wants the connection any more. The system asks
/// three times in that time; a try that takes longer begins anew.
const CONNECT_STEP: Duration = Duration::from_secs(5);
/// What this says of itself to brokers.
const SOFTWARE: &str = "strandline";
/// The version of the question which versions a broker speaks: all answer it since Kafka 0.10.
const API_VERSIONS_VERSION: i16 = 0;
/// Bytes of an answer that holds no messages: those of a cluster with thousands of brokers and of
/// partitions are a tenth of it.
const QUESTION_BYTES_MAX: usize = 16 << 20;

/// What is asked, and what is answered.
pub(super) trait Request: Encodable {
    const KEY: ApiKey;
    type Response: Decodable + HeaderVersion + Shaped;
    /// Whether the answer holds messages, and so may be as large as these.
    const HOLDS_MESSAGES: bool = false;
}

impl Request for ApiVersionsRequest {
    const KEY: ApiKey = ApiKey::ApiVersions;
    type Response = ApiVersionsResponse;
}

impl Request for MetadataRequest {
    const KEY: ApiKey = ApiKey::Metadata;
    type Response = MetadataResponse;
}

impl Request for FetchRequest {
    const KEY: ApiKey = ApiKey::Fetch;
    type Response = FetchResponse;
    const HOLDS_MESSAGES: bool = true;
}

/// Why a broker gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum WireError {
    /// There is no connection, or none any more: trying again may mend it.
    #[error("{0}")]
    Broken(#[from] io::Error),
    /// Trying again mends nothing.
    #[error("{0}")]
    Unusable(String),
}

/// A connection whose broker has said what it speaks.
pub(super) struct Wire {
    address: String,
    stream: TcpStream,
    versions: Vec<(i16, i16, i16)>,
    client_id: StrBytes,
    response_bytes_max: usize,
    correlation: i32,
    request: BytesMut,
    buffers: Buffers,
    held_bytes: usize,
}

impl Wire {
    /// Connects to `address` (`host:port`) and asks what the broker speaks. `wanted` is asked before
    /// each try, and is given the stream as soon as there is one, so that somebody can end the
    /// waiting.
    ///
    /// # Errors
    ///
    /// What stands in the way.
    pub(super) fn dial(
        address: &str,
        options: &DirectOptions,
        buffers: &Buffers,
        wanted: impl Fn(Option<&TcpStream>) -> io::Result<()>,
    ) -> Result<Wire, WireError> {
        let stream = connect(address, options, || wanted(None))?;
        wanted(Some(&stream))?;
        let mut wire = Wire {
            address: address.to_owned(),
            stream,
            versions: Vec::new(),
            client_id: StrBytes::from_string(options.client_id.clone()),
            response_bytes_max: options.response_bytes_max,
            correlation: 0,
            request: BytesMut::new(),
            buffers: buffers.clone(),
            held_bytes: 0,
        };
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str(SOFTWARE));
        wire.send(API_VERSIONS_VERSION, &request)?;
        let answer: ApiVersionsResponse =
            wire.receive::<ApiVersionsRequest>(API_VERSIONS_VERSION)?;
        if answer.error_code != 0 {
            let reason = "the broker does not say which versions it speaks";
            return Err(io::Error::other(reason).into());
        }
        wire.versions = answer
            .api_keys
            .iter()
            .map(|api| (api.api_key, api.min_version, api.max_version))
            .collect();
        Ok(wire)
    }

    /// The newest version of a request, from `min` to `max`, that the broker speaks.
    ///
    /// # Errors
    ///
    /// There is none.
    pub(super) fn version<R: Request>(&self, (min, max): (i16, i16)) -> Result<i16, WireError> {
        let spoken = self.versions.iter().find(|(spoken, ..)| *spoken == R::KEY as i16);
        match spoken {
            Some(&(_, low, high)) if low <= max && min <= high => Ok(high.min(max)),
            _ => Err(WireError::Unusable(format!(
                "the broker at {} does not speak {:?} in a version that --fetch direct knows ({min} \
                 to {max}): use --fetch client",
                self.address,
                R::KEY
            ))),
        }
    }

    /// Sends a request.
    pub(super) fn send<R: Request>(&mut self, version: i16, request: &R) -> Result<(), WireError> {
        self.correlation = self.correlation.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(self.client_id.clone()));
        self.request.clear();
        self.request.put_u32(0); // The length, when it is known.
        encode_request_header_into_buffer(&mut self.request, &header)
            .and_then(|()| request.encode(&mut self.request, version))
            .map_err(|error| {
                WireError::Unusable(format!("cannot ask for {:?}: {error}", R::KEY))
            })?;
        let length = u32::try_from(self.request.len() - 4).map_err(io::Error::other)?;
        self.request[..4].copy_from_slice(&length.to_be_bytes());
        Ok(self.stream.write_all(&self.request)?)
    }

    /// Waits for the answer to the request that was sent last. Its bytes are shared, not copied.
    pub(super) fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response, WireError> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        if let Some(stranger) = not_kafka::said_by_another(length) {
            // Another try may meet Kafka.
            return Err(io::Error::other(stranger).into());
        }
        let length = u32::from_be_bytes(length) as usize; // No negative one is left.
        if self.response_bytes_max < length {
            return Err(WireError::Unusable(format!(
                "an answer of the broker at {} has {length} bytes, and receive.message.max.bytes \
                 allows {}: set it to more with --kafka-option, or, if no batch of messages is as \
                 large, check that Kafka listens there without TLS",
                self.address, self.response_bytes_max
            )));
        }
        if !R::HOLDS_MESSAGES && QUESTION_BYTES_MAX < length {
            return Err(self.unreadable(&format!("it has {length} bytes")));
        }
        let mut buffer = self.buffers.take(length);
        buffer.fill(length, |room| self.stream.read_exact(room))?;
        self.held_bytes = buffer.len();
        let mut bytes: Bytes = buffer.share(length);
        let header_version = R::Response::header_version(version);
        if 1 <= header_version {
            shape::check_header_tags(bytes.get(4..).unwrap_or_default())
                .map_err(|error| self.unreadable(&error.to_string()))?;
        }
        let header = ResponseHeader::decode(&mut bytes, header_version)
            .map_err(|error| self.unreadable(&error.to_string()))?;
        if header.correlation_id != self.correlation {
            return Err(self.unreadable("it belongs to another question"));
        }
        // Before the library sees it, which believes what lengths say.
        R::Response::SHAPE
            .check(version, &bytes)
            .map_err(|error| self.unreadable(&error.to_string()))?;
        R::Response::decode(&mut bytes, version)
            .map_err(|error| self.unreadable(&error.to_string()))
    }

    /// How much memory is held as long as anything of the last answer is.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    fn unreadable(&self, why: &str) -> WireError {
        WireError::Unusable(format!(
            "an answer of the broker at {} cannot be read ({why}): use --fetch client",
            self.address
        ))
    }
}

fn connect(
    address: &str,
    options: &DirectOptions,
    wanted: impl Fn() -> io::Result<()>,
) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, format!("no address of {address}"));
    for address in address.to_socket_addrs()? {
        let of_family = match options.address_family {
            AddressFamily::Any => true,
            AddressFamily::V4 => address.is_ipv4(),
            AddressFamily::V6 => address.is_ipv6(),
        };
        if of_family {
            match connect_to(&address, options, &wanted) {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
    }
    Err(failed)
}

fn connect_to(
    address: &SocketAddr,
    options: &DirectOptions,
    wanted: impl Fn() -> io::Result<()>,
) -> io::Result<TcpStream> {
    let mut left = options.connect_within;
    let stream = loop {
        wanted()?;
        match TcpStream::connect_timeout(address, left.min(CONNECT_STEP)) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut && CONNECT_STEP < left => {
                left -= CONNECT_STEP;
            }
            result => break result?,
        }
    };
    stream.set_nodelay(true)?;
    let within: Duration = options.answer_within;
    stream.set_read_timeout(Some(within))?;
    stream.set_write_timeout(Some(within))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::source::kafka::settings::KafkaSettings;

    /// A broker that answers the first question with these bytes, and then hangs up.
    fn dial(answer: Vec<u8>) -> Result<Wire, WireError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let broker = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut length = [0; 4];
            stream.read_exact(&mut length).unwrap();
            let mut question = vec![0; u32::from_be_bytes(length) as usize];
            stream.read_exact(&mut question).unwrap();
            stream.write_all(&answer).unwrap();
        });
        let options = DirectOptions::new(&KafkaSettings::new(&address, "t"), Some(1)).unwrap();
        let wire = Wire::dial(&address, &options, &Buffers::default(), |_| Ok(()));
        broker.join().unwrap();
        wire
    }

    fn unusable(wire: Result<Wire, WireError>) -> String {
        match wire.err() {
            Some(WireError::Unusable(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    /// An answer to the first question: no error, and a range of versions for an API.
    fn speaks(api: ApiKey, (min, max): (i16, i16)) -> Vec<u8> {
        let mut answer = vec![0, 0, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        for number in [api as i16, min, max] {
            answer.extend(number.to_be_bytes());
        }
        answer
    }

    #[test]
    fn what_trying_again_does_not_mend_says_what_to_do() {
        let large = unusable(dial(vec![0x7f, 0xff, 0xff, 0xff]));
        assert!(large.contains("2147483647") && large.contains("receive.message.max.bytes"));
        let other_question = unusable(dial(vec![0, 0, 0, 4, 0, 0, 0, 9]));
        assert!(other_question.contains("cannot be read"), "{other_question}");
        let cut = unusable(dial(vec![0, 0, 0, 5, 0, 0, 0, 1, 0]));
        assert!(cut.contains("cannot be read") && cut.contains("--fetch client"), "{cut}");
        // No error, and as many ranges of versions as a number can say: 64 GiB.
        let many = [0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0x7f, 0xff, 0xff, 0xff];
        let many = unusable(dial(many.to_vec()));
        assert!(many.contains("a length") && many.contains("--fetch client"), "{many}");
        // No question about versions is answered with so much; nothing is reserved for it.
        let long = unusable(dial(vec![1, 0, 0, 1]));
        assert!(long.contains("16777217 bytes"), "{long}");
        let wire = dial(speaks(ApiKey::Fetch, (0, 3))).unwrap();
        match wire.version::<FetchRequest>((4, 16)) {
            Err(WireError::Unusable(old)) => {
                assert!(old.contains("Fetch") && old.contains("4 to 16"), "{old}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(
            dial(speaks(ApiKey::Fetch, (0, 7))).unwrap().version::<FetchRequest>((4, 16)).ok(),
            Some(7)
        );
    }

    #[test]
    fn a_connection_that_breaks_is_tried_again() {
        for answer in [vec![], vec![0, 0], vec![0, 0, 0, 16, 0, 0, 0, 1, 0]] {
            assert!(matches!(dial(answer), Err(WireError::Broken(_))));
        }
    }

    #[test]
    fn what_speaks_another_protocol_is_named_and_tried_again() {
        // The first is what a server of TLS says to those who do not speak it.
        let cases = [(vec![0x15, 3, 3, 0, 2, 2, 0x28], "TLS"), (b"HTTP/1.1".to_vec(), "`HTTP`")];
        for (answer, part) in cases.into_iter().chain([(vec![0xff; 4], "not Kafka")]) {
            match dial(answer) {
                Err(WireError::Broken(reason)) => {
                    assert!(reason.to_string().contains(part), "{reason}");
                }
                other => panic!("{:?}", other.err()),
            }
        }
    }
}
