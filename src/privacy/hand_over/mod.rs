//! What a process knows in its memory alone and the next one needs, so that the day goes on in it: keys, visits, newcomers, and who was
//! counted. It goes from one process to the other through a Unix socket, from memory to memory; there is no way to look at it, to print it
//! or to put it anywhere else.
//!
//! Left behind, since nothing that leaves follows from it: the pace of visitors and clients, and the report of the day's released crowds.

pub(in crate::privacy) mod bytes;

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

use zeroize::Zeroizing;

pub use self::bytes::Unreadable;
use self::bytes::{Unread, Written};
use super::{crowd::Crowds, envelope::Envelopes, uniques::Uniques, visitor::Visitors};
use crate::clock::{self, Timestamp};

/// The form of it. Counts up whenever a part is written otherwise, or means something else; another form is refused before anything stops.
pub const VERSION: u32 = 3;
/// At most so many bytes: two full generations of sessions are 13 MiB, a large site's count of a day 4 MiB, all envelopes there can be 90 MiB. What does not fit is left behind, and
/// counted from nothing.
const BYTES_MAX: usize = 256 << 20;

/// What is handed over. Wiped when dropped.
pub struct Estate(Zeroizing<Vec<u8>>);

impl Estate {
    /// Of a program in which nothing moves any more.
    #[must_use]
    pub fn of(visitors: &Visitors, uniques: &Uniques, crowds: &Crowds, envelopes: &Envelopes, now: Timestamp) -> Self {
        let mut written = Written::default();
        written.moment(now);
        written.optional(clock::since_boot(), Written::span);
        visitors.give(&mut written);
        envelopes.give(&mut written);
        uniques.give(&mut written, BYTES_MAX / 2);
        crowds.give(&mut written, BYTES_MAX);
        Self(written.into_bytes())
    }

    /// Puts it into the parts of a program that has just begun. Blocks.
    ///
    /// # Errors
    /// When it cannot be read; then some of it may be in the parts already, and the program is not to go on.
    pub fn settle(
        &self,
        visitors: &Visitors,
        uniques: &Uniques,
        crowds: &Crowds,
        envelopes: &Envelopes,
        now: Timestamp,
    ) -> Result<(), Unreadable> {
        let mut head = Unread::of(&self.0, Duration::ZERO);
        let (written, boot) = (head.moment()?, head.optional(Unread::span)?);
        // Both processes run on one machine, so that its own clock says how long it took; where it says nothing, the wall clock has to do.
        let on_the_way = boot.zip(clock::since_boot()).map_or_else(|| now.since(written), |(then, now)| now.saturating_sub(then));
        let mut unread = Unread::of(head.rest(), on_the_way);
        visitors.take(&mut unread, now)?;
        envelopes.take(&mut unread)?;
        uniques.take(&mut unread)?;
        crowds.take(&mut unread)?;
        unread.end()
    }

    /// Sends it to the process at the other end.
    ///
    /// # Errors
    /// When that one is gone or does not read.
    pub fn send(&self, to: &mut UnixStream) -> io::Result<()> {
        to.write_all(&VERSION.to_le_bytes())?;
        to.write_all(&(self.0.len() as u64).to_le_bytes())?;
        to.write_all(&self.0)
    }

    /// Takes it from the process at the other end.
    ///
    /// # Errors
    /// When that one is gone or silent, or it is in another form or too much.
    pub fn receive(from: &mut UnixStream) -> io::Result<Self> {
        let (mut version, mut length) = ([0; 4], [0; 8]);
        from.read_exact(&mut version)?;
        from.read_exact(&mut length)?;
        let length = usize::try_from(u64::from_le_bytes(length)).unwrap_or(usize::MAX);
        if u32::from_le_bytes(version) != VERSION || length > BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is in another form"));
        }
        let mut bytes = Zeroizing::new(vec![0; length]);
        from.read_exact(&mut bytes)?;
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests;
