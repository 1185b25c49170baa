//! The table of user agents that declare themselves, measured against two kept lists of the field and against real browsers
//! (`tests/oracles/bots/`): of published examples of crawlers how many are known, and of real browsers how many are taken for one.

use std::{io::Write as _, process::Command};

use firsthand::clock::Timestamp;
use serde_json::Value;

use crate::{
    installation::{SITE, file_destination},
    line::{Became, Line, RawRequest},
};

/// Any; the same one draws the same browsers.
const SEED: u32 = 20_261_123;
/// Different real user agents that are drawn.
const BROWSERS: usize = 500;
/// Of published crawlers, per thousand, at least so many are declared or suspected.
const RECALL_MIN: usize = 970;
/// Of real browsers, per thousand, at most so many are.
const FALSE_POSITIVES_MAX: usize = 2;

#[test]
#[ignore = "needs node and npm: run by tests/run"]
fn published_crawlers_are_known_and_real_browsers_are_not_taken_for_one() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/bots");
    let installed =
        Command::new("npm").args(["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", directory]).status().unwrap();
    assert!(installed.success());
    let oracle =
        Command::new("node").args([&format!("{directory}/agents.mjs"), &SEED.to_string(), &BROWSERS.to_string()]).output().unwrap();
    assert!(oracle.status.success());
    let documents = SITE.to_owned() + &file_destination("own", "exempt_measurement", "measurement");
    let line = Line::new(&documents, 0);
    let class = |agent: &str| {
        let request = RawRequest::beacon([192, 0, 2, 41].into(), r#"{"e":[{"k":"page_view"}]}"#.into())
            .with("user-agent", agent)
            .with("accept-language", "fr");
        let Became::Clean(clean) = line.receive(&request, Timestamp(1_790_000_123_456)).events.remove(0) else { panic!("a refusal") };
        clean.body["bot"]["class"].as_str().map(str::to_owned)
    };
    let (mut crawlers, mut declared, mut suspected, mut alike, mut browsers, mut wrong) = (0, 0, 0, 0, 0, Vec::new());
    for entry in String::from_utf8(oracle.stdout).unwrap().lines() {
        let entry: Value = serde_json::from_str(entry).unwrap();
        let agent = entry["agent"].as_str().unwrap();
        let class = class(agent);
        alike += usize::from(entry["isbot"] == class.is_some());
        if entry["crawler"] == true {
            crawlers += 1;
            declared += usize::from(class.as_deref() == Some("declared"));
            suspected += usize::from(class.as_deref() == Some("suspected"));
        } else {
            browsers += 1;
            wrong.extend(class.map(|_| agent.to_owned()));
        }
    }
    // Past the harness, which swallows the output of tests that pass.
    let _ = writeln!(
        std::io::stderr(),
        "{crawlers} published crawlers: {declared} declared, {suspected} suspected; {browsers} real browsers: {} taken for a program; \
         {alike} of {} as the other list says",
        wrong.len(),
        crawlers + browsers
    );
    assert!(crawlers > 1_000 && browsers >= BROWSERS);
    assert!((declared + suspected) * 1_000 >= crawlers * RECALL_MIN);
    assert!(wrong.len() * 1_000 <= browsers * FALSE_POSITIVES_MAX, "{wrong:?}");
}
