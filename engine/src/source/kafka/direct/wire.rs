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

/// What this says of itself to brokers.
const SOFTWARE: &str = "strandline";
/// The version of the question which versions a broker speaks: all answer it since Kafka 0.10.
const API_VERSIONS_VERSION: i16 = 0;

/// What is asked, and what is answered.
pub(super) trait Request: Encodable {
    const KEY: ApiKey;
    type Response: Decodable + HeaderVersion;
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
}

/// A connection whose broker has said what it speaks.
pub(super) struct Wire {
    stream: TcpStream,
    versions: Vec<(i16, i16, i16)>,
    client_id: StrBytes,
    response_bytes_max: usize,
    correlation: i32,
    request: BytesMut,
    buffers: Buffers,
}

impl Wire {
    /// Connects to `address` (`host:port`) and asks what the broker speaks. `connected` is given
    /// the stream as soon as there is one, so that somebody can end the waiting.
    ///
    /// # Errors
    ///
    /// What stands in the way just now.
    pub(super) fn dial(
        address: &str,
        options: &DirectOptions,
        buffers: &Buffers,
        connected: impl FnOnce(&TcpStream) -> io::Result<()>,
    ) -> io::Result<Wire> {
        let stream = connect(address, options)?;
        connected(&stream)?;
        let mut wire = Wire {
            stream,
            versions: Vec::new(),
            client_id: StrBytes::from_string(options.client_id.clone()),
            response_bytes_max: options.response_bytes_max,
            correlation: 0,
            request: BytesMut::new(),
            buffers: buffers.clone(),
        };
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str(SOFTWARE));
        wire.send(API_VERSIONS_VERSION, &request)?;
        let answer: ApiVersionsResponse =
            wire.receive::<ApiVersionsRequest>(API_VERSIONS_VERSION)?;
        if answer.error_code != 0 {
            return Err(io::Error::other("the broker does not say which versions it speaks"));
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
    pub(super) fn version<R: Request>(&self, (min, max): (i16, i16)) -> io::Result<i16> {
        let spoken = self.versions.iter().find(|(spoken, ..)| *spoken == R::KEY as i16);
        match spoken {
            Some(&(_, low, high)) if low <= max && min <= high => Ok(high.min(max)),
            _ => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("the broker does not speak {:?} in a version that is known here", R::KEY),
            )),
        }
    }

    /// Sends a request.
    pub(super) fn send<R: Request>(&mut self, version: i16, request: &R) -> io::Result<()> {
        self.correlation = self.correlation.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation)
            .with_client_id(Some(self.client_id.clone()));
        self.request.clear();
        self.request.put_u32(0); // The length, when it is known.
        encode_request_header_into_buffer(&mut self.request, &header).map_err(io::Error::other)?;
        request.encode(&mut self.request, version).map_err(io::Error::other)?;
        let length = u32::try_from(self.request.len() - 4).map_err(io::Error::other)?;
        self.request[..4].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&self.request)
    }

    /// Waits for the answer to the request that was sent last. Its bytes are shared, not copied.
    pub(super) fn receive<R: Request>(&mut self, version: i16) -> io::Result<R::Response> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if self.response_bytes_max < length {
            return Err(io::Error::other(format!(
                "an answer of {length} bytes, more than receive.message.max.bytes"
            )));
        }
        let mut buffer = self.buffers.take(length);
        self.stream.read_exact(buffer.room(length))?;
        let mut bytes: Bytes = buffer.share(length);
        let header = ResponseHeader::decode(&mut bytes, R::Response::header_version(version))
            .map_err(io::Error::other)?;
        if header.correlation_id != self.correlation {
            return Err(io::Error::other("an answer to another question"));
        }
        R::Response::decode(&mut bytes, version).map_err(io::Error::other)
    }
}

fn connect(address: &str, options: &DirectOptions) -> io::Result<TcpStream> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, format!("no address of {address}"));
    for address in address.to_socket_addrs()? {
        let wanted = match options.address_family {
            AddressFamily::Any => true,
            AddressFamily::V4 => address.is_ipv4(),
            AddressFamily::V6 => address.is_ipv6(),
        };
        if wanted {
            match connect_to(&address, options) {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            }
        }
    }
    Err(failed)
}

fn connect_to(address: &SocketAddr, options: &DirectOptions) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(address, options.connect_within)?;
    stream.set_nodelay(true)?;
    let within: Duration = options.answer_within;
    stream.set_read_timeout(Some(within))?;
    stream.set_write_timeout(Some(within))?;
    Ok(stream)
}
