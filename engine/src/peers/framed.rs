//! What two processes say to each other before timely has their connection: a marker, a length, and
//! plain data.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What is said begins with one, which says what it is.
pub(super) type Marker = [u8; 16];

/// What is said is no longer than this, in bytes.
const SAID_BYTES_MAX: usize = 64 * 1024;
/// How often whoever waits for another process looks again, and whether to give up.
pub(super) const MEET_POLL: Duration = Duration::from_millis(50);

/// The bytes of something that is said.
pub(super) fn bytes(marker: Marker, said: &impl Serialize) -> Vec<u8> {
    let said = serde_json::to_vec(said).expect("plain data can be encoded");
    let length = u32::try_from(said.len()).expect("options are no gigabytes");
    [marker.as_slice(), &length.to_le_bytes(), &said].concat()
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
    let mut read = |bytes: &mut [u8]| {
        let mut filled = 0;
        while filled < bytes.len() {
            match stream.read(&mut bytes[filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(more) => filled += more,
                Err(error) if is_timeout(&error) => {
                    if gives_up() {
                        return Err(error);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    };
    let (mut found, mut length) = (Marker::default(), [0; 4]);
    read(&mut found)?;
    read(&mut length)?;
    let length = u32::from_le_bytes(length) as usize;
    if found != marker || length > SAID_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut said = vec![0; length];
    read(&mut said)?;
    stream.set_read_timeout(None)?;
    Ok(serde_json::from_slice(&said)?)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
