//! Who is connected, and whose time is up. One sweep a second looks at all connections of a listener; a request itself pays two
//! relaxed atomic additions for it, where a timer per connection and request would be armed and disarmed 50,000 times a second.
//!
//! A connection is *busy* while a request is under way on it (the request's body and answer have bounds of their own), *mid-head* when
//! bytes have come that are no whole head yet (so is a new connection), else *idle*.

use std::{
    collections::HashMap,
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering},
    },
    task::{Poll, Waker},
    time::Duration,
};

use tokio::time::Instant;

use super::limits::{KEEP_ALIVE_IDLE, KEEP_ALIVE_IDLE_CROWDED, REQUEST_HEAD};

/// What a connection is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// Go on.
    GoOn = 0,
    /// Finish what is under way, and end.
    Finish = 1,
    /// End now.
    End = 2,
}

/// One connection, as its task, its requests and the sweep see it.
pub(super) struct Watch {
    order: AtomicU8,
    /// The connection's task, once it runs; an order wakes it.
    task: Mutex<Option<Waker>>,
    under_way: AtomicU32,
    /// Counts the requests begun: whether anything happened between two sweeps.
    begun: AtomicU32,
    mid_head: AtomicBool,
}

impl Watch {
    fn new() -> Self {
        Self {
            order: AtomicU8::new(Order::GoOn as u8),
            task: Mutex::new(None),
            under_way: AtomicU32::new(0),
            begun: AtomicU32::new(0),
            mid_head: AtomicBool::new(true),
        }
    }

    /// What to do now.
    pub(super) fn order(&self) -> Order {
        match self.order.load(Ordering::Acquire) {
            0 => Order::GoOn,
            1 => Order::Finish,
            _ => Order::End,
        }
    }

    /// Says which task to wake for an order. To be called before the first look at [`Self::order`]; a task's waker stays the same.
    pub(super) fn wake_with(&self, waker: &Waker) {
        *self.task() = Some(waker.clone());
    }

    /// Runs work that has no request yet (a handshake). `None`: an order came first, and there is nothing to finish.
    pub(super) async fn unless_ordered<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            self.wake_with(cx.waker());
            if self.order() == Order::GoOn { work.as_mut().poll(cx).map(Some) } else { Poll::Ready(None) }
        })
        .await
    }

    /// A request begins.
    pub(super) fn begin(self: &Arc<Self>) -> InFlight {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.mid_head.store(false, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Bytes came in.
    pub(super) fn bytes_came(&self) {
        if self.under_way.load(Ordering::Relaxed) == 0 {
            self.mid_head.store(true, Ordering::Relaxed);
        }
    }

    fn give(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::Release);
        if let Some(waker) = self.task().as_ref() {
            waker.wake_by_ref();
        }
    }

    fn task(&self) -> MutexGuard<'_, Option<Waker>> {
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is under way, until its answer's body is dropped.
pub(super) struct InFlight(Arc<Watch>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// All connections of one listener.
#[derive(Default)]
pub(super) struct Connections {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    by_number: HashMap<u64, Seen>,
}

/// A connection, and what the last sweep saw of it.
struct Seen {
    watch: Arc<Watch>,
    begun: u32,
    mid_head: bool,
    quiet_since: Option<Instant>,
}

/// Keeps a connection in the list until it is dropped.
pub(super) struct Membership {
    connections: Arc<Connections>,
    number: u64,
    pub(super) watch: Arc<Watch>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.connections.open().by_number.remove(&self.number);
    }
}

impl Connections {
    /// Adds a connection.
    pub(super) fn join(self: &Arc<Self>) -> Membership {
        let watch = Arc::new(Watch::new());
        let mut open = self.open();
        let number = open.next;
        open.next += 1;
        open.by_number.insert(number, Seen { watch: Arc::clone(&watch), begun: 0, mid_head: true, quiet_since: None });
        Membership { connections: Arc::clone(self), number, watch }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.open().by_number.len()
    }

    /// Gives every connection an order.
    pub(super) fn order_all(&self, order: Order) {
        for seen in self.open().by_number.values() {
            seen.watch.give(order);
        }
    }

    /// Ends the connections whose time is up; returns how many.
    pub(super) fn sweep(&self, now: Instant, crowded: bool) -> u64 {
        let idle_limit = if crowded { KEEP_ALIVE_IDLE_CROWDED } else { KEEP_ALIVE_IDLE };
        self.open().by_number.values_mut().map(|seen| u64::from(seen.sweep(now, idle_limit))).sum()
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn sweep(&mut self, now: Instant, idle_limit: Duration) -> bool {
        let begun = self.watch.begun.load(Ordering::Relaxed);
        let mid_head = self.watch.mid_head.load(Ordering::Relaxed);
        if self.watch.under_way.load(Ordering::Relaxed) > 0 {
            self.quiet_since = None;
            return false;
        }
        if begun != self.begun || mid_head != self.mid_head {
            (self.begun, self.mid_head) = (begun, mid_head);
            self.quiet_since = None;
        }
        let quiet = now.duration_since(*self.quiet_since.get_or_insert(now));
        if mid_head && quiet >= REQUEST_HEAD {
            self.watch.give(Order::End);
            true
        } else if quiet >= idle_limit && self.watch.order() == Order::GoOn {
            // A request that comes in this very moment is still answered.
            self.watch.give(Order::Finish);
            true
        } else {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sweeps each second for that long; returns after how many seconds the connection had an order, and which.
    fn swept(connections: &Connections, watch: &Watch, seconds: u32, crowded: bool) -> (u32, Order) {
        let start = Instant::now();
        for second in 0..seconds {
            connections.sweep(start + SECOND * second, crowded);
            if watch.order() != Order::GoOn {
                return (second, watch.order());
            }
        }
        (seconds, Order::GoOn)
    }

    #[tokio::test]
    async fn a_head_that_does_not_end_ends_the_connection() {
        let connections = Arc::new(Connections::default());
        let member = connections.join();
        assert_eq!(swept(&connections, &member.watch, 100, false), (10, Order::End));
    }

    #[tokio::test]
    async fn an_idle_connection_ends_later_and_sooner_in_a_crowd() {
        let connections = Arc::new(Connections::default());
        let member = connections.join();
        drop(member.watch.begin());
        assert_eq!(swept(&connections, &member.watch, 1000, false), (150, Order::Finish));
        let member = connections.join();
        drop(member.watch.begin());
        assert_eq!(swept(&connections, &member.watch, 1000, true), (5, Order::Finish));
    }

    #[tokio::test]
    async fn bytes_after_a_request_begin_a_new_head() {
        let connections = Arc::new(Connections::default());
        let member = connections.join();
        drop(member.watch.begin());
        assert_eq!(swept(&connections, &member.watch, 100, false), (100, Order::GoOn));
        member.watch.bytes_came();
        assert_eq!(swept(&connections, &member.watch, 100, false), (10, Order::End));
    }

    #[tokio::test]
    async fn a_busy_connection_has_time() {
        let connections = Arc::new(Connections::default());
        let member = connections.join();
        let request = member.watch.begin();
        member.watch.bytes_came();
        assert_eq!(swept(&connections, &member.watch, 10_000, true), (10_000, Order::GoOn));
        connections.order_all(Order::Finish);
        assert_eq!(member.watch.order(), Order::Finish);
        drop(request);
        drop(member);
        assert_eq!(connections.count(), 0);
    }
}
