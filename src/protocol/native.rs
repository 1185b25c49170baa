//! `native`: what our own snippet sends, and what a site's own code may.
//!
//! `POST <prefix>/e`, JSON in `text/plain` (no preflight from a subdomain), data in the body only:
//!
//! | key | what |
//! |---|---|
//! | `s` | the sender's clock when it sends, ms since 1970 |
//! | `g` | consent: list of `analytics`, `profile`, `ads`; empty: refused; absent: not chosen yet |
//! | `gx` | seconds until that consent ends |
//! | `ca` | on an AMP page: AMP's consent state; only with `sufficient` does the list in `g` grant anything |
//! | `gt` | a TC string, as the page's consent tool gives it |
//! | `gp` | a GPP string |
//! | `gu` | a US Privacy string |
//! | `u` | said aside ([`Aside`]): how often the page made which vendor's call that no shim covers, and whose own tag ran |
//! | `o` | 1: opt out of everything here; 0: take that back |
//! | `e` | list of events, at most 50; an objection has none |
//!
//! and each event: `k` kind (name), `i` its id, `t` when (ms), `p` page URL, `r` referrer, `n` title, `v` value, `m` currency, `x` order id,
//! `tx` tax, `sh` shipping, `cp` coupon, `y` list of products (at most 200, each `id`, `name`, `brand`, `category`, `variant`, `price`, `quantity`),
//! `c` contact data (`em`, `ph`, `fn`, `ln`, `ct`, `st`, `zp`, `co`, and Meta's `fbp`, `fbc`), which go nowhere but into [a sealed envelope](crate::privacy::envelope),
//! `a` user id (`as` the backend's signature of it, `ae` when that ends, s), `l` language, `w` width, `d` flat map of properties, `h` 1 for a copy that the page held until the choice.
//!
//! `GET <prefix>/n` is an image for browsers that run no script: a view of the page that asks for it, by somebody who has not chosen.
//!
//! Of `g`, `gt`, `gp` and `gu`, those that are there count together, and the most restrictive wins; null and an empty string say nothing.

use std::borrow::Cow;

use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    Action, DecodeError, Decoded, Inbound, Outcome, Protocol, Reply, ReplyHints, Route,
    library::{Code, Library, image, ping, script, xhr},
    reading::{
        contact,
        flat::{Borrowed, Properties},
        sender_clock::corrected,
    },
};
use crate::{
    clock::Timestamp,
    event::{Purposes, aside::Aside},
    privacy::{
        consent::{ConsentSignal, Stance, amp, evidence::Evidence, gpp, tcf, us_privacy},
        personal::Personal,
        raw::{RawEvent, RawItem},
    },
};

/// Events in one body. The snippet sends at most 20 held ones.
const EVENTS_MAX: usize = 50;
/// Products looked at in one event.
const ITEMS_MAX: usize = 200;

/// The protocol of our own snippet.
pub struct Native;

impl Protocol for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn routes(&self) -> &'static [Route] {
        const ROUTES: &[Route] = &[
            Route { method: Method::POST, path: "/e", action: Action::Collect },
            Route { method: Method::GET, path: "/n", action: Action::Collect },
        ];
        ROUTES
    }

    fn libraries(&self) -> &'static [Library] {
        const LIBRARIES: &[Library] = &[Library {
            name: "our own script",
            tried: None,
            code: Code::Own,
            change: Some(r#"<script src="{path}/core.js" async></script>"#),
            before: &[],
            known_before: &[],
            asks: &[script("/core.js"), xhr("/e"), ping("/e"), image("/n")],
            known: &[],
        }];
        LIBRARIES
    }

    fn decode<'a>(&self, request: &'a Inbound, now: Timestamp) -> Decoded<'a> {
        if request.path().ends_with("/n") {
            return without_script(request);
        }
        let bytes = request.body();
        // Nearly every body is sound: one pass, and one look at whether it is text. Only one that is not is taken apart event by event.
        let sound = std::str::from_utf8(bytes).ok().and_then(|text| serde_json::from_str::<Body<'a, Event<'a>>>(text).ok());
        match sound {
            Some(body) if body.e.len() <= EVENTS_MAX && body.e.iter().all(|event| !event.k.is_empty()) => Decoded {
                signal: body.signal(now),
                evidence: body.evidence(now),
                hints: ReplyHints { events: body.e.len(), ..ReplyHints::default() },
                aside: body.aside(),
                events: body.e.into_iter().map(|event| event.into_raw(body.s, now)).collect(),
                ..Decoded::default()
            },
            _ => one_by_one(bytes, now),
        }
    }

    fn reply(&self, hints: &ReplyHints, outcome: &Outcome) -> Reply {
        if let Some(later) = Reply::come_back(outcome) {
            return later;
        }
        let Some((index, error)) = outcome.bad.first() else {
            return if hints.image { Reply::image() } else { Reply::status(StatusCode::NO_CONTENT) };
        };
        if hints.image {
            return Reply::unreadable(error);
        }
        if hints.events == 0 {
            return Reply::unreadable(error);
        }
        let place = error.byte.map_or_else(String::new, |byte| format!(" at byte {byte}"));
        let kept = hints.events - outcome.bad.len();
        let status = if kept == 0 { StatusCode::BAD_REQUEST } else { StatusCode::OK };
        Reply::text(
            status,
            format!(
                "{} of {} events could not be read; the first is event {index}: {}{place}\n",
                outcome.bad.len(),
                hints.events,
                error.reason
            ),
        )
    }
}

/// A view of the page that asks for the image. Which page that is, the browser says: a page may have told it not to.
fn without_script(request: &Inbound) -> Decoded<'_> {
    let hints = ReplyHints { events: 1, image: true, ..ReplyHints::default() };
    match request.asking_page() {
        Some(page) => {
            let event = RawEvent { name: Some(Personal::new(Cow::Borrowed("page_view"))), page_url: Some(page), ..RawEvent::default() };
            Decoded { events: vec![event], hints, ..Decoded::default() }
        }
        None => Decoded {
            bad: vec![(0, DecodeError { reason: "the browser does not say which page asks", byte: None })],
            hints,
            ..Decoded::default()
        },
    }
}

/// Keeps the sound events of a body and names the others.
fn one_by_one(bytes: &[u8], now: Timestamp) -> Decoded<'_> {
    let body: Body<'_, &RawValue> = match serde_json::from_slice(bytes) {
        Ok(body) => body,
        Err(error) => return unreadable(describe(&error, bytes, 0)),
    };
    if body.e.len() > EVENTS_MAX {
        return unreadable(DecodeError { reason: "more than 50 events", byte: None });
    }
    let hints = ReplyHints { events: body.e.len(), ..ReplyHints::default() };
    let mut decoded = Decoded { signal: body.signal(now), evidence: body.evidence(now), aside: body.aside(), hints, ..Decoded::default() };
    for (index, raw) in body.e.into_iter().enumerate() {
        let text = raw.get();
        match serde_json::from_str::<Event<'_>>(text) {
            Ok(event) if event.k.is_empty() => {
                decoded.bad.push((index, DecodeError { reason: "an event needs a kind (k)", byte: place(text, bytes) }));
            }
            Ok(event) => decoded.events.push(event.into_raw(body.s, now)),
            Err(error) => decoded.bad.push((index, describe(&error, text.as_bytes(), place(text, bytes).unwrap_or(0)))),
        }
    }
    decoded
}

fn unreadable(error: DecodeError) -> Decoded<'static> {
    // A consent signal that nobody can read must not count as silence, but there is no event that it could let through either.
    Decoded { bad: vec![(0, error)], ..Decoded::default() }
}

#[derive(Deserialize)]
struct Body<'a, E> {
    s: Option<i64>,
    #[serde(borrow)]
    g: Option<&'a RawValue>,
    gx: Option<u32>,
    #[serde(borrow)]
    ca: Option<Borrowed<'a>>,
    #[serde(borrow)]
    gt: Option<&'a RawValue>,
    #[serde(borrow)]
    gp: Option<&'a RawValue>,
    #[serde(borrow)]
    gu: Option<&'a RawValue>,
    #[serde(borrow)]
    u: Option<&'a RawValue>,
    o: Option<u8>,
    #[serde(default = "Vec::new")]
    e: Vec<E>,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    k: Cow<'a, str>,
    #[serde(borrow)]
    i: Option<Borrowed<'a>>,
    t: Option<i64>,
    #[serde(borrow)]
    p: Option<Borrowed<'a>>,
    #[serde(borrow)]
    r: Option<Borrowed<'a>>,
    #[serde(borrow)]
    n: Option<Borrowed<'a>>,
    v: Option<f64>,
    #[serde(borrow)]
    m: Option<Borrowed<'a>>,
    #[serde(borrow)]
    x: Option<Borrowed<'a>>,
    tx: Option<f64>,
    sh: Option<f64>,
    #[serde(borrow)]
    cp: Option<Borrowed<'a>>,
    #[serde(borrow, default)]
    y: Vec<Product<'a>>,
    #[serde(borrow)]
    a: Option<Borrowed<'a>>,
    #[serde(borrow, rename = "as")]
    signature: Option<Borrowed<'a>>,
    #[serde(rename = "ae")]
    signature_ends: Option<i64>,
    #[serde(borrow)]
    c: Option<&'a RawValue>,
    #[serde(borrow)]
    l: Option<Borrowed<'a>>,
    w: Option<f64>,
    #[serde(borrow, default)]
    d: Properties<'a>,
    #[serde(default)]
    h: u8,
}

impl<'a> Event<'a> {
    fn into_raw(self, sent: Option<i64>, now: Timestamp) -> RawEvent<'a> {
        let sealed = |text: Option<Borrowed<'a>>| text.map(|Borrowed(text)| text).filter(|text| !text.is_empty()).map(Personal::new);
        RawEvent {
            name: Some(Personal::new(self.k)),
            client_id: sealed(self.i),
            time: self.t.and_then(|happened| corrected(happened, sent, now)),
            page_url: sealed(self.p),
            page_title: sealed(self.n),
            referrer: sealed(self.r),
            value: self.v.map(Personal::new),
            currency: sealed(self.m),
            transaction: sealed(self.x),
            tax: self.tx.map(Personal::new),
            shipping: self.sh.map(Personal::new),
            coupon: sealed(self.cp),
            items: self.y.into_iter().take(ITEMS_MAX).map(Product::into_raw).collect(),
            user_id: sealed(self.a),
            vouched: false,
            ticket: None,
            contact: contact::of_native(self.c),
            user_signature: sealed(self.signature),
            user_signature_ends: self.signature_ends,
            browser_id: None,
            language: sealed(self.l),
            // Widths beyond any screen saturate into the widest class.
            screen_width: self.w.filter(|width| *width > 0.0).map(|width| Personal::new(width as u32)),
            properties: self.d.kept,
            vendor_fields: Vec::new(),
            unknown_fields: self.d.left_out,
            held: self.h == 1,
        }
    }
}

#[derive(Deserialize)]
struct Product<'a> {
    #[serde(borrow)]
    id: Option<Borrowed<'a>>,
    #[serde(borrow)]
    name: Option<Borrowed<'a>>,
    #[serde(borrow)]
    brand: Option<Borrowed<'a>>,
    #[serde(borrow)]
    category: Option<Borrowed<'a>>,
    #[serde(borrow)]
    variant: Option<Borrowed<'a>>,
    price: Option<f64>,
    quantity: Option<f64>,
}

impl<'a> Product<'a> {
    fn into_raw(self) -> RawItem<'a> {
        let sealed = |Borrowed(text): Borrowed<'a>| Personal::new(text);
        RawItem {
            id: self.id.map(sealed),
            name: self.name.map(sealed),
            brand: self.brand.map(sealed),
            category: self.category.map(sealed),
            variant: self.variant.map(sealed),
            price: self.price.map(Personal::new),
            quantity: self.quantity.map(Personal::new),
        }
    }
}

impl<'a, E> Body<'a, E> {
    /// What all that the body says of the visitor's choice comes to.
    fn signal(&self, now: Timestamp) -> ConsentSignal {
        let opt_out = match self.o {
            None => ConsentSignal::Absent,
            Some(0) => ConsentSignal::OptIn,
            Some(_) => ConsentSignal::OptOut,
        };
        let strings = [
            string(self.gt, |text| tcf::stance(text, now)),
            string(self.gp, |text| gpp::stance(text, now)),
            string(self.gu, us_privacy::stance),
        ];
        strings.into_iter().fold(Stance::from(opt_out).and(self.list().into()), Stance::and).signal()
    }

    /// What the page says beside its events, by names of closed lists.
    fn aside(&self) -> Aside {
        self.u.map(|said| Aside::told(said.get())).unwrap_or_default()
    }

    /// A yes of the list, or of the TC string alone, was given in the dialogue of this site.
    fn evidence(&self, now: Timestamp) -> Evidence<'a> {
        let listed = Stance::from(self.list());
        let mut evidence = Evidence::said_here(listed.grants() || string(self.gt, |text| tcf::stance(text, now)).grants());
        text(self.gt).into_iter().for_each(|text| evidence.keep_tcf(text));
        text(self.gp).into_iter().for_each(|text| evidence.keep_gpp(text));
        evidence
    }

    /// What the list of purposes says, where AMP's state lets it.
    fn list(&self) -> ConsentSignal {
        let listed = self.g.map_or(ConsentSignal::Absent, |given| self.listed(given));
        self.ca.as_ref().map_or(listed, |Borrowed(state)| amp::counted(state, listed))
    }

    fn listed(&self, given: &RawValue) -> ConsentSignal {
        match serde_json::from_str::<Vec<Cow<'_, str>>>(given.get()) {
            // A purpose that we do not know is not granted by being named.
            Ok(names) => ConsentSignal::Given {
                purposes: names.iter().filter_map(|name| Purposes::named(name)).fold(Purposes::NONE, Purposes::and),
                seconds_left: self.gx,
            },
            Err(_) => ConsentSignal::Malformed,
        }
    }
}

/// A consent string as it came, where it is one and not empty.
fn text(given: Option<&RawValue>) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Borrowed<'_>>(given?.get()).ok().map(|Borrowed(text)| text).filter(|text| !text.is_empty())
}

/// What a consent string says, where there is one.
fn string(given: Option<&RawValue>, read: impl FnOnce(&str) -> Stance) -> Stance {
    let Some(given) = given else { return Stance::default() };
    match serde_json::from_str::<Cow<'_, str>>(given.get()) {
        Ok(text) if text.is_empty() => Stance::default(),
        Ok(text) => read(&text),
        Err(_) => ConsentSignal::Malformed.into(),
    }
}

/// Where a part of the body begins in it.
pub(super) fn place(part: &str, body: &[u8]) -> Option<usize> {
    (part.as_ptr() as usize).checked_sub(body.as_ptr() as usize).filter(|at| *at <= body.len())
}

/// The parser's error as a constant and a place. Its own words could quote the input, and are dropped.
pub(super) fn describe(error: &serde_json::Error, text: &[u8], base: usize) -> DecodeError {
    let reason = match error.classify() {
        serde_json::error::Category::Eof => "the JSON ends too early",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "not JSON",
        serde_json::error::Category::Data => "a field is missing, of the wrong type, or nested",
    };
    let line = error.line().saturating_sub(1);
    let before: usize = text.split_inclusive(|byte| *byte == b'\n').take(line).map(<[u8]>::len).sum();
    DecodeError { reason, byte: Some(base + before + error.column().saturating_sub(1)) }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::privacy::raw::ClientAddress;

    fn inbound(body: &str) -> Inbound {
        let address = Personal::new(ClientAddress::new([192, 0, 2, 1].into()));
        Inbound::new(
            http::Uri::from_static("/e"),
            http::HeaderMap::new(),
            Bytes::copy_from_slice(body.as_bytes()),
            address,
            true,
            Timestamp(1_000_000),
        )
    }

    /// The body that AMP makes of docs/amp.md's configuration: every text has its variables filled in, the rest stays as it is.
    fn from_amp(state: &str) -> String {
        fn filled(value: &mut serde_json::Value, variables: &[(&str, &str)]) {
            match value {
                serde_json::Value::String(text) => {
                    for (name, is) in variables {
                        *text = text.replace(&format!("${{{name}}}"), is);
                    }
                }
                serde_json::Value::Array(all) => all.iter_mut().for_each(|one| filled(one, variables)),
                serde_json::Value::Object(all) => all.values_mut().for_each(|one| filled(one, variables)),
                _ => {}
            }
        }
        let page = include_str!("../../docs/amp.md");
        let (_, rest) = page.split_once("<script type=\"application/json\">").expect("the page has a configuration");
        let (configuration, _) = rest.split_once("</script>").expect("which ends");
        let mut configuration: serde_json::Value = serde_json::from_str(configuration).expect("and is JSON");
        assert!(configuration["requests"]["view"].as_str().is_some_and(|address| address.ends_with("/e")));
        assert_eq!(configuration["transport"]["useBody"], true);
        let page = "https://www.shop.example/amp/jug?utm_source=news";
        let variables =
            [("consentState", state), ("sourceUrl", page), ("documentReferrer", ""), ("title", "A \"jug\""), ("browserLanguage", "en-us")];
        filled(&mut configuration["extraUrlParams"], &variables);
        configuration["extraUrlParams"].to_string()
    }

    #[test]
    fn what_amp_makes_of_the_documented_configuration_is_a_page_view_and_grants_only_with_its_yes() {
        let yes = ConsentSignal::Given { purposes: Purposes::ANALYTICS, seconds_left: None };
        let no = ConsentSignal::Given { purposes: Purposes::NONE, seconds_left: None };
        for (state, expected) in [
            ("sufficient", yes),
            ("insufficient", no),
            ("not_required", ConsentSignal::Absent),
            ("unknown", ConsentSignal::Absent),
            ("", ConsentSignal::Absent),
            ("${consentState}", ConsentSignal::Absent),
        ] {
            let body = from_amp(state);
            assert_eq!(read(&body), (1, vec![], expected), "{state}");
            let inbound = inbound(&body);
            let decoded = Native.decode(&inbound, Timestamp(1_773_480_413_589));
            assert_eq!(decoded.evidence.said_here, state == "sufficient", "{state}");
            let [event] = &decoded.events[..] else { panic!("one event") };
            assert!(event.page_url.is_some() && event.page_title.is_some() && event.referrer.is_none() && event.language.is_some());
        }
    }

    fn read(body: &str) -> (usize, Vec<(usize, DecodeError)>, ConsentSignal) {
        let inbound = inbound(body);
        let decoded = Native.decode(&inbound, Timestamp(1_000_000));
        (decoded.events.len(), decoded.bad, decoded.signal)
    }

    #[test]
    fn the_good_events_of_a_batch_are_kept_and_the_bad_ones_named() {
        let (good, bad, _) =
            read(r#"{"e":[{"k":"a"},{"k":7},{"k":""},{"k":"b","d":{"x":[1]}},{"k":"c","d":{"x":null,"y":1.5,"z":"ü","f":true}}]}"#);
        assert_eq!(good, 2);
        assert_eq!(bad.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(bad[0].1.byte, Some(21), "the byte of the wrong value in the whole body");
    }

    #[test]
    fn consent_signals_are_read_and_broken_ones_are_a_no() {
        let given = |purposes, seconds_left| ConsentSignal::Given { purposes, seconds_left };
        let cases = [
            (r"{}", ConsentSignal::Absent),
            (r#"{"g":[]}"#, given(Purposes::NONE, None)),
            (r#"{"g":["analytics"],"gx":60}"#, given(Purposes::ANALYTICS, Some(60))),
            (r#"{"g":["marketing"]}"#, given(Purposes::NONE, None)),
            (r#"{"g":"analytics"}"#, ConsentSignal::Malformed),
            (r#"{"g":{"analytics":true}}"#, ConsentSignal::Malformed),
            (r#"{"o":1,"g":["analytics"]}"#, ConsentSignal::OptOut),
            (r#"{"o":0}"#, ConsentSignal::OptIn),
            (r#"{"gt":null,"gp":"","gu":""}"#, ConsentSignal::Absent),
            (r#"{"gu":"1YNN","g":["analytics"],"gx":60}"#, given(Purposes::ANALYTICS, Some(60))),
            (r#"{"gu":"1YYN","g":["ads","analytics"]}"#, given(Purposes::ANALYTICS, None)),
            (r#"{"gp":"DBABLA~CAAAAAAAAABA.YA","g":["ads"]}"#, ConsentSignal::GlobalPrivacyControl),
            (r#"{"gt":"CQ","g":["ads"]}"#, ConsentSignal::Malformed),
            (r#"{"gt":7}"#, ConsentSignal::Malformed),
            (r#"{"gp":["DBAA"]}"#, ConsentSignal::Malformed),
            (r#"{"gu":"1YN","o":1}"#, ConsentSignal::OptOut),
            (r#"{"gu":"1YN","o":0}"#, ConsentSignal::Malformed),
        ];
        for (body, signal) in cases {
            assert_eq!(read(body).2, signal, "{body}");
        }
    }

    #[test]
    fn calls_that_no_shim_covers_are_counted_by_known_names_alone() {
        let told = |body: &str| -> Vec<_> {
            let inbound = inbound(body);
            Native.decode(&inbound, Timestamp(1_000_000)).aside.uncovered.into_iter().map(|(call, count)| (call.names().1, count)).collect()
        };
        let sound = r#"{"u":{"gtag.get":2,"matomo.other":5000,"gtag.jane@example.org":1,"x":1},"e":[{"k":"a"}]}"#;
        assert_eq!(told(sound), [("get", 2), ("other", 1000)]);
        assert_eq!(told(&sound.replace(r#"{"k":"a"}"#, r#"{"k":"a"},{}"#)), [("get", 2), ("other", 1000)], "beside a bad event, too");
        for none in [r#"{"e":[]}"#, r#"{"u":7}"#, r#"{"u":{"gtag.get":-1}}"#, r#"{"u":{"gtag.get":"2"}}"#, r#"{"u":["gtag.get"]}"#] {
            assert_eq!(told(none), [], "{none}");
        }
    }

    #[test]
    fn hostile_bodies_get_a_reason_and_a_place() {
        let deep = format!(r#"{{"e":[{}1{}]}}"#, "[".repeat(100), "]".repeat(100));
        let deep_property = format!(r#"{{"e":[{{"k":"a","d":{{"x":{}1{}}}}}]}}"#, "[".repeat(100), "]".repeat(100));
        let many = format!(r#"{{"e":[{}]}}"#, vec![r#"{"k":"a"}"#; 51].join(","));
        for body in ["", "{", "nonsense", "[]", r#"{"e":7}"#, "{\"e\":[{\"k\":\"a\u{0}\"}]}", &deep, &deep_property, &many] {
            let (good, bad, _) = read(body);
            assert_eq!((good, bad.len()), (0, 1), "{body}");
        }
        let deep_unknown = format!(r#"{{"zz":{}1{},"e":[{{"k":"a"}}]}}"#, "[".repeat(30_000), "]".repeat(30_000));
        assert_eq!(read(&deep_unknown).0, 1, "what we do not read costs nothing, however deep");
    }

    #[test]
    fn a_yes_of_the_list_or_of_the_tc_string_was_given_here() {
        let now = Timestamp(1_773_480_413_589);
        let tc = "CQg2bYAQg2bYAEsABBFRB4FgAIGAAEPgAAqIF5wAoAAgAEAvMAAAAAAA.IF5wA4AAgAEAAoBeYAAA.YAAAAAAAAAAA";
        let tc_no = "CQg2bYAQg2bYAEsABBFRB4FgAAAAAEPgAAqIAAAAAAAA.IF5wA4AAgAEAAoBeYAAA.YAAAAAAAAAAA";
        for (body, here) in [
            (String::from("{}"), false),
            (String::from(r#"{"g":["analytics"]}"#), true),
            (String::from(r#"{"g":[]}"#), false),
            (String::from(r#"{"g":["marketing"]}"#), false),
            (String::from(r#"{"g":"analytics"}"#), false),
            (String::from(r#"{"o":0}"#), false),
            (format!(r#"{{"gt":"{tc}"}}"#), true),
            (format!(r#"{{"gt":"{tc_no}"}}"#), false),
            (format!(r#"{{"gp":"DBABMA~{tc}"}}"#), false),
            (String::from(r#"{"gu":"1YNN"}"#), false),
        ] {
            let inbound = inbound(&body);
            assert_eq!(Native.decode(&inbound, now).evidence.said_here, here, "{body}");
        }
    }
}
