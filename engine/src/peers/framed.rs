//! What two processes say to each other before timely has their connection: a marker, a length, and
//! plain data.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::JobError;

/// What is said begins with one, which says what it is.
pub(super) type Marker = [u8; 16];

/// What is said is no longer than this, in bytes.
const SAID_BYTES_MAX: usize = 64 * 1024;
/// How often whoever waits for another process looks again, and whether to give up.
pub(super) const MEET_POLL: Duration = Duration::from_millis(50);

/// The bytes of something that is said.
///
/// # Errors
///
/// [`JobError::Start`] where they are more than another process would take: it would hear a stranger.
pub(super) fn bytes(marker: Marker, said: &impl Serialize) -> Result<Vec<u8>, JobError> {
    let said = serde_json::to_vec(said).map_err(|error| JobError::Start(error.to_string()))?;
    let length = u32::try_from(said.len()).ok().filter(|_| said.len() <= SAID_BYTES_MAX);
    let Some(length) = length else {
        return Err(JobError::Start(format!(
            "its options and names have {} bytes together, and the processes of a job tell each other \
             {SAID_BYTES_MAX} at most: use shorter names and paths",
            said.len()
        )));
    };
    Ok([marker.as_slice(), &length.to_le_bytes(), &said].concat())
}

/// Waits for something with this marker, until it is time to give up. Nothing behind it is taken from
/// the connection.
///
/// # Errors
///
/// The connection broke; it was given up; what came is something else.
pub(super) fn hear<T: DeserializeOwned>(
    stream: &mut TcpStream,
    marker: Marker,
    gives_up: impl Fn() -> bool,
) -> io::Result<T> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(MEET_POLL))?;
    let mut received = Received::new(marker);
    loop {
        if let Some(said) = received.take_from(stream)? {
            stream.set_read_timeout(None)?;
            return Ok(said);
        }
        if gives_up() {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
}

/// What has come so far of something that is said.
#[derive(Debug)]
pub(super) struct Received {
    marker: Marker,
    bytes: Vec<u8>,
}

/// The bytes of a marker and a length.
const HEAD: usize = size_of::<Marker>() + 4;

impl Received {
    /// Nothing yet of something with this marker.
    pub(super) fn new(marker: Marker) -> Received {
        Received { marker, bytes: Vec::new() }
    }

    /// Takes more of it, as far as `stream` has it without waiting longer than it is set to wait. Once
    /// all is there, gives it; nothing behind it is taken.
    ///
    /// # Errors
    ///
    /// The connection broke; what came is something else.
    pub(super) fn take_from<T: DeserializeOwned>(
        &mut self,
        stream: &mut impl Read,
    ) -> io::Result<Option<T>> {
        let mut part = [0; 4 << 10];
        loop {
            let wanted = self.wanted()? - self.bytes.len();
            if wanted == 0 {
                return Ok(Some(serde_json::from_slice(&self.bytes[HEAD..])?));
            }
            match stream.read(&mut part[..wanted.min(4 << 10)]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(more) => self.bytes.extend_from_slice(&part[..more]),
                Err(error) if is_timeout(&error) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// How many bytes it has, as far as that is known.
    fn wanted(&self) -> io::Result<usize> {
        let Some((found, rest)) = self.bytes.split_first_chunk::<{ size_of::<Marker>() }>() else {
            return Ok(HEAD);
        };
        let Some(length) = rest.first_chunk() else { return Ok(HEAD) };
        let length = u32::from_le_bytes(*length) as usize;
        if *found != self.marker || length > SAID_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(HEAD + length)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
