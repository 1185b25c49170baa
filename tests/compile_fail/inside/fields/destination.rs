//! A destination tries to say more than it was given.

use crate::{
    clock::Timestamp,
    event::Offset,
    privacy::disclose::Disclosure,
};

/// Makes a disclosure of its own.
pub(crate) fn make() -> Disclosure {
    Disclosure { offset: Offset(0), lane: 0, received: Timestamp(0) } //~ E0451
}
