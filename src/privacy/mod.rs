//! The airlock. Personal data is readable here and nowhere else after decoding; what leaves is a [`clean::CleanEvent`] (to the disk)
//! or a [`disclose::Disclosure`] (to a destination), and each stage consumes the one before:
//! `RawEvent → Permitted → Enriched → CleanEvent → Disclosure`.

pub mod personal;
pub mod raw;
pub mod refusal;
pub mod rules;
pub mod shape;

pub mod anonymise;
pub mod clean;
pub mod consent;
pub mod contact_values;
pub mod contacts;
pub mod crowd;
pub mod departure;
pub mod disclose;
mod disclosure;
pub mod enrich;
pub mod entitlement;
pub mod envelope;
pub mod explain;
pub mod fidelity;
pub mod identifiers;
pub mod identity;
pub mod policy;
pub mod profiled;
pub mod recleanse;
pub mod record;
pub mod replay;
pub mod scrub;
pub mod tellers;
mod ticket;
pub mod transform;
mod twin;
pub mod vendor_cookies;
pub mod visitor;

pub mod hand_over;
pub mod keys;
pub mod named;
mod newcomers;
pub mod own_links;
pub mod purge_set;
pub mod rights;
pub mod sessions;
pub mod uniques;
