//! `scrub`: addresses and words without what could name a person. What cannot be told to be harmless is replaced by the name of its class.

pub mod detect;
pub mod page;
pub mod words;
