//! The live feed: what the line does, as it does it, for whoever watches. Clean data only; nothing is kept, nothing waits for a watcher.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::broadcast;

use crate::{clock::Timestamp, event::Offset, privacy::shape::Shape};

/// How many items a slow watcher may fall behind before it misses some (and is told so): what several destinations are done with in one moment, each with a
/// parcel of 250 events. Under a kilobyte each, and only while somebody watches.
pub(super) const BACKLOG_ITEMS: usize = 1024;

/// Carries items to the live pages that are open.
#[derive(Clone)]
pub struct Feed {
    sender: broadcast::Sender<Arc<Item>>,
}

/// Something that happened on the line.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Item {
    /// An event came in: its shape only, and what became of it.
    Arrived {
        /// When.
        at: Timestamp,
        /// On which site.
        site: String,
        /// By which protocol.
        protocol: &'static str,
        /// The names and lengths of the fields that we know; the number of those we do not.
        shape: Shape,
        /// `unknown`, `granted: analytics` or `objected`.
        visitor: String,
        /// The record's number in the log, when it became one.
        offset: Option<Offset>,
        /// Why it did not.
        refused: Option<&'static str>,
        /// The same, said to a person.
        because: Option<&'static str>,
    },
    /// One destination's end of one event.
    Settled {
        /// When.
        at: Timestamp,
        /// Which destination.
        destination: String,
        /// Which record.
        offset: Offset,
        /// The ledger state: `accepted`, `withheld`, …
        state: &'static str,
        /// The rule or reason, for states that have one.
        rule: Option<&'static str>,
        /// What the destination received, exactly: the disclosure's fields.
        received: Option<serde_json::Value>,
    },
}

impl Default for Feed {
    fn default() -> Self {
        Self { sender: broadcast::channel(BACKLOG_ITEMS).0 }
    }
}

impl Feed {
    /// Whether anyone watches: nothing needs to be prepared when nobody does.
    #[must_use]
    pub fn watched(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    /// Shows an item to whoever watches.
    pub fn show(&self, item: Item) {
        // An error means that nobody watches any more, which is fine.
        let _ = self.sender.send(Arc::new(item));
    }

    /// Watches from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Arc<Item>> {
        self.sender.subscribe()
    }
}
