//! What a person is handed when they ask for what rests about them: every event as it rests, the consents on record, who received what on
//! which ground, how long it is kept, and their rights. And the list of receivers that must be told when they are erased.
//!
//! These are deliberate disclosures of personal data, so each is a type of its own with one way out: a new file that its owner alone may
//! read. Neither can be printed, copied, serialised or taken apart by anyone else, and one command alone may hand them over (`tests/tidy.rs`).

use std::{
    fs::{DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::Path,
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    Found, Rights, RightsError, page,
    recipients::{Ended, Ids, Recipients, ground},
};
use crate::{
    clock::Timestamp,
    documents::{Documents, Site},
    event::{Offset, RetentionClass},
    event_log::{LogRecord, look},
    privacy::{
        clean::CleanEvent,
        consent::proof::{records_of, reference},
        record::Audience,
        rules::{Rule, holds},
    },
    state::{StateDb, StoreError},
};

/// The form of the exported document; another number means that a reader must look again.
const FORM: u32 = 1;
/// One person's events in one export: a month of one every three seconds. What has more is no person, and would not fit into memory.
const EVENTS_MAX: usize = 1_000_000;

/// What is known around a person's events.
pub struct Facts<'a> {
    /// The documents in force.
    pub documents: &'a Documents,
    /// The site that is asked.
    pub site: &'a Site,
    /// Where consents are on record.
    pub state: &'a StateDb,
    /// What receivers' ids are made with.
    pub ids: Ids<'a>,
    /// How long records are kept, in the order of [`RetentionClass::ALL`].
    pub kept: [Duration; 2],
    /// The moment of asking.
    pub now: Timestamp,
}

/// Asks the ledger how an event ended, at every destination of its site.
pub type AskLedger<'a> = dyn FnMut(Offset) -> Result<Vec<Ended>, StoreError> + 'a;

/// Everything that rests about a person, for that person.
pub struct PersonExport {
    document: Value,
    events: usize,
}

/// Who is to be told that a person was erased, and which ids that concerns there.
pub struct ErasureNotice {
    document: Value,
    receivers: usize,
}

/// A person has more events than can be put into one document.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Something cannot be read.
    #[error(transparent)]
    Rights(#[from] RightsError),
    /// There are too many.
    #[error("there are more than {EVENTS_MAX} events: that is a program, and no person")]
    TooMany,
}

impl Rights {
    /// Puts together what they are handed. Blocks: it reads the whole event log.
    ///
    /// # Errors
    /// When something cannot be read.
    pub fn export(&self, found: &Found, facts: &Facts<'_>, ask: &mut AskLedger<'_>) -> Result<PersonExport, ExportError> {
        let Gathered { events, recipients, left_out, unreadable } = self.gather(found, facts, ask)?;
        let count = events.len();
        let mut browsers = Vec::new();
        for found in &found.people {
            let person = &found.person;
            let records = records_of(facts.state, &person.consent()).map_err(RightsError::from)?;
            let records: Vec<Value> = records
                .into_iter()
                .map(|(number, record)| {
                    json!({
                        "record": number,
                        "said": record.said.name(),
                        "purposes": record.purposes,
                        "at": record.at.rfc3339(),
                        "said_by": record.source,
                        "policy": record.policy,
                        "policy_version": record.policy_version,
                        "ends": record.expires.rfc3339(),
                    })
                })
                .collect();
            browsers.push(json!({
                "agreed_to_now": person.purposes(),
                "consent_ends": person.expires().rfc3339(),
                "consent_reference": reference(&person.consent()),
                "used_with_other_accounts": found.shared,
                "consents_on_record": records,
            }));
        }
        let described = recipients.described(facts.documents);
        let document = json!({
            "form": FORM,
            "made_at": facts.now.rfc3339(),
            "made_by": concat!("Firsthand ", env!("CARGO_PKG_VERSION")),
            "site": { "name": facts.site.name, "hosts": facts.site.hosts, "policy": facts.site.policy.name, "policy_version": facts.site.policy.version },
            "found": !found.is_nobody(),
            "answer": answer(found, count, left_out, unreadable, facts),
            "browsers": browsers,
            "events": events,
            "events_left_out_as_another_account_s": left_out,
            "recipients": described,
            "who_may_receive": who_may_receive(facts),
            "source": "your browser, when it visited the website; the country was looked up from the address of the connection, which is not kept; the kind of \
                       browser was read from what it says of itself",
            "kept": kept(facts.kept),
            "automated_decisions": "none: this program decides nothing about you. It notes whether an event looks like a program's",
            "rights": RIGHTS,
        });
        Ok(PersonExport { document, events: count })
    }

    /// Puts together who is to be told of an erasure; before it is made, since afterwards nothing of it can be read. Blocks.
    ///
    /// # Errors
    /// When something cannot be read.
    pub fn notice(&self, found: &Found, facts: &Facts<'_>, ask: &mut AskLedger<'_>) -> Result<ErasureNotice, ExportError> {
        let Gathered { events, recipients, .. } = self.gather(found, facts, ask)?;
        let receivers = recipients.count();
        let document = json!({
            "form": FORM,
            "made_at": facts.now.rfc3339(),
            "site": facts.site.name,
            "browsers": found.browsers(),
            "events_erased": events.len(),
            "what_to_do": "Tell each of these receivers to erase what they have under these ids (Article 19 of the GDPR), and tell the person who they are if \
                           they ask. Then delete this file: it is all that still links these ids.",
            "recipients": recipients.who_received(facts.documents),
        });
        Ok(ErasureNotice { document, receivers })
    }

    fn gather(&self, found: &Found, facts: &Facts<'_>, ask: &mut AskLedger<'_>) -> Result<Gathered, ExportError> {
        let mut gathered = Gathered::default();
        if found.is_nobody() {
            return Ok(gathered);
        }
        let mut failed = None;
        let look = look(&self.log, &mut |record| {
            match self.gather_one(&record, found, facts, ask, &mut gathered) {
                Ok(()) if gathered.events.len() > EVENTS_MAX => failed = Some(ExportError::TooMany),
                Ok(()) => {}
                Err(error) => failed = Some(RightsError::from(error).into()),
            }
            failed.is_none()
        });
        look.map_err(RightsError::from)?;
        match failed {
            Some(error) => Err(error),
            None => Ok(gathered),
        }
    }

    fn gather_one(
        &self,
        record: &LogRecord,
        found: &Found,
        facts: &Facts<'_>,
        ask: &mut AskLedger<'_>,
        gathered: &mut Gathered,
    ) -> Result<(), StoreError> {
        let Ok(header) = crate::privacy::record::header_of(&record.bytes) else { return Ok(()) };
        let Some(person) = found.of(&header) else { return Ok(()) };
        let Some(event) = self.event(&record.bytes, facts.now)? else {
            gathered.unreadable += 1;
            return Ok(());
        };
        if !person.is_theirs(found.asked.as_ref(), &event) && holds(Rule::OthersEventsStayTheirs) {
            gathered.left_out += 1;
            return Ok(());
        }
        let ends = ask(record.offset)?;
        let mut said = Vec::with_capacity(ends.len());
        for ended in &ends {
            let destination = facts.documents.destinations.iter().find(|known| known.number == ended.destination);
            let Some(destination) = destination else { continue };
            gathered.recipients.note(&event, facts.site, destination, ended, &facts.ids)?;
            said.push(json!({
                "recipient": destination.name,
                "ended": ended.state.unwrap_or("under_way"),
                "because": ended.rule,
                "at": ended.at.map(Timestamp::rfc3339),
                "sent": ended.sent,
            }));
        }
        gathered.events.push(described(record.offset, &event, said));
        Ok(())
    }
}

#[derive(Default)]
struct Gathered {
    events: Vec<Value>,
    recipients: Recipients,
    left_out: u64,
    unreadable: u64,
}

/// One event: its header in words, its body as it rests, and how it ended where.
fn described(offset: Offset, event: &CleanEvent, ends: Vec<Value>) -> Value {
    let header = event.header();
    // The body's own form is that in which it rests, so that no field of it can be forgotten here.
    let mut body = serde_json::to_value(event).unwrap_or_default();
    if let Some(session) = event.body().session
        && let Some(resting) = body.get_mut("session")
    {
        *resting = Value::String(session.iter().map(|byte| format!("{byte:02x}")).collect());
    }
    if let Some(granted) = event.body().granted.as_deref()
        && let Some(resting) = body.pointer_mut("/granted/cookie_id")
    {
        *resting = Value::String(URL_SAFE_NO_PAD.encode(granted.cookie_id));
    }
    if let Some(time) = body.get_mut("time") {
        *time = Value::String(event.body().time.rfc3339());
    }
    json!({
        "number": offset.0,
        "received": header.received.rfc3339(),
        "agreed_to": header.purposes,
        "held_until_the_choice": header.audience == Audience::ConsentBasisOnly,
        "policy_version": header.policy,
        "event": body,
        "recipients": ends,
    })
}

fn answer(found: &Found, events: usize, left_out: u64, unreadable: u64, facts: &Facts<'_>) -> Vec<String> {
    let [without, with] = facts.kept.map(span);
    let mut answer = if found.is_nobody() {
        vec![String::from("Nothing can be found under the id that was given: either nothing rests under it any more, or nothing ever did.")]
    } else {
        let plural = |count: usize, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        let what = format!("{} of {} that agreed", plural(events, "event"), plural(found.browsers(), "browser"));
        vec![format!(
            "This is everything that rests about you here: {what}, what you agreed to, and who has received what. Events are kept for {with}."
        )]
    };
    if let Some(rules) = facts.documents.profile_of(facts.site.number) {
        let [views, actions, orders] = rules.kept.map(span);
        answer.push(format!(
            "If you agree to a customer profile, what it says of you is kept as long as you agree, and 13 months at most; of the events in it, page views for {views}, \
             what you do in the shop for {actions}, and purchases for {orders}."
        ));
    }
    if left_out > 0 {
        answer.push(format!(
            "{left_out} further events of the same browser are left out: other accounts have been used in it, and these events are theirs, or nobody's \
             account says whose they are."
        ));
    }
    if unreadable > 0 {
        answer.push(format!("{unreadable} records cannot be read, by us or by anyone else."));
    }
    answer.push(format!(
        "Visits without a consent to a lasting id cannot be looked up. Their events are kept for {without} at most, under an id that is made anew each day \
         with a key that is then destroyed: nobody can tell from them whose they are. Article 11 of the GDPR says that we need not, and we do not, collect \
         more about you only to be able to find them."
    ));
    answer
}

fn who_may_receive(facts: &Facts<'_>) -> Vec<Value> {
    let of_site = facts.documents.receiving(facts.site.number);
    of_site
        .map(|destination| json!({ "name": destination.name, "receiver": destination.receiver(), "ground": ground(destination.basis) }))
        .collect()
}

fn kept([without, with]: [Duration; RetentionClass::ALL.len()]) -> Value {
    json!({
        "events_with_consent": span(with),
        "events_without_consent": span(without),
        "key_of_your_events": "until you withdraw, you are erased, or your consent ends: then nobody can read them any more",
        "what_you_agreed_to": "as proof, for three years beyond the consent, without anything that says who you are",
        "how_events_ended": "as long as the events",
    })
}

/// A time span, in words.
fn span(span: Duration) -> String {
    let hours = span.as_secs() / 3600;
    match hours {
        0..96 => format!("{hours} hours"),
        _ => format!("{} days", hours / 24),
    }
}

const RIGHTS: [&str; 7] = [
    "to have this copy again, and to have wrong data corrected (Articles 15 and 16 of the GDPR)",
    "to have what rests about you erased (Article 17); those who received it are told (Article 19)",
    "to have its use restricted (Article 18)",
    "to take what you provided with you: the file person.json beside this page is for programs (Article 20)",
    "to object (Article 21), and to withdraw your consent at any time (Article 7): on the website's own page about this, or by the signal of your browser",
    "to complain to the data protection authority where you live or work (Article 77)",
    "in which countries receivers are, and under which safeguards, is said in the website's privacy notice",
];

impl PersonExport {
    /// Puts their profiles in, as the store of profiles shows them.
    #[must_use]
    pub fn with_profiles(mut self, profiles: Value) -> Self {
        if let Some(document) = self.document.as_object_mut() {
            document.insert(String::from("profiles"), profiles);
        }
        self
    }

    /// How many events are in it.
    #[must_use]
    pub const fn events(&self) -> usize {
        self.events
    }

    /// Hands it over, as `person.json` and `person.html` in a new directory that its owner alone may enter.
    ///
    /// # Errors
    /// When the directory is there already, or cannot be written.
    pub fn hand_over_to_the_person(self, directory: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(directory)?;
        let json = serde_json::to_vec_pretty(&self.document)?;
        write_new(&directory.join("person.json"), &json)?;
        write_new(&directory.join("person.html"), page::page(&self.document).as_bytes())
    }
}

impl ErasureNotice {
    /// How many receivers are to be told.
    #[must_use]
    pub const fn receivers(&self) -> usize {
        self.receivers
    }

    /// Hands it over to the holder of an API key that may erase.
    #[must_use]
    pub fn hand_over_to_the_key_holder(self) -> Value {
        self.document
    }

    /// Hands it over as a new JSON file that its owner alone may read.
    ///
    /// # Errors
    /// When the file is there already, or cannot be written.
    pub fn hand_over_to_the_operator(self, file: &Path) -> io::Result<()> {
        write_new(file, &serde_json::to_vec_pretty(&self.document)?)
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
