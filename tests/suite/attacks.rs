//! The attacks of `prove --scoreboard`, on what the line lets leave of synthetic days: where a policy hides nothing they find much, where it
//! hides they find less, a lasting id is followed, and the same seed gives the same figures.

use firsthand::{
    documents::parse::DocumentFile,
    prove::{
        beacons::Target,
        scoreboard::{
            Row, attacks,
            captured::{Recipient, Tells},
            linking::{self, By},
            singling::{self, Predicate, Release},
            synthetic,
            workload::{Captured, Workload},
        },
    },
};

use crate::installation::{SITE, WITHOUT_CROWDS, destination, file_destination};

/// Fewer, and hardly anybody of those who agreed comes again.
const VISITORS: u32 = 600;

fn captured(crowds: bool, visitors: u32, seed: u64) -> Captured {
    let site = if crowds { SITE.replace(WITHOUT_CROWDS, "") } else { SITE.to_owned() };
    let held = "release = \"daily\"\nsettings = { directory = \"outbox/held\" }";
    let documents = [
        site,
        file_destination("strict", "exempt_measurement", "strict"),
        file_destination("measurement", "exempt_measurement", "measurement"),
        file_destination("customers", "consent", "consented-analytics"),
        destination("held", "file", "exempt_measurement", "measurement", held),
    ];
    let documents = DocumentFile::parse(&documents.concat()).unwrap().into_documents();
    let target = Target {
        site: String::from("shop"),
        host: String::from("www.shop.example"),
        origin: String::from("https://www.shop.example"),
        prefix: String::from("/keso"),
        address_header: None,
        words: Vec::new(),
        word_in_path: false,
    };
    Workload { documents, target: &target, visitors, seed }.run(&mut |_, _, _| {}).unwrap()
}

fn recipient<'a>(captured: &'a Captured, name: &str) -> &'a Recipient {
    captured.recipients.iter().find(|recipient| recipient.name == name).unwrap()
}

fn row(rows: &[Row], id: &str) -> Row {
    rows.iter().find(|row| row.id == id).unwrap_or_else(|| panic!("no row {id}")).clone()
}

/// How far above the control visitors are singled out by all that is said of what they look like.
fn singled_out(captured: &Captured, name: &str) -> f64 {
    let to = recipient(captured, name);
    let release = Release { released: &to.days[1], original: &to.original, control: &to.control };
    singling::single_out(release, &captured.columns, Predicate::Description, 1).above.is
}

#[test]
fn attacks_find_what_a_policy_lets_them_and_no_more() {
    let (hiding, open) = (captured(true, VISITORS, 5), captured(false, VISITORS, 5));
    for captured in [&hiding, &open] {
        for recipient in &captured.recipients {
            assert!(recipient.days.iter().all(|day| !day.is_empty()), "nothing left for {}", recipient.name);
            assert!(
                !recipient.original.is_empty() && !recipient.control.is_empty(),
                "nothing is known of the visitors of {}",
                recipient.name
            );
        }
    }
    // Without crowds they stand out, with crowds they do not.
    let (with, without) = (singled_out(&hiding, "measurement"), singled_out(&open, "measurement"));
    assert!(without > 0.1 && with < 0.01, "singled out: {without} without crowds, {with} with");

    // An id that lasts is followed, one of the day is not.
    let linked = |name: &str, by| {
        let to = recipient(&hiding, name);
        linking::link_days(&to.days[0], &to.days[1], &hiding.columns, by, 1).unwrap().auc.is
    };
    assert!(linked("customers", By::Ids) > 0.99, "{}", linked("customers", By::Ids));
    assert!((linked("measurement", By::Ids) - 0.5).abs() < 0.01 && linked("measurement", By::Mark) > 0.99);

    let rows = [synthetic::rows(&hiding), attacks::rows(&hiding, 1, &mut |_, _, _| {})].concat();
    for id in ["S4 synthetic", "S7", "S8 ids", "S9", "S12 all", "S13 ids"] {
        let row = row(&rows, id);
        assert_eq!(row.verdict(), "pass", "{row:?}");
    }
    let crowds = row(&rows, "S10");
    let held = crowds.details.iter().find(|detail| detail.starts_with("held")).unwrap();
    assert!(held.contains("; 0 of") && held.contains("(held back)"), "{held}");
    assert_eq!(row(&synthetic::rows(&open), "S10").verdict(), "MISS");
    // No row of attacks says that it was blind.
    assert!(rows.iter().all(|row| !row.figure().contains("did not find")), "{rows:?}");
}

#[test]
fn the_same_seed_gives_the_same_output() {
    let said = |captured: &Captured| -> Vec<String> {
        let rows = captured.recipients.iter().flat_map(|recipient| recipient.days.iter().flatten());
        let without_ids = rows.map(|row| {
            let pairs: Vec<_> = row.pairs.iter().filter(|pair| captured.columns.tells(pair.0) != Tells::Id).collect();
            format!("{} {} {pairs:?}", row.person, row.time)
        });
        without_ids.collect()
    };
    let (one, same, other) = (captured(true, 100, 1), captured(true, 100, 1), captured(true, 100, 2));
    assert_eq!(said(&one), said(&same));
    assert_ne!(said(&one), said(&other));
    let figures =
        |captured: &Captured| attacks::rows(captured, 1, &mut |_, _, _| {}).iter().map(|row| row.figure().to_owned()).collect::<Vec<_>>();
    assert_eq!(figures(&one), figures(&same));
}
