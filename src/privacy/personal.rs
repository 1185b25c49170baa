//! `Personal<T>`: a box that anyone can fill and only `crate::privacy` can open.
//!
//! It has no `Debug`, `Display`, `Clone`, `Serialize` or `Deref`, so that request data can be carried through the program
//! but not printed, copied, stored or sent by it. `tests/compile_fail/` holds the attempts.

/// A value that tells something about a person, sealed for every module but `crate::privacy`.
pub struct Personal<T>(T);

impl<T> Personal<T> {
    /// Seals a value. There is no way back outside `crate::privacy`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Looks at the value.
    pub(in crate::privacy) const fn expose(&self) -> &T {
        &self.0
    }
}
