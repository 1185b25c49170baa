//! The byte stream below a connection: it tells the connection's [`Watch`] when bytes come, and closes in a way that lets the last answer
//! arrive.
//!
//! A socket that is closed while the client still sends answers with a reset, and the client's kernel then throws away what it had
//! received: the 413 that explains everything. So the sending side is closed first, and what still comes is thrown away for a bounded
//! time and amount ("lingering close").

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::{
    limits::{LINGER, LINGER_BYTES},
    watch::{Order, Watch},
};

/// What is thrown away at a time.
const DISCARD_BYTES: usize = 4 * 1024;

/// A connection's stream.
pub(super) struct Stream<T> {
    inner: T,
    watch: Arc<Watch>,
    closing: Closing,
}

enum Closing {
    No,
    /// Our side is closed; until then, or until that many bytes more, what comes is thrown away.
    Lingering(Pin<Box<Sleep>>, usize),
    Done,
}

impl<T> Stream<T> {
    pub(super) const fn new(inner: T, watch: Arc<Watch>) -> Self {
        Self { inner, watch, closing: Closing::No }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream<T> {
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Closing::Lingering(end, left) = &mut self.closing else { return Poll::Ready(()) };
        let mut space = [0; DISCARD_BYTES];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(&mut self.inner).poll_read(cx, &mut buffer) {
                // Ready to end: the client has closed too, or the bound is reached.
                Poll::Ready(Ok(())) if buffer.filled().is_empty() || buffer.filled().len() >= *left => return Poll::Ready(()),
                Poll::Ready(Ok(())) => *left -= buffer.filled().len(),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return end.as_mut().poll(cx),
            }
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Stream<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.watch.bytes_came();
        }
        result
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.closing, Closing::No) {
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
            // A connection that was idle, or is drained, has no answer on its way that could be lost.
            let linger = self.watch.order() == Order::GoOn;
            self.closing = if linger { Closing::Lingering(Box::pin(sleep(LINGER)), LINGER_BYTES) } else { Closing::Done };
        }
        ready!(self.poll_linger(cx));
        self.closing = Closing::Done;
        Poll::Ready(Ok(()))
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
