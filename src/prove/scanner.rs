//! Looks for marks in bytes, in every disguise in which they could slip through: as they are, in other cases, reversed, url-encoded once
//! and twice, in base64 and base64url at each of the three alignments, in hexadecimal, in full-width letters, as escapes of JSON and HTML,
//! compressed, and as an unsalted hash, whole or its first half. The canary test and `prove` share it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use flate2::{Compression, write::GzEncoder};
use md5::Md5;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::signing::hex;

/// No disguise that is shorter is looked for: it would be found by chance.
pub const NEEDLE_BYTES_MIN: usize = 8;
/// So much of a needle is looked for in one pass over the bytes; the rest is compared where it stands. The automaton would be several times as large
/// with whole needles, and those of a run's thousands of canaries begin alike.
const BEGINNING_BYTES: usize = 12;
/// Fewer digits, an IPv4 address's in hexadecimal or as one number, are found by chance within random ids and times: they count where they stand alone.
const NUMBER_DIGITS_MIN: usize = 12;
/// A gzip stream's header (RFC 1952) without optional parts, and its checksum and length.
const GZIP_HEAD: usize = 10;
const GZIP_TAIL: usize = 8;

/// Something that must not be found, or must.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Which slot of the input it was put in.
    pub slot: String,
    /// What is looked for.
    pub what: What,
}

/// What a mark is made of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A text.
    Text(String),
    /// Bytes that could also be said as numbers: an id, an address.
    Bytes(Vec<u8>),
    /// A text whose parts are marks themselves: looked for as what only the whole can be made into.
    Hashed(String),
}

impl Mark {
    /// A text of that slot.
    #[must_use]
    pub fn text(slot: &str, text: impl Into<String>) -> Self {
        Self { slot: slot.to_owned(), what: What::Text(text.into()) }
    }

    /// Bytes of that slot.
    #[must_use]
    pub fn bytes(slot: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self { slot: slot.to_owned(), what: What::Bytes(bytes.into()) }
    }
}

/// A mark that was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Which mark.
    pub mark: Mark,
    /// In which disguise.
    pub disguise: &'static str,
    /// Where in the bytes.
    pub at: usize,
}

/// All disguises of a set of marks, looked for in one pass.
pub struct Scanner {
    /// Looks for how needles begin.
    automaton: AhoCorasick,
    /// Per beginning: the needles that begin so.
    beginnings: Vec<Vec<Needle>>,
    marks: Vec<Mark>,
}

/// One disguise of one mark.
struct Needle {
    bytes: Vec<u8>,
    mark: usize,
    disguise: &'static str,
}

impl Scanner {
    /// For these marks.
    ///
    /// # Panics
    /// When there are more disguises than an automaton has states for: millions of marks.
    #[must_use]
    pub fn new(marks: Vec<Mark>) -> Self {
        let mut by_beginning: BTreeMap<Vec<u8>, Vec<Needle>> = BTreeMap::new();
        for (mark, made) in marks.iter().enumerate() {
            for (disguise, bytes) in made.disguises().into_iter().filter(|(_, bytes)| bytes.len() >= NEEDLE_BYTES_MIN) {
                let beginning = bytes[..bytes.len().min(BEGINNING_BYTES)].to_vec();
                by_beginning.entry(beginning).or_default().push(Needle { bytes, mark, disguise });
            }
        }
        let (looked_for, beginnings): (Vec<_>, Vec<_>) = by_beginning.into_iter().unzip();
        let automaton = AhoCorasick::builder().match_kind(MatchKind::Standard).build(&looked_for).expect("the disguises can be looked for");
        Self { automaton, beginnings, marks }
    }

    /// Every mark in these bytes.
    #[must_use]
    pub fn scan(&self, bytes: &[u8]) -> Vec<Hit> {
        let hits = self.automaton.find_overlapping_iter(bytes).flat_map(|found| {
            let needles = self.beginnings[found.pattern().as_usize()].iter();
            let whole = needles.filter(move |needle| bytes[found.start()..].starts_with(&needle.bytes));
            let whole = whole.filter(move |needle| !needle.is_short_number() || stands_alone(bytes, found.start(), needle.bytes.len()));
            whole.map(move |needle| Hit { mark: self.marks[needle.mark].clone(), disguise: needle.disguise, at: found.start() })
        });
        hits.collect()
    }

    /// What it looks for.
    #[must_use]
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }
}

impl Needle {
    fn is_short_number(&self) -> bool {
        self.bytes.len() < NUMBER_DIGITS_MIN && self.bytes.iter().all(u8::is_ascii_hexdigit)
    }
}

/// Whether no digit stands beside it.
fn stands_alone(bytes: &[u8], at: usize, length: usize) -> bool {
    let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_hexdigit);
    !is_digit(at.checked_sub(1)) && !is_digit(at.checked_add(length))
}

impl Mark {
    /// Every disguise of it, with its name.
    #[must_use]
    pub fn disguises(&self) -> Vec<(&'static str, Vec<u8>)> {
        match &self.what {
            What::Text(text) => disguises_of_text(text),
            What::Bytes(bytes) => disguises_of_bytes(bytes),
            What::Hashed(text) => wholes_of_text(text),
        }
    }
}

fn disguises_of_bytes(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let decimal: Vec<String> = bytes.iter().map(ToString::to_string).collect();
    let mut all: Vec<(&'static str, Vec<u8>)> = vec![
        ("bytes", bytes.to_vec()),
        ("reversed bytes", bytes.iter().rev().copied().collect()),
        ("hexadecimal", hex(bytes).into()),
        ("upper-case hexadecimal", hex(bytes).to_uppercase().into()),
        ("decimal list", decimal.join(",").into()),
        ("base64", STANDARD_NO_PAD.encode(bytes).into()),
        ("base64url", URL_SAFE_NO_PAD.encode(bytes).into()),
    ];
    for (name, digest) in
        [("SHA-256", Sha256::digest(bytes).to_vec()), ("SHA-1", Sha1::digest(bytes).to_vec()), ("MD5", Md5::digest(bytes).to_vec())]
    {
        all.push((name, digest[..8].to_vec()));
        all.push((name, hex(&digest[..8]).into()));
    }
    all
}

fn disguises_of_text(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let lower = text.to_lowercase();
    let mut all: Vec<(&'static str, Vec<u8>)> = vec![
        ("plain", text.into()),
        ("lower case", lower.clone().into()),
        ("upper case", text.to_uppercase().into()),
        ("reversed", text.chars().rev().collect::<String>().into()),
        ("url-encoded", url_encoded(text).into()),
        ("url-encoded twice", url_encoded(&url_encoded(text)).into()),
        ("hexadecimal", hex(text.as_bytes()).into()),
        ("upper-case hexadecimal", hex(text.as_bytes()).to_uppercase().into()),
    ];
    for shift in 0..3 {
        let (standard, url_safe) = (base64(text, shift, false), base64(text, shift, true));
        all.push(("base64", standard.into()));
        all.push(("base64url", url_safe.into()));
    }
    all.push(("full-width", full_width(text).into()));
    all.push(("escaped as in JSON", json_escaped(text).into()));
    all.push(("escaped as in HTML", html_escaped(text).into()));
    all.push(("url-encoded, every character", every_character(text).into()));
    all.push(("url-encoded twice, every character", url_encoded(&every_character(text)).into()));
    all.append(&mut wholes_of_text(text));
    distinct(all)
}

/// What only the whole text can be made into.
fn wholes_of_text(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut all: Vec<(&'static str, Vec<u8>)> = Vec::new();
    // The header of a stream says nothing of what is in it.
    let compressed = compressed(text.as_bytes());
    all.push(("compressed", compressed[GZIP_HEAD..compressed.len() - GZIP_TAIL].to_vec()));
    // Three bytes are four characters: from the twelfth byte on the text begins with a group of its own.
    let mut in_base64 = STANDARD_NO_PAD.encode(&compressed[GZIP_HEAD + 2..compressed.len() - GZIP_TAIL]);
    in_base64.pop();
    all.push(("compressed, in base64", in_base64.into()));
    let lower = text.to_lowercase();
    for said in [text, &lower] {
        for (name, digest) in
            [("SHA-256", Sha256::digest(said).to_vec()), ("SHA-1", Sha1::digest(said).to_vec()), ("MD5", Md5::digest(said).to_vec())]
        {
            let hexadecimal = hex(&digest);
            all.push((name, digest[..8].to_vec()));
            all.push((name, hexadecimal[..16].into()));
            all.push((name, hexadecimal[..16].to_uppercase().into()));
            all.push((name, STANDARD_NO_PAD.encode(&digest)[..10].into()));
            all.push((name, URL_SAFE_NO_PAD.encode(&digest)[..10].into()));
            all.push((name, digest[digest.len() - 8..].to_vec()));
        }
    }
    distinct(all)
}

/// Each needle once, under the first of its names.
fn distinct(mut all: Vec<(&'static str, Vec<u8>)>) -> Vec<(&'static str, Vec<u8>)> {
    let mut seen = BTreeSet::new();
    all.retain(|(_, needle)| seen.insert(needle.clone()));
    all
}

/// The letters that look like ASCII in twice the width, and are ASCII after NFKC.
#[must_use]
pub fn full_width(text: &str) -> String {
    text.chars().map(|char| if char.is_ascii_graphic() { char::from_u32(u32::from(char) + 0xfee0).unwrap_or(char) } else { char }).collect()
}

/// Every character as `\uXXXX`, of marks in the basic plane.
#[must_use]
pub fn json_escaped(text: &str) -> String {
    text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// Every character as a numeric reference.
#[must_use]
pub fn html_escaped(text: &str) -> String {
    text.chars().map(|char| format!("&#{};", u32::from(char))).collect()
}

/// A gzip stream of these bytes, always the same for the same.
///
/// # Panics
/// Never: memory takes every byte.
#[must_use]
pub fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes every byte")
}

/// The characters of base64 that depend on the text alone when so many bytes stand before it.
fn base64(text: &str, shift: usize, url_safe: bool) -> String {
    let mut bytes = vec![0; shift];
    bytes.extend_from_slice(text.as_bytes());
    let encoded = if url_safe { URL_SAFE_NO_PAD.encode(&bytes) } else { STANDARD_NO_PAD.encode(&bytes) };
    let begin = [0, 2, 3][shift];
    // The last character may hold bits of what comes after.
    let end = bytes.len() * 8 / 6;
    encoded[begin..end].to_owned()
}

/// Encodes what a browser encodes and more, so that a mark of plain letters looks as it is.
/// Percent-encoded, every character that is no letter or digit.
#[must_use]
pub fn url_encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Percent-encoded, letters too.
#[must_use]
pub fn every_character(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_number_counts_where_it_stands_alone() {
        let scanner = Scanner::new(vec![Mark::text("address", "c6120a37"), Mark::text("digest", "0123456789abcdef")]);
        let slots = |text: &str| scanner.scan(text.as_bytes()).into_iter().map(|hit| hit.mark.slot).collect::<Vec<_>>();
        for text in ["c6120a37", "\"c6120a37\"", "ip=73a0216c&", "x C6120A37-"] {
            assert!(slots(text).contains(&String::from("address")), "{text}");
        }
        for text in ["4c6120a37", "c6120a379b1f", "\"00c6120a37ff\""] {
            assert_eq!(slots(text), [] as [&str; 0], "{text}");
        }
        assert!(slots("ff0123456789abcdefff").contains(&String::from("digest")), "what is longer is no chance");
    }

    #[test]
    fn the_scanner_finds_every_disguise_wherever_it_stands() {
        let text = "Jane+Mark7@mail.example";
        for mark in [Mark::text("a text", text), Mark::bytes("an id", [7; 16])] {
            let scanner = Scanner::new(vec![mark.clone()]);
            for (disguise, needle) in mark.disguises() {
                for before in 0..4 {
                    let mut bytes = vec![b'x'; before];
                    bytes.extend_from_slice(&needle);
                    bytes.extend_from_slice(b"yz");
                    assert!(scanner.scan(&bytes).iter().any(|hit| hit.at == before), "{disguise}");
                }
            }
        }
        let scanner = Scanner::new(vec![Mark::text("a text", text)]);
        for before in 0..7 {
            let encoded = STANDARD_NO_PAD.encode(format!("{}{text}{}", "p".repeat(before), "after"));
            assert!(!scanner.scan(encoded.as_bytes()).is_empty(), "base64 with {before} bytes before it");
        }
        let digest = Sha256::digest(text);
        assert!(!scanner.scan(&digest).is_empty() && !scanner.scan(hex(&digest).as_bytes()).is_empty());
        assert_eq!(scanner.scan(b"jane at mail dot example, and nothing else of it"), []);
    }
}
