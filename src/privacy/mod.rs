//! The airlock. Personal data is readable here and nowhere else after decoding; what leaves is a [`clean::CleanEvent`] (to the disk)
//! or a [`disclose::Disclosure`] (to a destination), and each stage consumes the one before:
//! `RawEvent → Permitted → Enriched → CleanEvent → Disclosure`.

pub mod consent;
pub mod disclose;
pub mod personal;
pub mod raw;
pub mod record;
pub mod refusal;
pub mod shape;
pub mod transform;
