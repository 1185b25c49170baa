//! The spellings in which a canary goes in: what a page, a tag manager or a careless integration makes of a value before it sends it.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use md5::Md5;
use serde::Serialize;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::scanner::{compressed, every_character, full_width, html_escaped, json_escaped, url_encoded};
use crate::signing::hex;

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Spelling {
    /// As it is.
    Plain,
    /// In capitals.
    UpperCase,
    /// Last letter first.
    Reversed,
    /// Percent-encoded, every character.
    Url,
    /// That again.
    UrlTwice,
    /// RFC 4648.
    Base64,
    /// RFC 4648, for URLs.
    Base64Url,
    /// Lower-case hexadecimal.
    Hex,
    /// Upper-case hexadecimal.
    UpperHex,
    /// Full-width letters, which NFKC makes ASCII.
    FullWidth,
    /// `\uXXXX`.
    JsonEscapes,
    /// `&#NN;`.
    HtmlEscapes,
    /// gzip, in base64; the body as a whole is sent with gzip, too.
    Gzip,
    /// Unsalted hash.
    Md5,
    /// Unsalted hash.
    Sha1,
    /// Unsalted hash.
    Sha256,
}

impl Spelling {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Plain,
        Self::UpperCase,
        Self::Reversed,
        Self::Url,
        Self::UrlTwice,
        Self::Base64,
        Self::Base64Url,
        Self::Hex,
        Self::UpperHex,
        Self::FullWidth,
        Self::JsonEscapes,
        Self::HtmlEscapes,
        Self::Gzip,
        Self::Md5,
        Self::Sha1,
        Self::Sha256,
    ];

    /// One of each kind: for traffic of which the memory is searched, where what is kept does not hang on how it was spelt.
    pub const SOME: [Self; 4] = [Self::Plain, Self::UrlTwice, Self::Gzip, Self::Sha256];

    /// The name on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::UpperCase => "upper case",
            Self::Reversed => "reversed",
            Self::Url => "URL-encoded",
            Self::UrlTwice => "URL-encoded twice",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
            Self::Hex => "hexadecimal",
            Self::UpperHex => "upper-case hexadecimal",
            Self::FullWidth => "full-width (NFKC)",
            Self::JsonEscapes => "JSON escapes",
            Self::HtmlEscapes => "HTML escapes",
            Self::Gzip => "gzip",
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
        }
    }

    /// A text in this spelling.
    #[must_use]
    pub fn spell(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::UpperCase => text.to_uppercase(),
            Self::Reversed => text.chars().rev().collect(),
            Self::Url => every_character(text),
            Self::UrlTwice => url_encoded(&every_character(text)),
            Self::Base64 => STANDARD.encode(text),
            Self::Base64Url => URL_SAFE_NO_PAD.encode(text),
            Self::Hex => hex(text.as_bytes()),
            Self::UpperHex => hex(text.as_bytes()).to_uppercase(),
            Self::FullWidth => full_width(text),
            Self::JsonEscapes => json_escaped(text),
            Self::HtmlEscapes => html_escaped(text),
            Self::Gzip => STANDARD.encode(compressed(text.as_bytes())),
            Self::Md5 => hex(&Md5::digest(text)),
            Self::Sha1 => hex(&Sha1::digest(text)),
            Self::Sha256 => hex(&Sha256::digest(text)),
        }
    }
}
