//! `scrub`: addresses and words without what could name a person. What cannot be told to be harmless is replaced by the name of its class.

pub mod clicks;
pub mod detect;
pub mod page;
pub mod parameters;
pub mod referrer;
pub mod routes;
pub mod words;

mod address;
mod card;
mod coordinates;
mod date;
mod decode;
mod digits;
mod email;
mod iban;
mod national;
mod phone;
mod token;

#[cfg(test)]
mod tests;
