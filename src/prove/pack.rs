//! The evidence pack: `evidence.json` for machines, `evidence.html` for people, `manifest.json` with the hash of both and the public key, and
//! the manifest's signature. What is proven has a hash of its own, the same for the same program, seed and documents; times and durations are
//! beside it.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{
    Outcome, html,
    places::{Leak, Place, Searched},
    scoreboard::Scoreboard,
    vantage::Compared,
};
use crate::signing::{KeyError, PublicKey, SigningKey, hex};

const EVIDENCE: &str = "evidence.json";
const PAGE: &str = "evidence.html";
const MANIFEST: &str = "manifest.json";
const SIGNATURE: &str = "manifest.sig";
/// The key's file beside the pack, where none is named.
const KEY: &str = "prove.key";
/// No file of a pack is longer.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What was measured once and is not the same again.
#[derive(Clone, Debug, Serialize)]
pub struct Circumstances {
    /// When the run began, RFC 3339.
    pub begun: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// What the test does not show.
pub const LIMITS: [&str; 11] = [
    "It shows what becomes of values that it sends. It does not show that an id or a combination of coarse fields singles nobody out.",
    "A property that the policy lists lets any plain word leave, a person's name too: that is what the list says, and it is no find. Listed properties are named in the report, and tried with e-mail addresses alone.",
    "A value that is hashed with a salt, encrypted, cut below eight bytes or mixed with another is not recognised.",
    "Two spellings one inside the other are looked for where percent-encoding is applied twice and for compressed text in base64, not in general.",
    "Memory is searched after other traffic, when a slot of which most canaries are left counts as kept, and once more after the day's end, when every canary counts. An IPv4 address as four bytes is not recognised there.",
    "Fewer than twelve digits (an IPv4 address in hexadecimal or as one number) count where no digit stands beside them: within random ids and times they are found by chance.",
    "Swap, core dumps of the past, the kernel's buffers and other processes are not searched.",
    "What a receiver does with what it gets is not tested, nor what a web server or proxy in front of the program keeps in its own log.",
    "Beacons are made by the run, not by a browser; vendors' libraries may have slots that are not in the list. After the day's end four of the spellings were sent.",
    "TLS was not used between the run and the program; the network itself was not watched.",
    "Whoever has the key can sign another pack. Run it yourself: the same program, seed and documents give the same hash.",
];

/// A pack that does not hold.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file is missing or cannot be read or written.
    #[error("{}: {reason}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        reason: io::Error,
    },
    /// A file is not what its form asks for.
    #[error("{0}: it is not what a pack has there")]
    Form(&'static str),
    /// A file is not the one that was signed.
    #[error("{0}: its hash is not the one in the manifest; it was changed after it was signed")]
    Changed(String),
    /// The hash of what is proven is not the one that the manifest says.
    #[error("what is proven does not have the hash that the manifest says")]
    Hash,
    /// The signature is not the manifest's.
    #[error("the signature is not one of this manifest by this key")]
    Signature,
    /// The key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

#[derive(Serialize, Deserialize)]
struct Manifest {
    /// SHA-256 of each file, by its name.
    files: BTreeMap<String, String>,
    /// SHA-256 of what is proven.
    proven_sha256: String,
    /// Ed25519, base64.
    public_key: String,
}

/// What is said of a pack that was written or holds.
pub struct Said {
    /// SHA-256 of what is proven.
    pub hash: String,
    /// SHA-256 of the public key, by which people compare keys.
    pub key_fingerprint: String,
}

/// What is proven, in the form that is hashed: nothing in it depends on time, ports or speed.
#[must_use]
pub fn proven(outcome: &Outcome) -> Value {
    let tried = &outcome.tried;
    let places: Vec<Value> = tried.places.iter().map(|(place, searched)| place_of(place, searched)).collect();
    let weakened: Vec<Value> = outcome
        .weakened
        .iter()
        .map(|run| {
            json!({
                "weakened": run.says,
                "how": if run.by_rule { "a rule of privacy left out of the program (feature proof)" } else { "a weaker version of the policy" },
                "must_be_red": run.must_show,
                "red": run.example.is_some(),
                "example": run.example.as_ref().map(example),
            })
        })
        .collect();
    json!({
        "what": "firsthand prove",
        "program": { "version": env!("CARGO_PKG_VERSION"), "commit": option_env!("FIRSTHAND_COMMIT").unwrap_or("not built in"),
                     "rules_can_be_left_out": cfg!(feature = "proof") },
        "documents_sha256": outcome.policy_hash,
        "seed": outcome.seed,
        "totals": { "canaries": tried.canaries, "spellings": outcome.spellings.len(), "destinations": outcome.destinations.len(),
                    "marked_beacons": tried.beacons, "unanswered_beacons": tried.unanswered,
                    "canaries_of_each_slot_and_state": outcome.rounds },
        "spellings": outcome.spellings.iter().map(|spelling| spelling.name()).collect::<Vec<_>>(),
        "slots": tried.slots,
        "events_kept_by_protocol": tried.arrivals,
        "destinations": outcome.destinations,
        "allowed_by_policy": outcome.allowance,
        "places": places,
        "ledger_of_what_left": {
            "compared_with_what_receivers_got": tried.beside.keys().collect::<Vec<_>>(),
            "agrees": tried.beside.values().all(Compared::agrees),
        },
        "properties_that_the_policy_lists": outcome.listed_properties,
        "names_that_no_form_declares": tried.grammar.undeclared,
        "red": outcome.red(),
        "before_the_days_end": outcome.day_end,
        "weakened_runs": weakened,
        "limits": LIMITS,
    })
}

fn place_of(place: &Place, searched: &Searched) -> Value {
    // What may be shown is in memory as long as the live view keeps it, and a watcher of that misses some where the machine is busy: neither is the same
    // each time.
    let allowed = if matches!(place, Place::Memory | Place::Night | Place::Console) { Vec::new() } else { slots(&searched.allowed) };
    json!({
        "place": place.name(),
        "searched": searched.not_searched.is_none(),
        "not_searched": searched.not_searched,
        "controls_found": searched.planted > 0 && searched.planted == searched.recovered,
        "genuine_content_found": searched.genuine,
        "found": searched.leaks.iter().map(example).collect::<Vec<_>>(),
        "allowed_slots": allowed,
    })
}

fn example(leak: &Leak) -> Value {
    json!({ "canary": leak.canary.name(), "place": leak.place.name(), "field": leak.field, "found_as": leak.found_as, "in_words": leak.sentence() })
}

fn slots<'l>(leaks: impl IntoIterator<Item = &'l Leak>) -> Vec<String> {
    let slots: std::collections::BTreeSet<String> =
        leaks.into_iter().map(|leak| format!("{}: {} → {}", leak.canary.protocol, leak.canary.slot, leak.field)).collect();
    slots.into_iter().collect()
}

fn board_of(board: &Scoreboard) -> Value {
    let [pass, miss, live, not] = board.counts();
    json!({ "site": board.site, "synthetic_visitors_a_day": board.visitors, "synthetic_requests": board.requests, "took_ms": board.took_ms,
            "measured_of_25": board.measured(),
            "rows_by_verdict": { "pass": pass, "miss": miss, "live_without_a_verdict": live, "not_measured": not },
            "synthetic": "rows with \"synthetic\": true are of made-up visitors: a check of the method, not of real visitors",
            "rows": board.rows })
}

/// The hash of what is proven.
#[must_use]
pub fn hash(proven: &Value) -> String {
    hex(&Sha256::digest(proven.to_string()))
}

/// Writes a pack into a directory, which is made where it is not there. `key`: whose signature; where none is named, the one beside the pack,
/// made at the first time.
///
/// # Errors
/// When something cannot be written, or there is no key.
pub fn write(outcome: &Outcome, circumstances: &Circumstances, directory: &Path, key: Option<&Path>) -> Result<Said, PackError> {
    fs::create_dir_all(directory).map_err(|reason| PackError::File { file: directory.to_owned(), reason })?;
    let beside = directory.parent().unwrap_or(Path::new("")).join(KEY);
    let key = match key {
        Some(named) => SigningKey::read(named)?,
        None => SigningKey::read_or_make(&beside)?,
    };
    let proven = proven(outcome);
    let hash = hash(&proven);
    let measured: BTreeMap<String, Value> = outcome
        .tried
        .places
        .iter()
        .map(|(place, searched)| {
            (place.name(), json!({ "bytes": searched.bytes, "planted": searched.planted, "recovered": searched.recovered }))
        })
        .collect();
    let mut evidence = json!({ "proven": proven, "proven_sha256": hash,
                           "circumstances": { "run": circumstances, "places": measured, "passed_on": outcome.tried.teed, "ledger_beside_receivers": outcome.tried.beside,
                                              "canaries_left_in_memory": outcome.tried.in_memory,
                                              "read_back": { "requests_and_files": outcome.tried.grammar.read, "names": outcome.tried.grammar.names } } });
    // Beside what is proven: its figures hang on times and on keys that are drawn anew.
    if let Some(board) = &outcome.scoreboard {
        evidence["scoreboard"] = board_of(board);
    }
    let text = serde_json::to_string_pretty(&evidence).map_err(|_| PackError::Form(EVIDENCE))?;
    let page = html::page(outcome, circumstances, &hash);
    let mut files = BTreeMap::new();
    for (name, text) in [(EVIDENCE, &text), (PAGE, &page)] {
        save(&directory.join(name), text.as_bytes())?;
        files.insert(name.to_owned(), hex(&Sha256::digest(text)));
    }
    let public = key.public();
    let manifest = Manifest { files, proven_sha256: hash.clone(), public_key: STANDARD.encode(public.0) };
    let manifest = serde_json::to_string_pretty(&manifest).map_err(|_| PackError::Form(MANIFEST))?;
    save(&directory.join(MANIFEST), manifest.as_bytes())?;
    save(&directory.join(SIGNATURE), STANDARD.encode(key.sign(manifest.as_bytes())).as_bytes())?;
    Ok(Said { hash, key_fingerprint: public.fingerprint() })
}

/// Checks a pack: each file's hash, the hash of what is proven, and the signature.
///
/// # Errors
/// The first thing that does not hold.
pub fn verify(directory: &Path) -> Result<Said, PackError> {
    let manifest = load(&directory.join(MANIFEST))?;
    let said: Manifest = serde_json::from_slice(&manifest).map_err(|_| PackError::Form(MANIFEST))?;
    let public = STANDARD.decode(&said.public_key).ok().and_then(|bytes| bytes.try_into().ok()).map(PublicKey);
    let public = public.ok_or(PackError::Form(MANIFEST))?;
    let signature = STANDARD.decode(load(&directory.join(SIGNATURE))?).map_err(|_| PackError::Form(SIGNATURE))?;
    if !public.has_signed(&manifest, &signature) {
        return Err(PackError::Signature);
    }
    for name in [EVIDENCE, PAGE] {
        let digest = hex(&Sha256::digest(load(&directory.join(name))?));
        if said.files.get(name) != Some(&digest) {
            return Err(PackError::Changed(name.to_owned()));
        }
    }
    let evidence: Value = serde_json::from_slice(&load(&directory.join(EVIDENCE))?).map_err(|_| PackError::Form(EVIDENCE))?;
    if hash(&evidence["proven"]) != said.proven_sha256 {
        return Err(PackError::Hash);
    }
    Ok(Said { hash: said.proven_sha256, key_fingerprint: public.fingerprint() })
}

fn save(file: &Path, bytes: &[u8]) -> Result<(), PackError> {
    fs::write(file, bytes).map_err(|reason| PackError::File { file: file.to_owned(), reason })
}

fn load(file: &Path) -> Result<Vec<u8>, PackError> {
    let read = || {
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut io::Read::take(fs::File::open(file)?, FILE_BYTES_MAX), &mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|reason| PackError::File { file: file.to_owned(), reason })
}
