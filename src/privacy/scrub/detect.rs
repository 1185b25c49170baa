//! Detectors: does a piece of text look like something that names a person, a machine or a record? By shape alone; each shape has a file of its
//! own beside this one. Here: in which order they are asked, and which of them a piece of text can be spared.

use super::{address, card, coordinates, date, decode, digits, email, iban, national, phone, token};

/// From this many digits on, in one run, it is somebody's number.
const DIGITS_MAX: usize = 6;
/// The fewest digits that name a person: a date of birth's.
const PERSON_DIGITS_MIN: usize = 5;
/// The fewest of a place: those of a plus code may be two.
const PLACE_DIGITS_MIN: usize = 2;
/// The fewest of a quad.
const QUAD_DIGITS_MIN: usize = 4;
/// Longer text is not looked through: it is no name of anything.
const TEXT_BYTES_MAX: usize = 1_024;

/// What a piece of text looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// An e-mail address, or nearly anything with an `@`.
    Email,
    /// A name in a social network: `@jane`.
    Handle,
    /// A telephone number.
    Phone,
    /// A bank account.
    Iban,
    /// A payment card.
    Card,
    /// A number that a state gave to a person.
    National,
    /// A date of birth.
    Birth,
    /// A place on earth, to some hundred metres.
    Coordinates,
    /// An IP address, written in whatever way.
    Ip,
    /// A hardware address.
    Mac,
    /// A JSON Web Token.
    Jwt,
    /// A UUID.
    Uuid,
    /// A ULID.
    Ulid,
    /// An ObjectId.
    ObjectId,
    /// Random-looking: a hash, a key, a token.
    Token,
    /// A number.
    Number,
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
            Self::Handle => "{handle}",
            Self::Phone => "{phone}",
            Self::Iban => "{iban}",
            Self::Card => "{card}",
            Self::National => "{national_id}",
            Self::Birth => "{date}",
            Self::Coordinates => "{coordinates}",
            Self::Ip => "{ip}",
            Self::Mac => "{mac}",
            Self::Jwt => "{jwt}",
            Self::Uuid => "{uuid}",
            Self::Ulid => "{ulid}",
            Self::ObjectId => "{objectid}",
            Self::Token => "{token}",
            Self::Number => "{n}",
            Self::Parameter => "{parameter}",
            Self::Encoded => "{encoded}",
        }
    }

    /// Every class.
    pub const ALL: [Self; 18] = [
        Self::Email,
        Self::Handle,
        Self::Phone,
        Self::Iban,
        Self::Card,
        Self::National,
        Self::Birth,
        Self::Coordinates,
        Self::Ip,
        Self::Mac,
        Self::Jwt,
        Self::Uuid,
        Self::Ulid,
        Self::ObjectId,
        Self::Token,
        Self::Number,
        Self::Parameter,
        Self::Encoded,
    ];
}

/// What a piece of percent-decoded text looks like, if it looks like anything.
#[must_use]
pub(in crate::privacy) fn class_of(text: &str) -> Option<Class> {
    let signs = Signs::of(text);
    if signs.within(Signs::SMALL_LETTERS) {
        return class_of_letters(text);
    }
    if text.len() > TEXT_BYTES_MAX {
        return Some(Class::Token);
    }
    let folded = if signs.has(Signs::WRAPPING) { decode::folded(text) } else { text.into() };
    let signs = if *folded == *text { signs } else { Signs::of(&folded) };
    match found(&folded, signs) {
        // Base64 looks like a token, and padded like a parameter.
        looks @ (None | Some(Class::Token | Class::Parameter)) if signs.has(Signs::CAPITAL) => inside_base64(&folded).or(looks),
        looks => looks,
    }
}

/// The same of what base64 says, where some of the text is that. What it says is not decoded again.
fn inside_base64(text: &str) -> Option<Class> {
    let pieces = text.split(|letter: char| !(letter.is_ascii_alphanumeric() || "+/-_".contains(letter)));
    pieces.filter_map(decode::base64).find_map(|said| {
        let folded = decode::folded(&said);
        found(&folded, Signs::of(&folded))
    })
}

/// Which kinds of character are in a piece of text, in one pass.
#[derive(Clone, Copy)]
struct Signs {
    kinds: u16,
    /// How many digits there are.
    digits: usize,
    /// How long the longest run of letters and digits is, in bytes.
    longest: usize,
}

impl Signs {
    const SMALL: u16 = 1;
    const CAPITAL: u16 = 1 << 1;
    const DIGIT: u16 = 1 << 2;
    const DASH: u16 = 1 << 3;
    const DOT: u16 = 1 << 4;
    const COLON: u16 = 1 << 5;
    const AT: u16 = 1 << 6;
    const EQUALS: u16 = 1 << 7;
    const PERCENT: u16 = 1 << 8;
    const PLUS: u16 = 1 << 9;
    const BEYOND: u16 = 1 << 10;
    /// `&` and `\`, with which entities and escapes begin.
    const ESCAPE: u16 = 1 << 11;
    const OTHER: u16 = 1 << 12;
    /// What most segments of most paths are made of.
    const SMALL_LETTERS: u16 = Self::SMALL | Self::DASH;
    /// What may hide other characters.
    const WRAPPING: u16 = Self::BEYOND | Self::ESCAPE | Self::PLUS;

    const TABLE: [u16; 256] = {
        let mut table = [Self::OTHER; 256];
        let mut byte = 0;
        while byte < 256 {
            table[byte] = match byte as u8 {
                b'a'..=b'z' => Self::SMALL,
                b'A'..=b'Z' => Self::CAPITAL,
                b'0'..=b'9' => Self::DIGIT,
                b'-' | b'_' => Self::DASH,
                b'.' => Self::DOT,
                b':' => Self::COLON,
                b'@' => Self::AT,
                b'=' => Self::EQUALS,
                b'%' => Self::PERCENT,
                b'+' => Self::PLUS,
                b'&' | b'\\' => Self::ESCAPE,
                128..=255 => Self::BEYOND,
                _ => Self::OTHER,
            };
            byte += 1;
        }
        table
    };

    fn of(text: &str) -> Self {
        let mut signs = Self { kinds: 0, digits: 0, longest: 0 };
        let mut run = 0;
        for byte in text.bytes() {
            let kind = Self::TABLE[usize::from(byte)];
            signs.kinds |= kind;
            signs.digits += usize::from(kind == Self::DIGIT);
            run = if kind & (Self::SMALL | Self::CAPITAL | Self::DIGIT | Self::BEYOND) == 0 { 0 } else { run + 1 };
            signs.longest = signs.longest.max(run);
        }
        signs
    }

    const fn has(self, any: u16) -> bool {
        self.kinds & any != 0
    }

    const fn within(self, all: u16) -> bool {
        self.kinds & !all == 0
    }
}

/// Of small letters, dashes and underscores alone: a word, unless it is one that nobody writes, or spells an address.
fn class_of_letters(text: &str) -> Option<Class> {
    if text.len() < token::WORD_LETTERS_MIN {
        return None;
    }
    if text.split(['-', '_']).any(token::is_random) {
        return Some(Class::Token);
    }
    email::is_spelled(text).then_some(Class::Email)
}

/// The first that fits, of folded text: what has marks of its own first, then what is only a number, then what is only random.
fn found(text: &str, signs: Signs) -> Option<Class> {
    if signs.digits >= PLACE_DIGITS_MIN && signs.has(Signs::DOT | Signs::PLUS | Signs::BEYOND) && coordinates::has_coordinates(text) {
        return Some(Class::Coordinates);
    }
    if signs.has(Signs::AT)
        && let Some(class) = email::of_sign(text)
    {
        return Some(class);
    }
    if signs.has(Signs::CAPITAL) && token::has_jwt(text) {
        return Some(Class::Jwt);
    }
    if signs.has(Signs::DASH) && text.len() >= token::UUID_BYTES && token::has_uuid(text) {
        return Some(Class::Uuid);
    }
    if signs.has(Signs::COLON | Signs::DOT | Signs::DASH) {
        if signs.has(Signs::DIGIT) && address::has_mac(text) {
            return Some(Class::Mac);
        }
        if (signs.digits >= QUAD_DIGITS_MIN || signs.has(Signs::COLON)) && address::has_ip(text) {
            return Some(Class::Ip);
        }
    }
    if email::is_spelled(text) {
        return Some(Class::Email);
    }
    if signs.has(Signs::EQUALS) {
        return Some(Class::Parameter);
    }
    if signs.has(Signs::PERCENT) && decode::has_encoding(text) {
        return Some(Class::Encoded);
    }
    signs.has(Signs::DIGIT).then(|| of_digits(text, signs)).flatten().or_else(|| of_random(text, signs))
}

/// What has digits: the numbers that name persons, then any number.
fn of_digits(text: &str, signs: Signs) -> Option<Class> {
    if signs.digits >= PERSON_DIGITS_MIN {
        if date::has_spelled_birth(text) {
            return Some(Class::Birth);
        }
        if iban::has_iban(text) {
            return Some(Class::Iban);
        }
        if national::has_lettered(text) {
            return Some(Class::National);
        }
        // Before numbers are looked for: there are long runs of digits in hashes, too.
        if signs.longest >= token::HEXADECIMAL_MIN
            && let Some(class) = of_hexadecimal(text)
        {
            return Some(class);
        }
        for run in digits::runs(text).filter(|run| run.total >= PERSON_DIGITS_MIN) {
            if date::is_birth(&run) {
                return Some(Class::Birth);
            }
            if run.total <= DIGITS_MAX {
                continue;
            }
            if card::is_card(&run) {
                return Some(Class::Card);
            }
            if run.plus && phone::is_phone(&run) {
                return Some(Class::Phone);
            }
            if national::is_national(&run) || national::is_named_national(text, &run) {
                return Some(Class::National);
            }
            if phone::is_phone(&run) {
                return Some(Class::Phone);
            }
        }
    }
    let number = !text.chars().any(char::is_alphabetic) && !digits::is_of_thing(text)
        || signs.digits > DIGITS_MAX && digits::runs(text).any(|run| run.telling() > DIGITS_MAX);
    // Shorter hashes have runs of digits, too.
    let token = number && words(text).any(|word| word.bytes().any(|byte| byte.is_ascii_alphabetic()) && token::is_random(word));
    (number && !token).then_some(Class::Number)
}

/// Ids in hexadecimal that have letters.
fn of_hexadecimal(text: &str) -> Option<Class> {
    if words(text).any(token::is_object_id) {
        return Some(Class::ObjectId);
    }
    words(text).any(token::is_hexadecimal).then_some(Class::Token)
}

/// What is random.
fn of_random(text: &str, signs: Signs) -> Option<Class> {
    if signs.longest >= token::HEXADECIMAL_MIN {
        if signs.has(Signs::DIGIT) && words(text).any(token::is_ulid) {
            return Some(Class::Ulid);
        }
        if let Some(class) = of_hexadecimal(text) {
            return Some(class);
        }
    }
    let whole = || signs.has(Signs::CAPITAL) && signs.has(Signs::DIGIT | Signs::SMALL) && token::has_base64url(text);
    let random = signs.longest >= token::MIXED_CHARS_MIN && words(text).any(token::is_random);
    (random || whole() || signs.has(Signs::DIGIT) && token::has_grouped_key(text)).then_some(Class::Token)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty())
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
            "galaxy-s24-ultra-512gb-2024",
            "2024-11-23-black-friday",
            "season-2023-2024",
            "windows-11-24h2",
            "Größentabelle",
            "logo@2x.png",
            "2025-26",
            "10.15.7",
            "2026-11-27",
        ] {
            assert_eq!(class_of(word), None, "{word}");
        }
    }

    #[test]
    fn what_names_someone_is_found() {
        let cases = [
            ("jane@example.org", Class::Email),
            ("@jane", Class::Handle),
            ("jane-at-example-dot-org", Class::Email),
            ("amFuZUBleGFtcGxlLm9yZw", Class::Email),
            ("amFuZUBleGFtcGxlLm9yZw==", Class::Email),
            ("{\"email\":\"jane\\u0040example.org\"}", Class::Email),
            ("192.0.2.1", Class::Ip),
            ("host-192-0-2-1", Class::Ip),
            ("2001:db8::1", Class::Ip),
            ("[2001:db8::1]", Class::Ip),
            ("::ffff:c000:201", Class::Ip),
            ("fe80::1%eth0", Class::Ip),
            ("00:1b:44:11:3a:b7", Class::Mac),
            ("4", Class::Number),
            ("3221225985", Class::Number),
            ("order-12345678", Class::Number),
            ("+49 171 1234567", Class::Phone),
            ("tel0171-1234567", Class::Phone),
            ("٠١٧١١٢٣٤٥٦٧", Class::Phone),
            ("DE89370400440532013000", Class::Iban),
            ("4111-1111-1111-1111", Class::Card),
            ("RSSMRA85T10A562S", Class::National),
            ("1985-03-12", Class::Birth),
            ("48.8566,2.3522", Class::Coordinates),
            ("0b0e3a4c-8d0f-4a52-9d5e-1f5b4c7a9e21", Class::Uuid),
            ("01ARZ3NDEKTSV4RRFFQ69G5FAV", Class::Ulid),
            ("507f1f77bcf86cd799439011", Class::ObjectId),
            ("d41d8cd98f00b204e9800998ecf8427e", Class::Token),
            ("1.2.85", Class::Number),
            ("2MKG-66RP-PYSV-2YIJ", Class::Token),
            ("c0000201", Class::Token),
            ("eyJhbGciOiJIUzI1NiJ9", Class::Token),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", Class::Jwt),
            ("user=jane", Class::Parameter),
            ("jane%40example", Class::Encoded),
        ];
        for (text, class) in cases {
            assert_eq!(class_of(text), Some(class), "{text}");
        }
        assert_eq!(class_of(&"word ".repeat(300)), Some(Class::Token), "too long to be looked through");
    }
}
