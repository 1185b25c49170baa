//! What stands behind a request's choice, where the choice alone does not say enough.

/// How a request came by its signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// A yes in it was given in the dialogue of this very site: said to its script, or shown by a TC string, which is for one site alone.
    /// Consent Mode is no such yes (a site may set it by default), nor are a tag manager's categories.
    pub said_here: bool,
}
