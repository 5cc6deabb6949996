//! A limit on how long a response may take to leave.
//!
//! Whatever a client has not taken yet is memory of ours. A client that stops reading, or reads a
//! byte now and then, would hold it for ever; after [`RESPONSE_TIME_MAX`] its connection ends.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a response may take from when the client first kept it waiting until it has left.
pub(crate) const RESPONSE_TIME_MAX: Duration = Duration::from_secs(30);

/// A connection with that limit.
pub(crate) struct Patience<S> {
    stream: S,
    limit: Duration,
    /// Runs from the first write that had to wait to the flush that follows the last one.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Patience<S> {
    pub(crate) fn new(stream: S, limit: Duration) -> Patience<S> {
        Patience { stream, limit, waiting: None }
    }

    fn limit<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_pending() {
            let limit = self.limit;
            let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
            if waiting.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.limit(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.limit(cx, written)
    }

    // Hyper copies a body into its own buffer where this is false.
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    // Hyper flushes when it has nothing left to write.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.waiting = None;
        }
        self.limit(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.limit(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    fn with_virtual_time(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(test);
    }

    #[test]
    fn a_client_that_does_not_read_is_given_up() {
        with_virtual_time(async {
            let (near, _far) = duplex(10);
            let mut near = Patience::new(near, RESPONSE_TIME_MAX);
            let error = near.write_all(&[0; 11]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        });
    }

    #[test]
    fn a_client_that_reads_a_byte_now_and_then_is_given_up() {
        with_virtual_time(async {
            let (near, mut far) = duplex(10);
            let mut near = Patience::new(near, RESPONSE_TIME_MAX);
            tokio::select! {
                written = near.write_all(&[0; 1000]) => {
                    assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
                }
                () = async {
                    while far.read_u8().await.is_ok() {
                        tokio::time::sleep(Duration::from_secs(1)).await;
                    }
                } => panic!("the client is given up first"),
            }
        });
    }

    #[test]
    fn the_limit_is_for_one_response_not_for_the_connection() {
        with_virtual_time(async {
            let (near, mut far) = duplex(10);
            let mut near = Patience::new(near, RESPONSE_TIME_MAX);
            for _ in 0..10 {
                let response = async {
                    near.write_all(&[0; 20]).await.unwrap();
                    near.flush().await.unwrap();
                };
                let client = async {
                    tokio::time::sleep(RESPONSE_TIME_MAX / 2).await;
                    far.read_exact(&mut [0; 20]).await.unwrap();
                };
                tokio::join!(response, client);
            }
        });
    }
}
