//! Cookies that vendors' scripts set on a page, kept alive: Safari lets a cookie that a script has set live for 7 days, and one that a server
//! sets as long as it says. Where a site lists one, it is set again with the same value, under its vendor's purpose, and never longer than
//! counted from the moment of its first setting, which the value itself carries. None is ever made here, or looked at for anything else.
//!
//! | cookie | value | life |
//! |---|---|---|
//! | `_ga` | `GA1.<level>.<random>.<first set, s>` | the vendor's 2 years, so our 13 months |
//! | `_fbp` | `fb.<level>.<first set, ms>.<random>[.<appendix>]` | 90 days |
//! | `_fbc` | `fb.<level>.<first set, ms>.<click id>[.<appendix>]` | 90 days |
//!
//! The level says for which domain the script set it: the number of the domain's labels (`_ga`; gtag.js says 1 whatever the domain), or one less
//! (`_fbp`, `_fbc`). Setting it for another one would make two; what does not fit is left alone.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    consent::{ConsentSignal, ConsentState, Decision},
    raw::{Arrival, RawEvent},
    rules::{Rule, holds},
    visitor::{COOKIE_AGE_MAX, SetCookie, Visitor},
};
use crate::{clock::Timestamp, documents::Site, event::Purposes};

/// A first setting so long after our clock's now is none: a terminal's clock is wrong by less.
const AHEAD_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// A click id is at most so long.
const CLICK_ID_BYTES_MAX: usize = 500;

/// A vendor's cookie that can be kept alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum VendorCookie {
    /// Google Analytics' client id.
    #[serde(rename = "_ga")]
    Ga,
    /// Meta's browser id.
    #[serde(rename = "_fbp")]
    Fbp,
    /// Meta's click id.
    #[serde(rename = "_fbc")]
    Fbc,
}

impl VendorCookie {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ga => "_ga",
            Self::Fbp => "_fbp",
            Self::Fbc => "_fbc",
        }
    }

    /// What it is for.
    #[must_use]
    pub const fn purpose(self) -> Purposes {
        match self {
            Self::Ga => Purposes::ANALYTICS,
            Self::Fbp | Self::Fbc => Purposes::ADS,
        }
    }

    /// How long it lives, counted from its first setting.
    #[must_use]
    pub const fn life(self) -> Duration {
        match self {
            Self::Ga => COOKIE_AGE_MAX,
            Self::Fbp | Self::Fbc => Duration::from_secs(90 * 24 * 60 * 60),
        }
    }

    /// When a value was first set, if it is one that the vendor's script sets for a domain of so many labels.
    fn first_set(self, value: &str, labels: usize) -> Option<Timestamp> {
        let parts: Vec<&str> = value.split('.').collect();
        let level = |said: &str, level: usize| said == level.to_string();
        match (self, parts.as_slice()) {
            (Self::Ga, ["GA1", said, random, seconds]) => {
                let fits = (level(said, 1) || level(said, labels)) && is_number(random, 1, 10) && is_number(seconds, 10, 10);
                seconds.parse::<i64>().ok().filter(|_| fits).map(|seconds| Timestamp(seconds * 1000))
            }
            (Self::Fbp | Self::Fbc, ["fb", said, millis, id, appendix @ ..]) => {
                let id_fits = if self == Self::Fbp { is_number(id, 1, 20) } else { is_word(id, 1, CLICK_ID_BYTES_MAX) };
                let appended = match appendix {
                    [] => true,
                    [short] if short.len() == 2 => ["AQ", "Ag", "Aw", "BA", "BQ", "Bg"].contains(short),
                    [long] => is_word(long, 8, 8),
                    _ => false,
                };
                let fits = level(said, labels.checked_sub(1)?) && is_number(millis, 13, 13) && id_fits && appended;
                millis.parse::<i64>().ok().filter(|_| fits).map(Timestamp)
            }
            _ => None,
        }
    }

    /// How long it may live from now on; nothing: it is left alone.
    fn time_left(self, value: &str, domain: &str, now: Timestamp) -> Option<Duration> {
        let first_set = self.first_set(value, domain.split('.').count())?;
        if first_set > now.plus(AHEAD_MAX) {
            return None;
        }
        if !holds(Rule::VendorCookieIsNotExtended) {
            return Some(self.life());
        }
        self.life().checked_sub(now.since(first_set)).filter(|left| !left.is_zero())
    }
}

fn is_number(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_word(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// What follows for the listed cookies that a request carries, once its visitor has said yes: one whose purpose was granted is set again with
/// the answer to a page view, so once for each page; one whose purpose was not is taken away.
pub fn kept_alive(
    arrival: &Arrival<'_>,
    decision: Decision,
    visitor: &Visitor,
    site: &Site,
    events: &[RawEvent<'_>],
    now: Timestamp,
) -> Vec<SetCookie> {
    let (ConsentState::Granted(granted), Some(domain)) = (decision.state(), site.cookies.domain()) else { return Vec::new() };
    let own = &arrival.own.of_vendors;
    let mut cookies: Vec<SetCookie> = own
        .iter()
        .filter(|(cookie, _)| !granted.cover(cookie.purpose()))
        .flat_map(|(cookie, _)| SetCookie::forget_of_vendor(*cookie, site))
        .collect();
    let page_view = events.iter().any(|event| event.name.as_ref().is_some_and(|name| name.expose() == "page_view"));
    if !page_view || !arrival.secure {
        return cookies;
    }
    let said = match arrival.signal {
        ConsentSignal::Given { seconds_left: Some(seconds), .. } => Duration::from_secs(seconds.into()),
        _ => Duration::MAX,
    };
    let consent = visitor.person().map_or(said, |person| person.expires().since(now).min(said));
    let consent = if holds(Rule::VendorCookieEndsWithConsent) { consent } else { Duration::MAX };
    let agreed = |cookie: VendorCookie| granted.cover(cookie.purpose()) || !holds(Rule::VendorCookieOfItsPurpose);
    for (cookie, value) in own.iter().filter(|(cookie, _)| agreed(*cookie)) {
        let once = own.iter().filter(|(other, _)| other == cookie).count() == 1;
        let left = cookie.time_left(value.expose(), domain, now).filter(|_| once).map(|left| left.min(consent));
        cookies.extend(left.filter(|left| left.as_secs() > 0).map(|left| SetCookie::of_vendor(*cookie, value.expose(), domain, left)));
    }
    cookies
}

/// Takes those that a request carries away, after an objection.
pub(in crate::privacy) fn forgotten(arrival: &Arrival<'_>, site: &Site) -> Vec<SetCookie> {
    let mut sent: Vec<VendorCookie> = arrival.own.of_vendors.iter().map(|(cookie, _)| *cookie).collect();
    sent.dedup();
    let sent = sent.into_iter().filter(|_| holds(Rule::ObjectionClearsVendorCookies));
    sent.flat_map(|cookie| SetCookie::forget_of_vendor(cookie, site)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);
    const DAY: i64 = 86_400;

    #[test]
    fn a_value_is_the_vendors_own_for_that_domain_or_left_alone() {
        use VendorCookie::{Fbc, Fbp, Ga};
        let (set, left) = (Timestamp(1_790_000_000_000), None);
        for (cookie, value, expected) in [
            (Ga, "GA1.1.1234567890.1790000000", Some(set)),
            (Ga, "GA1.2.1.1790000000", Some(set)),
            (Ga, "GA1.3.1.1790000000", left),
            (Ga, "GA1.1.12345678901.1790000000", left),
            (Ga, "GA1.1.1.179000000", left),
            (Ga, "GA1.1.1.1790000000.1", left),
            (Ga, "GA1.1.1.1790000000; Domain=x", left),
            (Ga, "GA1.1..1790000000", left),
            (Ga, "GS2.1.1.1790000000", left),
            (Ga, "amp-abc", left),
            (Ga, "", left),
            (Fbp, "fb.1.1790000000000.123456789", Some(set)),
            (Fbp, "fb.1.1790000000000.52390506499288804.AQYCAQMA", Some(set)),
            (Fbp, "fb.1.1790000000000.123456789.Bg", Some(set)),
            (Fbp, "fb.1.1790000000000.123456789.XX", left),
            (Fbp, "fb.2.1790000000000.123456789", left),
            (Fbp, "fb.1.1790000000.123456789", left),
            (Fbp, "fb.1.1790000000000.IwAR2", left),
            (Fbc, "fb.1.1790000000000.IwAR2_x-Y", Some(set)),
            (Fbc, "fb.1.1790000000000.IwAR2_x-Y.AQ.AQ", left),
            (Fbc, "fb.1.1790000000000.jane@example", left),
            (Fbc, "GA1.1.1234567890.1790000000", left),
        ] {
            assert_eq!(cookie.first_set(value, 2), expected, "{} {value}", cookie.name());
        }
        assert_eq!(Ga.first_set("GA1.3.1.1790000000", 3), Some(set));
        assert_eq!(Fbc.first_set(&format!("fb.1.1790000000000.{}", "x".repeat(501)), 2), None);
    }

    #[test]
    fn its_end_is_counted_from_its_first_setting() {
        let seconds = |ago: i64| NOW.0 / 1000 - ago;
        let ga =
            |ago: i64| VendorCookie::Ga.time_left(&format!("GA1.1.1.{}", seconds(ago)), "shop.example", NOW).map(|left| left.as_secs());
        let fbp =
            |ago: i64| VendorCookie::Fbp.time_left(&format!("fb.1.{}000.1", seconds(ago)), "shop.example", NOW).map(|left| left.as_secs());
        let days = |days: u64| Some(days * DAY.unsigned_abs());
        assert_eq!([ga(0), ga(100 * DAY), ga(394 * DAY), ga(395 * DAY), ga(500 * DAY)], [days(395), days(295), days(1), None, None]);
        assert_eq!([fbp(0), fbp(89 * DAY), fbp(90 * DAY)], [days(90), days(1), None]);
        assert_eq!((ga(-DAY), ga(-DAY - 1)), (days(395), None), "a clock that goes before ours adds nothing");
    }
}
