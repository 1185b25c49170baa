//! From documents as people write them to the form that the line reads: checked, resolved, and refused with a reason and a fix.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::tz::TimeZone;

use super::{
    Basis, Destination, Documents, EXEMPT_MONTHS_MAX, api_key, crowds, declared,
    deviation::{Deviation, State},
    listed_names,
    parse::{BasisName, DestinationDocument, Document, GpcSiteOverride, PolicyDocument, Release, SiteDocument},
    profile, routes,
    site::{Ceilings, Policy, Recipient, SignalRules, Site},
    snippet::{ConsentTool, SnippetParts},
};
use crate::{
    config::secret,
    destination::DESTINATIONS,
    event::{DestinationNumber, PolicyVersion, Purposes, SiteNumber},
    privacy::{
        consent::vendor_decisions::VENDORS_MAX,
        policy::{Allowed, Field, Treatment, Treatments},
        rules::{Rule, holds},
        scrub::routes::Routes,
        transform::Transform,
    },
    protocol::{PROTOCOLS, cookies::CookieNames, server},
};

/// A page's purchase is not kept back for longer: receivers expect events of the day on the day.
const TWIN_WAIT_SECONDS_MAX: u64 = 60 * 60;
/// A shorter secret could be guessed by trying.
const IDENTIFY_SECRET_BYTES_MIN: usize = 16;
/// The reason of a deviation or an override: a sentence or two.
pub(super) const REASON_BYTES_MAX: usize = 1_000;

/// A document with the number or version that the store gave it.
pub struct Numbered {
    /// The document.
    pub document: Document,
    /// A site's or destination's number; a policy's version.
    pub number: u32,
}

/// What is wrong with a document: which one, which key, why, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} \"{name}\": {key}: {reason}{}", if fix.is_empty() { String::new() } else { format!("\n  fix: {fix}") })]
pub struct DocumentError {
    /// `site`, `destination`, `policy` or `api_key`.
    pub kind: &'static str,
    /// The document's name.
    pub name: String,
    /// Which key.
    pub key: String,
    /// What is wrong.
    pub reason: String,
    /// What to write instead.
    pub fix: String,
}

/// Compiles all documents together.
///
/// # Errors
/// Every fault found, not only the first.
pub fn compile(documents: &[Numbered]) -> Result<Documents, Vec<DocumentError>> {
    let mut errors = Vec::new();
    let mut policies: HashMap<&str, Arc<Policy>> = HashMap::new();
    let mut destinations: Vec<Arc<Destination>> = Vec::new();
    let mut site_documents: Vec<(&SiteDocument, SiteNumber)> = Vec::new();
    for Numbered { document, number } in documents {
        check_name(document, &mut errors);
        match document {
            Document::Policy(policy) => {
                check_policy(policy, &mut errors);
                policies.insert(&policy.name, Arc::new(compile_policy(policy, *number)));
            }
            Document::Site(site) => site_documents.push((site, SiteNumber(*number))),
            Document::Destination(_) | Document::ApiKey(_) => {}
        }
    }
    for Numbered { document, number } in documents {
        if let Document::Destination(document) = document {
            destinations.extend(compile_destination(document, DestinationNumber(*number), &site_documents, &mut errors).map(Arc::new));
        }
    }
    let profiles: Vec<_> =
        site_documents.iter().filter_map(|(document, number)| profile::compile(document, *number, &mut errors)).collect();
    let receiving: Vec<_> = destinations.iter().chain(profiles.iter().map(|rules| &rules.destination)).map(Arc::clone).collect();
    let keys = documents.iter().filter_map(|numbered| match &numbered.document {
        Document::ApiKey(key) => Some(key),
        _ => None,
    });
    let api_keys = api_key::compile(keys, &site_documents, &mut errors);
    let mut sites = Vec::new();
    for (document, number) in &site_documents {
        sites.extend(compile_site(document, *number, &policies, &receiving, &mut errors).map(Arc::new));
    }
    check_routes(&sites, &mut errors);
    check_deviations(&policies, &receiving, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut by_host: HashMap<String, Vec<Arc<Site>>> = HashMap::new();
    for site in &sites {
        for host in &site.hosts {
            by_host.entry(host.clone()).or_default().push(Arc::clone(site));
        }
    }
    for sites in by_host.values_mut() {
        sites.sort_by_key(|site| std::cmp::Reverse(site.prefix.len()));
    }
    Ok(Documents { sites, destinations, profiles, api_keys, by_host, ..Documents::default() })
}

pub(super) fn fault(
    errors: &mut Vec<DocumentError>,
    document: (&'static str, &str),
    key: &str,
    reason: impl Into<String>,
    fix: impl Into<String>,
) {
    let (kind, name) = document;
    errors.push(DocumentError { kind, name: name.to_owned(), key: key.to_owned(), reason: reason.into(), fix: fix.into() });
}

fn check_name(document: &Document, errors: &mut Vec<DocumentError>) {
    let name = document.name();
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if name.is_empty() || name.len() > 40 || !plain {
        let reason = "a name is 1 to 40 small letters, digits and dashes";
        fault(errors, (document.kind(), name), "name", reason, "name = \"my-shop\"");
    }
}

fn check_policy(policy: &PolicyDocument, errors: &mut Vec<DocumentError>) {
    crowds::check(policy, errors);
    routes::check(policy, errors);
    let document = ("policy", policy.name.as_str());
    listed_names::check(policy, errors);
    for Deviation { field, treatment, state, reason, .. } in &policy.deviation {
        let name = field.name();
        let offered: Vec<_> = field.offered().iter().map(|treatment| format!("\"{}\"", treatment.name())).collect();
        if !field.offered().contains(treatment) {
            let wrong = format!("\"{name}\" cannot be made \"{}\"", treatment.name());
            fault(errors, document, "deviation.treatment", wrong, format!("treatment = {}", offered.join(" or ")));
        }
        if !is_reason(reason) && holds(Rule::DeviationHasReason) {
            let wrong = format!("the deviation of \"{name}\" has no reason, or a very long one");
            fault(errors, document, "deviation.reason", wrong, "reason = \"why, for whoever asks in two years\"");
        }
        let widest = Treatments::of(Transform::Measurement.breadth(), false).get(*field);
        if *state == Some(State::Unknown) && *treatment > widest && holds(Rule::UnknownOnlyNarrows) {
            let wrong = format!("without consent \"{name}\" can be narrowed only: \"{}\" is the most there is", widest.name());
            fault(errors, document, "deviation.state", wrong, "state = \"granted\"");
        }
    }
}

/// Whether a text can be taken for a reason.
fn is_reason(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= REASON_BYTES_MAX
}

/// Checks that deviations name destinations that there are.
fn check_deviations(policies: &HashMap<&str, Arc<Policy>>, destinations: &[Arc<Destination>], errors: &mut Vec<DocumentError>) {
    let known: Vec<_> = destinations.iter().map(|destination| destination.name.as_str()).collect();
    for policy in policies.values() {
        for name in policy.deviations.iter().flat_map(|deviation| &deviation.destinations).filter(|name| !known.contains(&name.as_str())) {
            let wrong = format!("there is no destination \"{name}\"");
            fault(errors, ("policy", &policy.name), "deviation.destinations", wrong, suggestion(name, &known));
        }
        let of_envelopes = policy.deviations.iter().filter(|deviation| Field::OF_THE_ENVELOPE.contains(&deviation.field));
        for Deviation { field, .. } in of_envelopes.filter(|deviation| deviation.treatment > Treatment::Drop) {
            let cannot = |destination: &&Arc<Destination>| destination.dialect().is_none() || !destination.transform.breadth().has_ads();
            let named = |name: &String| destinations.iter().find(|destination| destination.name == *name);
            let deviations = policy.deviations.iter().filter(|deviation| deviation.field == *field);
            for destination in deviations.flat_map(|deviation| &deviation.destinations).filter_map(named).filter(cannot) {
                let wrong = format!("\"{}\" is of the sealed envelope, which \"{}\" cannot have", field.name(), destination.name);
                let fix = "name destinations of a type that asks for it (meta, tiktok), with transform = \"consented-ads\"";
                fault(errors, ("policy", &policy.name), "deviation.destinations", wrong, fix);
            }
        }
    }
}

fn compile_policy(policy: &PolicyDocument, version: u32) -> Policy {
    Policy {
        name: policy.name.clone(),
        version: PolicyVersion(version),
        events: policy.events.iter().cloned().collect(),
        properties: policy.properties.clone(),
        vendor_fields: listed_names::vendor_fields(policy),
        // Checked before: a policy with a fault is not used.
        routes: Routes::parse(&policy.routes).unwrap_or_default(),
        preset: policy.preset,
        crowd: crowds::compile(policy),
        deviations: policy.deviation.clone(),
    }
}

fn compile_destination(
    document: &DestinationDocument,
    number: DestinationNumber,
    sites: &[(&SiteDocument, SiteNumber)],
    errors: &mut Vec<DocumentError>,
) -> Option<Destination> {
    let before = errors.len();
    let of = ("destination", document.name.as_str());
    declared::check_destination(document, errors);
    let kind = DESTINATIONS.iter().find(|row| row.name == document.kind);
    let mut oldest = kind.map(|row| row.oldest);
    match kind {
        None => {
            let known: Vec<_> = DESTINATIONS.iter().map(|row| row.name).collect();
            fault(errors, of, "type", format!("there is no destination type \"{}\"", document.kind), suggestion(&document.kind, &known));
        }
        Some(row) => {
            match (row.open)(&document.settings) {
                Ok(service) => oldest = Some(row.oldest.min(service.limits().oldest)),
                Err(error) => fault(errors, of, &format!("settings.{}", error.key), error.reason, error.fix.unwrap_or_default()),
            }
            if row.vendor_reuses_data && document.basis == BasisName::ExemptMeasurement && holds(Rule::NoExemptionForReuse) {
                let reason = "this vendor uses the data for itself, so the audience-measurement exemption cannot cover it";
                fault(errors, of, "basis", reason, "basis = \"consent\" with purposes = [\"analytics\"]");
            }
        }
    }
    let basis = match document.basis {
        BasisName::ExemptMeasurement => {
            if !document.purposes.is_empty() {
                fault(errors, of, "purposes", "only the basis \"consent\" has purposes", "leave purposes out");
            }
            if document.transform.needs_consent() && holds(Rule::NoExemptionForConsented) {
                let reason = format!("\"{}\" shows what only a consent can allow", document.transform.name());
                fault(errors, of, "transform", reason, "transform = \"strict\" or \"measurement\", or basis = \"consent\"");
            }
            Basis::ExemptMeasurement
        }
        BasisName::Consent => {
            if document.purposes.is_empty() {
                fault(errors, of, "purposes", "the basis \"consent\" names at least one purpose", "purposes = [\"analytics\"]");
            }
            let purpose = match document.transform {
                Transform::ConsentedAnalytics => Purposes::ANALYTICS,
                Transform::ConsentedProfile => Purposes::PROFILE,
                Transform::ConsentedAds => Purposes::ADS,
                Transform::DenyAll | Transform::Strict | Transform::Measurement => Purposes::NONE,
            };
            if !document.purposes.cover(purpose) && holds(Rule::TransformOfItsPurpose) {
                let (transform, purpose) = (document.transform.name(), purpose.names().next().unwrap_or_default());
                let reason = format!("\"{transform}\" is the transform of the purpose \"{purpose}\"");
                fault(errors, of, "purposes", reason, format!("purposes = [\"{purpose}\"]"));
            }
            Basis::Consent(document.purposes)
        }
    };
    if document.tcf_vendor.is_some() && (basis == Basis::ExemptMeasurement || document.tcf_vendor == Some(0)) {
        let reason = "a vendor of the global vendor list, counted from 1, of a destination with the basis \"consent\"";
        fault(errors, of, "tcf_vendor", reason, "basis = \"consent\", or leave tcf_vendor out");
    }
    let mut numbers = Vec::new();
    for name in &document.sites {
        match sites.iter().find(|(site, _)| site.name == *name) {
            Some((_, number)) => numbers.push(*number),
            None => {
                let known: Vec<_> = sites.iter().map(|(site, _)| site.name.as_str()).collect();
                fault(errors, of, "sites", format!("there is no site \"{name}\""), suggestion(name, &known));
            }
        }
    }
    if let Some(oldest) = oldest
        && let Some(reason) = waits_too_long(document.release, oldest)
    {
        let hourly = waits_too_long(Release::Hourly, oldest).is_none();
        fault(errors, of, "release", reason, if hourly { "release = \"hourly\", or \"live\"" } else { "release = \"live\"" });
    }
    let exempt = basis == Basis::ExemptMeasurement;
    if let Some(months) = document.kept_months
        && (months == 0 || exempt && months > EXEMPT_MONTHS_MAX && holds(Rule::ExemptMonths))
    {
        let reason = format!("{months} months: the audience-measurement exemption covers what is kept for 1 to {EXEMPT_MONTHS_MAX} months");
        let reason = if exempt { reason } else { String::from("0 months: it is kept for a month at least") };
        fault(errors, of, "kept_months", reason, format!("kept_months = {EXEMPT_MONTHS_MAX}, and the same in the receiver's own settings"));
    }
    let kind = kind?;
    (errors.len() == before).then(|| Destination {
        number,
        name: document.name.clone(),
        kind: kind.name,
        sites: numbers,
        basis,
        tcf_vendor: document.tcf_vendor,
        transform: document.transform,
        kept_months: document.kept_months.or_else(|| exempt.then_some(EXEMPT_MONTHS_MAX)),
        bots: document.bots,
        release: document.release,
        paused: document.paused,
        settings: document.settings.clone(),
    })
}

/// Why events that are held back would be too old for their receiver by then. `None`: they are not.
fn waits_too_long(release: Release, oldest: Duration) -> Option<String> {
    let shown = |span: Duration| match span.as_secs() {
        seconds @ 0..3_600 => format!("{} minutes", seconds / 60),
        seconds => format!("{} hours", seconds / 3_600),
    };
    let waits = release.longest_wait();
    (waits >= oldest).then(|| format!("events wait for {} at most, and the receiver takes none older than {}", shown(waits), shown(oldest)))
}

/// What each destination of the site may see, and on what ground.
fn recipients(site: SiteNumber, policy: &Policy, destinations: &[Arc<Destination>]) -> Vec<Recipient> {
    let of = |destination: &Destination| {
        let breadth = destination.transform.breadth();
        let mut allowed =
            Allowed::of(policy.preset.filter(|_| holds(Rule::SitePresetBounds)).map_or(breadth, |preset| preset.breadth().meet(breadth)));
        policy
            .deviations
            .iter()
            .filter(|deviation| deviation.is_for(&destination.name))
            .for_each(|deviation| deviation.apply(&mut allowed));
        let allowed = allowed.with_clicks_of(destination.issuer()).with_envelope_of(destination.dialect());
        Recipient {
            number: destination.number,
            basis: destination.basis,
            tcf_vendor: destination.tcf_vendor,
            bots: destination.bots,
            allowed,
        }
    };
    destinations.iter().filter(|destination| destination.sites.contains(&site)).map(|destination| of(destination)).collect()
}

/// The vendors that TC strings are asked for.
fn vendors(recipients: &[Recipient], of: (&'static str, &str), errors: &mut Vec<DocumentError>) -> Vec<u16> {
    let vendors: BTreeSet<u16> = recipients.iter().filter_map(|recipient| recipient.tcf_vendor).collect();
    if vendors.len() > VENDORS_MAX {
        fault(
            errors,
            of,
            "tcf_vendor",
            format!("its destinations are of more than {VENDORS_MAX} vendors"),
            "fewer destinations with tcf_vendor",
        );
    }
    vendors.into_iter().collect()
}

fn compile_site(
    document: &SiteDocument,
    number: SiteNumber,
    policies: &HashMap<&str, Arc<Policy>>,
    destinations: &[Arc<Destination>],
    errors: &mut Vec<DocumentError>,
) -> Option<Site> {
    let before = errors.len();
    for vendor in document.measure_recovery.intersection(&document.shims) {
        let reason = format!(
            "the shim \"{}\" takes this vendor's calls in the place of its own tag, which would never be seen to run",
            vendor.name()
        );
        fault(
            errors,
            ("site", &document.name),
            "measure_recovery",
            reason,
            "leave it out of `shims` for as long as its own tag is measured",
        );
    }
    let of = ("site", document.name.as_str());
    if document.hosts.is_empty() {
        fault(errors, of, "hosts", "a site has at least one host", "hosts = [\"www.shop.example\"]");
    }
    for host in &document.hosts {
        let plain = host.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-[:]".contains(&byte));
        if host.is_empty() || !plain || host.contains(':') && !host.starts_with('[') {
            fault(
                errors,
                of,
                "hosts",
                format!("\"{host}\" is no host name in small letters without port"),
                "hosts = [\"www.shop.example\"]",
            );
        }
    }
    let mut page_hosts: Vec<String> = document.hosts.clone();
    for origin in &document.origins {
        match origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")) {
            Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '*']) => {
                let host = if host.starts_with('[') { host } else { host.split(':').next().unwrap_or(host) };
                page_hosts.push(host.to_owned());
            }
            _ => fault(
                errors,
                of,
                "origins",
                format!("\"{origin}\" is no origin: scheme and host, no path, no wildcard"),
                "origins = [\"https://www.shop.example\"]",
            ),
        }
    }
    page_hosts.sort();
    page_hosts.dedup();
    let word = document.prefix.strip_prefix('/').unwrap_or("");
    if !(2..=24).contains(&word.len()) || !word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        let reason = "a prefix is a slash and 2 to 24 small letters or digits, which no filter list names";
        fault(errors, of, "prefix", reason, format!("prefix = \"{}\"", super::names::neutral_prefix()));
    }
    if let Some(stop) = super::names::stop_word_in(word) {
        let reason = format!("filter lists match \"{stop}\" in paths");
        fault(errors, of, "prefix", reason, format!("prefix = \"{}\"", super::names::neutral_prefix()));
    }
    let script = document.script.strip_suffix(".js").unwrap_or("");
    if script.is_empty() || !script.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        fault(errors, of, "script", "the script's name is small letters or digits, then .js", "script = \"core.js\"");
    }
    for (key, name) in [("global", &document.global), ("cookie", &document.cookie)] {
        if name.is_empty() || name.len() > 24 || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            fault(errors, of, key, "letters and digits only, at most 24", "");
        }
    }
    super::cookies::check(document, errors);
    declared::check_site(document, errors);
    for (protocol, keys) in &document.keys {
        let known: Vec<_> = PROTOCOLS.iter().map(|protocol| protocol.name()).collect();
        if !known.contains(&protocol.as_str()) {
            fault(errors, of, "keys", format!("there is no protocol \"{protocol}\""), suggestion(protocol, &known));
        }
        if protocol == server::NAME && (keys.len() > server::KEYS_MAX || !keys.iter().all(|key| server::is_fingerprint(key))) {
            let reason = "keys of `server` are what `firsthand api-key` prints for the document, at most two; never the key itself";
            fault(errors, of, "keys", reason, "firsthand api-key");
        }
        if keys.iter().any(|key| key.is_empty() || key.len() > 128 || !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            fault(errors, of, "keys", "a key is 1 to 128 visible ASCII characters", "keys = { ga4 = [\"G-ABC123\"] }");
        }
    }
    if let Some(GpcSiteOverride { reason }) = &document.gpc_site_override
        && !is_reason(reason)
    {
        let fix = "gpc_site_override = { reason = \"why, for whoever asks in two years\" }";
        fault(errors, of, "gpc_site_override.reason", "it has no reason, or a very long one", fix);
    }
    let twin_wait = document.server_purchases.as_ref().map(|purchases| u64::from(purchases.twin_wait_seconds));
    if twin_wait.is_some_and(|seconds| !(1..=TWIN_WAIT_SECONDS_MAX).contains(&seconds)) {
        let reason = "a page's purchase waits from one second to an hour for the backend's";
        fault(errors, of, "server_purchases.twin_wait_seconds", reason, "server_purchases = { twin_wait_seconds = 600 }");
    }
    if twin_wait.is_some() && !document.keys.contains_key(server::NAME) {
        let reason = "its backend has no key to send purchases with, and without consent a page's are left to it";
        fault(errors, of, "server_purchases", reason, "keys = { server = [\"…\"] }, as `firsthand api-key` prints it");
    }
    let identify_secret = document.identify_secret.as_deref().and_then(|reference| {
        let secret = secret::resolve(reference).map_err(|wrong| wrong.to_string());
        let long_enough = secret.and_then(|secret| {
            if secret.bytes().len() >= IDENTIFY_SECRET_BYTES_MIN { Ok(secret) } else { Err(String::from("it is shorter than 16 bytes")) }
        });
        let fault =
            |wrong| fault(errors, of, "identify_secret", wrong, "identify_secret = \"file:/run/secrets/identify\", 32 random bytes");
        long_enough.map_err(fault).ok()
    });
    let time_zone = TimeZone::get(&document.time_zone).map_err(|_| {
        fault(errors, of, "time_zone", format!("there is no time zone \"{}\"", document.time_zone), "time_zone = \"Europe/Paris\"");
    });
    let policy = policies.get(document.policy.as_str()).cloned();
    if policy.is_none() {
        let known: Vec<_> = policies.keys().copied().collect();
        fault(errors, of, "policy", format!("there is no policy \"{}\"", document.policy), suggestion(&document.policy, &known));
    }
    let (time_zone, policy) = (time_zone.ok()?, policy?);
    for name in document.profile.iter().flat_map(|profile| profile.traits.keys()).filter(|name| !policy.properties.contains_key(*name)) {
        let known: Vec<_> = policy.properties.keys().map(String::as_str).collect();
        let reason = format!("\"{name}\" is no property of the policy \"{}\"", policy.name);
        fault(errors, of, "profile.traits", reason, suggestion(name, &known));
    }
    let recipients = recipients(number, &policy, destinations);
    let vendors = vendors(&recipients, of, errors);
    (errors.len() == before).then(|| Site {
        number,
        name: document.name.clone(),
        hosts: document.hosts.clone(),
        prefix: document.prefix.clone(),
        script: document.script.clone(),
        global: document.global.clone(),
        origins: document.origins.iter().cloned().collect::<BTreeSet<_>>(),
        page_hosts,
        time_zone,
        cookies: CookieNames::new(&document.cookie, document.cookie_domain.as_deref(), &document.hosts)
            .and_of_vendors(document.vendor_cookies.iter().copied()),
        signals: SignalRules {
            gpc_site_override: document.gpc_site_override.as_ref().map(|relaxed| relaxed.reason.clone()),
            follow_matomo: document.follow.contains(&ConsentTool::Matomo),
            vendors,
        },
        policy,
        snippet: SnippetParts {
            shims: document.shims.clone(),
            tools: document.follow.clone(),
            watch: document.watch.clone(),
            measure_recovery: document.measure_recovery.clone(),
            respect_blockers: document.respect_blockers,
        },
        keys: document.keys.clone(),
        identify_secret,
        identified_by: profile::identified_by(document),
        twin_wait: twin_wait.map(Duration::from_secs),
        ceilings: Ceilings::of(&recipients),
        recipients,
    })
}

/// Two sites cannot answer the same address.
fn check_routes(sites: &[Arc<Site>], errors: &mut Vec<DocumentError>) {
    let mut taken: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for site in sites {
        for host in &site.hosts {
            if let Some(other) = taken.insert((host, &site.prefix), &site.name) {
                let reason = format!("site \"{other}\" has {host}{} already", site.prefix);
                fault(errors, ("site", &site.name), "prefix", reason, format!("prefix = \"{}\"", super::names::neutral_prefix()));
            }
        }
    }
}

/// The known name that is nearest to what was written, as a fix.
#[must_use]
pub fn suggestion(written: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|name| (strsim::damerau_levenshtein(written, name), name)).min();
    match nearest {
        Some((distance, name)) if distance <= 3 => format!("did you mean \"{name}\"?"),
        _ if known.is_empty() => String::from("there is none yet"),
        _ => format!("one of: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_not_held_back_until_they_are_too_old() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        assert_eq!(waits_too_long(Release::Daily, hours(72)), None);
        assert!(waits_too_long(Release::Daily, hours(48)).is_some_and(|reason| reason.contains("none older than 48")));
        assert_eq!(waits_too_long(Release::Hourly, hours(48)), None);
        assert!(waits_too_long(Release::Hourly, hours(1) / 4).is_some_and(|reason| reason.ends_with("none older than 15 minutes")));
        assert_eq!(waits_too_long(Release::Live, hours(1)), None);
    }
}
