//! The public page that says who receives what of a site's events, on what ground, and for how long, made from the documents in force at
//! each request; with the state of the browser that asks, and a button to opt out that needs no script.

mod recipients;
mod script;

use std::{fmt::Write as _, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use sha2::{Digest as _, Sha256};

use super::reply::{ReplyBody, respond};
use crate::{
    clock::Timestamp,
    documents::{Documents, Site},
    event::RetentionClass,
    pipeline::Pipeline,
    privacy::{
        consent::{ConsentSignal, chain::KEPT_AFTER_END, evidence::Evidence},
        visitor::{BrowserState, COOKIE_AGE_MAX, OPT_OUT_AGE},
    },
    protocol::{Reply, cookies::CookieName, inbound::Inbound},
};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a request for the page wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// To see it.
    See,
    /// To opt out.
    OptOut,
    /// To take the opt-out back.
    OptIn,
}

/// Makes the page.
pub(super) struct TransparencyPage {
    policy: HeaderValue,
}

impl TransparencyPage {
    pub(super) fn new() -> Self {
        let hash = STANDARD.encode(Sha256::digest(STYLE));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'"
        );
        Self { policy: HeaderValue::try_from(policy).expect("a policy of ASCII words and base64") }
    }

    /// Does what is wished, and answers.
    pub(super) async fn answer(&self, pipeline: &Pipeline, site: &Site, inbound: &Inbound, wish: Wish) -> Response<ReplyBody> {
        let choice = match wish {
            Wish::See => return self.show(pipeline, site, inbound).await,
            Wish::OptOut => ConsentSignal::OptOut,
            Wish::OptIn => ConsentSignal::OptIn,
        };
        match pipeline.choose(site, inbound, choice).await {
            Ok(cookies) => {
                let mut response = respond(Reply::status(StatusCode::SEE_OTHER));
                // From `about/out` to `about`: whatever a proxy has made of the prefix.
                response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("../about"));
                cookies.into_iter().for_each(|cookie| cookie.append_to(response.headers_mut()));
                response
            }
            Err(wait) => later(wait),
        }
    }

    async fn show(&self, pipeline: &Pipeline, site: &Site, inbound: &Inbound) -> Response<ReplyBody> {
        let (arrival, now) = (inbound.arrival(&site.cookies, ConsentSignal::Absent, Evidence::default()), inbound.received());
        let standing = match pipeline.visitors.standing(&arrival, inbound.is_opened_page(), site, now).await {
            Ok(standing) => standing,
            Err(_) => return later(Duration::from_secs(10)),
        };
        let kept = RetentionClass::ALL.map(|class| pipeline.log.retention(class));
        let page = render(site, &pipeline.documents.load(), kept, &standing, arrival.secure, now);
        let mut response = Response::new(ReplyBody::whole(Bytes::from(page)));
        let headers: [(HeaderName, &'static str); 7] = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_LANGUAGE, "en"),
            (header::CACHE_CONTROL, "no-store"),
            // Not `no-referrer`: with that, browsers say `Origin: null` with the form.
            (header::REFERRER_POLICY, "same-origin"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            // A page's script that opens this one cannot look into it.
            (HeaderName::from_static("cross-origin-opener-policy"), "noopener-allow-popups"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        ];
        response.headers_mut().extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
        response
    }
}

fn later(wait: Duration) -> Response<ReplyBody> {
    let mut reply = Reply::text(StatusCode::SERVICE_UNAVAILABLE, "That cannot be done now. Please try again in a moment.\n");
    reply.headers.push((header::RETRY_AFTER, wait.as_secs().max(1).to_string().into()));
    respond(reply)
}

/// The page. `kept`: for how long events are, without consent and with it.
fn render(site: &Site, documents: &Documents, kept: [Duration; 2], standing: &BrowserState, secure: bool, now: Timestamp) -> String {
    let as_of = documents
        .changed_at(site.number)
        .map_or_else(String::new, |at| format!(" This website’s settings were last changed on {}.", day(at)));
    PAGE.replace("{style}", STYLE)
        .replace("{host}", &escaped(site.hosts.first().map_or("this website", String::as_str)))
        .replace("{policy}", &format!("Policy “{}”, version {}.{as_of}", escaped(&site.policy.name), site.policy.version.0))
        .replace("{browser}", &(browser(site, standing) + own_data(site, documents)))
        .replace("{recipients}", &recipients::recipients(site, documents))
        .replace("{script}", &script::facts(site))
        .replace("{kept}", &how_long(site, kept, secure))
        .replace("{today}", &day(now))
}

/// What this browser has said, and the button.
fn browser(site: &Site, standing: &BrowserState) -> String {
    let mut text = String::new();
    let mut say = |sentence: &str| {
        let _ = write!(text, "<p>{sentence}</p>");
    };
    if standing.opted_out {
        say("<strong>You have opted out.</strong> Nothing is recorded of your visits with this browser.");
    }
    if standing.global_privacy_control {
        say(match (standing.consent_outranks_gpc, standing.objects()) {
            (false, _) => {
                "<strong>Your browser sends Global Privacy Control.</strong> It counts as an objection: nothing is recorded of your visits."
            }
            (true, true) => {
                "<strong>Your browser sends Global Privacy Control.</strong> It counts as an objection: nothing is recorded of your visits, \
                 until you say yes on this very website."
            }
            (true, false) => {
                "<strong>Your browser sends Global Privacy Control.</strong> You said yes on this very website all the same, and here that counts for more."
            }
        });
    }
    if standing.do_not_track {
        say("<strong>Your browser sends Do Not Track.</strong> It counts as an objection: nothing is recorded of your visits.");
    }
    if let Some(consent) = standing.consent.as_ref().filter(|_| !standing.objects()) {
        let purposes: Vec<_> = consent.purposes.names().map(recipients::purpose).collect();
        say(&format!("<strong>You agreed</strong> to {}, until {} at the latest.", listed(&purposes), day(consent.expires)));
        if let Some(reference) = &consent.reference {
            say(&format!("If you ask the website about your consent, quote this reference: <code class=\"reference\">{reference}</code>"));
        }
    }
    if !standing.objects() && standing.consent.is_none() {
        let before = recipients::someone_before_the_choice(site);
        say("<strong>You have not agreed to anything</strong> with this browser: you said no, or have not chosen.");
        say(if before {
            "Audience measurement without consent takes place until you say no or opt out."
        } else {
            "Nothing is recorded of your visits."
        });
    }
    let (action, class, label) = match (standing.opted_out, standing.consent.is_some()) {
        (true, _) => ("about/in", "quiet", "Take the opt-out back"),
        (false, true) => ("about/out", "act", "Withdraw and opt out"),
        (false, false) => ("about/out", "act", "Opt out"),
    };
    let _ = write!(text, "<form method=\"post\" action=\"{action}\"><button class=\"{class}\">{label}</button></form>");
    text
}

/// The way to what rests about whoever reads this, where the site has profiles.
fn own_data(site: &Site, documents: &Documents) -> &'static str {
    if documents.profile_of(site.number).is_none() {
        return "";
    }
    "<p><a href=\"about/you\">See and erase what this website keeps about you</a></p>"
}

/// What is kept, and for how long.
fn how_long(site: &Site, [without, with]: [Duration; 2], secure: bool) -> String {
    let mut rows = String::new();
    let mut row = |what: &str, how_long: &str| {
        let _ = write!(rows, "<div><dt>{what}</dt><dd>{how_long}</dd></div>");
    };
    row("Events without consent", &format!("{} on this server; then deleted, as soon as newer ones have come in.", span(without)));
    let prefixed = site.cookies.are_prefixed(secure);
    let cookie = |name: &CookieName| format!("<code>{}</code>", escaped(name.on_wire(prefixed)));
    let shared = site.cookies.domain().map_or_else(String::new, |domain| format!(" All hosts below {} get it.", escaped(domain)));
    if site.ceilings.lasting() {
        row(
            "Events with consent",
            &format!("{} on this server, encrypted under a key made for you. When you withdraw, the key is destroyed at once.", span(with)),
        );
        row(
            &format!("Cookie {}", cookie(&site.cookies.visitor)),
            &format!(
                "Set only after a yes. It lives as long as your consent, at most {}, is not prolonged by visits, and is deleted when you \
                 withdraw. No script can read it.{shared}",
                span(COOKIE_AGE_MAX)
            ),
        );
        row(
            "Record of your consent",
            &format!(
                "What you agreed to, when, and under which policy, with a random reference: no address, no browser, no visit. {} beyond \
                 the consent’s end, to prove it.",
                span(KEPT_AFTER_END)
            ),
        );
    } else {
        row("Cookie of a visitor", "None is set: no receiver is shown a lasting id.");
    }
    row(
        &format!("Cookie {}", cookie(&site.cookies.opt_out)),
        &format!("Set only when you opt out: the same for everyone, {}, until you take it back.{shared}", span(OPT_OUT_AGE)),
    );
    for cookie in site.cookies.of_vendors() {
        let purposes: Vec<_> = cookie.purpose().names().map(recipients::purpose).collect();
        row(
            &format!("Cookie <code>{}</code>", cookie.name()),
            &format!(
                "Set by a company’s script on the page, not by this server, which keeps it alive after a yes to {}: {} from its first setting at \
                 most, never beyond your consent. Deleted when you withdraw.",
                listed(&purposes),
                span(cookie.life())
            ),
        );
    }
    row(
        "A no, an opt-out, Global Privacy Control, Do Not Track",
        "Counted per day, without anything about you. The event itself is not kept.",
    );
    if let Some(reason) = &site.signals.gpc_site_override {
        row(
            "A yes here, and Global Privacy Control",
            &format!(
                "A yes that you give on this very website counts for more than Global Privacy Control; never for more than Do Not Track, an \
                 opt-out or a no. The website’s reason: “{}”",
                escaped(reason)
            ),
        );
    }
    row("What receivers have got", "As long as is said of each above.");
    rows
}

/// A span in the largest unit in which it is whole: years, days above three, hours.
fn span(span: Duration) -> String {
    let (hours, days) = (span.as_secs() / 3600, span.as_secs() / DAY.as_secs());
    match days {
        days if days >= 2 * 365 && days.is_multiple_of(366) => format!("{} years", days / 366),
        days if days > 3 => format!("{days} days"),
        _ => format!("{hours} hours"),
    }
}

/// A moment's date, in UTC.
pub(super) fn day(moment: Timestamp) -> String {
    moment.rfc3339().split('T').next().unwrap_or_default().to_owned()
}

fn listed(words: &[&str]) -> String {
    match words {
        [] => String::from("nothing"),
        [one] => (*one).to_owned(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
