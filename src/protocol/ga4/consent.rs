//! Consent in a request of Google's tag: its own Consent Mode (`gcs`, `gcd`, `npa`), and the IAB's parameters for URLs, which consent tools
//! and tag managers add to any vendor's: `gdpr`, `gdpr_consent`, `gpp`, `us_privacy`. All of them count, and the most restrictive wins.
//!
//! `gdpr=1` without a string means that consent is needed and cannot be shown: nothing is granted then, whatever else says so. An empty
//! parameter says nothing.

use crate::{
    clock::Timestamp,
    privacy::consent::{ConsentSignal, Stance, consent_mode, consent_mode::ConsentMode, evidence::Evidence, gpp, tcf, us_privacy},
};

/// Whether a parameter speaks of consent.
pub(super) fn speaks(name: &str) -> bool {
    consent_mode::PARAMETERS.contains(&name) || matches!(name, "gdpr" | "gdpr_consent" | "gpp" | "us_privacy")
}

/// All that a request says of the visitor's choice.
#[derive(Default)]
pub(super) struct Choice {
    mode: ConsentMode,
    others: Stance,
    consent_is_needed: bool,
    evidence: Evidence<'static>,
}

impl Choice {
    /// Takes a parameter in that [`speaks`]. `now` is the time of receipt.
    pub(super) fn hear(&mut self, name: &str, value: &str, now: Timestamp) {
        let heard = match name {
            "gdpr" => {
                self.consent_is_needed |= value == "1";
                return;
            }
            _ if consent_mode::PARAMETERS.contains(&name) => return self.mode.hear(name, value),
            _ if value.is_empty() => return,
            "gdpr_consent" => {
                let stance = tcf::stance(value, now);
                self.evidence.said_here |= stance.grants();
                self.evidence.keep_tcf(value.to_owned().into());
                stance
            }
            "gpp" => {
                self.evidence.keep_gpp(value.to_owned().into());
                gpp::stance(value, now)
            }
            _ => us_privacy::stance(value),
        };
        self.others = self.others.and(heard);
    }

    /// What stands behind that.
    pub(super) fn evidence(&mut self) -> Evidence<'static> {
        std::mem::take(&mut self.evidence)
    }

    /// What follows for the request.
    pub(super) fn signal(&self) -> ConsentSignal {
        // The IAB's strings alone show a consent; without one, Consent Mode may still say no.
        let is_shown = self.others.signal() != ConsentSignal::Absent;
        match self.mode.stance().and(self.others).signal() {
            ConsentSignal::Given { purposes, .. } if self.consent_is_needed && !is_shown && !purposes.is_empty() => ConsentSignal::Absent,
            signal => signal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Purposes;

    const NOW: Timestamp = Timestamp(1_773_480_413_589);

    fn signal(query: &str) -> ConsentSignal {
        let mut choice = Choice::default();
        for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            assert!(speaks(name), "{name}");
            choice.hear(name, value, NOW);
        }
        choice.signal()
    }

    #[test]
    fn the_iabs_parameters_and_googles_count_together() {
        use ConsentSignal::{Absent, GlobalPrivacyControl, Malformed};
        let given = |purposes| ConsentSignal::Given { purposes, seconds_left: None };
        let granted = "gcs=G111&gcd=13v3v3v3v5";
        for (query, expected) in [
            ("gdpr=0&gdpr_consent=&gpp=&us_privacy=", Absent),
            ("gdpr=1", Absent),
            ("gdpr=1&gcs=G111", Absent),
            ("gdpr=1&gcs=G100", given(Purposes::NONE)),
            ("gdpr=0&gcs=G111", given(Purposes::ANALYTICS)),
            ("us_privacy=1YNN&gcs=G111", given(Purposes::ANALYTICS)),
            ("us_privacy=1YYN", Absent),
            ("us_privacy=1YYN&gcs=G111&gcd=13v3v3v3v5", given(Purposes::ANALYTICS)),
            ("gpp=DBABLA~CAAQAAAAAABA.QA&gcs=G111&gcd=13v3v3v3v5", given(Purposes::ANALYTICS)),
            ("gpp=DBABLA~CAAAAAAAAABA.YA&gcs=G111&gcd=13v3v3v3v5", GlobalPrivacyControl),
            ("gpp=nonsense&gcs=G111", Malformed),
            ("gdpr_consent=nonsense&gcs=G111", Malformed),
            ("us_privacy=nonsense&gcs=G111", Malformed),
        ] {
            assert_eq!(signal(query), expected, "{query}");
        }
        assert_eq!(signal(granted), given(Purposes::ANALYTICS.and(Purposes::ADS)));
    }

    #[test]
    fn of_all_that_a_tag_says_a_tc_string_alone_was_said_on_this_site() {
        let tc = "CQg2bYAQg2bYAEsABBFRB4FgAIGAAEPgAAqIF5wAoAAgAEAvMAAAAAAA.IF5wA4AAgAEAAoBeYAAA.YAAAAAAAAAAA";
        for (name, value, here) in [("gcs", "G111", false), ("gdpr_consent", tc, true), ("gpp", &*format!("DBABMA~{tc}"), false)] {
            let mut choice = Choice::default();
            choice.hear(name, value, NOW);
            assert!(Stance::from(choice.signal()).grants(), "{name}");
            assert_eq!(choice.evidence().said_here, here, "{name}");
        }
    }
}
