//! The form in which one process writes down for the next what is in its memory: fixed-width numbers, least byte first, and whatever has
//! no fixed width behind its length. Both ends are this program in the same version of the form; it is read with care all the same, since
//! what cannot be read must end the hand-over and not the program.

use std::{io, time::Duration};

use zeroize::{Zeroize as _, Zeroizing};

use crate::clock::Timestamp;

/// Room that is made at first: the keys of a few thousand sites. What is written moves as it grows, and is wiped where it was.
const FIRST_ROOM: usize = 1 << 18;

/// What is being written. Wiped when dropped.
#[derive(Default)]
pub(in crate::privacy) struct Written(Zeroizing<Vec<u8>>);

impl Written {
    pub(in crate::privacy) fn u8(&mut self, number: u8) {
        self.bytes(&[number]);
    }

    pub(in crate::privacy) fn u32(&mut self, number: u32) {
        self.bytes(&number.to_le_bytes());
    }

    pub(in crate::privacy) fn i32(&mut self, number: i32) {
        self.bytes(&number.to_le_bytes());
    }

    pub(in crate::privacy) fn u64(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    /// How many of something follow.
    pub(in crate::privacy) fn count(&mut self, number: usize) {
        self.u64(number as u64);
    }

    pub(in crate::privacy) fn moment(&mut self, moment: Timestamp) {
        self.bytes(&moment.0.to_le_bytes());
    }

    pub(in crate::privacy) fn span(&mut self, span: Duration) {
        self.u64(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX));
    }

    /// A value that may be missing.
    pub(in crate::privacy) fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// Bytes behind their length.
    pub(in crate::privacy) fn block(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.bytes(bytes);
    }

    /// Bytes as they are.
    pub(in crate::privacy) fn bytes(&mut self, bytes: &[u8]) {
        let room = self.0.len() + bytes.len();
        if room > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(room.next_power_of_two().max(FIRST_ROOM)));
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    pub(in crate::privacy) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(in crate::privacy) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

/// What was handed over cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is not in this form.
    #[error("what the process before wrote down of its memory cannot be read")]
    Form,
    /// There is no memory for it.
    #[error("the system gives no memory for what is taken over: {0}")]
    System(#[from] io::Error),
}

/// What has not been read yet.
pub(in crate::privacy) struct Unread<'a> {
    bytes: &'a [u8],
    on_the_way: Duration,
}

impl<'a> Unread<'a> {
    /// The whole of it, that long after it was written.
    pub(in crate::privacy) const fn of(bytes: &'a [u8], on_the_way: Duration) -> Self {
        Self { bytes, on_the_way }
    }

    /// All that is left, as it is.
    pub(in crate::privacy) const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    pub(in crate::privacy) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Unreadable> {
        let (bytes, rest) = self.bytes.split_at_checked(length).ok_or(Unreadable::Form)?;
        self.bytes = rest;
        Ok(bytes)
    }

    pub(in crate::privacy) fn array<const LENGTH: usize>(&mut self) -> Result<&'a [u8; LENGTH], Unreadable> {
        self.bytes(LENGTH)?.try_into().map_err(|_| Unreadable::Form)
    }

    pub(in crate::privacy) fn u8(&mut self) -> Result<u8, Unreadable> {
        self.array().copied().map(u8::from_le_bytes)
    }

    pub(in crate::privacy) fn u32(&mut self) -> Result<u32, Unreadable> {
        self.array().copied().map(u32::from_le_bytes)
    }

    pub(in crate::privacy) fn i32(&mut self) -> Result<i32, Unreadable> {
        self.array().copied().map(i32::from_le_bytes)
    }

    pub(in crate::privacy) fn u64(&mut self) -> Result<u64, Unreadable> {
        self.array().copied().map(u64::from_le_bytes)
    }

    /// How many follow. Each takes a byte at least: no count is larger than what is left.
    pub(in crate::privacy) fn count(&mut self) -> Result<usize, Unreadable> {
        let number = usize::try_from(self.u64()?).map_err(|_| Unreadable::Form)?;
        if number <= self.bytes.len() { Ok(number) } else { Err(Unreadable::Form) }
    }

    pub(in crate::privacy) fn moment(&mut self) -> Result<Timestamp, Unreadable> {
        self.array().copied().map(i64::from_le_bytes).map(Timestamp)
    }

    pub(in crate::privacy) fn span(&mut self) -> Result<Duration, Unreadable> {
        self.u64().map(Duration::from_nanos)
    }

    /// How old something is that was so old when it was written down.
    pub(in crate::privacy) fn age(&mut self) -> Result<Duration, Unreadable> {
        Ok(self.span()?.saturating_add(self.on_the_way))
    }

    pub(in crate::privacy) fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Unreadable>,
    ) -> Result<Option<T>, Unreadable> {
        match self.u8()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(Unreadable::Form),
        }
    }

    /// Bytes behind their length.
    pub(in crate::privacy) fn block(&mut self) -> Result<&'a [u8], Unreadable> {
        let length = self.count()?;
        self.bytes(length)
    }

    /// Nothing is left.
    pub(in crate::privacy) const fn end(&self) -> Result<(), Unreadable> {
        if self.bytes.is_empty() { Ok(()) } else { Err(Unreadable::Form) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_beyond_it() {
        let mut written = Written::default();
        written.u8(1);
        written.i32(-7);
        written.moment(Timestamp(-1));
        written.span(Duration::from_secs(3));
        written.optional(Some(9), Written::u32);
        written.optional(None, Written::u64);
        written.block(&vec![5; FIRST_ROOM]);
        let mut unread = Unread::of(written.as_bytes(), Duration::from_secs(2));
        assert_eq!((unread.u8().unwrap(), unread.i32().unwrap(), unread.moment().unwrap()), (1, -7, Timestamp(-1)));
        assert_eq!(unread.age().unwrap(), Duration::from_secs(5));
        assert_eq!((unread.optional(Unread::u32).unwrap(), unread.optional(Unread::u64).unwrap()), (Some(9), None));
        assert!(unread.end().is_err());
        assert_eq!(unread.block().unwrap(), vec![5; FIRST_ROOM]);
        assert!(unread.end().is_ok() && unread.u8().is_err());
        assert!(Unread::of(&u64::MAX.to_le_bytes(), Duration::ZERO).count().is_err(), "a count is not believed");
        assert!(Unread::of(&[2], Duration::ZERO).optional(Unread::u8).is_err());
    }
}
