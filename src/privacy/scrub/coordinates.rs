//! Places on earth, near enough to be somebody's: pairs of decimal degrees, degrees with minutes, and plus codes.

/// Decimals from which a pair is a place and not two prices: three are about a hundred metres.
const DECIMALS_MIN: usize = 3;
/// Characters between latitude and longitude: a comma and a blank, `;`, `lng=`.
const BETWEEN_MAX: usize = 6;
/// A plus code's alphabet: <https://github.com/google/open-location-code/blob/main/Documentation/Specification/specification.md>.
const PLUS_CODE: &[u8; 20] = b"23456789CFGHJMPQRVWX";

/// Whether text holds a place.
pub(super) fn has_coordinates(text: &str) -> bool {
    has_pair(text) || has_degrees(text) || has_plus_code(text)
}

fn has_pair(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut before: Option<(f64, usize)> = None;
    let mut at = 0;
    while let Some(dot) = memchr::memchr(b'.', &bytes[at..]).map(|found| at + found) {
        let start = dot - bytes[..dot].iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let end = dot + 1 + bytes[dot + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        at = dot + 1;
        if start == dot || dot - start > 3 || end - dot - 1 < DECIMALS_MIN {
            continue;
        }
        let Ok(degrees) = text[start..end].parse::<f64>() else { continue };
        let near = |from: usize| start > from && start - from <= BETWEEN_MAX && bytes[from] != b'.';
        if before.is_some_and(|(latitude, from)| near(from) && latitude <= 90.0 && degrees <= 180.0) {
            return true;
        }
        before = Some((degrees, end));
        at = end;
    }
    false
}

/// `48°51'24"N`: a degree sign with minutes behind it; or one with decimals before it, `41,876° N`. (`25 °C` has neither.)
fn has_degrees(text: &str) -> bool {
    text.match_indices('°').any(|(at, sign)| {
        let before = text[..at].trim_end();
        let decimals = before.bytes().rev().take_while(u8::is_ascii_digit).count();
        let sign_before = before.as_bytes()[..before.len() - decimals].last();
        let minutes = text[at + sign.len()..].trim_start().starts_with(|after: char| after.is_ascii_digit());
        decimals > 0 && minutes || decimals >= DECIMALS_MIN && matches!(sign_before, Some(b'.' | b','))
    })
}

fn has_plus_code(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b'+', bytes).any(|plus| {
        let of_code = |byte: &&u8| PLUS_CODE.contains(&byte.to_ascii_uppercase());
        let before = bytes[..plus].iter().rev().take_while(of_code).count();
        let after = bytes[plus + 1..].iter().take_while(of_code).count();
        let ends = |at: Option<&u8>| !at.is_some_and(u8::is_ascii_alphanumeric);
        let alone = ends(plus.checked_sub(before + 1).and_then(|at| bytes.get(at))) && ends(bytes.get(plus + 1 + after));
        let code = &bytes[plus - before..plus];
        let mixed = code.iter().any(u8::is_ascii_digit) && code.iter().any(u8::is_ascii_alphabetic);
        matches!(before, 4 | 6 | 8) && matches!(after, 2 | 3) && alone && mixed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found() {
        for text in [
            "48.8566,2.3522",
            "@48.8566,2.3522,15z",
            "48.8566, 2.3522",
            "-33.8688;151.2093",
            "48.8566_2.3522",
            "lat48.8566lng2.3522",
            "48.856613 2.352222",
            "48°51'24\"N",
            "41,87597° N",
            "8FW4V75V+8Q",
            "V75V+8Q",
        ] {
            assert!(has_coordinates(text), "{text}");
        }
        for text in
            ["12.99,14.99", "1.2.3", "48.8566", "25 °C", "25,5 °C", "°", "10.15.7", "200.123,10.123", "c++11", "google+2024", "1.299,00"]
        {
            assert!(!has_coordinates(text), "{text}");
        }
    }
}
