//! Single vendors: a destination that names its number in the global vendor list gets nothing of a visitor whose TC string does not consent to
//! it, and where nobody else is entitled nothing is kept.

use firsthand::{clock::Timestamp, event::Offset, privacy::refusal::Refusal};

use crate::{
    installation::{Installation, SITE, file_destination},
    line::{Became, Line, RawRequest},
};

const NOW: Timestamp = Timestamp(1_773_480_413_589);
/// Consents to what `analytics` needs, and to the vendors 1, 2 and 755.
const STRING: &str = "CQg2bYAQg2bYAEsABBFRB4FgAIGAAEPgAAqIF5wAoAAgAEAvMAAAAAAA.IF5wA4AAgAEAAoBeYAAA.YAAAAAAAAAAA";
const CONSENTED: u16 = 2;
const REFUSED: u16 = 3;

fn vendor(name: &str, number: u16, transform: &str) -> String {
    file_destination(name, "consent", transform).replace("transform =", &format!("tcf_vendor = {number}\ntransform ="))
}

fn request(said: &str) -> RawRequest {
    RawRequest::beacon("192.0.2.7".parse().unwrap(), format!(r#"{{{said},"e":[{{"k":"page_view"}}]}}"#))
}

/// What each destination gets of what was said: `yes`, or the reason for nothing.
fn outcome(line: &Line, said: &str) -> Vec<(String, String)> {
    let offset = line.append(0, line.receive(&request(said), NOW)).expect("somebody may have it");
    disclosed(line, offset)
}

fn disclosed(line: &Line, offset: Offset) -> Vec<(String, String)> {
    let record = line.records(0, offset).remove(0);
    let short = |(name, text): (String, String)| (name, if text.starts_with('{') { String::from("yes") } else { text });
    let mut all: Vec<_> = line.disclosures(&record, NOW).into_iter().map(short).collect();
    all.sort();
    all
}

fn said(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn a_vendor_gets_what_the_string_consents_to_for_it_and_the_others_what_they_would() {
    let no = "withheld: vendor_not_consented";
    for transform in ["consented-analytics", "strict"] {
        let documents = [
            SITE.to_owned(),
            vendor("agreed", CONSENTED, transform),
            vendor("refused", REFUSED, transform),
            file_destination("own", "consent", transform),
            file_destination("count", "exempt_measurement", "strict"),
        ];
        let mut line = Line::new(&documents.concat(), 1);
        let tcf = format!(r#""gt":"{STRING}""#);
        assert_eq!(outcome(&line, &tcf), said(&[("agreed", "yes"), ("count", "yes"), ("own", "yes"), ("refused", no)]), "{transform}");
        let gpp = format!(r#""gp":"DBABMA~{STRING}""#);
        assert_eq!(outcome(&line, &gpp), said(&[("agreed", "yes"), ("count", "yes"), ("own", "yes"), ("refused", no)]), "{transform}");
        let native = outcome(&line, r#""g":["analytics"]"#);
        assert!(native.iter().all(|(_, text)| text == "yes"), "no string: as the site's own dialogue says");

        // What was not asked when it came in is not taken for a yes later.
        let before = line.append(0, line.receive(&request(&tcf), NOW)).unwrap();
        line.put_in_force(&documents.concat().replace(&format!("tcf_vendor = {REFUSED}"), "tcf_vendor = 10"));
        assert_eq!(disclosed(&line, before)[3], (String::from("refused"), String::from(no)));
    }
}

#[test]
fn where_the_vendor_alone_was_entitled_nothing_is_kept_and_nobody_is_known() {
    let line = Line::new(&(SITE.to_owned() + &vendor("refused", REFUSED, "consented-analytics")), 1);
    let received = line.receive(&request(&format!(r#""gt":"{STRING}""#)), NOW);
    assert!(matches!(received.events[..], [Became::Refused(Refusal::NoBasis)]));
    assert!(received.cookies.is_empty());
    assert_eq!(line.append(0, received), None);

    // Beside one that may see less, no more rests than that one may see.
    let documents = SITE.to_owned() + &vendor("refused", REFUSED, "consented-analytics") + &file_destination("own", "consent", "strict");
    let line = Line::new(&documents, 1);
    let received = line.receive(&request(&format!(r#""gt":"{STRING}""#)), NOW);
    let [Became::Clean(clean)] = &received.events[..] else { panic!("kept") };
    assert_eq!((clean.header.ceiling.name(), clean.header.sealed, received.cookies.len()), ("strict", false, 0));
    let received = line.receive(&request(r#""g":["analytics"]"#), NOW);
    assert_eq!(received.cookies.len(), 1, "without a string it is as ever");
}

#[test]
fn a_vendor_is_one_of_a_destination_that_needs_a_consent() {
    let installation = Installation::new(&(SITE.to_owned() + &vendor("customers", CONSENTED, "strict")));
    let run = |arguments: &[&str]| {
        let output = installation.run(arguments);
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    assert!(run(&["policy", "show"]).contains("where it comes with a TC string, also to vendor 2"));
    let exempt = file_destination("count", "exempt_measurement", "strict").replace("transform =", "tcf_vendor = 755\ntransform =");
    for (name, wrong) in [("exempt.toml", exempt), ("zero.toml", vendor("customers", 0, "strict"))] {
        installation.write(name, &wrong);
        assert!(run(&["apply", name]).contains("tcf_vendor: a vendor of the global vendor list"));
    }
}
