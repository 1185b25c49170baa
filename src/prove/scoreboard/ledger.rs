//! S21: bits of the run's own ledger of what left are changed, one at a time, and each time it must not hold.

use super::Row;
use crate::{
    egress::{Day, chain::Walk, export},
    prove::Outcome,
};

/// Bits that are changed, spread over the whole export; each costs a verification of all of it. `src/egress/tests.rs` changes more.
const BITS: usize = 400;

/// The row.
#[must_use]
pub fn row(outcome: &Outcome) -> Row {
    const WHAT: &str = "one changed bit of the ledger of what left is found";
    const TARGET: &str = "100 %";
    let Some((file, at)) = &outcome.tried.ledger else { return Row::not("S21", WHAT, TARGET, "it was not kept") };
    let holds = |bytes: &[u8]| export::verify(bytes, Walk::new(Day::of(*at), None, None), None).is_ok();
    let (whole, found) = found(file, holds);
    let figure =
        format!("{found} of {BITS} bits, spread over {} bytes; unchanged it {}", file.len(), if whole { "holds" } else { "does not hold" });
    Row::here("S21", WHAT, TARGET, figure, whole && found == BITS)
}

/// Whether it holds as it is, and how many of the changed bits are found.
fn found(file: &[u8], holds: impl Fn(&[u8]) -> bool) -> (bool, usize) {
    let is_found = |number: &usize| {
        let mut changed = file.to_vec();
        match changed.get_mut(number * file.len() / BITS) {
            Some(byte) => *byte ^= 1 << (number % 8),
            None => return false,
        }
        !holds(&changed)
    };
    (holds(file), (0..BITS).filter(is_found).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_that_nobody_looks_at_is_not_found() {
        let file = vec![7; 800];
        assert_eq!(found(&file, |bytes| bytes == file), (true, BITS));
        assert_eq!(found(&file, |bytes| bytes[..400] == file[..400]), (true, BITS / 2));
        assert_eq!(found(&[], |_| true), (true, 0));
    }
}
