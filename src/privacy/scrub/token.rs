//! Random-looking text: ids and secrets that machines make. By their own marks where they have some (JWT, UUID, ULID, ObjectId), else because
//! nothing that people write looks so.

/// A run of letters and digits longer than this is no word, unless it is a compound of several.
const LETTERS_MAX: usize = 48;
/// Text of at least this length that changes between kinds of character often is a token.
pub(super) const MIXED_CHARS_MIN: usize = 8;
/// Hexadecimal text of at least this length is a token, whatever it looks like.
pub(super) const HEXADECIMAL_MIN: usize = 16;
/// Base64url of at least this length is looked at as a whole, dashes and underscores included.
const BASE64URL_MIN: usize = 20;
/// Bits per character above which base64url is random: words, also many of them, stay below or do not mix kinds of character.
const ENTROPY_MIN: f64 = 3.5;
/// Characters of one group of a key, and how many such groups are one.
const GROUP_CHARS: std::ops::RangeInclusive<usize> = 4..=8;
const GROUPS_MIN: usize = 4;
/// How long a UUID is.
pub(super) const UUID_BYTES: usize = 36;
/// Letters alone are judged from this length on.
pub(super) const WORD_LETTERS_MIN: usize = 12;

/// Whether text holds a JSON Web Token (RFC 7519): three parts of base64url, of which the first begins as `{"` does.
pub(super) fn has_jwt(text: &str) -> bool {
    memchr::memmem::find_iter(text.as_bytes(), b"eyJ").any(|at| {
        let mut parts = text[at..].split('.').map(|part| part.bytes().take_while(|byte| is_base64url(*byte)).count());
        let mut part = || parts.next().unwrap_or(0);
        // The third is empty where it is not signed.
        let (head, claims) = (part(), part());
        head >= 10 && claims >= 4 && text[at + head + 1 + claims..].starts_with('.')
    })
}

const fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// Whether text holds a UUID of RFC 9562, version 1 to 8.
pub(super) fn has_uuid(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'-', bytes).any(|dash| {
        let Some(start) = dash.checked_sub(8) else { return false };
        let Some(uuid) = bytes.get(start..start + UUID_BYTES) else { return false };
        let of_form = uuid.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            14 => matches!(byte, b'1'..=b'8'),
            19 => matches!(byte, b'8' | b'9' | b'a' | b'b' | b'A' | b'B'),
            _ => byte.is_ascii_hexdigit(),
        });
        of_form && !bytes.get(start + UUID_BYTES).is_some_and(u8::is_ascii_hexdigit)
    })
}

/// Whether a word is a ULID: 26 of Crockford's letters, the first below 8. (<https://github.com/ulid/spec>)
pub(super) fn is_ulid(word: &str) -> bool {
    let of_alphabet = |byte: u8| byte.is_ascii_alphanumeric() && !matches!(byte.to_ascii_uppercase(), b'I' | b'L' | b'O' | b'U');
    word.len() == 26
        && matches!(word.as_bytes()[0], b'0'..=b'7')
        && word.bytes().all(of_alphabet)
        && word.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Whether a word is an ObjectId: 24 hexadecimal digits, among them letters.
pub(super) fn is_object_id(word: &str) -> bool {
    word.len() == 24 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) && word.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// Whether a word is so long in hexadecimal that it is nothing else, and has letters.
pub(super) fn is_hexadecimal(word: &str) -> bool {
    let letters = word.bytes().any(|byte| byte.is_ascii_alphabetic());
    word.len() >= HEXADECIMAL_MIN && letters && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether base64url text, dashes and underscores included, is random.
pub(super) fn has_base64url(text: &str) -> bool {
    text.split(|letter: char| !u8::try_from(letter).is_ok_and(is_base64url))
        .any(|piece| piece.len() >= BASE64URL_MIN && changes(piece) * 4 >= piece.len() && entropy(piece.as_bytes()) > ENTROPY_MIN)
}

/// Whether text holds a key in groups as licences and recovery codes have them: four or more of one length, of capitals (or of small letters) and
/// digits, with the same sign between them. One group at least has both kinds; of small letters, which words are made of, three.
pub(super) fn has_grouped_key(text: &str) -> bool {
    ['-', ' ', '.', '_'].into_iter().any(|sign| {
        let (mut length, mut groups, mut mixed, mut small) = (0, 0, 0, false);
        text.split(sign).any(|group| {
            let group = group.as_bytes();
            let of = |kind: fn(&u8) -> bool| group.iter().any(kind);
            let (capitals, smalls, digits) = (of(u8::is_ascii_uppercase), of(u8::is_ascii_lowercase), of(u8::is_ascii_digit));
            let fits = GROUP_CHARS.contains(&group.len()) && group.iter().all(u8::is_ascii_alphanumeric) && !(capitals && smalls);
            if !fits || group.len() != length || smalls && !small && mixed > 0 {
                (length, groups, mixed, small) = (group.len(), 0, 0, false);
            }
            if fits {
                (groups, mixed, small) = (groups + 1, mixed + usize::from(digits && (capitals || smalls)), small || smalls);
            }
            groups >= GROUPS_MIN && mixed >= if small { 3 } else { 1 }
        })
    })
}

/// Bits per character, by how often each comes.
fn entropy(bytes: &[u8]) -> f64 {
    let mut seen = [0_u16; 256];
    bytes.iter().for_each(|byte| seen[usize::from(*byte)] = seen[usize::from(*byte)].saturating_add(1));
    let length = bytes.len() as f64;
    seen.iter().filter(|times| **times > 0).map(|times| f64::from(*times) / length).map(|share| -share * share.log2()).sum()
}

/// How often the kind of character changes within words; a capital before small letters is how a word begins.
fn changes(text: &str) -> usize {
    let mut changes = 0;
    let mut before = None;
    for letter in text.chars() {
        let kind = match letter {
            letter if letter.is_numeric() => Some(0),
            letter if letter.is_uppercase() => Some(2),
            letter if letter.is_alphabetic() => Some(1),
            _ => None,
        };
        if let (Some(before), Some(kind)) = (before, kind) {
            changes += usize::from(before != kind && !(before == 2 && kind == 1));
        }
        before = kind;
    }
    changes
}

/// A run of letters and digits that is no word: too long, hexadecimal with digits, of ever-changing kinds, or of letters that no language
/// puts next to each other.
pub(super) fn is_random(word: &str) -> bool {
    let length = word.chars().count();
    if length > LETTERS_MAX {
        return !is_compound(word);
    }
    if length < MIXED_CHARS_MIN {
        return false;
    }
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let changes = changes(word);
    if word.bytes().all(|byte| byte.is_ascii_hexdigit()) && digits < length {
        return is_hexadecimal(word) || digits >= 3 || changes >= 2;
    }
    changes >= 2 && length < changes * 5 || has_unwritten_letters(word)
}

/// Pairs of letters that hardly stand together in words of English, French, German, Spanish, Italian, Dutch, Polish, Portuguese and Swedish
/// (at most in 4 of 10,000 pairs of any of their dictionaries): for each first letter, a bit per second one.
const UNWRITTEN: [u32; 26] = unwritten([
    "",
    "cdfhjkmpqtvwxz",
    "bdfgmnpqsvwx",
    "qtx",
    "",
    "bchjkmnpqvwxz",
    "cfjmpqvwxz",
    "bcdfhpqvxz",
    "hiy",
    "bcdfghjklmpqrtvwxyz",
    "cdghjmpqxz",
    "qwx",
    "cgjkqvwxz",
    "x",
    "",
    "bcdjkmqvwxz",
    "abcdefghijklmnopqrstvwxyz",
    "jqx",
    "x",
    "dqx",
    "qy",
    "bcdfghjkmpqtwxyz",
    "bdfgjmpqtvwxz",
    "bcdfghjklmnqrsuvwxyz",
    "hiquvxy",
    "fhjqvx",
]);

const fn unwritten(rows: [&str; 26]) -> [u32; 26] {
    let mut table = [0; 26];
    let mut first = 0;
    while first < 26 {
        let row = rows[first].as_bytes();
        let mut place = 0;
        while place < row.len() {
            table[first] |= 1 << (row[place] - b'a');
            place += 1;
        }
        first += 1;
    }
    table
}

/// Whether a very long word is one of German, Dutch or Swedish: small letters behind the first, hardly a pair of which is unwritten. (Of random
/// letters three in ten pairs are; of fifty, less than one in eight once in some hundred times.)
fn is_compound(word: &str) -> bool {
    let plain = word.chars().skip(1).all(char::is_lowercase);
    let pairs = word.as_bytes().windows(2).filter(|pair| pair.iter().all(u8::is_ascii_alphabetic));
    plain && pairs.clone().filter(|pair| is_unwritten(pair)).count() * 8 < pairs.count()
}

fn is_unwritten(pair: &[u8]) -> bool {
    let rank = |byte: u8| usize::from(byte.to_ascii_lowercase() - b'a');
    UNWRITTEN[rank(pair[0])] >> rank(pair[1]) & 1 == 1
}

/// Whether a quarter of a long word's pairs, and three at least, are unwritten ones.
pub(super) fn has_unwritten_letters(word: &str) -> bool {
    if word.len() < WORD_LETTERS_MIN || !word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return false;
    }
    let pairs = word.as_bytes().windows(2).filter(|pair| is_unwritten(pair)).count();
    pairs >= 3 && pairs * 4 >= word.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_known_by_their_marks() {
        assert!(has_jwt("x=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln") && has_jwt("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0."));
        assert!(!has_jwt("eyJhbGciOiJIUzI1NiJ9") && !has_jwt("heyJude.at.once"));
        assert!(has_uuid("order-0b0e3a4c-8d0f-4a52-9d5e-1f5b4c7a9e21") && has_uuid("018F3E5C-7B5A-7C3D-8E2F-0123456789AB"));
        assert!(!has_uuid("0b0e3a4c-8d0f-9a52-9d5e-1f5b4c7a9e21") && !has_uuid("a-b"));
        assert!(is_ulid("01ARZ3NDEKTSV4RRFFQ69G5FAV") && is_ulid("01arz3ndektsv4rrffq69g5fav"));
        assert!(!is_ulid("01ARZ3NDEKTSV4RRFFQ69G5FAU") && !is_ulid("01234567890123456789012345"));
        assert!(is_object_id("507f1f77bcf86cd799439011") && !is_object_id("507f1f77bcf86cd79943901"));
    }

    #[test]
    fn what_machines_make_is_random() {
        for word in [
            "d41d8cd98f00b204e9800998ecf8427e",
            "amFuZUBleGFtcGxlLm9yZw",
            "c0000201",
            "dQw4w9WgXcQ",
            "xkqzvbnmwqpf",
            "1A2B3C4D5E6F",
            "deadbeefcafebabe",
            "qzkvwxjhbtmfpqlcnrgsdyqzkvwxjhbtmfpqlcnrgsdyqzkvwxjhbt",
            "aBcDeFgHiJkLmNoPqRsTuVwXyZaBcDeFgHiJkLmNoPqRsTuVwXyZ",
        ] {
            assert!(is_random(word), "{word}");
        }
        for word in [
            "datenschutzerklaerung",
            "rechtsschutzversicherungsgesellschaften",
            "Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetz",
            "spårvagnsaktiebolagsskensmutsskjutarefackföreningspersonal",
            "MyAccountOverview",
            "iphone15",
            "decade80",
            "2024",
            "angstschweiss",
            "szczebrzeszyn",
            "incomprehensibilities",
            "covid19",
        ] {
            assert!(!is_random(word), "{word}");
        }
    }

    #[test]
    fn keys_in_groups_are_told_from_words() {
        for text in ["2MKG 66RP PYSV 2YIJ", "IXFAO-AG3DQ-ANLT7-4OBIC-LCEUT", "key BC90 2981 FC79 FE14 58B3", "k7f2-9xqd-m3t8-zz41"] {
            assert!(has_grouped_key(text), "{text}");
        }
        for text in
            ["2024-2025-2026-2027", "BEST NEWS EVER 2024", "mp3s-8mmx-best-ever", "SIZE-42EU-SALE", "S24U-S23U-S22U", "fire-work-8mm2-shop"]
        {
            assert!(!has_grouped_key(text), "{text}");
        }
    }

    #[test]
    fn base64url_is_told_from_slugs() {
        assert!(has_base64url("aGVs-bG8_d29ybGQ-dGhlcmU1"));
        assert!(has_base64url("f3Kd-9sQz_2LmX8vPq1R-tY7u"));
        assert!(!has_base64url("s24-ultra-512gb-5g-8k-tv-hdmi2"));
        assert!(!has_base64url("the-quick-brown-fox-jumps-over-the-lazy-dog"));
        assert!(!has_base64url("My-Account-Overview-Page-2024"));
    }
}
