//! A profile's timeline, a page at a time: its strands' events together, the newest that came in first.

use std::cmp::Reverse;

use super::{
    Profiles, again,
    entry::Entry,
    identity::Joined,
    store::{Place, ProfileError, Slice},
    strand_id,
    view::EventView,
};
use crate::clock::Timestamp;

/// Events on one page.
pub const PAGE_MAX: usize = 200;

impl Profiles {
    /// Events of a profile, newest first, as far as `slice` says; and where the next page begins, if there may be one. Blocks.
    ///
    /// # Errors
    /// When store or keys cannot be used.
    pub fn timeline(
        &self,
        joined: &Joined,
        slice: &Slice,
        most: usize,
        now: Timestamp,
    ) -> Result<(Vec<EventView>, Option<Place>), ProfileError> {
        let (store, most) = (self.store()?, most.clamp(1, again::TIMELINE_MAX));
        let mut rows = Vec::new();
        for key in &joined.strands {
            let Some(strand) = store.strand(key)? else { continue };
            let part = strand_id(key, strand.browser);
            // One more says whether there are more.
            rows.extend(store.entries(key, slice, most + 1)?.into_iter().map(|row| (part.clone(), row)));
        }
        rows.sort_by_key(|(_, row)| (Reverse(row.received), row.event));
        let more = rows.len() > most;
        rows.truncate(most);
        let next = rows.last().filter(|_| more).map(|(_, row)| Place { received: row.received, event: row.event });
        let mut events = Vec::with_capacity(rows.len());
        for (part, row) in rows {
            if let Some(entry) = Entry::opened(&row, self.seals(), now)? {
                events.push(EventView { happened: entry.at.rfc3339(), part, entry });
            }
        }
        Ok((events, next))
    }
}
