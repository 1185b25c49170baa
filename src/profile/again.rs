//! Making all traits again, in bulk: from timelines, and from what is left of events that are no longer in them.

use super::{
    Profiles,
    entry::Entry,
    store::{Change, ProfileError, ProfileStore, Slice, StrandKey},
    strand::Strand,
};
use crate::{clock::Timestamp, documents::Documents, privacy::profiled::ProfileSeals};

/// Strands read at a time.
const STRANDS_AT_ONCE: usize = 200;

/// Events of one strand that are read: as many as a person makes in 13 months, one every six minutes.
pub(super) const TIMELINE_MAX: usize = 100_000;

/// Makes the traits of every strand again. Returns of how many. Blocks.
///
/// # Errors
/// When the store or keys cannot be used.
pub(super) fn make_again(profiles: &Profiles, documents: &Documents, now: Timestamp) -> Result<u64, ProfileError> {
    let (store, seals) = (profiles.store()?, profiles.seals());
    let (mut after, mut made) = (None, 0);
    loop {
        let _changing = profiles.changing();
        let rows = store.strands_after(after.as_ref(), STRANDS_AT_ONCE)?;
        let Some(last) = rows.last() else { return Ok(made) };
        after = Some(last.key);
        let mut change = Change::default();
        for row in rows.into_iter().filter(|row| !seals.is_restricted(&row.key.person)) {
            // A damaged one is made from its timeline alone.
            let mut strand = Strand::opened(&row, seals, now)?.unwrap_or_default();
            let timeline = timeline(store, seals, &row.key, now)?;
            strand.make_again(&timeline);
            // What the site's document does not keep any more goes.
            let rules = documents.profile_of(row.key.site);
            strand.contact.retain(|field, _| rules.is_some_and(|rules| rules.keeps.contains(field)));
            timeline.iter().for_each(|entry| strand.take(entry));
            if let Some(sealed) = strand.sealed(row.key, row.browser, seals, now)? {
                change.strands.push(sealed);
                change.identifiers.push((row.key, strand.identifiers()));
            }
        }
        made += change.strands.len() as u64;
        store.write(&change)?;
    }
}

/// What a strand's timeline holds, newest first.
pub(super) fn timeline(
    store: &dyn ProfileStore,
    seals: &ProfileSeals,
    key: &StrandKey,
    now: Timestamp,
) -> Result<Vec<Entry>, ProfileError> {
    let mut timeline = Vec::new();
    for row in store.entries(key, &Slice::default(), TIMELINE_MAX)? {
        timeline.extend(Entry::opened(&row, seals, now)?);
    }
    Ok(timeline)
}
