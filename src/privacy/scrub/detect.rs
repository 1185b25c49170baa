//! Detectors: does a piece of text look like something that names a person, a machine or a record? By shape alone, on decoded text.

use std::net::IpAddr;

/// From this many digits on, in one piece of text, it is somebody's number.
const DIGITS_MAX: usize = 6;
/// A run of letters longer than this is no word of any language that we know.
const LETTERS_MAX: usize = 24;
/// Text of at least this length that changes between kinds of character often is a token.
const TOKEN_CHARS_MIN: usize = 8;

/// What a piece of text looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// An e-mail address, or anything with an `@`.
    Email,
    /// An IP address, written in whatever way.
    Ip,
    /// A number.
    Number,
    /// Random-looking: a hash, a UUID, a token.
    Token,
    /// A `name=value` pair in a place that should have none.
    Parameter,
    /// Still encoded after decoding again and again.
    Encoded,
}

impl Class {
    /// What stands in its place: no such thing can be part of an address as a browser writes it.
    #[must_use]
    pub const fn placeholder(self) -> &'static str {
        match self {
            Self::Email => "{email}",
            Self::Ip => "{ip}",
            Self::Number => "{n}",
            Self::Token => "{token}",
            Self::Parameter => "{parameter}",
            Self::Encoded => "{encoded}",
        }
    }

    /// Every placeholder.
    pub const ALL: [Self; 6] = [Self::Email, Self::Ip, Self::Number, Self::Token, Self::Parameter, Self::Encoded];
}

/// What a piece of decoded text looks like, if it looks like anything.
#[must_use]
pub(in crate::privacy) fn class_of(text: &str) -> Option<Class> {
    if is_plain(text) {
        return None;
    }
    if text.contains(['@', '\u{ff20}']) {
        return Some(Class::Email);
    }
    if looks_like_ip(text) {
        return Some(Class::Ip);
    }
    if text.contains('=') {
        return Some(Class::Parameter);
    }
    if has_encoding(text) {
        return Some(Class::Encoded);
    }
    let digits = text.chars().filter(|letter| letter.is_numeric()).count();
    let letters = text.chars().filter(|letter| letter.is_alphabetic()).count();
    if digits > 0 && letters == 0 {
        return Some(Class::Number);
    }
    if text.split(|letter: char| !letter.is_alphanumeric()).any(looks_random) {
        return Some(Class::Token);
    }
    (digits > DIGITS_MAX).then_some(Class::Number)
}

/// Small letters, dashes and underscores in runs of a word's length: what most segments of most paths are, and nothing looks like.
fn is_plain(text: &str) -> bool {
    let mut run = 0;
    text.bytes().all(|byte| {
        run = if byte.is_ascii_lowercase() { run + 1 } else { 0 };
        run <= LETTERS_MAX && (byte.is_ascii_lowercase() || byte == b'-' || byte == b'_')
    })
}

/// Whether a valid percent-encoding is left.
pub(in crate::privacy) fn has_encoding(text: &str) -> bool {
    text.as_bytes().windows(3).any(|three| three[0] == b'%' && three[1].is_ascii_hexdigit() && three[2].is_ascii_hexdigit())
}

fn looks_like_ip(text: &str) -> bool {
    let bare = text.trim_start_matches('[').split([']', '%']).next().unwrap_or(text);
    if bare.parse::<IpAddr>().is_ok() || text.matches(':').count() >= 2 {
        return true;
    }
    // A dotted quad inside longer text, also with dashes: `host-192-0-2-1`.
    let mut run = 0;
    for part in text.split(['.', '-', '_', ':', ',', ' ']) {
        let number = !part.is_empty() && part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
        run = if number { run + 1 } else { 0 };
        if run == 4 {
            return true;
        }
    }
    false
}

/// A run of letters and digits that is no word: too long, hexadecimal with digits, or of ever-changing kinds.
fn looks_random(run: &str) -> bool {
    let length = run.chars().count();
    if length > LETTERS_MAX {
        return true;
    }
    if length < TOKEN_CHARS_MIN {
        return false;
    }
    let (has_digit, has_letter) = (run.bytes().any(|byte| byte.is_ascii_digit()), run.bytes().any(|byte| byte.is_ascii_alphabetic()));
    if has_digit && has_letter && run.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return true;
    }
    let mut changes = 0;
    let mut before = None;
    for letter in run.chars() {
        let kind = if letter.is_numeric() { 0 } else { 1 + u8::from(letter.is_uppercase()) };
        // A capital before small letters is how a word begins.
        if before.is_some_and(|before| before != kind && !(before == 2 && kind == 1)) {
            changes += 1;
        }
        before = Some(kind);
    }
    changes >= 2 && length < changes * 5
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_words_are_nothing() {
        for word in [
            "products",
            "iphone-15-pro",
            "blog",
            "a-long-title-about-nothing-in-particular",
            "MyAccountOverview",
            "über-uns",
            "産品",
            "mp3",
            "covid19",
            "datenschutzerklaerung",
            "index.html",
            "summer_sale",
            "v2",
            "help-centre",
            "404-not-found",
            "top-10-tips",
        ] {
            assert_eq!(class_of(word), None, "{word}");
        }
    }

    #[test]
    fn what_names_someone_is_found() {
        let cases = [
            ("jane@example.org", Class::Email),
            ("192.0.2.1", Class::Ip),
            ("host-192-0-2-1", Class::Ip),
            ("2001:db8::1", Class::Ip),
            ("[2001:db8::1]", Class::Ip),
            ("::ffff:c000:201", Class::Ip),
            ("fe80::1%eth0", Class::Ip),
            ("4", Class::Number),
            ("3221225985", Class::Number),
            ("+49 171 1234567", Class::Number),
            ("tel0171-1234567", Class::Number),
            ("0b0e3a4c-8d0f-4a52-9d5e-1f5b4c7a9e21", Class::Token),
            ("d41d8cd98f00b204e9800998ecf8427e", Class::Token),
            ("amFuZUBleGFtcGxlLm9yZw", Class::Token),
            ("c0000201", Class::Token),
            ("eyJhbGciOiJIUzI1NiJ9", Class::Token),
            ("user=jane", Class::Parameter),
            ("jane%40example", Class::Encoded),
        ];
        for (text, class) in cases {
            assert_eq!(class_of(text), Some(class), "{text}");
        }
    }
}
