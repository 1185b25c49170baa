//! The detectors against labelled text: `tests/corpus/detectors/*.tsv`, in the format of the README there. Prints recall and false positives
//! per class (`cargo test --lib privacy::scrub::tests -- --nocapture`), and fails below the floors.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::{
    detect::{Class, class_of},
    page, parameters,
};

/// Of what has a form of its own, no more than one in two hundred may stay.
const STRUCTURED: [&str; 7] = ["email", "iban", "card", "jwt", "uuid", "ipv4", "ipv6"];
const STRUCTURED_FLOOR: f64 = 0.995;
/// Of telephone numbers and all the rest, one in twenty.
const FLOOR: f64 = 0.95;
/// Of clean paths, one in a hundred may be taken for somebody's data.
const FALSE_POSITIVES_MAX: f64 = 0.01;
/// Of the numbers and ids of things, so many may be called a person's. (They are replaced whatever they are called; only the template's word is wrong.)
const MISNAMED_MAX: f64 = 0.05;

/// Labels that name no person: what nobody should replace, and ids of things, which may be replaced but not be called a person's.
const NONE: &str = "none";
const THING: &str = "thing";

/// A label of the corpus and the classes that are its right names.
const LABELS: [(&str, &[Class]); 20] = [
    ("birth_date", &[Class::Birth]),
    ("card", &[Class::Card]),
    ("coordinates", &[Class::Coordinates]),
    ("email", &[Class::Email]),
    ("handle", &[Class::Handle]),
    ("hex_token", &[Class::Token]),
    ("iban", &[Class::Iban]),
    ("ipv4", &[Class::Ip]),
    ("ipv6", &[Class::Ip]),
    ("jwt", &[Class::Jwt]),
    ("mac", &[Class::Mac]),
    ("national_id", &[Class::National]),
    ("object_id", &[Class::ObjectId]),
    ("parameter", &[Class::Parameter]),
    ("phone", &[Class::Phone]),
    ("random_token", &[Class::Token]),
    ("record_number", &[Class::Number]),
    ("ulid", &[Class::Ulid]),
    ("uuid", &[Class::Uuid]),
    ("wallet", &[Class::Token]),
];

/// Classes that say of a number or id whose it is.
const PERSONAL: [Class; 10] = [
    Class::Email,
    Class::Handle,
    Class::Phone,
    Class::Iban,
    Class::Card,
    Class::National,
    Class::Birth,
    Class::Coordinates,
    Class::Ip,
    Class::Mac,
];

/// Words of a template, that say of nothing whose it is: any number, a pair where none belongs, what cannot be decoded.
const OF_TEMPLATES: [Class; 3] = [Class::Number, Class::Parameter, Class::Encoded];

struct Row {
    label: String,
    place: String,
    text: String,
}

#[derive(Default)]
struct Score {
    rows: usize,
    caught: usize,
    named: usize,
    /// Rows of other labels that were given this label's name.
    wrongly: usize,
}

/// What became of the text: `None` where all of it stays.
fn found(row: &Row) -> Option<Class> {
    if row.place == "text" {
        return class_of(&row.text);
    }
    let template = page::template(&row.text);
    let class = Class::ALL.into_iter().find(|class| template.contains(class.placeholder()));
    // A path parameter is cut off rather than replaced.
    class.or_else(|| (row.label == "parameter" && !template.contains(['=', ';'])).then_some(Class::Parameter))
}

fn corpora() -> Vec<(String, Vec<Row>)> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/detectors");
    let mut files: Vec<_> = fs::read_dir(home).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "tsv"));
    files.sort();
    let row = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        let [label, _locale, place, text] = fields.as_slice() else { panic!("four fields in {line:?}") };
        assert!(["path", "text"].contains(place), "{line:?}: the place is path or text");
        let known = [NONE, THING].contains(label) || LABELS.iter().any(|(known, _)| known == label);
        assert!(known, "{line:?}: a label of the README");
        Row { label: (*label).to_owned(), place: (*place).to_owned(), text: (*text).to_owned() }
    };
    let rows = |text: String| text.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).map(row).collect();
    files.iter().map(|path| (path.file_stem().unwrap().display().to_string(), rows(fs::read_to_string(path).unwrap()))).collect()
}

/// What a file's author knew, and the worst that it may come to: the targets for the half that was written beside the detectors, and for the
/// others what was reached (docs/scrubbing.md), a little below, so that it does not become worse unnoticed.
struct Bounds {
    structured: f64,
    others: f64,
    /// Of clean paths, and of clean texts: taken for somebody's data, and replaced at all.
    clean: [[f64; 2]; 2],
}

fn bounds(file: &str) -> Bounds {
    match file {
        "first" => Bounds { structured: STRUCTURED_FLOOR, others: FLOOR, clean: [[FALSE_POSITIVES_MAX; 2]; 2] },
        // Its misses have been looked at since; texts are written in words that nobody reads: "born on the third of May".
        "second" => Bounds { structured: STRUCTURED_FLOOR, others: FLOOR, clean: [[0.015, 0.165], [0.035, 0.13]] },
        // Two of nineteen random tokens stay.
        "third" => Bounds { structured: STRUCTURED_FLOOR, others: 0.89, clean: [[FALSE_POSITIVES_MAX, 0.16], [FALSE_POSITIVES_MAX, 0.15]] },
        _ => Bounds { structured: 0.0, others: 0.0, clean: [[1.0; 2]; 2] },
    }
}

#[test]
fn the_corpus_is_recognised() {
    let mut failed = Vec::new();
    for (name, rows) in corpora() {
        let mut scores: BTreeMap<&str, Score> = BTreeMap::new();
        let bounds = bounds(&name);
        let (mut clean, mut things, mut misnamed) = ([(0, [0, 0]); 2], 0, 0);
        for row in &rows {
            let class = found(row);
            if let Some(class) = class {
                for (label, names) in LABELS {
                    let other = row.label != label && (row.label == NONE || row.label == THING) && names.contains(&class);
                    scores.entry(label).or_default().wrongly += usize::from(other);
                }
            }
            match row.label.as_str() {
                NONE => {
                    let (rows, bad) = &mut clean[usize::from(row.place == "text")];
                    *rows += 1;
                    bad[0] += usize::from(class.is_some_and(|class| !OF_TEMPLATES.contains(&class)));
                    bad[1] += usize::from(class.is_some());
                    if class.is_some() {
                        println!("  {name}: clean, but {class:?}: {}", row.text);
                    }
                }
                THING => {
                    things += 1;
                    misnamed += usize::from(class.is_some_and(|class| PERSONAL.contains(&class)));
                    if class.is_some_and(|class| PERSONAL.contains(&class)) {
                        println!("  {name}: a thing, but {class:?}: {}", row.text);
                    }
                }
                label => {
                    let names = LABELS.iter().find(|(known, _)| *known == label).unwrap().1;
                    let score = scores.entry(LABELS.iter().find(|(known, _)| *known == label).unwrap().0).or_default();
                    score.rows += 1;
                    score.caught += usize::from(class.is_some());
                    score.named += usize::from(class.is_some_and(|class| names.contains(&class)));
                    if class.is_none() {
                        println!("  {name}: {label} stays: {}", row.text);
                    }
                }
            }
        }
        println!("{name}: {} rows", rows.len());
        println!("{:<14} {:>5} {:>8} {:>8} {:>7} {:>9}", "class", "rows", "caught", "named", "target", "wrongly");
        for (label, score) in &scores {
            let share = |part: usize| part as f64 / score.rows.max(1) as f64;
            let target = if STRUCTURED.contains(label) { STRUCTURED_FLOOR } else { FLOOR };
            let floor = if STRUCTURED.contains(label) { bounds.structured } else { bounds.others };
            println!(
                "{label:<14} {:>5} {:>7.1}% {:>7.1}% {:>6.1}% {:>9}",
                score.rows,
                100.0 * share(score.caught),
                100.0 * share(score.named),
                100.0 * target,
                score.wrongly
            );
            if score.rows > 0 && share(score.caught) < floor {
                failed.push(format!("{name}: {label}: {:.1}% caught", 100.0 * share(score.caught)));
            }
        }
        let [(paths, bad_paths), (texts, bad_texts)] = clean;
        for (what, bad, all, most) in [
            ("clean paths taken for somebody's data (target: at most 1%)", bad_paths[0], paths, bounds.clean[0][0]),
            ("clean paths in which something became a placeholder", bad_paths[1], paths, bounds.clean[0][1]),
            ("clean texts taken for somebody's data", bad_texts[0], texts, bounds.clean[1][0]),
            ("clean texts with anything found in them", bad_texts[1], texts, bounds.clean[1][1]),
            ("things called a person's (target: at most 5%)", misnamed, things, MISNAMED_MAX),
        ] {
            let share = bad as f64 / all.max(1) as f64;
            println!("{what}: {bad} of {all}, {:.2}%", 100.0 * share);
            if share > most {
                failed.push(format!("{name}: {what}: {:.2}%", 100.0 * share));
            }
        }
    }
    assert_eq!(failed, Vec::<String>::new());
}

/// Where Debian's package `webext-ublock-origin-chromium` puts a list with parameters.
const UBLOCK_LIST: &str = "/usr/share/chromium/extensions/ublock-origin/assets/ublock/privacy.min.txt";
/// A directory of other lists, in the form in which they are published: ClearURLs' and Brave's JSON, AdGuard's text.
const MORE_LISTS: &str = "PARAMETER_LISTS";
/// The listed names that may rest, and why: campaigns, with consent, where their values name nobody (`Field::Campaign`).
const KEPT_WITH_CONSENT: [&str; 6] = ["utm_campaign", "utm_content", "utm_id", "utm_medium", "utm_source", "utm_term"];

/// Every preset gets parameters from `parameters::kept` alone, so that what it does not know goes under each.
#[test]
fn no_parameter_of_a_public_list_rests() {
    let mut files: Vec<_> = [UBLOCK_LIST.into()].into_iter().filter(|path: &std::path::PathBuf| path.exists()).collect();
    if let Ok(directory) = std::env::var(MORE_LISTS) {
        files.extend(fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()));
    }
    if files.is_empty() {
        println!("left out: no list of parameters on this machine (see {MORE_LISTS})");
        return;
    }
    let mut union = BTreeSet::new();
    for file in files {
        let names = listed(&fs::read_to_string(&file).unwrap());
        let (known, all) = (names.iter().filter(|name| parameters::meaning(name).is_some()).count(), names.len());
        println!("{}: {all} names, {known} of them in our table", file.file_name().unwrap().display());
        assert!(all > 20, "a list of names was read");
        union.extend(names);
    }
    let resting: Vec<_> = union.iter().filter(|name| parameters::kept(name).is_some()).collect();
    let dropped = union.len() - resting.len();
    println!("union: {} names, {dropped} dropped under every preset, {} kept with consent: {resting:?}", union.len(), resting.len());
    assert!(resting.iter().all(|name| KEPT_WITH_CONSENT.contains(&name.as_str())), "{resting:?}");
}

/// The names of a list: what follows `removeparam=`, else every quoted word. Of an expression, what it is of letters.
fn listed(text: &str) -> BTreeSet<String> {
    let plain = |word: &str| {
        let word = word.replace("(?:%3F)?", "").replace("[a-z_]*", "");
        let word = word.trim_matches(|sign: char| "/^$".contains(sign)).to_owned();
        let name = word.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-');
        (name && !word.is_empty() && word.len() <= 40).then_some(word)
    };
    let rules = text.split("removeparam=").skip(1).filter_map(|rest| rest.split([',', '\n', '\r', ' ']).next());
    let rules: BTreeSet<String> = rules.filter_map(plain).collect();
    if rules.is_empty() { text.split('"').skip(1).step_by(2).filter_map(plain).collect() } else { rules }
}
