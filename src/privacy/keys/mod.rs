//! Keys, in families that the types keep apart: none can stand in for another.
//!
//! | key | scope | rests | makes |
//! |---|---|---|---|
//! | [`visit::VisitKeys`] K_visit | site, at most 24 h | nowhere, RAM only | the day's token |
//! | [`carry::CarryKeys`] K_carry | site, an hour around K_visit's change | nowhere, RAM only | finds a visit again that goes on over it |
//! | [`epoch::EpochKeys`] K_epoch | site, destination, epoch | `keys.db`, as long as that epoch's events | ids of `strict` and `measurement` |
//! | [`persistent::DestinationKey`] K_dest | destination | `state.db` | event ids that leave; ids of `consented-*` |
//! | [`persistent::SiteKey`] K_site | site | `state.db` | our event ids; the index of cookie ids |
//! | [`person::PersonKeys`] | person | `keys.db`, until withdrawal | seals the bodies of granted records |
//! | [`envelope::EnvelopeKey`] K_envelope | the events of ten minutes, at most 24 h | nowhere, RAM only | seals what is kept beside them |

mod age;
pub(in crate::privacy) mod carry;
pub mod database;
pub(in crate::privacy) mod endings;
pub(in crate::privacy) mod envelope;
pub mod epoch;
pub mod freed;
pub mod guess;
pub(in crate::privacy) mod held;
pub mod locked;
pub(in crate::privacy) mod mac;
pub mod persistent;
pub mod person;
pub mod search;
pub mod visit;

use locked::KEY_BYTES;

/// 256 bits from the system's random source.
pub(in crate::privacy) fn random_key() -> std::io::Result<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    getrandom::fill(&mut key).map_err(|_| std::io::Error::other("the system has no randomness to give"))?;
    Ok(key)
}

/// A random id of 16 bytes.
pub(in crate::privacy) fn random_id() -> std::io::Result<[u8; 16]> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(|_| std::io::Error::other("the system has no randomness to give"))?;
    Ok(id)
}
