//! For how long what is kept: here by the configuration and the program's own bounds, at receivers as the documents say.

use std::time::Duration;

use super::{
    profiles,
    sheet::{Fact, setting},
    sources::{Activity, Receiving, Sources},
    words::Words,
};
use crate::privacy::{
    consent::chain::KEPT_AFTER_END,
    visitor::{COOKIE_AGE_MAX, OPT_OUT_AGE},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The time limits, one after the other.
pub(super) fn facts(words: &Words, sources: &Sources, activity: &Activity<'_>) -> Vec<Fact> {
    let machine = &sources.machine;
    let said = |key: &str, value: String| Fact::known(key, words.dynamic("retention", key), value);
    let days = |span: Duration| (span.as_secs() / DAY.as_secs()).to_string();
    let mut facts = vec![said("raw_request", words.say("retention.raw_request_is"))];
    if activity.site.ceilings.unknown.is_some() {
        let hours = machine.without_consent_hours.to_string();
        let value = words.fill("retention.hours", &[("hours", &hours)]);
        facts.push(said("events_without_consent", value).written(hours).by("firsthand.toml: retention.without_consent_hours"));
        facts.push(said("day_key", words.say("retention.day_key_is")));
    }
    if activity.consented().next().is_some() {
        let kept = machine.with_consent_days.to_string();
        let value = words.fill("retention.days_sealed", &[("days", &kept)]);
        facts.push(said("events_with_consent", value).written(kept).by("firsthand.toml: retention.with_consent_days"));
    }
    for rules in activity.receiving.iter().filter_map(Receiving::own) {
        facts.extend(profiles::retention(words, activity, rules));
    }
    if activity.site.ceilings.lasting() {
        facts.push(said("visitor_cookie", words.fill("retention.cookie_is", &[("days", &days(COOKIE_AGE_MAX))])));
        let years = (KEPT_AFTER_END.as_secs() / (366 * DAY.as_secs())).to_string();
        facts.push(said("consent_record", words.fill("retention.consent_record_is", &[("years", &years)])));
    }
    facts.push(said("opt_out_cookie", words.fill("retention.opt_out_is", &[("days", &days(OPT_OUT_AGE))])));
    for cookie in activity.site.cookies.of_vendors() {
        let life = days(cookie.life());
        let value = words.fill("retention.vendor_cookie_is", &[("cookie", cookie.name()), ("days", &life)]);
        facts.push(said("vendor_cookie", value).by(setting("site", &activity.site.name, "vendor_cookies")));
    }
    facts.push(said("ledger", words.say("retention.ledger_is")));
    facts
}
