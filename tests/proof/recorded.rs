//! A consent on record, for requests of libraries that have no words for a choice, and of a site's backend; and pages that ask for nobody to be
//! known again.

use firsthand::protocol::server::fingerprint;
use serde_json::{Value, json};

use crate::{
    Found,
    installation::{SITE, file_destination},
    line::{Line, RawRequest},
    unless,
    visit::{NOW, beacon, captured, cookie_of, documents, gets, message, rests},
};

const AGREED: &str = "\"g\":[\"analytics\",\"profile\",\"ads\"],";

/// A page view in the words of a library that has none for a choice.
fn plausible() -> RawRequest {
    let body = r#"{"n":"pageview","u":"https://www.shop.example/","d":"shop.example"}"#;
    let mut request = RawRequest::beacon([192, 0, 2, 7].into(), body.to_owned());
    request.path = String::from("/keso/api/event");
    request
}

/// The same of another one, which can ask for nobody to be known again.
fn snowplow() -> RawRequest {
    let body = r#"{"data":[{"e":"pv","aid":"shop-app","url":"https://www.shop.example/"}]}"#;
    let mut request = RawRequest::beacon([192, 0, 2, 7].into(), body.to_owned());
    request.path = String::from("/keso/x/tp2");
    request
}

/// The cookie of somebody whose consent is on record.
fn of_somebody_who_agreed(line: &Line) -> String {
    cookie_of(&captured(line, &beacon(AGREED, "")).1)
}

/// What a destination gets of the request's one event.
fn received(line: &Line, request: &RawRequest, destination: &str) -> Option<Value> {
    gets(line, captured(line, request).0, destination)
}

pub(crate) fn an_objection_beside_a_consent_on_record() -> Found {
    let line = Line::new(&documents(), 1);
    let cookie = of_somebody_who_agreed(&line);
    let with_cookie = || plausible().with("cookie", &cookie);
    assert!(received(&line, &with_cookie(), "customers").is_some(), "the control: their consent on record counts");
    let objects = line.receive(&with_cookie().with("sec-gpc", "1"), NOW);
    unless(rests(&objects), "the event of a browser that sends Global Privacy Control, by a consent of another day")
}

pub(crate) fn a_library_that_could_have_said_it() -> Found {
    let line = Line::new(&documents(), 1);
    let cookie = of_somebody_who_agreed(&line);
    assert!(received(&line, &plausible().with("cookie", &cookie), "customers").is_some(), "the control: one that has no words");
    let said_nothing = received(&line, &beacon("", "").with("cookie", &cookie), "customers");
    unless(said_nothing.is_some(), "an event to a destination that needs consent, whose library could have said a choice and did not")
}

pub(crate) fn a_vendor_that_nobody_decided_on() -> Found {
    let customers = file_destination("customers", "consent", "consented-analytics").replace("transform =", "tcf_vendor = 755\ntransform =");
    let line = Line::new(&(SITE.to_owned() + &customers + &file_destination("own", "consent", "consented-analytics")), 1);
    let cookie = of_somebody_who_agreed(&line);
    let (offset, _) = captured(&line, &plausible().with("cookie", &cookie));
    assert!(gets(&line, offset, "own").is_some(), "the control: a destination of no single vendor");
    unless(gets(&line, offset, "customers").is_some(), "an event to a vendor that no consent string of the request decided on")
}

pub(crate) fn a_page_that_asks_for_nobody() -> Found {
    let line = Line::new(&documents(), 1);
    let cookie = of_somebody_who_agreed(&line);
    let with_cookie = || snowplow().with("cookie", &cookie);
    assert!(received(&line, &with_cookie(), "customers").is_some(), "the control: without the header they are known");
    let anonymous = with_cookie().with("sp-anonymous", "*");
    unless(received(&line, &anonymous, "customers").is_some(), "a known person's event, from a page that asked for nobody to be known")?;
    // Meta's word for the same.
    let mut pixel = RawRequest::beacon([192, 0, 2, 7].into(), String::new()).with("cookie", &cookie);
    pixel.path = String::from("/keso/tr?id=7&ev=PageView&dpo=LDU");
    unless(received(&line, &pixel, "customers").is_some(), "a known person's event under limited data use")
}

pub(crate) fn a_backend_that_names_whom_it_should_not() -> Found {
    let keys = format!("\nkeys = {{ server = [\"{}\"] }}\n[[destination]]", fingerprint("fhk_proof"));
    let line = Line::new(&documents().replacen("\n[[destination]]", &keys, 1), 0);
    let cookie = cookie_of(&line.receive(&beacon(AGREED, ""), NOW));
    let order = || {
        let visitor = cookie.split_once('=').map(|(_, value)| value);
        let body = json!({ "event": "Order Completed", "messageId": "A-1007", "anonymousId": visitor }).to_string();
        let mut request = RawRequest::beacon([203, 0, 113, 80].into(), body).with("authorization", "Bearer fhk_proof");
        request.path = String::from("/keso/v1/events");
        request
    };
    assert!(rests(&line.receive(&order(), NOW)), "the control: as long as they agree it rests");
    line.receive(&message("\"g\":[]").with("cookie", &cookie), NOW);
    unless(rests(&line.receive(&order(), NOW)), "an event of somebody who withdrew, which the site's backend sent in their name")
}
