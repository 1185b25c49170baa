//! Who has ceased to agree to something since somebody last asked: so that whoever keeps something of people looks at those alone, and not at all whom
//! they have.

use std::collections::VecDeque;

/// So many are remembered: those who withdraw while their profiles cannot be written for an hour. Of more, it is looked at everybody.
const REMEMBERED_MAX: usize = 10_000;

/// Those who have, by their handles; in RAM, where the keys of those are who have not.
#[derive(Default)]
pub(super) struct Ended {
    /// The newest of them. Nothing stands for somebody, or for several, of whom it is not known who they are.
    newest: VecDeque<Option<[u8; 16]>>,
    /// How many there have ever been.
    count: u64,
}

/// Who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::privacy) enum Endings {
    /// These, and nobody else.
    Those(Vec<[u8; 16]>),
    /// It could be anybody.
    Anybody,
}

impl Ended {
    pub(super) fn note(&mut self, people: impl IntoIterator<Item = Option<[u8; 16]>>) {
        for person in people {
            if self.newest.len() >= REMEMBERED_MAX {
                self.newest.pop_front();
            }
            self.newest.push_back(person);
            self.count += 1;
        }
    }

    /// Who has since so many had; and how many have by now.
    pub(super) fn since(&self, before: u64) -> (u64, Endings) {
        let new = usize::try_from(self.count.saturating_sub(before)).unwrap_or(usize::MAX);
        let known = self.newest.len().checked_sub(new).map(|old| self.newest.iter().skip(old).copied().collect::<Option<Vec<_>>>());
        (self.count, known.flatten().map_or(Endings::Anybody, Endings::Those))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_since_then_are_known_unless_there_are_too_many_or_somebody_unknown_is_among_them() {
        let mut ended = Ended::default();
        assert_eq!(ended.since(0), (0, Endings::Those(vec![])));
        ended.note([Some([1; 16]), Some([2; 16])]);
        assert_eq!(ended.since(0), (2, Endings::Those(vec![[1; 16], [2; 16]])));
        assert_eq!(ended.since(1), (2, Endings::Those(vec![[2; 16]])));
        ended.note([None]);
        assert_eq!(ended.since(1), (3, Endings::Anybody));
        assert_eq!(ended.since(3), (3, Endings::Those(vec![])));
        ended.note(std::iter::repeat_n(Some([3; 16]), REMEMBERED_MAX));
        assert!(matches!(ended.since(3), (_, Endings::Those(those)) if those.len() == REMEMBERED_MAX));
        assert_eq!(ended.since(2).1, Endings::Anybody, "who was there then is forgotten");
    }
}
