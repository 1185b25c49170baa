//! Numbers of payment cards: a network's beginning, its length, and the check digit of Luhn (ISO/IEC 7812-1).

use super::digits::{Run, value};

/// Whether some groups of a run are a card's number.
pub(super) fn is_card(run: &Run<'_>) -> bool {
    run.any_span(14..=19, |digits| is_of_a_network(digits) && luhn(digits))
}

/// Beginnings and lengths in use. (Visa's of 13 digits are not, and would take every tenth German article number for a card.)
fn is_of_a_network(digits: &[u8]) -> bool {
    match digits.len() {
        14 => matches!(value(&digits[..3]), 300..=305 | 360..=369 | 380..=399),
        15 => matches!(value(&digits[..2]), 34 | 37),
        16 => matches!(
            value(&digits[..4]),
            2221..=2720 | 3528..=3589 | 4000..=5899 | 6011 | 6200..=6299 | 6304 | 6390..=6399 | 6440..=6599 | 6759..=6763
        ),
        17..=19 => matches!(value(&digits[..2]), 50 | 56..=58 | 62 | 63 | 67) || digits.len() == 19 && digits[0] == 4,
        _ => false,
    }
}

/// The check digit that most numbers of cards and some of persons end with.
pub(super) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(*digit);
            if place % 2 == 1 { digit * 2 / 10 + digit * 2 % 10 } else { digit }
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::{super::digits::runs, *};

    #[test]
    fn cards_are_found() {
        for text in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "5555-5555-5555-4444",
            "2223003122003222",
            "3782 822463 10005",
            "30569309025904",
            "6011111111111117",
            "3530111333300000",
            "12 4111 1111 1111 1111",
        ] {
            assert!(runs(text).any(|run| is_card(&run)), "{text}");
        }
        for text in ["4111111111111112", "9783161484100", "4006381333931", "1234567890123452", "20241123123456"] {
            assert!(!runs(text).any(|run| is_card(&run)), "{text}");
        }
    }
}
