//! Persons: their cookie, their key, and what an objection does to both.

use crate::{
    Found,
    line::{Became, Line},
    unless,
    visit::{NOW, beacon, captured, cookie_of, documents, gets, gets_at, message, rests},
};

const YES: &str = "\"g\":[\"analytics\"],";
const DAY_SECONDS: u64 = 24 * 60 * 60;

fn line() -> Line {
    Line::new(&documents(), 1)
}

/// For how long the cookie lives that answers this choice.
fn cookie_seconds(choice: &str) -> u64 {
    let received = line().receive(&beacon(choice, ""), NOW);
    let age = received.cookies[0].split("Max-Age=").nth(1).expect("the cookie has an age");
    age.split(';').next().unwrap().parse().unwrap()
}

pub(crate) fn no_choice_yet() -> Found {
    let line = line();
    assert!(!line.receive(&beacon(YES, ""), NOW).cookies.is_empty(), "the control: a yes gets a cookie");
    unless(!line.receive(&beacon("", ""), NOW).cookies.is_empty(), "a cookie with a lasting id, to a visitor who has not chosen")
}

pub(crate) fn a_minutes_consent() -> Found {
    unless(cookie_seconds("\"g\":[\"analytics\"],\"gx\":60,") > 60, "a cookie that outlives its consent")
}

pub(crate) fn a_long_consent() -> Found {
    let age = cookie_seconds(&format!("\"g\":[\"analytics\"],\"gx\":{},", 500 * DAY_SECONDS));
    unless(age > 396 * DAY_SECONDS, "a cookie that lives longer than 13 months")
}

pub(crate) fn a_second_visit() -> Found {
    let line = line();
    let cookie = cookie_of(&line.receive(&beacon(YES, ""), NOW));
    let later = line.receive(&beacon(YES, "").with("cookie", &cookie), NOW);
    assert!(rests(&later));
    unless(!later.cookies.is_empty(), "the cookie again, with a new end")
}

pub(crate) fn a_refusal_with_a_cookie() -> Found {
    let line = line();
    let cookie = cookie_of(&line.receive(&beacon(YES, ""), NOW));
    let answer = line.receive(&message("\"g\":[]").with("cookie", &cookie), NOW);
    let cleared = answer.cookies.iter().any(|cookie| cookie.starts_with("__Host-w=;") && cookie.contains("Max-Age=0"));
    unless(!cleared, "the cookie of a person who withdrew stays in the browser")
}

pub(crate) fn what_a_person_said_before() -> Found {
    let line = line();
    let (offset, answer) = captured(&line, &beacon(YES, ""));
    assert!(gets(&line, offset, "customers").is_some(), "the control: while they agree it leaves");
    line.receive(&message("\"g\":[]").with("cookie", &cookie_of(&answer)), NOW);
    unless(gets(&line, offset, "customers").is_some(), "what a person said before they withdrew")
}

pub(crate) fn what_a_visitor_without_a_cookie_said_before() -> Found {
    let line = line();
    let (offset, _) = captured(&line, &beacon("", ""));
    assert!(gets(&line, offset, "measurement").is_some(), "the control: before they object it leaves");
    line.receive(&message("\"o\":1"), NOW);
    unless(gets(&line, offset, "measurement").is_some(), "what a visitor without a cookie said on the day of their objection")
}

pub(crate) fn an_ended_consent() -> Found {
    let line = line();
    let (offset, _) = captured(&line, &beacon("\"g\":[\"analytics\"],\"gx\":60,", ""));
    assert!(gets(&line, offset, "customers").is_some(), "the control: while the consent lasts it leaves");
    let later = NOW.plus(std::time::Duration::from_secs(61));
    unless(gets_at(&line, offset, "customers", later).is_some(), "an event after the end of the consent")
}

pub(crate) fn a_granted_body_at_rest() -> Found {
    let received = line().receive(&beacon(YES, ""), NOW);
    let [Became::Clean(clean)] = &received.events[..] else { panic!("it comes to rest") };
    let readable = clean.record.bytes().windows(6).any(|window| window == b"letter");
    unless(readable, "what rests of a granted event is readable without its person's key")
}
