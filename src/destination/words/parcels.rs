//! Parcels filled up to their bounds: texts of events, in the order of their disclosures, with commas between them.

use crate::{event::Offset, privacy::disclose::Disclosure};

/// How much one parcel may hold.
#[derive(Clone, Copy)]
pub(in crate::destination) struct Bounds {
    /// Events.
    pub(in crate::destination) events: usize,
    /// Bytes of their texts and the commas.
    pub(in crate::destination) bytes: usize,
}

/// One event in a receiver's words, and how many of its fields could not be said.
pub(in crate::destination) struct Said {
    /// Its text.
    pub(in crate::destination) text: Vec<u8>,
    /// Fields that could not be said.
    pub(in crate::destination) unsaid: usize,
}

/// Events on the way to being a parcel.
#[derive(Default)]
pub(in crate::destination) struct Filled {
    /// Their texts, with commas between them.
    pub(in crate::destination) texts: Vec<u8>,
    /// Which they are.
    pub(in crate::destination) events: Vec<Offset>,
    /// How many of their fields could not be said.
    pub(in crate::destination) unsaid: usize,
}

/// Puts events into as few parcels as their bounds allow. One that is too large for any is a parcel of its own.
pub(in crate::destination) fn fill(batch: &[&Disclosure], bounds: Bounds, say: impl Fn(&Disclosure) -> Said) -> Vec<Filled> {
    let mut parcels: Vec<Filled> = Vec::new();
    for disclosure in batch {
        let Said { text, unsaid } = say(disclosure);
        let open = parcels.last_mut().filter(|open| open.events.len() < bounds.events && open.texts.len() + 1 + text.len() <= bounds.bytes);
        match open {
            Some(open) => {
                open.texts.push(b',');
                open.texts.extend_from_slice(&text);
                open.events.push(disclosure.offset());
                open.unsaid += unsaid;
            }
            None => parcels.push(Filled { texts: text, events: vec![disclosure.offset()], unsaid }),
        }
    }
    parcels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn parcels_are_filled_up_to_their_bounds_and_carry_everything_in_order() {
        let disclosures: Vec<Disclosure> = (0..10).map(|offset| Disclosure::for_test(Offset(offset), 1, Timestamp(0))).collect();
        let references: Vec<&Disclosure> = disclosures.iter().collect();
        let say = |disclosure: &Disclosure| Said { text: vec![b'x'; if disclosure.offset().0 == 4 { 50 } else { 4 }], unsaid: 1 };
        let parcels = fill(&references, Bounds { events: 3, bytes: 12 }, say);
        let sizes: Vec<_> = parcels.iter().map(|parcel| (parcel.texts.len(), parcel.unsaid)).collect();
        assert_eq!(sizes, [(9, 2), (9, 2), (50, 1), (9, 2), (9, 2), (4, 1)]);
        let carried: Vec<u64> = parcels.iter().flat_map(|parcel| parcel.events.iter().map(|offset| offset.0)).collect();
        assert_eq!(carried, (0..10).collect::<Vec<_>>());
    }
}
