//! International bank account numbers: a country's letters and length, and the check of ISO 13616 (mod 97).

/// Countries and the length of their numbers (SWIFT's IBAN registry).
const LENGTHS: [(&[u8; 2], usize); 80] = [
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SV", 28),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
];
/// The longest of them.
const LENGTH_MAX: usize = 33;

/// Whether text holds one, with or without a sign between its groups.
pub(super) fn has_iban(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.windows(2).enumerate().any(|(start, pair)| {
        let of_form = pair.iter().all(u8::is_ascii_alphabetic) && bytes.get(start + 2).is_some_and(|next| !next.is_ascii_alphabetic());
        let at_word = start == 0 || !bytes[start - 1].is_ascii_alphanumeric();
        of_form && at_word && length_for(pair).is_some_and(|length| is_iban(&bytes[start..], length))
    })
}

fn length_for(pair: &[u8]) -> Option<usize> {
    let country = [pair[0].to_ascii_uppercase(), pair[1].to_ascii_uppercase()];
    LENGTHS.binary_search_by_key(&&country, |(known, _)| *known).ok().map(|row| LENGTHS[row].1)
}

/// Whether so many letters and digits from here on, single signs between them left out, pass the check.
fn is_iban(bytes: &[u8], length: usize) -> bool {
    let mut number = [0; LENGTH_MAX];
    let mut taken = 0;
    let mut signs = 0;
    for byte in bytes {
        match byte {
            _ if taken == length => return !byte.is_ascii_alphanumeric() && mod_97(&number[..length]) == 1,
            byte if byte.is_ascii_alphanumeric() => {
                number[taken] = byte.to_ascii_uppercase();
                taken += 1;
                signs = 0;
            }
            b' ' | b'-' | b'.' | b'_' | b'+' if signs == 0 => signs = 1,
            _ => return false,
        }
        if matches!(taken, 3 | 4) && !number[taken - 1].is_ascii_digit() {
            return false;
        }
    }
    taken == length && mod_97(&number[..length]) == 1
}

fn mod_97(number: &[u8]) -> u32 {
    let (head, rest) = number.split_at(4);
    rest.iter().chain(head).fold(0, |remainder, byte| match byte {
        b'0'..=b'9' => (remainder * 10 + u32::from(byte - b'0')) % 97,
        letter => (remainder * 100 + u32::from(letter - b'A') + 10) % 97,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_numbers_are_found() {
        for text in [
            "DE89370400440532013000",
            "de89 3704 0044 0532 0130 00",
            "pay GB29-NWBK-6016-1331-9268-19 now",
            "FR1420041010050500013M02606",
            "NL91ABNA0417164300",
            "SE4550000000058398257466",
            "ES9121000418450200051332",
            "IT60X0542811101000000123456",
            "PL61109010140000071219812874",
            "PT50000201231234567890154",
            "BE68539007547034",
        ] {
            assert!(has_iban(text), "{text}");
        }
        for text in [
            "DE89370400440532013001",
            "DE89",
            "SE-2024-summer",
            "XX89370400440532013000",
            "aDE89370400440532013000",
            "DE893704004405320130001",
        ] {
            assert!(!has_iban(text), "{text}");
        }
        assert!(LENGTHS.is_sorted_by_key(|(country, _)| *country));
        assert!(LENGTHS.iter().all(|(_, length)| *length <= LENGTH_MAX));
    }
}
