//! The cookies in which Matomo's script keeps a visitor's choice on the site's own host (`matomo.js`; the guides "Asking for consent" and
//! "Opt-out" of <https://developer.matomo.org>).
//!
//! | cookie | set by | what it says | here |
//! |---|---|---|---|
//! | `mtm_consent` | `rememberConsentGiven`: a moment in ms | may be tracked, with cookies | `analytics` |
//! | `mtm_cookie_consent` | `rememberCookieConsentGiven`: a moment in ms | may have cookies | `analytics`: a lasting id is what the purpose is about |
//! | `mtm_consent_removed` | `forgetConsentGiven`, `optUserOut`: a moment in ms | took consent back, opted out | a refusal |
//! | `matomo_ignore`, `piwik_ignore` | the opt-out frame: any value | opted out | a refusal |
//!
//! A refusal wins over a yes, as in Matomo's script. It lasts as long as its cookie: it is no opt-out of ours, which would outlive it. An
//! empty cookie is one that was taken away and says nothing. A yes that is no moment cannot be read, and counts as no.
//!
//! A refusal is a person's decision, and counts on every site. A yes was given to Matomo's script: it counts where the site's document says
//! that this is the yes for the whole site (`follow = ["matomo"]`).

use super::{ConsentSignal, Stance};
use crate::{
    event::Purposes,
    privacy::rules::{Rule, holds},
};

/// The cookies that say yes.
const CONSENTS: [&str; 2] = ["mtm_consent", "mtm_cookie_consent"];
/// A moment in milliseconds has 13 digits until the year 2286.
const MOMENT_BYTES_MAX: usize = 20;

/// What the cookies of a request say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatomoCookies {
    refusal: Stance,
    consent: Stance,
}

impl MatomoCookies {
    /// Takes one cookie in, whosever it is.
    pub fn hear(&mut self, name: &str, value: &str) {
        let heard = stance(name, value);
        let whose = if CONSENTS.contains(&name) { &mut self.consent } else { &mut self.refusal };
        *whose = whose.and(heard);
    }

    /// What of it is no yes.
    #[must_use]
    pub(in crate::privacy) fn objections(self) -> Self {
        Self { consent: if self.consent.grants() { Stance::default() } else { self.consent }, ..self }
    }

    /// What follows, on a site that follows a yes or on one that does not.
    #[must_use]
    pub fn stance(self, followed: bool) -> Stance {
        let refusal = if holds(Rule::MatomoRefusal) { self.refusal } else { Stance::default() };
        if followed { refusal.and(self.consent) } else { refusal }
    }
}

/// What one cookie says; nothing, where it is none of Matomo's.
#[must_use]
pub fn stance(name: &str, value: &str) -> Stance {
    let granted = match name {
        name if CONSENTS.contains(&name) => Purposes::ANALYTICS,
        "mtm_consent_removed" | "matomo_ignore" | "piwik_ignore" => Purposes::NONE,
        _ => return Stance::default(),
    };
    if value.is_empty() {
        return Stance::default();
    }
    if !granted.is_empty() && !is_moment(value) {
        return ConsentSignal::Malformed.into();
    }
    ConsentSignal::Given { purposes: granted, seconds_left: None }.into()
}

fn is_moment(value: &str) -> bool {
    value.len() <= MOMENT_BYTES_MAX && value.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_yes_is_a_moment_and_any_no_wins() {
        let given = |purposes| ConsentSignal::Given { purposes, seconds_left: None };
        let (yes, no) = (given(Purposes::ANALYTICS), given(Purposes::NONE));
        let moment = "1773480413589";
        let cases: [(&[(&str, &str)], ConsentSignal); 11] = [
            (&[], ConsentSignal::Absent),
            (&[("_pk_id.1.1fff", "a1b2c3d4e5f60718.1773480413.")], ConsentSignal::Absent),
            (&[("mtm_consent", moment)], yes),
            (&[("mtm_cookie_consent", moment)], yes),
            (&[("mtm_consent", "")], ConsentSignal::Absent),
            (&[("mtm_consent", "yes")], ConsentSignal::Malformed),
            (&[("mtm_consent", "177348041358917734804135")], ConsentSignal::Malformed),
            (&[("mtm_consent_removed", moment)], no),
            (&[("mtm_consent", moment), ("mtm_consent_removed", moment)], no),
            (&[("mtm_cookie_consent", moment), ("matomo_ignore", "ignore")], no),
            (&[("piwik_ignore", "ignore=czoxOiIqIjs="), ("mtm_consent", "yes")], no),
        ];
        for (cookies, expected) in cases {
            let said = cookies.iter().fold(Stance::default(), |all, (name, value)| all.and(stance(name, value)));
            assert_eq!(said.signal(), expected, "{cookies:?}");
            let mut heard = MatomoCookies::default();
            cookies.iter().for_each(|(name, value)| heard.hear(name, value));
            assert_eq!(heard.stance(true).signal(), expected, "{cookies:?}");
            let not_followed = if expected == no { no } else { ConsentSignal::Absent };
            assert_eq!(heard.stance(false).signal(), not_followed, "{cookies:?}");
        }
    }
}
