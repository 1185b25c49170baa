//! AMP's consent state, as `${consentState}` says it on a page with `amp-consent`: `sufficient`, `insufficient`, `not_required` or `unknown`.

use super::ConsentSignal;
use crate::event::Purposes;

/// What a list of purposes that stands in the page's markup says under AMP's state. The same list is in every request of the page: it is a choice only where AMP says that there was
/// one. Where none is required, or nobody knows, the visitor has not chosen.
#[must_use]
pub fn counted(state: &str, listed: ConsentSignal) -> ConsentSignal {
    match (state, listed) {
        ("sufficient", listed) => listed,
        ("insufficient", _) => ConsentSignal::Given { purposes: Purposes::NONE, seconds_left: None },
        (_, ConsentSignal::Given { purposes, .. }) if !purposes.is_empty() => ConsentSignal::Absent,
        (_, listed) => listed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_grants_only_where_amp_says_that_there_was_a_yes() {
        use ConsentSignal::{Absent, Malformed};
        let given = |purposes| ConsentSignal::Given { purposes, seconds_left: None };
        let (yes, no) = (given(Purposes::ANALYTICS), given(Purposes::NONE));
        for (state, listed, expected) in [
            ("sufficient", yes, yes),
            ("sufficient", no, no),
            ("sufficient", Absent, Absent),
            ("sufficient", Malformed, Malformed),
            ("insufficient", yes, no),
            ("insufficient", Absent, no),
            ("not_required", yes, Absent),
            ("unknown", yes, Absent),
            ("unknown", no, no),
            ("unknown", Malformed, Malformed),
            ("", yes, Absent),
            ("SUFFICIENT", yes, Absent),
            ("${consentState}", yes, Absent),
        ] {
            assert_eq!(counted(state, listed), expected, "{state} {listed:?}");
        }
    }
}
