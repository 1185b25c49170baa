//! What stands behind a request's choice, where the choice alone does not say enough.

use std::borrow::Cow;

use crate::privacy::{personal::Personal, raw::Text};

/// TC strings of one request that are asked about vendors; a request of more lets no vendor through.
const TC_STRINGS_MAX: usize = 4;

/// How a request came by its signal.
#[derive(Default)]
pub struct Evidence<'a> {
    /// A yes in it was given in the dialogue of this very site: said to its script, or shown by a TC string, which is for one site alone.
    /// Consent Mode is no such yes (a site may set it by default), nor are a tag manager's categories.
    pub said_here: bool,
    strings: Vec<TcText<'a>>,
    uncounted: bool,
}

/// A text that is a TC string, or may hold one.
pub(in crate::privacy) enum TcText<'a> {
    /// A TC string.
    Tcf(Text<'a>),
    /// A GPP string, with a section for the Union or without.
    Gpp(Text<'a>),
}

impl<'a> Evidence<'a> {
    /// Evidence that a yes was given on the site itself, or not, without a string.
    #[must_use]
    pub fn said_here(said_here: bool) -> Self {
        Self { said_here, ..Self::default() }
    }

    /// Keeps a TC string, for what it says of vendors.
    pub fn keep_tcf(&mut self, text: Cow<'a, str>) {
        self.keep(TcText::Tcf(Personal::new(text)));
    }

    /// Keeps a GPP string, for the same reason.
    pub fn keep_gpp(&mut self, text: Cow<'a, str>) {
        self.keep(TcText::Gpp(Personal::new(text)));
    }

    fn keep(&mut self, text: TcText<'a>) {
        if self.strings.len() < TC_STRINGS_MAX { self.strings.push(text) } else { self.uncounted = true }
    }

    pub(in crate::privacy) fn strings(&self) -> &[TcText<'a>] {
        &self.strings
    }

    /// Whether there were more strings than are kept.
    pub(in crate::privacy) const fn is_cut(&self) -> bool {
        self.uncounted
    }
}
