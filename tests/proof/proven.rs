//! The proof of consent: that something is on record, and that nobody can change it unseen.

use std::time::Duration;

use firsthand::{clock::Timestamp, privacy::consent::proof::verify, state::StateDb};

use crate::{
    Found,
    line::Line,
    unless,
    visit::{NOW, beacon, documents},
};

const ERASE: &str = "UPDATE consent_proof SET consent = NULL, site = NULL, said = NULL, purposes = NULL, source = NULL, policy = NULL,
                     policy_version = NULL, at = NULL, expires = NULL WHERE number = 1";

/// A line in which somebody agreed.
fn agreed() -> Line {
    let line = Line::new(&documents(), 0);
    line.receive(&beacon("\"g\":[\"analytics\"],", ""), NOW);
    line
}

fn is_whole(state: &StateDb, now: Timestamp) -> bool {
    verify(state, now, None).unwrap().is_ok()
}

fn change(state: &StateDb, sql: &str) {
    let changed = state.with(|connection| connection.execute(sql, [])).unwrap();
    assert_eq!(changed, 1, "there is a record to change");
}

pub(crate) fn a_grant_on_record() -> Found {
    let verified = verify(&agreed().state, NOW, None).unwrap().unwrap();
    unless(verified.head.number != 1, "a consent that counts and cannot be proven")
}

pub(crate) fn a_changed_record() -> Found {
    let line = agreed();
    change(&line.state, "UPDATE consent_proof SET purposes = 7 WHERE number = 1");
    unless(is_whole(&line.state, NOW), "a record of consent to more than was said, in a chain that passes for whole")
}

pub(crate) fn a_changed_hash() -> Found {
    let line = agreed();
    let much_later = NOW.plus(Duration::from_secs(6 * 366 * 24 * 60 * 60));
    change(&line.state, ERASE);
    assert!(is_whole(&line.state, much_later), "the control: a record may be erased after its time");
    change(&line.state, "UPDATE consent_proof SET hash = zeroblob(32) WHERE number = 1");
    unless(is_whole(&line.state, much_later), "another record's hash, in a chain that passes for whole")
}

pub(crate) fn a_record_erased_early() -> Found {
    let line = agreed();
    change(&line.state, ERASE);
    unless(is_whole(&line.state, NOW), "a record erased before its time, in a chain that passes for whole")
}
