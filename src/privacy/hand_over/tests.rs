//! What one program knew, the next one knows: tried on the parts of two programs in one process.

use std::{path::Path, sync::Arc, thread};

use super::*;
use crate::{
    event::{Epoch, SiteNumber},
    privacy::{
        consent::proof::ConsentProof,
        keys::{database::KeysDb, persistent::PersistentKeys, person::PersonKeys},
        purge_set::PurgeSet,
        uniques::Estimate,
        visitor::Visitor,
    },
    state::{IN_MEMORY, StateDb},
    supervise::Supervisor,
};

const SITE: SiteNumber = SiteNumber(1);
const NOW: Timestamp = Timestamp(1_790_000_000_000);

struct Parts {
    visitors: Visitors,
    uniques: Uniques,
    crowds: Crowds,
    envelopes: Envelopes,
}

impl Parts {
    /// Of a program whose databases say nothing.
    fn new() -> Self {
        let state = Arc::new(StateDb::open(Path::new(IN_MEMORY)).unwrap());
        let keys = Arc::new(KeysDb::open(Path::new(IN_MEMORY)).unwrap());
        let persistent = Arc::new(PersistentKeys::new(Arc::clone(&state)));
        let purge_set = Arc::new(PurgeSet::open(Arc::clone(&keys)).unwrap());
        let (persons, proof) = (Arc::new(PersonKeys::new(keys)), Arc::new(ConsentProof::new(Arc::clone(&state))));
        Self {
            visitors: Visitors::new(Supervisor::new(), persistent, persons, purge_set, proof),
            uniques: Uniques::new(Arc::clone(&state)),
            crowds: Crowds::new(state),
            envelopes: Envelopes::default(),
        }
    }

    fn count(&self, visitors: std::ops::Range<u64>) {
        for number in visitors {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
            self.uniques.count(SITE, &Visitor::counted_for_test(Epoch(5), id, *id.first_chunk().unwrap()));
        }
    }

    fn estate(&self) -> Estate {
        Estate::of(&self.visitors, &self.uniques, &self.crowds, &self.envelopes, NOW)
    }

    fn settle(&self, estate: &Estate) -> Result<(), Unreadable> {
        estate.settle(&self.visitors, &self.uniques, &self.crowds, &self.envelopes, NOW)
    }

    fn counted(&self) -> Estimate {
        self.uniques.estimate(SITE, Epoch(5)).unwrap()
    }
}

#[test]
fn who_was_counted_is_not_counted_again_however_many_they_are() {
    for visitors in [0, 2, 100, 5_000] {
        let (before, after) = (Parts::new(), Parts::new());
        assert!(before.visitors.begins(SITE, Epoch(5)));
        before.count(0..visitors);
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let estate = before.estate();
        let received = thread::scope(|scope| {
            let receiving = scope.spawn(|| Estate::receive(&mut there).unwrap());
            estate.send(&mut here).unwrap();
            receiving.join().unwrap()
        });
        after.settle(&received).unwrap();
        assert!(!after.visitors.begins(SITE, Epoch(5)), "no day begins anew");
        after.count(0..visitors);
        assert_eq!(after.counted(), before.counted());
        after.count(visitors..visitors + 100);
        assert!(after.counted().visitors > before.counted().visitors);
    }
}

#[test]
fn what_is_cut_short_or_too_long_is_refused() {
    let before = Parts::new();
    before.visitors.begins(SITE, Epoch(5));
    before.count(0..40);
    let whole = before.estate().0;
    for length in 0..whole.len() {
        assert!(Parts::new().settle(&Estate(Zeroizing::new(whole[..length].to_vec()))).is_err(), "{length}");
    }
    assert!(Parts::new().settle(&Estate(Zeroizing::new([&whole[..], &[0]].concat()))).is_err());
    Parts::new().settle(&Estate(whole)).unwrap();
}

#[test]
fn another_form_is_not_received() {
    let refused = |version: u32, length: u64| {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        here.write_all(&[&version.to_le_bytes()[..], &length.to_le_bytes()[..]].concat()).unwrap();
        drop(here);
        Estate::receive(&mut there).map(drop).unwrap_err().kind()
    };
    assert_eq!(refused(VERSION + 1, 0), io::ErrorKind::InvalidData);
    assert_eq!(refused(VERSION, BYTES_MAX as u64 + 1), io::ErrorKind::InvalidData);
    assert_eq!(refused(VERSION, 10), io::ErrorKind::UnexpectedEof);
}
