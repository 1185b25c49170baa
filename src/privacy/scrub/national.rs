//! Numbers that states give to persons. Each by its form and its check digits; where those let more than about one number in twenty through, a
//! bare run of digits stays what it is, a number, so that the template of an address does not hang on chance.

use super::{
    card::luhn,
    digits::{Run, value},
};

/// Whether digits alone are one.
pub(super) fn is_national(run: &Run<'_>) -> bool {
    let lengths: Vec<usize> = run.groups().map(<[u8]>::len).collect();
    match lengths.as_slice() {
        [3, 2, 4] if run.text.bytes().filter(|byte| *byte == b'-').count() == 2 => return is_social_security(run.digits()),
        [3, 3, 3, 2] if is_cpf(run.digits()) => return true,
        _ => {}
    }
    run.any_span(10..=15, |digits| match digits.len() {
        10 => is_personnummer(digits),
        11 => is_pesel(digits) || is_steuer_id(digits) || is_rijksregisternummer(digits),
        12 => matches!(value(&digits[..2]), 19 | 20) && is_personnummer(&digits[2..]),
        15 => is_nir(digits),
        _ => false,
    })
}

/// Whether text that says what it is about (`bsn`, `nif`) has a number that passes that check.
pub(super) fn is_named_national(text: &str, run: &Run<'_>) -> bool {
    let says = |word: &[u8]| text.as_bytes().windows(word.len()).any(|window| window.eq_ignore_ascii_case(word));
    run.total == 9 && (is_bsn(run.digits()) && says(b"bsn") || is_nif(run.digits()) && (says(b"nif") || says(b"contribuinte")))
}

/// Whether text holds one that has letters.
pub(super) fn has_lettered(text: &str) -> bool {
    let bytes = text.as_bytes();
    let starts = (0..bytes.len()).filter(|start| bytes[*start].is_ascii_alphanumeric());
    let mut at_words = starts.filter(|start| *start == 0 || !bytes[*start - 1].is_ascii_alphanumeric());
    at_words.any(|start| {
        let rest = &bytes[start..];
        let is = |pattern: &[u8], check: fn(&[u8]) -> bool| matched(rest, pattern).is_some_and(|number| check(&number[..pattern.len()]));
        is(b"AADDDDDDA", is_nino)
            || is(b"DDDDDDDDA", is_dni)
            || is(b"ADDDDDDDA", is_nie)
            || is(b"AAAAAADDADDADDDA", is_codice_fiscale)
            || is(b"DDDDDDADDDDDDDD", is_nir_of_corsica)
    })
}

/// The longest pattern.
const PATTERN_MAX: usize = 16;

/// Letters (`A`, as capitals) and digits (`D`, as they are) in that order from here on, single signs between them left out, up to the word's
/// end.
fn matched(bytes: &[u8], pattern: &[u8]) -> Option<[u8; PATTERN_MAX]> {
    let mut number = [0; PATTERN_MAX];
    let mut at = 0;
    for (place, kind) in pattern.iter().enumerate() {
        if place > 0 && bytes.get(at).is_some_and(|byte| b" -._+".contains(byte)) {
            at += 1;
        }
        let byte = *bytes.get(at)?;
        let fits = if *kind == b'A' { byte.is_ascii_alphabetic() } else { byte.is_ascii_digit() };
        number[place] = fits.then(|| byte.to_ascii_uppercase())?;
        at += 1;
    }
    (!bytes.get(at).is_some_and(u8::is_ascii_alphanumeric)).then_some(number)
}

fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(digit, weight)| u32::from(*digit) * weight).sum()
}

fn is_date(month: u32, day: u32) -> bool {
    (1..=12).contains(&month) && (1..=31).contains(&day)
}

fn decimal(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |value, digit| value * 10 + u64::from(*digit))
}

/// France, NIR: sex, year, month, place, order, and a key of two digits.
fn is_nir(digits: &[u8]) -> bool {
    let month = value(&digits[3..5]);
    matches!(digits[0], 1 | 2) && matches!(month, 1..=12 | 20..=42 | 50..=99) && 97 - decimal(&digits[..13]) % 97 == decimal(&digits[13..])
}

/// The same where the place is in Corsica: 2A counts as 19, 2B as 18.
fn is_nir_of_corsica(number: &[u8]) -> bool {
    let mut digits = [0; 15];
    for (digit, byte) in digits.iter_mut().zip(number) {
        *digit = byte.wrapping_sub(b'0');
    }
    digits[5] = 1;
    digits[6] = if number[6] == b'A' { 9 } else { 8 };
    number[5] == b'2' && matches!(number[6], b'A' | b'B') && is_nir(&digits)
}

/// Germany, tax id: of the first ten digits one comes two or three times and the others at most once; ISO 7064, mod 11,10.
fn is_steuer_id(digits: &[u8]) -> bool {
    let mut seen = [0_u8; 10];
    digits[..10].iter().for_each(|digit| seen[usize::from(*digit)] += 1);
    let repeated = seen.iter().filter(|times| **times > 1).count() == 1 && seen.iter().all(|times| *times <= 3);
    let product = digits[..10].iter().fold(10, |product, digit| {
        let sum = (u32::from(*digit) + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    digits[0] != 0 && repeated && (11 - product) % 10 == u32::from(digits[10])
}

/// Poland, PESEL: a date whose month tells the century, and a check digit.
fn is_pesel(digits: &[u8]) -> bool {
    let (month, day) = (value(&digits[2..4]) % 20, value(&digits[4..6]));
    is_date(month, day) && weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]).is_multiple_of(10)
}

/// Belgium: a date, an order, and mod 97, with a 2 in front for those born since 2000.
fn is_rijksregisternummer(digits: &[u8]) -> bool {
    let (number, check) = (decimal(&digits[..9]), decimal(&digits[9..]));
    is_date(value(&digits[2..4]), value(&digits[4..6])) && (97 - number % 97 == check || 97 - (number + 2_000_000_000) % 97 == check)
}

/// Sweden: a date (of coordination numbers, 60 days on) and Luhn.
fn is_personnummer(digits: &[u8]) -> bool {
    let day = value(&digits[4..6]);
    is_date(value(&digits[2..4]), if day > 60 { day - 60 } else { day }) && luhn(digits)
}

/// United States, by form alone: there is no check digit.
fn is_social_security(digits: &[u8]) -> bool {
    !matches!(value(&digits[..3]), 0 | 666 | 900..=999) && value(&digits[3..5]) != 0 && value(&digits[5..]) != 0
}

/// Brazil, CPF: two check digits, mod 11.
fn is_cpf(digits: &[u8]) -> bool {
    let check = |length: usize| {
        let sum: u32 = digits[..length].iter().zip((2..=length + 1).rev()).map(|(digit, weight)| u32::from(*digit) * weight as u32).sum();
        sum * 10 % 11 % 10 == u32::from(digits[length])
    };
    check(9) && check(10)
}

/// Netherlands, BSN: the eleven-proof, with a negative last weight.
fn is_bsn(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2]);
    sum % 11 == u32::from(digits[8])
}

/// Portugal, NIF: mod 11.
fn is_nif(digits: &[u8]) -> bool {
    let rest = weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    u32::from(digits[8]) == if rest < 2 { 0 } else { 11 - rest }
}

/// United Kingdom, National Insurance: by form alone; the last letter is A to D.
fn is_nino(number: &[u8]) -> bool {
    matches!(number[8], b'A'..=b'D')
}

/// Spain's letter for a number.
const DNI_LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";

fn is_dni(number: &[u8]) -> bool {
    let digits: u32 = number[..8].iter().fold(0, |value, byte| value * 10 + u32::from(byte - b'0'));
    DNI_LETTERS[digits as usize % DNI_LETTERS.len()] == number[8]
}

/// The same for foreigners: the first letter stands for a digit.
fn is_nie(number: &[u8]) -> bool {
    let mut dni = [0; 9];
    dni.copy_from_slice(number);
    let first = match number[0] {
        b'X' => b'0',
        b'Y' => b'1',
        b'Z' => b'2',
        _ => return false,
    };
    dni[0] = first;
    is_dni(&dni)
}

/// Italy, codice fiscale: the last letter is a sum of the others, which count differently at odd and even places.
fn is_codice_fiscale(number: &[u8]) -> bool {
    const ODD: [u32; 26] = [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let rank = |byte: u8| if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' };
    let sum: u32 = number[..15]
        .iter()
        .enumerate()
        .map(|(place, byte)| if place % 2 == 0 { ODD[usize::from(rank(*byte))] } else { u32::from(rank(*byte)) })
        .sum();
    sum % 26 == u32::from(number[15] - b'A')
}

#[cfg(test)]
mod tests {
    use super::{super::digits::runs, *};

    fn is(text: &str) -> bool {
        has_lettered(text) || runs(text).any(|run| is_national(&run) || is_named_national(text, &run))
    }

    #[test]
    fn numbers_of_persons_are_found() {
        for text in [
            "255081416802538",
            "1 85 05 78 006 084 91",
            "1 85 03 2A 004 005 45",
            "65 929 970 489",
            "86095742719",
            "44051401458",
            "85.07.30-033.28",
            "640823-3234",
            "19640823-3234",
            "6408233234",
            "078-05-1120",
            "529.982.247-25",
            "bsn-111222333",
            "nif 123456789",
            "QQ123456C",
            "qq 12 34 56 c",
            "12345678Z",
            "12.345.678-Z",
            "X1234567L",
            "RSSMRA85T10A562S",
        ] {
            assert!(is(text), "{text}");
        }
        for text in [
            "111222333",
            "255081416802539",
            "44051401459",
            "078-05-0000",
            "12345678A",
            "AB123456E",
            "640823-3235",
            "summer-2024",
            "RSSMRA85T10A562T",
        ] {
            assert!(!is(text), "{text}");
        }
    }
}
