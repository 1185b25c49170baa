//! Contact data in a vendor's normal form, as SHA-256: what a vendor is given to recognise somebody by. It is made where the data come in, so that
//! what was said rests nowhere.
//!
//! | | Meta | TikTok |
//! |---|---|---|
//! | e-mail | lower case, trimmed | the same |
//! | phone | digits with the country's, no zeros in front, 7 to 16 | `+` and digits, 15 signs at most |
//! | names | lower case, no spaces, no punctuation | lower case, no spaces |
//! | town, region | lower case, no digits, spaces, dots, brackets, dashes | not as a digest |
//! | postcode | lower case, no spaces, up to the first dash | lower case, no spaces |
//! | country | two letters | not as a digest |
//! | account | lower case, no spaces | lower case, trimmed |
//!
//! What is a digest already is taken as it is: a digest of a digest would be nobody's.

use sha2::{Digest as _, Sha256};

use super::part::{Dialect, Part};

/// No address, name or number is longer.
const SAID_BYTES_MAX: usize = 320;

/// What a vendor is given of a part; nothing where it takes none, or what was said is none.
pub(super) fn digest(dialect: Dialect, part: Part, said: &str) -> Option<String> {
    let said = said.trim();
    if said.is_empty() || said.len() > SAID_BYTES_MAX {
        return None;
    }
    let said = said.to_lowercase();
    if is_digest(&said) {
        return Some(said);
    }
    let normal = match dialect {
        Dialect::Meta => meta(part, &said),
        Dialect::TikTok => tiktok(part, &said),
    };
    normal.filter(|normal| !normal.is_empty()).map(|normal| hex(&Sha256::digest(normal)))
}

fn meta(part: Part, said: &str) -> Option<String> {
    let without = |drop: fn(char) -> bool| said.chars().filter(|letter| !drop(*letter)).collect::<String>();
    match part {
        Part::Email => is_email(said).then(|| said.to_owned()),
        Part::Phone => {
            let digits = without(|letter| !letter.is_ascii_digit());
            let digits = digits.trim_start_matches('0');
            (7..=16).contains(&digits.len()).then(|| digits.to_owned())
        }
        Part::FirstName | Part::LastName => Some(without(|letter| letter.is_whitespace() || letter.is_ascii_punctuation())),
        Part::City | Part::Region => {
            Some(without(|letter| letter.is_whitespace() || letter.is_ascii_digit() || matches!(letter, '(' | ')' | '.' | '-')))
        }
        Part::Postcode => {
            let plain = without(char::is_whitespace);
            let first = plain.split('-').next().unwrap_or_default();
            (first.chars().count() >= 2).then(|| first.to_owned())
        }
        Part::Country => (said.len() == 2 && said.bytes().all(|letter| letter.is_ascii_lowercase())).then(|| said.to_owned()),
        Part::UserId => Some(without(char::is_whitespace)),
        _ => None,
    }
}

fn tiktok(part: Part, said: &str) -> Option<String> {
    /// E.164 has 15 digits at most; TikTok's own forms count the sign among them.
    const PHONE_SIGNS_MAX: usize = 15;
    let without_spaces = || said.chars().filter(|letter| !letter.is_whitespace()).collect::<String>();
    match part {
        Part::Email => is_email(said).then(|| said.to_owned()),
        Part::Phone => {
            let digits: String = said.chars().filter(char::is_ascii_digit).collect();
            (digits.len() >= 7).then(|| format!("+{digits}").chars().take(PHONE_SIGNS_MAX).collect())
        }
        Part::FirstName | Part::LastName | Part::Postcode => Some(without_spaces()),
        Part::UserId => Some(said.to_owned()),
        _ => None,
    }
}

/// Whether it has the form of an address: what is none would be a digest of nothing.
fn is_email(said: &str) -> bool {
    let plain = said.bytes().all(|byte| byte.is_ascii_graphic());
    let parts = said.split_once('@').filter(|(local, host)| !local.is_empty() && !host.contains('@'));
    plain
        && parts.is_some_and(|(_, host)| {
            host.split_once('.').is_some_and(|(name, rest)| !name.is_empty() && !rest.is_empty() && !host.ends_with('.'))
        })
}

fn is_digest(said: &str) -> bool {
    said.len() == 64 && said.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Meta's documentation, <https://developers.facebook.com/docs/marketing-api/conversions-api/parameters/customer-information-parameters>.
    #[test]
    fn digests_are_those_that_the_vendors_document() {
        use Dialect::{Meta, TikTok};
        for (dialect, part, said, expected) in [
            (Meta, Part::Email, " John_Smith@gmail.com ", "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"),
            (TikTok, Part::Email, "John_Smith@gmail.com", "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"),
            (Meta, Part::Phone, "+1 (650) 555-1212", "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"),
            (Meta, Part::Phone, "0016505551212", "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"),
            (TikTok, Part::Phone, "+1 (650) 555-1212", "1e231c66011e7a2d867a9cfae267a6aff103cf4913640b6e71a99850fc0ffbc8"),
            (Meta, Part::FirstName, "Mary", "6915771be1c5aa0c886870b6951b03d7eafc121fea0e80a5ea83beb7c449f4ec"),
            (Meta, Part::FirstName, "Valéry", "08e1996b5dd49e62a4b4c010d44e4345592a863bb9f8e3976219bac29417149c"),
        ] {
            assert_eq!(digest(dialect, part, said).as_deref(), Some(expected), "{dialect:?} {part:?}");
        }
    }

    #[test]
    fn one_person_is_one_digest_however_they_write_themselves() {
        let same = |dialect, part, one: &str, other: &str| {
            assert!(digest(dialect, part, one).is_some(), "{one}");
            assert_eq!(digest(dialect, part, one), digest(dialect, part, other), "{one} {other}");
        };
        same(Dialect::Meta, Part::LastName, "O'Neill-Smith", "oneill smith");
        same(Dialect::Meta, Part::City, "St. Gallen", "stgallen");
        same(Dialect::Meta, Part::Postcode, "94035-1234", "94035");
        same(Dialect::Meta, Part::Postcode, "M1 1AE", "m11ae");
        same(Dialect::Meta, Part::Country, "FR", "fr");
        same(Dialect::TikTok, Part::Postcode, "M1 1AE", "m11ae");
        same(Dialect::TikTok, Part::UserId, " U-17", "u-17");
    }

    #[test]
    fn what_is_no_contact_is_left_out_and_a_digest_is_taken_as_it_is() {
        for (dialect, part, said) in [
            (Dialect::Meta, Part::Email, "jane"),
            (Dialect::Meta, Part::Email, "@mail.example"),
            (Dialect::Meta, Part::Email, "jane@mail"),
            (Dialect::Meta, Part::Email, "jane doe@mail.example"),
            (Dialect::Meta, Part::Phone, "12345"),
            (Dialect::Meta, Part::Country, "France"),
            (Dialect::Meta, Part::FirstName, " .- "),
            (Dialect::Meta, Part::Postcode, "1"),
            (Dialect::Meta, Part::Address, "192.0.2.1"),
            (Dialect::TikTok, Part::City, "Paris"),
            (Dialect::TikTok, Part::Email, ""),
        ] {
            assert_eq!(digest(dialect, part, said), None, "{said}");
        }
        assert_eq!(digest(Dialect::Meta, Part::Email, &format!("{}@mail.example", "a".repeat(320))), None);
        let hashed = "62A14E44F765419D10FEA99367361A727C12365E2520F32218D505ED9AA0F62F";
        assert_eq!(digest(Dialect::Meta, Part::Email, hashed), Some(hashed.to_lowercase()));
    }
}
