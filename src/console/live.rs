//! One open live view: the feed as server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::{
    sync::{
        OwnedSemaphorePermit,
        broadcast::{Receiver, error::RecvError},
    },
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::feed::Item;

/// The first thing sent: how long a browser waits before it connects again, in milliseconds.
const GREETING: &str = "retry: 2000\n\n";

/// Someone watches. Dropping it frees the seat.
pub(super) struct Watching {
    feed: Receiver<Arc<Item>>,
    stop: CancellationToken,
    heartbeat: Duration,
    greeted: bool,
    _seat: OwnedSemaphorePermit,
}

impl Watching {
    pub(super) const fn new(feed: Receiver<Arc<Item>>, stop: CancellationToken, heartbeat: Duration, seat: OwnedSemaphorePermit) -> Self {
        Self { feed, stop, heartbeat, greeted: false, _seat: seat }
    }

    pub(super) fn into_body(self) -> LiveBody {
        LiveBody { next: Box::pin(self.next()) }
    }

    /// Waits for the next piece of the stream; `None` at its end.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if !self.greeted {
            self.greeted = true;
            return Some((Bytes::from_static(GREETING.as_bytes()), self));
        }
        let heard = tokio::select! {
            biased;
            () = self.stop.cancelled() => return None,
            heard = timeout(self.heartbeat, self.feed.recv()) => heard,
        };
        let piece = match heard {
            Ok(Ok(item)) => format!("event: item\ndata: {}\n\n", serde_json::to_string(&*item).ok()?),
            Ok(Err(RecvError::Lagged(missed))) => format!("event: missed\ndata: {missed}\n\n"),
            Ok(Err(RecvError::Closed)) => return None,
            Err(_quiet) => String::from(": still here\n\n"),
        };
        Some((Bytes::from(piece), self))
    }
}

type NextPiece = Pin<Box<dyn Future<Output = Option<(Bytes, Watching)>> + Send>>;

/// The stream as a response body. It is asked for the next piece only when the last one is sent, so a slow watcher slows nothing but itself.
pub(super) struct LiveBody {
    next: NextPiece,
}

impl Body for LiveBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some((piece, watching)) = ready!(self.next.as_mut().poll(context)) else {
            self.next = Box::pin(std::future::ready(None));
            return Poll::Ready(None);
        };
        self.next = Box::pin(watching.next());
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::{
        clock::Timestamp,
        console::feed::{BACKLOG_ITEMS, Feed},
        event::Offset,
    };

    fn watch(feed: &Feed) -> LiveBody {
        let seat = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        Watching::new(feed.watch(), CancellationToken::new(), Duration::from_millis(20), seat).into_body()
    }

    async fn piece(body: &mut LiveBody) -> String {
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        String::from_utf8(data.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_watcher_that_falls_behind_hears_how_much_it_missed() {
        let feed = Feed::default();
        let mut body = watch(&feed);
        for number in 0..BACKLOG_ITEMS as u64 + 744 {
            let destination = String::from("measurement");
            feed.show(Item::Settled {
                at: Timestamp(0),
                destination,
                offset: Offset(number),
                state: "accepted",
                rule: None,
                received: None,
            });
        }
        assert_eq!(piece(&mut body).await, GREETING);
        assert_eq!(piece(&mut body).await, "event: missed\ndata: 744\n\n");
        assert!(piece(&mut body).await.contains("\"offset\":744"));
    }

    #[tokio::test]
    async fn a_quiet_line_gives_a_sign_of_life() {
        let feed = Feed::default();
        let mut body = watch(&feed);
        assert_eq!(piece(&mut body).await, GREETING);
        assert_eq!(piece(&mut body).await, ": still here\n\n");
    }
}
