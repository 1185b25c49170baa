//! Bringing strands together, kind by kind, without bringing together whom a kind before it tells apart.

use std::collections::{BTreeMap, BTreeSet};

use crate::privacy::identifiers::{Identifier, IdentifierKind};

/// Strands, by their place, in groups that grow.
pub(super) struct Groups {
    /// The place that stands for each one's group.
    heads: Vec<usize>,
    /// What each is known by.
    tells: Vec<BTreeSet<Identifier>>,
}

impl Groups {
    /// Each for itself, with what it is known by.
    pub(super) fn new(tells: Vec<BTreeSet<Identifier>>) -> Self {
        Self { heads: (0..tells.len()).collect(), tells }
    }

    /// Whether two are of one group.
    pub(super) fn are_one(&self, one: usize, other: usize) -> bool {
        self.heads.get(one) == self.heads.get(other)
    }

    /// Joins what stands in one list each, unless that, alone or with what other lists join, would bring together groups that differ in an
    /// identifier of one of these kinds. Returns of which lists that is true. Order does not matter: neither of lists nor within one.
    pub(super) fn join(&mut self, lists: &[&[usize]], before: &[IdentifierKind]) -> Vec<bool> {
        let told = self.told();
        let heads: Vec<BTreeSet<usize>> = lists.iter().map(|list| list.iter().map(|place| self.heads[*place]).collect()).collect();
        // First those that differ by themselves, so that they do not speak against others.
        let mut refused: Vec<bool> = heads.iter().map(|heads| differ(heads, &told, before)).collect();
        let mut union: BTreeMap<usize, usize> = told.keys().map(|head| (*head, *head)).collect();
        for (heads, _) in heads.iter().zip(&refused).filter(|(_, refused)| !**refused) {
            let ends: BTreeSet<usize> = heads.iter().map(|head| union[head]).collect();
            let Some(first) = ends.first().copied() else { continue };
            union.values_mut().filter(|end| ends.contains(end)).for_each(|end| *end = first);
        }
        let mut chains: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
        for (head, end) in &union {
            chains.entry(*end).or_default().insert(*head);
        }
        let torn: BTreeSet<usize> =
            chains.iter().filter(|(_, heads)| heads.len() > 2 && differ(heads, &told, before)).map(|(end, _)| *end).collect();
        for (heads, refused) in heads.iter().zip(&mut refused) {
            *refused |= heads.first().is_some_and(|head| torn.contains(&union[head])) && heads.len() > 1;
        }
        for head in &mut self.heads {
            let end = union[head];
            if !torn.contains(&end) {
                *head = end;
            }
        }
        refused
    }

    /// What each group is known by, by its head.
    fn told(&self) -> BTreeMap<usize, BTreeSet<Identifier>> {
        let mut told: BTreeMap<usize, BTreeSet<Identifier>> = BTreeMap::new();
        for (head, tells) in self.heads.iter().zip(&self.tells) {
            told.entry(*head).or_default().extend(tells);
        }
        told
    }
}

/// Whether two of these groups have identifiers of one of these kinds, and none in common.
fn differ(heads: &BTreeSet<usize>, told: &BTreeMap<usize, BTreeSet<Identifier>>, before: &[IdentifierKind]) -> bool {
    before.iter().any(|kind| {
        let of_kind = |head: &usize| told.get(head).into_iter().flatten().filter(|known| known.kind == *kind).collect::<BTreeSet<_>>();
        let known: Vec<BTreeSet<&Identifier>> = heads.iter().map(of_kind).filter(|known| !known.is_empty()).collect();
        known.iter().enumerate().any(|(place, one)| known[..place].iter().any(|other| one.is_disjoint(other)))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::privacy::profiled::IdentifierKey;

    const ORDER: [IdentifierKind; 3] = [IdentifierKind::Account, IdentifierKind::Email, IdentifierKind::Phone];

    fn identifier((kind, number): (usize, u8)) -> Identifier {
        Identifier { kind: ORDER[kind], key: IdentifierKey::of_bytes([number; 16]) }
    }

    /// Groups of strands that are known by these, each given as `a1`, `e2`, `p3`.
    fn grouped(strands: &[&[&str]]) -> Vec<Vec<usize>> {
        let read = |text: &&str| identifier(("aep".find(&text[..1]).unwrap(), text[1..].parse().unwrap()));
        sets(&strands.iter().map(|known| known.iter().map(read).collect()).collect::<Vec<_>>())
    }

    fn sets(tells: &[BTreeSet<Identifier>]) -> Vec<Vec<usize>> {
        let mut groups = Groups::new(tells.to_vec());
        for (place, kind) in ORDER.iter().enumerate() {
            let mut lists: BTreeMap<Identifier, Vec<usize>> = BTreeMap::new();
            for (place, known) in tells.iter().enumerate() {
                known.iter().filter(|known| known.kind == *kind).for_each(|known| lists.entry(*known).or_default().push(place));
            }
            groups.join(&lists.values().map(Vec::as_slice).collect::<Vec<_>>(), &ORDER[..place]);
        }
        let mut sets: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        groups.heads.iter().enumerate().for_each(|(place, head)| sets.entry(*head).or_default().push(place));
        let mut sets: Vec<_> = sets.into_values().collect();
        sets.sort();
        sets
    }

    #[test]
    fn what_counts_more_tells_apart_and_everything_else_is_joined() {
        for (strands, expected) in [
            (&[&["a1", "e1"][..], &["a2", "e1"]][..], vec![vec![0], vec![1]]),
            (&[&["a1", "e1"], &["e1"]], vec![vec![0, 1]]),
            // Whose the third one is nobody knows.
            (&[&["a1", "e1"], &["a2", "e1"], &["e1"]], vec![vec![0], vec![1], vec![2]]),
            // Nor in a chain, of which each link alone would hold.
            (&[&["a1", "e1"], &["e1", "e2"], &["a2", "e2"]], vec![vec![0], vec![1], vec![2]]),
            // One that differs by itself does not speak against others.
            (&[&["a1", "e1", "e2"], &["a2", "e1"], &["e2"]], vec![vec![0, 2], vec![1]]),
            (&[&["a1", "e1"], &["a1", "e2"], &["e2", "p1"], &["p1"]], vec![vec![0, 1, 2, 3]]),
            (&[&["e1", "p1"], &["e2", "p1"]], vec![vec![0], vec![1]]),
            (&[&["e1", "e2"], &["e2", "e3"], &["e3"]], vec![vec![0, 1, 2]]),
            (&[&[], &[]], vec![vec![0], vec![1]]),
        ] {
            assert_eq!(grouped(strands), expected, "{strands:?}");
        }
    }

    proptest! {
        #[test]
        fn groups_do_not_depend_on_any_order_and_never_join_two_accounts(
            known in prop::collection::vec(prop::collection::btree_set((0..3_usize, 0..4_u8), 0..4), 1..9),
            turn in 0..8_usize,
        ) {
            // One account each at most, as strands have.
            let tells: Vec<BTreeSet<Identifier>> = known.iter().map(|known| {
                let account = known.iter().find(|(kind, _)| *kind == 0);
                known.iter().filter(|(kind, _)| *kind != 0).chain(account).copied().map(identifier).collect()
            }).collect();
            let straight = sets(&tells);
            for set in &straight {
                let accounts: BTreeSet<_> = set.iter().flat_map(|place| &tells[*place]).filter(|known| known.kind == ORDER[0]).collect();
                prop_assert!(accounts.len() <= 1);
            }
            let turn = turn % tells.len();
            let mut turned = tells.clone();
            turned.rotate_left(turn);
            turned.reverse();
            let back = |place: usize| (tells.len() - 1 - place + turn) % tells.len();
            let mut again: Vec<Vec<usize>> = sets(&turned).into_iter().map(|set| {
                let mut set: Vec<usize> = set.into_iter().map(back).collect();
                set.sort_unstable();
                set
            }).collect();
            again.sort();
            prop_assert_eq!(again, straight);
        }
    }
}
