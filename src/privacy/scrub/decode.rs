//! Decoding before anything is looked for: what a browser, a template engine or a person in hiding may have wrapped text in. Bounded, and to
//! a fixpoint; what is encoded deeper is nobody's page name.

use std::borrow::Cow;

use base64::{
    Engine as _,
    alphabet::{STANDARD, URL_SAFE},
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use icu_normalizer::ComposingNormalizerBorrowed;
use percent_encoding::percent_decode_str;

/// How often encoded text is decoded; what is encoded deeper is replaced.
const DECODINGS_MAX: usize = 3;
/// Shorter text is not taken for base64: too many words are also valid base64.
const BASE64_BYTES_MIN: usize = 16;
/// Longer base64 is not decoded: it is a token by its length alone.
const BASE64_BYTES_MAX: usize = 1_024;
/// An entity's name or number is no longer, in bytes: `&CounterClockwiseContourIntegral;` is nobody's disguise.
const ENTITY_BYTES_MAX: usize = 10;

/// Entities that stand for something a detector looks at.
const ENTITIES: [(&str, char); 18] = [
    ("amp", '&'),
    ("apos", '\''),
    ("colon", ':'),
    ("comma", ','),
    ("commat", '@'),
    ("equals", '='),
    ("gt", '>'),
    ("hyphen", '-'),
    ("lowbar", '_'),
    ("lpar", '('),
    ("lt", '<'),
    ("nbsp", ' '),
    ("num", '#'),
    ("period", '.'),
    ("plus", '+'),
    ("quot", '"'),
    ("rpar", ')'),
    ("sol", '/'),
];

/// The zeros of scripts whose digits the compatibility forms leave alone: Arabic-Indic, Persian, N'Ko, Devanagari, Bengali, Gurmukhi,
/// Gujarati, Oriya, Tamil, Telugu, Kannada, Malayalam, Thai, Lao, Tibetan, Burmese, Khmer, Mongolian. (Unicode, general category Nd.)
const ZEROS: [u32; 18] =
    [0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xed0, 0xf20, 0x1040, 0x17e0, 0x1810];

/// Takes either alphabet's text with or without padding.
const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
const BASE64: GeneralPurpose = GeneralPurpose::new(&STANDARD, LENIENT);
const BASE64URL: GeneralPurpose = GeneralPurpose::new(&URL_SAFE, LENIENT);

/// Percent-decoding to a fixpoint, at most [`DECODINGS_MAX`] times. Whether something is left says [`has_encoding`].
pub(in crate::privacy) fn percent(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..DECODINGS_MAX {
        if !has_encoding(&text) {
            break;
        }
        text = Cow::Owned(percent_decode_str(&text).decode_utf8_lossy().into_owned());
    }
    text
}

/// Whether a valid percent-encoding is left.
pub(in crate::privacy) fn has_encoding(text: &str) -> bool {
    memchr::memchr_iter(b'%', text.as_bytes())
        .any(|at| text.as_bytes().get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)))
}

/// The same text as a detector wants it: entities and escapes of JSON taken out, compatibility forms (full-width letters and digits) and
/// digits of other scripts in ASCII, nothing invisible in between. Never for keeping.
pub(in crate::privacy) fn folded(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..DECODINGS_MAX {
        let again = [entities, escapes, utf7, compatible]
            .into_iter()
            .fold(None, |so_far: Option<String>, step| step(so_far.as_deref().unwrap_or(&text)).or(so_far));
        let Some(again) = again else { break };
        text = Cow::Owned(percent(&again).into_owned());
    }
    text
}

/// HTML entities by number and by the names that matter.
fn entities(text: &str) -> Option<String> {
    let replaced = |start: usize| {
        let rest = &text.as_bytes()[start + 1..];
        let end = memchr::memchr(b';', &rest[..rest.len().min(ENTITY_BYTES_MAX)])?;
        let name = text.get(start + 1..start + 1 + end)?;
        let character = match name.strip_prefix('#') {
            Some(number) => {
                let hexadecimal = number.strip_prefix(['x', 'X']).map(|digits| u32::from_str_radix(digits, 16));
                char::from_u32(hexadecimal.unwrap_or_else(|| number.parse()).ok()?)?
            }
            None => ENTITIES.iter().find(|(known, _)| *known == name)?.1,
        };
        Some((character, end + 2))
    };
    substituted(text, b'&', replaced)
}

/// JSON's `\u0040`, and its escaped signs.
fn escapes(text: &str) -> Option<String> {
    let replaced = |start: usize| match text.as_bytes().get(start + 1)? {
        b'u' => {
            let code = text.get(start + 2..start + 6).and_then(|digits| u32::from_str_radix(digits, 16).ok())?;
            Some((char::from_u32(code)?, 6))
        }
        sign @ (b'"' | b'/') => Some((char::from(*sign), 2)),
        _ => None,
    };
    substituted(text, b'\\', replaced)
}

/// UTF-7's way of writing an at sign, the one that has been used to hide one: <https://www.rfc-editor.org/rfc/rfc2152>.
fn utf7(text: &str) -> Option<String> {
    substituted(text, b'+', |start| text[start..].starts_with("+AEA-").then_some(('@', 5)))
}

/// Replaces what begins with a sign: `replaced` says by what, and how many bytes it stood for.
fn substituted(text: &str, sign: u8, replaced: impl Fn(usize) -> Option<(char, usize)>) -> Option<String> {
    let mut out: Option<String> = None;
    let mut from = 0;
    for start in memchr::memchr_iter(sign, text.as_bytes()) {
        if start < from {
            continue;
        }
        if let Some((character, length)) = replaced(start) {
            let out = out.get_or_insert_default();
            out.push_str(&text[from..start]);
            out.push(character);
            from = start + length;
        }
    }
    out.map(|mut out| {
        out.push_str(&text[from..]);
        out
    })
}

/// NFKC, ASCII digits, and without what cannot be seen. `None` where that changes nothing.
fn compatible(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let normal = ComposingNormalizerBorrowed::new_nfkc().normalize(text);
    let folded: String = normal.chars().filter(|character| !is_invisible(*character)).map(ascii_digit).collect();
    (folded != text).then_some(folded)
}

fn ascii_digit(character: char) -> char {
    let code = u32::from(character);
    let value = ZEROS.iter().find_map(|zero| code.checked_sub(*zero).filter(|value| *value < 10));
    match character {
        // Dashes and slashes that people group digits with.
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{2044}' | '\u{2215}' => '/',
        _ => value.and_then(|value| char::from_digit(value, 10)).unwrap_or(character),
    }
}

/// Characters that show nothing and may stand between any two letters: soft hyphen, zero-width ones, directions, joiners, marks of order.
pub(in crate::privacy) const fn is_invisible(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// What base64 in either alphabet says, if it says text.
pub(in crate::privacy) fn base64(text: &str) -> Option<String> {
    let bare = text.trim_end_matches('=');
    if !(BASE64_BYTES_MIN..=BASE64_BYTES_MAX).contains(&bare.len()) {
        return None;
    }
    let bytes = BASE64.decode(bare).or_else(|_| BASE64URL.decode(bare)).ok()?;
    let said = String::from_utf8(bytes).ok()?;
    said.chars().all(|character| !character.is_control() || character.is_whitespace()).then_some(said)
}

/// A host's name as people read it: `xn--bcher-kva.example` → `bücher.example`. What is no such name stays as it is.
pub(in crate::privacy) fn host(name: &str) -> Cow<'_, str> {
    if memchr::memmem::find(name.as_bytes(), b"xn--").is_none() {
        return Cow::Borrowed(name);
    }
    match idna::domain_to_unicode(name) {
        (read, Ok(())) => Cow::Owned(read),
        (_, Err(_)) => Cow::Borrowed(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_encoding_is_taken_off_three_times() {
        let cases = [
            ("jane%40example.org", "jane@example.org"),
            ("jane%2540example.org", "jane@example.org"),
            ("jane%252540example.org", "jane@example.org"),
            ("jane%25252540example.org", "jane%40example.org"),
            ("100%", "100%"),
            ("50%off", "50%off"),
        ];
        for (text, decoded) in cases {
            assert_eq!(percent(text), decoded, "{text}");
        }
        assert!(has_encoding("a%40") && !has_encoding("a%4") && !has_encoding("%%g0"));
    }

    #[test]
    fn disguises_are_taken_off() {
        let cases = [
            ("jane&#64;example.org", "jane@example.org"),
            ("jane&#x40;example&period;org", "jane@example.org"),
            ("jane&amp;#64;example.org", "jane@example.org"),
            ("jane&commat;example.org", "jane@example.org"),
            ("jane\\u0040example.org", "jane@example.org"),
            ("jane+AEA-example.org", "jane@example.org"),
            ("ｊａｎｅ＠ｅｘａｍｐｌｅ．ｏｒｇ", "jane@example.org"),
            ("jane\u{200b}@exam\u{ad}ple.org", "jane@example.org"),
            ("٠١٧١١٢٣٤٥٦٧", "01711234567"),
            ("４９１７１", "49171"),
            ("&%2364;", "&%2364;"),
            ("fish & chips", "fish & chips"),
            ("a&b;c", "a&b;c"),
        ];
        for (text, decoded) in cases {
            assert_eq!(folded(text), decoded, "{text}");
        }
        assert!(matches!(folded("summer-sale"), Cow::Borrowed(_)), "clean text is not copied");
    }

    #[test]
    fn base64_of_text_is_read_and_of_bytes_is_not() {
        assert_eq!(base64("amFuZUBleGFtcGxlLm9yZw==").as_deref(), Some("jane@example.org"));
        assert_eq!(base64("amFuZUBleGFtcGxlLm9yZw").as_deref(), Some("jane@example.org"));
        assert_eq!(base64("eyJlbWFpbCI6IsO8In0-Pz8_").as_deref(), Some("{\"email\":\"ü\"}>???"));
        assert_eq!(base64("3q2-7wAB_v8jkQz1uw8x"), None);
        assert_eq!(base64("c2hvcnQ"), None);
    }

    #[test]
    fn hosts_are_read_as_people_do() {
        assert_eq!(host("xn--bcher-kva.example"), "bücher.example");
        assert_eq!(host("www.example.org"), "www.example.org");
    }
}
