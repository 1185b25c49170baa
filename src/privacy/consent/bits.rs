//! Bits in base64url without padding, six to a character, the highest first: what TCF and GPP strings are made of. Read in place, without
//! a copy.

/// Why a consent string could not be read. Whatever the reason, it counts as no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Longer than its kind of string may be.
    #[error("it is too long")]
    TooLong,
    /// A character that its kind of string does not have.
    #[error("it has a character that it may not have")]
    Alphabet,
    /// It ends before its fields do.
    #[error("it ends too early")]
    TooShort,
    /// Of a version that is not known here.
    #[error("its version is unknown")]
    Version,
    /// A part of it is of a kind that is not known here, comes twice, or is announced and not there.
    #[error("one of its parts is unknown, missing, or there twice")]
    Part,
    /// A field has a value that its definition excludes.
    #[error("a field has a value that it cannot have")]
    Value,
    /// Behind the last field there is something else than padding.
    #[error("it goes on behind its last field")]
    Trailing,
}

/// What a byte says as a character of base64url; `NONE` for all that are none.
const DIGITS: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut digits = [NONE; 256];
    let mut value = 0;
    while value < alphabet.len() {
        digits[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    digits
};
const NONE: u8 = 0xff;
/// Bits in one character.
const WIDTH: usize = 6;

/// A string of bits and a place in it. Copying it remembers the place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits<'a> {
    text: &'a [u8],
    next: usize,
}

impl<'a> Bits<'a> {
    /// The bits of a text.
    ///
    /// # Errors
    /// It is empty, or has a character that is none of base64url's.
    pub(super) fn of(text: &'a str) -> Result<Self, Unreadable> {
        let text = text.as_bytes();
        if text.is_empty() {
            return Err(Unreadable::TooShort);
        }
        if text.iter().any(|byte| DIGITS[usize::from(*byte)] == NONE) {
            return Err(Unreadable::Alphabet);
        }
        Ok(Self { text, next: 0 })
    }

    /// The next `width` bits as a number; at most 64.
    ///
    /// # Errors
    /// There are not so many.
    pub(super) fn take(&mut self, width: usize) -> Result<u64, Unreadable> {
        let end = self.after(width)?;
        let mut number = 0_u64;
        while self.next < end {
            let digit = DIGITS[usize::from(self.text[self.next / WIDTH])];
            let (from, to) = (self.next % WIDTH, WIDTH.min(self.next % WIDTH + end - self.next));
            let part = (digit >> (WIDTH - to)) & ((1 << (to - from)) - 1);
            number = number << (to - from) | u64::from(part);
            self.next += to - from;
        }
        Ok(number)
    }

    /// The next bits as a number that fits its type.
    ///
    /// # Errors
    /// There are not so many.
    pub(super) fn take_u16(&mut self, width: usize) -> Result<u16, Unreadable> {
        debug_assert!(width <= 16);
        self.take(width).map(|number| number as u16)
    }

    /// The next bits as a number that fits its type.
    ///
    /// # Errors
    /// There are not so many.
    pub(super) fn take_u8(&mut self, width: usize) -> Result<u8, Unreadable> {
        debug_assert!(width <= 8);
        self.take(width).map(|number| number as u8)
    }

    /// The next bit.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn flag(&mut self) -> Result<bool, Unreadable> {
        self.take(1).map(|bit| bit == 1)
    }

    /// Goes past so many bits.
    ///
    /// # Errors
    /// There are not so many.
    pub(super) fn skip(&mut self, width: usize) -> Result<(), Unreadable> {
        self.next = self.after(width)?;
        Ok(())
    }

    /// Makes sure that nothing follows but the zeros that fill the last characters.
    ///
    /// # Errors
    /// A bit behind the last field is set.
    pub(super) fn end(mut self) -> Result<(), Unreadable> {
        let in_this = (WIDTH - self.next % WIDTH) % WIDTH;
        if self.take(in_this).unwrap_or(0) != 0 || self.text[self.next / WIDTH..].iter().any(|byte| *byte != b'A') {
            return Err(Unreadable::Trailing);
        }
        Ok(())
    }

    /// How many bits are left.
    pub(super) const fn left(&self) -> usize {
        self.text.len() * WIDTH - self.next
    }

    fn after(&self, width: usize) -> Result<usize, Unreadable> {
        if width > self.left() { Err(Unreadable::TooShort) } else { Ok(self.next + width) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_width_are_read_across_characters() {
        // Every split of the same bits gives the same bits.
        let text = "CQSbk4AQ_-09zZ";
        let bit = |at: usize| u64::from(DIGITS[usize::from(text.as_bytes()[at / 6])] >> (5 - at % 6) & 1);
        for width in 1..=64 {
            let mut bits = Bits::of(text).unwrap();
            let mut at = 0;
            while at + width <= text.len() * 6 {
                let expected = (at..at + width).fold(0, |number, at| number << 1 | bit(at));
                assert_eq!(bits.take(width), Ok(expected), "{width} bits from {at}");
                at += width;
            }
            assert_eq!(bits.take(width), Err(Unreadable::TooShort), "{width} bits beyond the end");
        }
    }

    #[test]
    fn only_its_alphabet_is_read_and_only_zeros_may_follow() {
        for text in ["a+b", "a/b", "ab=", "a b", "aüb", "a~b", "a.b", "\0"] {
            assert_eq!(Bits::of(text).unwrap_err(), Unreadable::Alphabet, "{text}");
        }
        assert_eq!(Bits::of("").unwrap_err(), Unreadable::TooShort);
        for (text, read, expected) in [
            ("_", 6, Ok(())),
            ("_A", 6, Ok(())),
            ("8AAA", 4, Ok(())),
            ("8AAA", 3, Err(Unreadable::Trailing)),
            ("8AAB", 4, Err(Unreadable::Trailing)),
            ("AAAAAg", 0, Err(Unreadable::Trailing)),
        ] {
            let mut bits = Bits::of(text).unwrap();
            bits.skip(read).unwrap();
            assert_eq!(bits.end(), expected, "{text} after {read}");
        }
    }
}
