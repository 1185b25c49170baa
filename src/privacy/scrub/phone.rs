//! Telephone numbers: in the international form (ITU-T E.164), or in a national one with its trunk zero or its usual groups.

use super::digits::Run;

/// E.164 allows no more digits.
const INTERNATIONAL_MAX: usize = 15;
/// Shorter numbers are short codes, and years, and prices.
const DIGITS_MIN: usize = 8;

/// Whether a run of digits is a telephone number.
pub(super) fn is_phone(run: &Run<'_>) -> bool {
    let digits = run.digits();
    if run.telling() < DIGITS_MIN - 1 || run.total > digits.len() {
        return false;
    }
    if run.plus && digits[0] != 0 {
        return (DIGITS_MIN..=INTERNATIONAL_MAX).contains(&run.total);
    }
    match digits {
        [0, 0, first, ..] if *first != 0 => (DIGITS_MIN + 2..=INTERNATIONAL_MAX + 2).contains(&run.total),
        // One group of twelve or thirteen digits is an article's number (UPC, EAN), also where it begins with a zero.
        [0, first, ..] if *first != 0 => (9..=if run.len() == 1 { 11 } else { 12 }).contains(&run.total),
        _ => has_usual_groups(run),
    }
}

/// Without a trunk zero: as Spain, Poland, Portugal, Italy's mobiles and North America write theirs.
fn has_usual_groups(run: &Run<'_>) -> bool {
    let lengths: Vec<usize> = run.groups().map(<[u8]>::len).collect();
    match lengths.as_slice() {
        [1, rest @ ..] if run.group(0) == [1] => rest == [3, 3, 4],
        [3, 3, 4] | [3, 3, 3] | [3, 2, 2, 2] | [2, 3, 2, 2] | [2, 3, 4] | [2, 7] => true,
        [3, 6 | 7] => run.group(0)[0] == 3,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::digits::runs, *};

    #[test]
    fn telephone_numbers_are_found() {
        for text in [
            "+49 171 1234567",
            "+491711234567",
            "tel0171-1234567",
            "+1 (212) 555-0123",
            "0049 171 1234567",
            "(212) 555-0123",
            "1-800-555-0199",
            "07700 900123",
            "01 23 45 67 89",
            "612 345 678",
            "612 34 56 78",
            "22 123 45 67",
            "347 1234567",
            "06-12345678",
            "070-123 45 67",
            "+33(0)6.12.34.56.78",
        ] {
            assert!(runs(text).any(|run| is_phone(&run)), "{text}");
        }
        for text in
            ["2024-11-23", "12345678", "1.2.3.4", "012345678905", "4006381333931", "978-3-16-148410-0", "2023-2024-2025", "1999.00", "404"]
        {
            assert!(!runs(text).any(|run| is_phone(&run)), "{text}");
        }
    }
}
