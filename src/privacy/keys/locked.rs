//! A key in a memory page of its own: kept out of swap and core dumps where the system allows it, wiped when dropped.
//!
//! This is the only file of a release with `unsafe` code. Where locking fails (containers with a small `RLIMIT_MEMLOCK`, other systems)
//! the key is used all the same and [`LockedKey::is_locked`] says so; the caller warns and shows it.
#![allow(unsafe_code)]

use std::{io, ptr, sync::atomic};

/// Length of every key in bytes.
pub const KEY_BYTES: usize = 32;

/// 256 bits from the operating system's random source, in a locked page.
pub struct LockedKey {
    page: ptr::NonNull<u8>,
    page_bytes: usize,
    locked: bool,
}

// SAFETY: the page belongs to this value alone, is written only in `filled_by` and `drop`, and is only read in between.
unsafe impl Send for LockedKey {}
// SAFETY: as above; shared reads of bytes that nobody writes.
unsafe impl Sync for LockedKey {}

impl LockedKey {
    /// A new random key.
    ///
    /// # Errors
    /// When the system gives no memory or no randomness.
    pub fn random() -> io::Result<Self> {
        Self::filled_by(|bytes| getrandom::fill(bytes).map_err(|_| io::Error::other("the system has no randomness to give")))
    }

    /// A key that another process had.
    ///
    /// # Errors
    /// When the system gives no memory.
    pub(in crate::privacy) fn taken_over(key: &[u8; KEY_BYTES]) -> io::Result<Self> {
        Self::filled_by(|bytes| {
            bytes.copy_from_slice(key);
            Ok(())
        })
    }

    fn filled_by(fill: impl FnOnce(&mut [u8]) -> io::Result<()>) -> io::Result<Self> {
        // SAFETY: asks for a constant of the system; no memory is touched.
        let page_bytes = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
        // SAFETY: an anonymous private mapping at an address of the kernel's choice aliases nothing.
        let page = unsafe {
            libc::mmap(ptr::null_mut(), page_bytes, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
        };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `page` is the start of a mapping of `page_bytes` made above.
        let locked = unsafe { libc::mlock(page, page_bytes) } == 0;
        #[cfg(target_os = "linux")]
        // SAFETY: as above; the advice changes what a core dump holds, not the memory.
        unsafe {
            libc::madvise(page, page_bytes, libc::MADV_DONTDUMP);
        }
        let page = ptr::NonNull::new(page.cast()).ok_or_else(|| io::Error::other("a mapping at address zero"))?;
        let key = Self { page, page_bytes, locked };
        // SAFETY: the mapping is writable, at least KEY_BYTES long, and nobody else has its address yet.
        let bytes = unsafe { std::slice::from_raw_parts_mut(key.page.as_ptr(), KEY_BYTES) };
        fill(bytes)?;
        Ok(key)
    }

    /// Whether the page is locked into memory.
    #[must_use]
    pub const fn is_locked(&self) -> bool {
        self.locked
    }

    pub(in crate::privacy) fn bytes(&self) -> &[u8; KEY_BYTES] {
        // SAFETY: the page is mapped, readable and KEY_BYTES long for as long as `self` lives, and not written while it does.
        unsafe { &*self.page.as_ptr().cast() }
    }
}

impl Drop for LockedKey {
    fn drop(&mut self) {
        for at in 0..KEY_BYTES {
            // SAFETY: within the mapping; volatile, so that the wipe is not optimised away before the unmapping.
            unsafe { ptr::write_volatile(self.page.as_ptr().add(at), 0) };
        }
        atomic::compiler_fence(atomic::Ordering::SeqCst);
        // SAFETY: exactly the mapping made in `filled_by`, which nobody uses after this.
        unsafe { libc::munmap(self.page.as_ptr().cast(), self.page_bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_keys_differ() {
        let (one, two) = (LockedKey::random().unwrap(), LockedKey::random().unwrap());
        assert_ne!(one.bytes(), two.bytes());
        assert_ne!(one.bytes(), &[0; KEY_BYTES]);
        assert_eq!(LockedKey::taken_over(one.bytes()).unwrap().bytes(), one.bytes());
    }
}
