//! A set of offsets, kept and written as ranges: `5-9,12`. What is open, and what a ledger row speaks of.

use std::{collections::BTreeMap, fmt};

use crate::event::Offset;

/// Offsets, in order. Neighbours are one range, so that a long run costs no more than one offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OffsetSet {
    /// First → last, both inside; disjoint, and never adjacent.
    ranges: BTreeMap<u64, u64>,
}

impl OffsetSet {
    /// The set of one run, both ends inside; empty when `last` lies before `first`.
    #[must_use]
    pub fn of_range(first: Offset, last: Offset) -> Self {
        let ranges = if first <= last { BTreeMap::from([(first.0, last.0)]) } else { BTreeMap::new() };
        Self { ranges }
    }

    /// Puts an offset in. Returns whether it was not there.
    pub fn insert(&mut self, offset: Offset) -> bool {
        let Offset(mut first) = offset;
        let mut last = first;
        if let Some((&before, &end)) = self.ranges.range(..=first).next_back() {
            if end >= first {
                return false;
            }
            if end + 1 == first {
                first = before;
            }
        }
        if let Some(after) = last.checked_add(1)
            && let Some(end) = self.ranges.remove(&after)
        {
            last = end;
        }
        self.ranges.insert(first, last);
        true
    }

    /// Puts a run in, both ends inside.
    pub fn insert_range(&mut self, first: Offset, last: Offset) {
        if first > last {
            return;
        }
        self.remove_range(first, last);
        let (mut start, mut end) = (first.0, last.0);
        if let Some((&before, &before_end)) = self.ranges.range(..start).next_back()
            && before_end + 1 == start
        {
            start = before;
        }
        if let Some(after) = end.checked_add(1)
            && let Some(after_end) = self.ranges.remove(&after)
        {
            end = after_end;
        }
        self.ranges.insert(start, end);
    }

    /// Takes a run out, both ends inside.
    pub fn remove_range(&mut self, first: Offset, last: Offset) {
        let within = |range: (&u64, &u64)| *range.1 >= first.0;
        while let Some((&start, &end)) = self.ranges.range(..=last.0).next_back().filter(|range| within(*range)) {
            self.ranges.remove(&start);
            if end > last.0 {
                self.ranges.insert(last.0 + 1, end);
            }
            if start < first.0 {
                self.ranges.insert(start, first.0 - 1);
            }
        }
    }

    /// Those of them that lie in a run, both ends inside.
    #[must_use]
    pub fn within(&self, first: Offset, last: Offset) -> Self {
        let mut within = Self::default();
        for (&start, &end) in self.ranges.range(..=last.0).rev().take_while(|(_, end)| **end >= first.0) {
            within.ranges.insert(start.max(first.0), end.min(last.0));
        }
        within
    }

    /// Takes an offset out. Returns whether it was there.
    pub fn remove(&mut self, offset: Offset) -> bool {
        let Some((&first, &last)) = self.ranges.range(..=offset.0).next_back() else { return false };
        if last < offset.0 {
            return false;
        }
        self.ranges.remove(&first);
        if first < offset.0 {
            self.ranges.insert(first, offset.0 - 1);
        }
        if offset.0 < last {
            self.ranges.insert(offset.0 + 1, last);
        }
        true
    }

    /// Whether the offset is in it.
    #[must_use]
    pub fn contains(&self, offset: Offset) -> bool {
        self.ranges.range(..=offset.0).next_back().is_some_and(|(_, &last)| last >= offset.0)
    }

    /// The lowest.
    #[must_use]
    pub fn first(&self) -> Option<Offset> {
        self.ranges.first_key_value().map(|(&first, _)| Offset(first))
    }

    /// The highest.
    #[must_use]
    pub fn last(&self) -> Option<Offset> {
        self.ranges.last_key_value().map(|(_, &last)| Offset(last))
    }

    /// How many offsets are in it.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The runs, lowest first, both ends inside.
    pub fn ranges(&self) -> impl Iterator<Item = (Offset, Offset)> {
        self.ranges.iter().map(|(&first, &last)| (Offset(first), Offset(last)))
    }

    /// Every offset, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = Offset> {
        self.ranges.iter().flat_map(|(&first, &last)| (first..=last).map(Offset))
    }

    /// The same offsets in pieces, none of which spans more than `span` offsets from its first to its last.
    #[must_use]
    pub fn pieces(self, span: u64) -> Vec<Self> {
        let span = span.max(1);
        let mut pieces: Vec<Self> = Vec::new();
        for (mut first, last) in self.ranges {
            loop {
                let start = pieces.last().and_then(Self::first).map(|start| start.0);
                let (piece_start, fits) = match start {
                    Some(start) if first - start < span => (start, true),
                    _ => (first, false),
                };
                let end = last.min(piece_start.saturating_add(span - 1));
                if fits && let Some(piece) = pieces.last_mut() {
                    piece.ranges.insert(first, end);
                } else {
                    pieces.push(Self::of_range(Offset(first), Offset(end)));
                }
                if end == last {
                    break;
                }
                first = end + 1;
            }
        }
        pieces
    }

    /// Reads the written form. `None` when it is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut set = Self::default();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            if first > last || set.last().is_some_and(|end| end.0 >= first) {
                return None;
            }
            set.ranges.insert(first, last);
        }
        Some(set)
    }
}

impl FromIterator<Offset> for OffsetSet {
    fn from_iter<I: IntoIterator<Item = Offset>>(offsets: I) -> Self {
        let mut set = Self::default();
        for offset in offsets {
            set.insert(offset);
        }
        set
    }
}

impl fmt::Display for OffsetSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.ranges.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if first == last {
                write!(f, "{comma}{first}")?;
            } else {
                write!(f, "{comma}{first}-{last}")?;
            }
        }
        Ok(())
    }
}

/// An offset as SQLite stores it. A log never grows past 2⁶³ records.
pub(super) fn stored(offset: Offset) -> i64 {
    i64::try_from(offset.0).unwrap_or(i64::MAX)
}

/// An offset as SQLite had it.
pub(super) fn from_stored(number: i64) -> Offset {
    Offset(u64::try_from(number).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(offsets: &[u64]) -> OffsetSet {
        offsets.iter().copied().map(Offset).collect()
    }

    #[test]
    fn neighbours_are_one_range() {
        assert_eq!(set(&[5, 7, 6, 12, 9, 8]).to_string(), "5-9,12");
        assert_eq!(set(&[]).to_string(), "");
    }

    #[test]
    fn what_is_no_written_set_is_not_read() {
        for text in ["x", "5-", "9-5", "7,3", "1-4,4", "-3"] {
            assert_eq!(OffsetSet::parse(text), None, "{text}");
        }
    }

    #[test]
    fn pieces_stay_within_their_span() {
        let pieces = OffsetSet::parse("0-4,7,30-34").unwrap().pieces(4);
        let text: Vec<String> = pieces.iter().map(ToString::to_string).collect();
        assert_eq!(text, ["0-3", "4,7", "30-33", "34"]);
    }

    proptest! {
        #[test]
        fn behaves_as_a_plain_set_does(steps in prop::collection::vec((any::<bool>(), 0..40_u64, 0..6_u64), 0..120), span in 1..12_u64) {
            let (mut ours, mut model) = (OffsetSet::default(), BTreeSet::new());
            for (put, number, more) in steps {
                if more > 1 {
                    let run = number..=number + more - 2;
                    if put {
                        ours.insert_range(Offset(*run.start()), Offset(*run.end()));
                        model.extend(run);
                    } else {
                        ours.remove_range(Offset(*run.start()), Offset(*run.end()));
                        model.retain(|kept| !run.contains(kept));
                    }
                } else if put {
                    prop_assert_eq!(ours.insert(Offset(number)), model.insert(number));
                } else {
                    prop_assert_eq!(ours.remove(Offset(number)), model.remove(&number));
                }
            }
            prop_assert_eq!(ours.iter().map(|offset| offset.0).collect::<Vec<_>>(), model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(ours.count(), model.len() as u64);
            for number in 0..50 {
                prop_assert_eq!(ours.contains(Offset(number)), model.contains(&number));
            }
            prop_assert_eq!(OffsetSet::parse(&ours.to_string()), Some(ours.clone()));
            prop_assert_eq!(&model.iter().copied().map(Offset).collect::<OffsetSet>(), &ours, "one form for one set");
            let within: Vec<u64> = ours.within(Offset(span), Offset(3 * span)).iter().map(|offset| offset.0).collect();
            prop_assert_eq!(within, model.range(span..=3 * span).copied().collect::<Vec<_>>());
            let pieces = ours.pieces(span);
            for piece in &pieces {
                let (first, last) = (piece.first().unwrap().0, piece.last().unwrap().0);
                prop_assert!(last - first < span);
            }
            prop_assert_eq!(pieces.iter().flat_map(OffsetSet::iter).map(|offset| offset.0).collect::<Vec<_>>(), model.into_iter().collect::<Vec<_>>());
        }
    }
}
