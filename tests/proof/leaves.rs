//! What leaves, to whom: the least of what was allowed and agreed to at capture and what is now; each field as the policy says; ids that
//! cannot be joined; and what is on its way when something changes.

use std::time::Duration;

use firsthand::{
    destination::DestinationType,
    privacy::{
        disclose::{Disclosed, Disclosure, Standing},
        envelope::Part,
    },
};
use serde_json::json;

use crate::{
    Found,
    installation::{SITE, destination},
    line::Line,
    unless,
    visit::{NOW, beacon, captured, cookie_of, documents, exempt, gets, gets_at, message, record, with_policy},
};

const YES: &str = "\"g\":[\"analytics\"],";
const WIDER_YES: &str = "\"g\":[\"analytics\",\"profile\"],";

/// What a destination of these documents gets of one event of somebody who said this.
fn got(documents: &str, choice: &str, destination: &str) -> serde_json::Value {
    let line = Line::new(documents, 1);
    let (offset, _) = captured(&line, &beacon(choice, ""));
    gets(&line, offset, destination).expect("the destination gets it")
}

fn deviation(field: &str, treatment: &str) -> String {
    let deviation = format!("[[policy.deviation]]\nfield = \"{field}\"\ntreatment = \"{treatment}\"\nreason = \"a test\"\n");
    with_policy(&documents(), &deviation)
}

pub(crate) fn an_unlisted_name() -> Found {
    let line = Line::new(&documents(), 1);
    let named = |name: &str| {
        let mut request = beacon("", "");
        request.body = String::from_utf8(request.body).unwrap().replace("purchase", name).into_bytes();
        let (offset, _) = captured(&line, &request);
        gets(&line, offset, "measurement").expect("it leaves")["name"].clone()
    };
    assert_eq!(named("newsletter_opened"), "newsletter_opened", "the control: a listed name leaves");
    unless(named("jane_doe_called") != "custom", "an event's name that nobody listed")
}

pub(crate) fn what_was_not_agreed_to() -> Found {
    let line = Line::new(&documents(), 1);
    let to_customers = |choice| gets(&line, captured(&line, &beacon(choice, "")).0, "customers").is_some();
    assert!(to_customers(YES), "the control: who agreed to analytics");
    unless(to_customers("\"g\":[\"ads\"],"), "an event to a destination for analytics, of a visitor who agreed to advertising alone")?;
    unless(to_customers(""), "an event to a destination with the basis consent, of a visitor who has not chosen")
}

pub(crate) fn a_held_copy() -> Found {
    let line = Line::new(&documents(), 1);
    let (offset, _) = captured(&line, &beacon(YES, ",\"h\":1"));
    assert!(gets(&line, offset, "customers").is_some(), "the control: it is for those who need the consent");
    unless(gets(&line, offset, "measurement").is_some(), "the copy of an event that the destination had when it happened")
}

pub(crate) fn a_relaxed_preset() -> Found {
    let mut line = Line::new(&exempt("strict"), 1);
    let [first, second] = [(); 2].map(|()| captured(&line, &beacon("", "")).0);
    line.put_in_force(&exempt("measurement"));
    let [first, second] = [first, second].map(|offset| gets(&line, offset, "measurement").expect("it leaves"));
    unless(first["visitor_id"] == second["visitor_id"], "an id across events that were taken in under a policy without one")
}

pub(crate) fn a_tightened_preset() -> Found {
    let mut line = Line::new(&exempt("measurement"), 1);
    let (offset, _) = captured(&line, &beacon("", ""));
    assert!(gets(&line, offset, "measurement").is_some(), "the control: before the change it leaves");
    line.put_in_force(&exempt("deny-all"));
    unless(gets(&line, offset, "measurement").is_some(), "an event to a destination that the policy now allows nothing")
}

/// What profiles get of an event under the first choice, after the second.
fn to_profiles_after(first: &str, second: &str) -> bool {
    let line = Line::new(&documents(), 1);
    let (offset, answer) = captured(&line, &beacon(first, ""));
    captured(&line, &beacon(second, "").with("cookie", &cookie_of(&answer)));
    gets(&line, offset, "profiles").is_some()
}

pub(crate) fn a_wider_yes() -> Found {
    assert!(to_profiles_after(WIDER_YES, WIDER_YES), "the control: who agreed all along");
    unless(to_profiles_after(YES, WIDER_YES), "an event for a purpose that was agreed to only later")
}

pub(crate) fn a_narrower_yes() -> Found {
    assert!(to_profiles_after(WIDER_YES, WIDER_YES), "the control: who agreed all along");
    unless(to_profiles_after(WIDER_YES, YES), "an event for a purpose that is no longer agreed to")
}

pub(crate) fn a_property_taken_off_the_list() -> Found {
    let mut line = Line::new(&documents(), 1);
    let (offset, _) = captured(&line, &beacon("", ""));
    let property = |line: &Line| gets(line, offset, "measurement").expect("it leaves")["properties"]["plan"].clone();
    assert_eq!(property(&line), "pro", "the control: a listed property leaves");
    line.put_in_force(&documents().replace("plan = \"word\", ", ""));
    unless(property(&line) == "pro", "a property that was taken off the policy's list")
}

pub(crate) fn a_deviation() -> Found {
    let country = |documents: &str| got(documents, "", "measurement")["country"].clone();
    let told = country(&documents());
    assert_ne!(told, "ZZ", "the control: without the deviation the country leaves");
    unless(country(&deviation("place", "drop")) == told, "a field that the site's policy drops")
}

pub(crate) fn a_dropped_field() -> Found {
    assert!(got(&documents(), WIDER_YES, "profiles").get("user_id").is_some(), "the control: a profile has it");
    unless(
        got(&deviation("user_id", "drop"), WIDER_YES, "profiles").get("user_id").is_some(),
        "a dropped field: who the page says is visiting",
    )
}

pub(crate) fn a_generalised_field() -> Found {
    assert_eq!(got(&documents(), YES, "customers")["value"], json!(62.55), "the control: the preset keeps it");
    unless(got(&deviation("value", "generalise"), YES, "customers")["value"] != json!(63.0), "the exact amount of a generalised field")
}

pub(crate) fn a_pseudonymised_field() -> Found {
    let order = got(&documents(), YES, "customers")["transaction_id"].clone();
    assert!(order.is_string(), "the control: there is an id of the order");
    unless(order == "A-1007", "the shop's own id of the order, where another is due")
}

pub(crate) fn the_sites_preset() -> Found {
    let bounded = documents().replacen("name = \"shop\"\nevents", "name = \"shop\"\npreset = \"strict\"\nevents", 1);
    assert!(got(&documents(), "", "measurement").get("session_id").is_some(), "the control: without the preset there is a session");
    unless(got(&bounded, "", "measurement").get("session_id").is_some(), "a visit's id, beyond the preset that bounds the site")
}

/// What Google's destination gets of the click ids of somebody who agreed to advertising, too.
fn clicks_at_google(purpose: &str, transform: &str) -> serde_json::Value {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "a-secret-of-the-vendor").unwrap();
    let settings = format!("settings = {{ measurement_id = \"G-ABC123DEF4\", api_secret = \"file:{}\" }}", secret.path().display());
    let google = destination("google", "ga4", "consent", transform, &settings).replace("\"analytics\"", &format!("\"{purpose}\""));
    let deviation = "[[policy.deviation]]\nfield = \"click_ids\"\ntreatment = \"keep\"\nstate = \"granted\"\nreason = \"a test\"\n";
    let line = Line::new(&with_policy(&(SITE.to_owned() + &google), deviation), 1);
    let mut request = beacon("\"g\":[\"analytics\",\"ads\"],", "");
    request.body =
        String::from_utf8(request.body).unwrap().replace("?utm_source", "?gclid=Cj0-of-google&fbclid=Iw-of-meta&utm_source").into_bytes();
    let (offset, _) = captured(&line, &request);
    gets(&line, offset, "google").expect("the destination gets it")["click_ids"].clone()
}

pub(crate) fn click_ids_without_advertising() -> Found {
    assert_eq!(clicks_at_google("ads", "consented-ads")["gclid"], "Cj0-of-google", "the control: for advertising it leaves");
    unless(
        !clicks_at_google("analytics", "consented-analytics").is_null(),
        "the id of a click, to a destination that is not for advertising",
    )
}

pub(crate) fn click_ids_of_another_vendor() -> Found {
    let clicks = clicks_at_google("ads", "consented-ads");
    assert_eq!(clicks["gclid"], "Cj0-of-google", "the control: its own leaves");
    unless(!clicks["fbclid"].is_null(), "the id of a click that another vendor issued")
}

/// Whether a destination of that type and transform is given an envelope with the address of somebody who agreed to everything, where a
/// deviation lets the address leave to whoever can have it.
fn is_given_the_address(kind: &str, transform: &str, purpose: &str) -> bool {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "a-token-of-the-vendor").unwrap();
    let settings = match kind {
        "meta" => format!("settings = {{ dataset_id = \"123\", access_token = \"file:{}\" }}", secret.path().display()),
        _ => String::from("settings = { directory = \"outbox/campaigns\" }"),
    };
    let vendor = destination("campaigns", kind, "consent", transform, &settings).replace("\"analytics\"", &format!("\"{purpose}\""));
    let deviation = "[[policy.deviation]]\nfield = \"address\"\ntreatment = \"keep\"\nstate = \"granted\"\nreason = \"a test\"\n";
    let line = Line::new(&with_policy(&(SITE.to_owned() + &vendor), deviation), 1);
    let (offset, _) = captured(&line, &beacon("\"g\":[\"analytics\",\"ads\"],", ""));
    on_the_way(&line, offset, "campaigns").envelope().is_some_and(|envelope| envelope.get(Part::Address) == Some("192.0.2.7"))
}

pub(crate) fn an_envelope_without_advertising() -> Found {
    assert!(is_given_the_address("meta", "consented-ads", "ads"), "the control: for advertising it leaves");
    unless(is_given_the_address("meta", "consented-analytics", "analytics"), "an address, to a destination that is not for advertising")
}

pub(crate) fn an_envelope_for_a_file() -> Found {
    assert!(is_given_the_address("meta", "consented-ads", "ads"), "the control: who asks for it is given it");
    unless(is_given_the_address("file", "consented-ads", "ads"), "an address, to a destination that asks for none")
}

/// The visitor's ids that two destinations of a kind get.
fn ids_of(choice: &str, destinations: [&str; 2]) -> [serde_json::Value; 2] {
    let line = Line::new(&documents(), 1);
    let (offset, _) = captured(&line, &beacon(choice, ""));
    destinations.map(|destination| gets(&line, offset, destination).expect("it leaves")["visitor_id"].clone())
}

pub(crate) fn lasting_ids_of_two_destinations() -> Found {
    let [one, other] = ids_of(YES, ["customers", "warehouse"]);
    unless(one == other, "an id by which two destinations can join what they know of a person")
}

pub(crate) fn daily_ids_of_two_destinations() -> Found {
    let [one, other] = ids_of("", ["measurement", "partner"]);
    unless(one == other, "an id by which two destinations can join what they know of a day's visitor")
}

pub(crate) fn ids_of_two_days() -> Found {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let line = Line::new(&exempt("measurement"), 1);
    let [one, other] = [NOW, NOW.plus(DAY)].map(|now| {
        let offset = line.append(0, line.receive(&beacon("", ""), now)).expect("it is new");
        gets_at(&line, offset, "measurement", now).expect("it leaves")["visitor_id"].clone()
    });
    unless(one == other, "an id across two days, of a visitor without consent")
}

pub(crate) fn strict_ids() -> Found {
    let line = Line::new(&exempt("strict"), 1);
    let [one, other] = [(); 2].map(|()| captured(&line, &beacon("", "")).0);
    let [one, other] = [one, other].map(|offset| gets(&line, offset, "measurement").expect("it leaves")["visitor_id"].clone());
    unless(one == other, "an id across the events of a visitor, under strict")
}

pub(crate) fn a_vendors_consent_parameters() -> Found {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "a-secret-of-the-vendor").unwrap();
    let settings = toml::toml! { measurement_id = "G-ABC123DEF4" };
    let settings = settings.into_iter().chain([(String::from("api_secret"), format!("file:{}", secret.path().display()).into())]).collect();
    let vendor = (DestinationType::named("ga4").unwrap().open)(&settings).unwrap();
    let said = |choice: &str| {
        let line = Line::new(&documents(), 1);
        let (offset, _) = captured(&line, &beacon(choice, ""));
        let parcels = vendor.encode(&[&on_the_way(&line, offset, "customers")]);
        serde_json::from_slice::<serde_json::Value>(&parcels[0].body).unwrap()["consent"].clone()
    };
    let granted = json!({ "ad_user_data": "GRANTED", "ad_personalization": "GRANTED" });
    assert_eq!(said("\"g\":[\"analytics\",\"ads\"],"), granted, "the control: who agreed to advertising");
    unless(said(YES) == granted, "the vendor is told of a consent to advertising that was not given")
}

/// A disclosure as it waits to be sent.
fn on_the_way(line: &Line, offset: firsthand::event::Offset, destination: &str) -> Box<Disclosure> {
    let destination = line.documents.destinations.iter().find(|of| of.name == destination).expect("a destination of the documents");
    match line.discloser.disclose(&record(line, offset), &line.documents, destination, NOW).unwrap() {
        Disclosed::Disclosure(disclosure) => disclosure,
        _ => panic!("the destination gets it"),
    }
}

fn stands(line: &Line, disclosure: &Disclosure) -> bool {
    line.discloser.standing(disclosure, &line.documents, NOW) == Standing::Stands
}

pub(crate) fn a_withdrawal_on_the_way() -> Found {
    let line = Line::new(&documents(), 1);
    let (offset, answer) = captured(&line, &beacon(YES, ""));
    let waiting = on_the_way(&line, offset, "customers");
    assert!(stands(&line, &waiting), "the control: while they agree it may leave");
    line.receive(&message("\"g\":[]").with("cookie", &cookie_of(&answer)), NOW);
    unless(stands(&line, &waiting), "what was on its way when its person withdrew")
}

pub(crate) fn changed_documents_on_the_way() -> Found {
    let mut line = Line::new(&documents(), 1);
    let (offset, _) = captured(&line, &beacon("", ""));
    let waiting = on_the_way(&line, offset, "measurement");
    assert!(stands(&line, &waiting), "the control: under the same documents it may leave");
    line.put_in_force(&SITE.replacen("name = \"shop\"\nevents", "name = \"shop\"\npreset = \"deny-all\"\nevents", 1));
    unless(stands(&line, &waiting), "what was on its way when the policy was tightened")
}
