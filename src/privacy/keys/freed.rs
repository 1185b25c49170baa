//! What becomes of memory that is freed: it is zeros at once, so that what a request left in a buffer cannot be read out of the process later.

/// The program's allocator.
#[cfg(not(feature = "proof"))]
pub type Allocator = zeroizing_alloc::ZeroAlloc<mimalloc::MiMalloc>;

/// The one that there is of it.
#[cfg(not(feature = "proof"))]
pub const ALLOCATOR: Allocator = zeroizing_alloc::ZeroAlloc(mimalloc::MiMalloc);

#[cfg(feature = "proof")]
pub use self::switched::{ALLOCATOR, Allocator};

/// The same with a switch, for builds that can leave rules out.
#[cfg(feature = "proof")]
#[allow(unsafe_code)]
mod switched {
    use std::alloc::{GlobalAlloc, Layout};

    use mimalloc::MiMalloc;
    use zeroizing_alloc::ZeroAlloc;

    use crate::privacy::rules::{Rule, holds};

    const WIPING: ZeroAlloc<MiMalloc> = ZeroAlloc(MiMalloc);

    /// Wipes what is freed while the rule is in force.
    pub struct Allocator;

    /// The one that there is of it.
    pub const ALLOCATOR: Allocator = Allocator;

    // SAFETY: both ways to free hand on to the same allocator, which everything comes from.
    unsafe impl GlobalAlloc for Allocator {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: as the caller promises.
            unsafe { WIPING.alloc(layout) }
        }

        unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
            if holds(Rule::FreedMemoryIsWiped) {
                // SAFETY: as the caller promises.
                unsafe { WIPING.dealloc(memory, layout) }
            } else {
                // SAFETY: as the caller promises.
                unsafe { MiMalloc.dealloc(memory, layout) }
            }
        }
    }
}
