//! What visitors say, and that it is heeded.

use crate::{
    Found,
    installation::{SITE, file_destination},
    line::{Line, RawRequest},
    unless,
    visit::{NOW, beacon, captured, documents, gets, rests},
};

const AGREED: &str = "\"g\":[\"analytics\",\"profile\",\"ads\"],";

/// Nothing of this request rests, though it does of one in which nobody objects.
fn nothing_rests(request: &RawRequest, otherwise: &'static str) -> Found {
    let line = Line::new(&documents(), 0);
    let rests = |request: &RawRequest| rests(&line.receive(request, NOW));
    assert!(rests(&beacon("", "")) && rests(&beacon(AGREED, "")), "the control: without the objection it rests");
    unless(rests(request), otherwise)
}

pub(crate) fn opt_out() -> Found {
    nothing_rests(&beacon("\"o\":1,", ""), "the event of a visitor who opts out with it")
}

pub(crate) fn opt_out_before_a_yes() -> Found {
    nothing_rests(&beacon(AGREED, "").with("cookie", "__Host-wo=1"), "the event of a visitor with the opt-out cookie, by a page's yes")
}

pub(crate) fn refusal() -> Found {
    nothing_rests(&beacon("\"g\":[],", ""), "the event of a visitor who refused every purpose")
}

pub(crate) fn global_privacy_control() -> Found {
    nothing_rests(&beacon(AGREED, "").with("sec-gpc", "1"), "the event of a browser that sends Global Privacy Control")
}

pub(crate) fn do_not_track() -> Found {
    nothing_rests(&beacon(AGREED, "").with("dnt", "1"), "the event of a browser that sends Do Not Track")
}

pub(crate) fn malformed() -> Found {
    nothing_rests(&beacon("\"g\":\"analytics\",", ""), "an event under a consent that nobody can read")
}

pub(crate) fn yes_beside_something_unreadable() -> Found {
    let both = beacon("\"g\":[\"analytics\"],\"gt\":\"no consent string\",", "");
    nothing_rests(&both, "an event under a yes, though another signal beside it cannot be read")
}

pub(crate) fn grants_with_nothing_in_common() -> Found {
    // For everything but purposes 5 and 6, which are a profile.
    let string = "CQg2bYAQg2bYAEsABBFRB4FgAPPgAEPgAAqIF5wAoAAgAEAvMAAAAAAA.IF5wA4AAgAEAAoBeYAAA.YAAAAAAAAAAA";
    let beside = |purpose| beacon(&format!("\"g\":[\"{purpose}\"],\"gt\":\"{string}\","), "");
    let line = Line::new(&documents(), 0);
    assert!(rests(&line.receive(&beside("analytics"), NOW)), "the control: a purpose that is in both grants");
    nothing_rests(&beside("profile"), "an event for a purpose that one of two grants leaves out")
}

pub(crate) fn objection_to_a_sale() -> Found {
    let line = Line::new(&documents(), 1);
    let (offset, _) = captured(&line, &beacon("\"g\":[\"analytics\",\"ads\"],\"gu\":\"1YYN\",", ""));
    assert!(gets(&line, offset, "customers").is_some(), "the control: analytics stays agreed to");
    unless(gets(&line, offset, "campaigns").is_some(), "an event for advertising, of a visitor who objected to a sale")
}

pub(crate) fn a_yes_against_global_privacy_control() -> Found {
    let yes = beacon(AGREED, "").with("sec-gpc", "1");
    let overridden = documents().replacen("\n[[destination]]", "\ngpc_site_override = { reason = \"a test\" }\n[[destination]]", 1);
    assert!(rests(&Line::new(&overridden, 0).receive(&yes, NOW)), "the control: where the document says so it rests");
    unless(
        rests(&Line::new(&documents(), 0).receive(&yes, NOW)),
        "the event of a browser that sends Global Privacy Control, by a page's yes",
    )
}

pub(crate) fn a_refusal_to_matomo() -> Found {
    nothing_rests(&beacon(AGREED, "").with("cookie", "matomo_ignore=1"), "the event of a visitor who refused in Matomo's dialogue")
}

pub(crate) fn a_vendor_that_was_refused() -> Found {
    // Consents to what analytics needs, and to the vendors 1, 2 and 755.
    let string = "CQg2bYAQg2bYAEsABBFRB4FgAIGAAEPgAAqIF5wAoAAgAEAvMAAAAAAA.IF5wA4AAgAEAAoBeYAAA.YAAAAAAAAAAA";
    let of = |vendor: u16| {
        let customers = file_destination("customers", "consent", "consented-analytics");
        let documents = SITE.to_owned() + &customers.replace("transform =", &format!("tcf_vendor = {vendor}\ntransform ="));
        let line = Line::new(&(documents + &file_destination("own", "consent", "consented-analytics")), 1);
        let (offset, _) = captured(&line, &beacon(&format!("\"gt\":\"{string}\","), ""));
        gets(&line, offset, "customers").is_some()
    };
    assert!(of(2), "the control: a vendor that was consented to");
    unless(of(3), "an event to a vendor that the visitor did not consent to")
}

pub(crate) fn held_copy_before_the_choice() -> Found {
    nothing_rests(&beacon("", ",\"h\":1"), "a copy that the page should have held until the choice")
}

pub(crate) fn a_purpose_that_nobody_has() -> Found {
    let only_analytics = SITE.to_owned() + &file_destination("customers", "consent", "consented-analytics");
    let line = Line::new(&only_analytics, 0);
    let rests = |choice| rests(&line.receive(&beacon(choice, ""), NOW));
    assert!(rests("\"g\":[\"analytics\"],"), "the control: for the destination's purpose it rests");
    unless(rests("\"g\":[\"ads\"],"), "an event at rest that no destination may have")
}
