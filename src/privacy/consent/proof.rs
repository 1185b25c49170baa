//! Proof of consent: an append-only chain of records in `state.db`, one for each consent that begins, changes or is withdrawn, durable
//! before the answer. One thread appends, many at a time. A consent's id rests beside its person's key and dies with that; the records stay.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, types::Type};
use tokio::sync::{mpsc, oneshot};

use super::chain::{self, CONSENT_ID_BYTES, ChainFault, ConsentRecord, Head, Link, START, Said, Walk};
use crate::{
    clock::Timestamp,
    event::{PolicyVersion, Purposes, SiteNumber},
    privacy::rules::{Rule, holds},
    state::{StateDb, StoreError},
    supervise,
};

/// Records that may wait for the disk; a grant beyond is told to come back, an objection goes on without its record.
const WAITING_RECORDS_MAX: usize = 4096;
/// Records in one transaction.
const RECORDS_PER_COMMIT: usize = 256;
/// An objection is in force when its record is asked for; it waits for the disk no longer than this.
const OBJECTION_PATIENCE: Duration = Duration::from_millis(500);

/// The chain, open for appending. When it is dropped, what waits is written first.
pub struct ConsentProof {
    state: Arc<StateDb>,
    /// `None` once it is being dropped.
    queue: Option<mpsc::Sender<Waiting>>,
    writer: Option<JoinHandle<()>>,
    unwritten: AtomicU64,
}

struct Waiting {
    record: ConsentRecord,
    durable: oneshot::Sender<bool>,
}

/// What was said cannot be proven: a grant must not be acted on now.
#[derive(Debug, thiserror::Error)]
#[error("no record of consent can be made durable now")]
pub struct Unproven;

/// A chain in which nothing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Where it stands.
    pub head: Head,
    /// How many of its records were erased, each after its time.
    pub erased: u64,
}

impl ConsentProof {
    /// The chain of this database.
    #[must_use]
    pub fn new(state: Arc<StateDb>) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING_RECORDS_MAX);
        let written_to = Arc::clone(&state);
        let writer = supervise::thread("consent-proof", move || append_waiting(&written_to, waiting));
        Self { state, queue: Some(queue), writer: Some(writer), unwritten: AtomicU64::new(0) }
    }

    /// Appends a record; it is durable when this returns.
    pub(in crate::privacy) async fn append(&self, record: ConsentRecord) -> Result<(), Unproven> {
        if !holds(Rule::ConsentIsOnRecord) {
            return Ok(());
        }
        let (durable, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or(Unproven)?;
        queue.try_send(Waiting { record, durable }).map_err(|_| Unproven)?;
        if answer.await == Ok(true) { Ok(()) } else { Err(Unproven) }
    }

    /// Whether anything is on record of a consent. Blocks.
    ///
    /// # Errors
    /// When `state.db` cannot be read.
    pub(in crate::privacy) fn knows(&self, consent: [u8; CONSENT_ID_BYTES]) -> Result<bool, StoreError> {
        let select = "SELECT EXISTS (SELECT 1 FROM consent_proof WHERE consent = ?1)";
        self.state.with(|connection| connection.prepare_cached(select)?.query_row([consent], |row| row.get(0)))
    }

    /// Appends the record of an objection, which is carried out already: whatever becomes of the record, the objection stands.
    pub(in crate::privacy) async fn append_withdrawal(&self, record: ConsentRecord) {
        match tokio::time::timeout(OBJECTION_PATIENCE, self.append(record)).await {
            // Late is not lost: it stays in the queue.
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(Unproven)) => {
                self.unwritten.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// How many withdrawals were carried out without a record.
    #[must_use]
    pub fn unwritten(&self) -> u64 {
        self.unwritten.load(Ordering::Relaxed)
    }

    /// Erases the records that are past their time; their hashes stay. Returns how many. Blocks.
    ///
    /// # Errors
    /// When `state.db` cannot be used.
    pub fn erase_expired(&self, now: Timestamp) -> Result<usize, StoreError> {
        self.state.with(|connection| {
            connection.execute(
                "UPDATE consent_proof SET consent = NULL, site = NULL, said = NULL, purposes = NULL, source = NULL, policy = NULL,
                 policy_version = NULL, at = NULL, expires = NULL WHERE kept_until < ?1 AND consent IS NOT NULL",
                [chain::day_of(now)],
            )
        })
    }
}

impl Drop for ConsentProof {
    fn drop(&mut self) {
        drop(self.queue.take());
        // A panic of the writer was reported when it happened.
        let _ = self.writer.take().map(JoinHandle::join);
    }
}

const COLUMNS: &str = "number, hash, link, kept_until, consent, site, said, purposes, source, policy, policy_version, at, expires";

/// Walks the whole chain, and says what is the first thing wrong with it. With a head that was noted earlier, also that nothing up to
/// there was cut off or written anew. Blocks.
///
/// # Errors
/// When `state.db` cannot be read.
pub fn verify(state: &StateDb, now: Timestamp, noted: Option<Head>) -> Result<Result<Verified, ChainFault>, StoreError> {
    state.with(|connection| {
        let mut select = connection.prepare(&format!("SELECT {COLUMNS} FROM consent_proof ORDER BY number"))?;
        let mut rows = select.query([])?;
        let mut walk = Walk::new(now, noted);
        while let Some(row) = rows.next()? {
            // A value that is none of its column's is a changed one.
            let step = link_of(row).map_or(Err(ChainFault::Changed(walk.head.number + 1)), |link| walk.step(&link));
            if let Err(fault) = step {
                return Ok(Err(fault));
            }
        }
        Ok(walk.end().map(|()| Verified { head: walk.head, erased: walk.erased }))
    })
}

/// The records of one consent that are not erased, oldest first, each with its number. Blocks.
///
/// # Errors
/// When `state.db` cannot be read.
pub fn records_of(state: &StateDb, consent: &[u8; CONSENT_ID_BYTES]) -> Result<Vec<(i64, ConsentRecord)>, StoreError> {
    state.with(|connection| {
        let mut select = connection.prepare(&format!("SELECT {COLUMNS} FROM consent_proof WHERE consent = ?1 ORDER BY number"))?;
        let links = select.query_map([consent], link_of)?.collect::<Result<Vec<_>, _>>()?;
        Ok(links.into_iter().filter_map(|link| Some((link.number, link.record?))).collect())
    })
}

/// A consent id as people read and quote it: `3f9a1c02-…`, four groups of eight.
#[must_use]
pub fn reference(consent: &[u8; CONSENT_ID_BYTES]) -> String {
    let groups: Vec<String> = consent.chunks(4).map(|group| group.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
    groups.join("-")
}

/// The consent id that somebody quotes; hyphens, spaces and case do not matter.
#[must_use]
pub fn parse_reference(quoted: &str) -> Option<[u8; CONSENT_ID_BYTES]> {
    let digits: Vec<u8> = quoted
        .chars()
        .filter(|character| !matches!(character, '-' | ' '))
        .map(|character| character.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
    if digits.len() == 2 * CONSENT_ID_BYTES { bytes.try_into().ok() } else { None }
}

fn link_of(row: &Row<'_>) -> rusqlite::Result<Link> {
    let consent: Option<[u8; CONSENT_ID_BYTES]> = row.get(4)?;
    let record = match consent {
        Some(consent) => Some(ConsentRecord {
            consent,
            site: SiteNumber(row.get(5)?),
            said: Said::named(&row.get::<_, String>(6)?)
                .ok_or_else(|| rusqlite::Error::InvalidColumnType(6, String::from("said"), Type::Text))?,
            purposes: Purposes::from_bits(row.get(7)?),
            source: Cow::Owned(row.get(8)?),
            policy: row.get(9)?,
            policy_version: PolicyVersion(row.get(10)?),
            at: Timestamp(row.get(11)?),
            expires: Timestamp(row.get(12)?),
        }),
        None => None,
    };
    Ok(Link { number: row.get(0)?, hash: row.get(1)?, link: row.get(2)?, kept_until: row.get(3)?, record })
}

fn append_waiting(state: &StateDb, mut queue: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::with_capacity(RECORDS_PER_COMMIT);
    while queue.blocking_recv_many(&mut batch, RECORDS_PER_COMMIT) > 0 {
        let stored = state.with(|connection| write(connection, batch.iter().map(|waiting| &waiting.record)));
        if stored.is_err() {
            tracing::error!("records of consent could not be stored; new consents are turned away");
        }
        for waiting in batch.drain(..) {
            // An error means that the request is gone; what was said then is on record without an event.
            let _ = waiting.durable.send(stored.is_ok());
        }
    }
}

fn write<'r>(connection: &mut Connection, records: impl Iterator<Item = &'r ConsentRecord>) -> rusqlite::Result<()> {
    // The head is read under the write lock: nobody else can add a link to it meanwhile.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut head = transaction
            .query_row("SELECT number, link FROM consent_proof ORDER BY number DESC LIMIT 1", [], |row| {
                Ok(Head { number: row.get(0)?, link: row.get(1)? })
            })
            .optional()?
            .unwrap_or(Head { number: 0, link: START });
        let insert = format!("INSERT INTO consent_proof ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)");
        let mut insert = transaction.prepare_cached(&insert)?;
        for record in records {
            let (number, kept_until) = (head.number + 1, record.kept_until());
            let hash = record.hash(number);
            head = Head { number, link: chain::link(&head.link, &hash, kept_until) };
            insert.execute((
                number,
                hash,
                head.link,
                kept_until,
                record.consent,
                record.site.0,
                record.said.name(),
                record.purposes.bits(),
                &record.source,
                &record.policy,
                record.policy_version.0,
                record.at.0,
                record.expires.0,
            ))?;
        }
    }
    transaction.commit()
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        path::Path,
    };

    use super::*;
    use crate::{documents::site::Policy, state::IN_MEMORY};

    const NOW: Timestamp = Timestamp(1_800_000_012_345);
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

    fn record(consent: u8, said: Said, at: Timestamp) -> ConsentRecord {
        let policy = Policy {
            name: String::from("shop"),
            version: PolicyVersion(1),
            events: BTreeSet::new(),
            properties: BTreeMap::new(),
            vendor_fields: BTreeMap::new(),
            routes: Default::default(),
            preset: None,
            crowd: Default::default(),
            deviations: Vec::new(),
        };
        ConsentRecord::new([consent; 16], (SiteNumber(1), &policy), said, Purposes::ANALYTICS, "native", at, at.plus(YEAR))
    }

    /// Five records: of two people, one of whom withdraws; the first is a year older.
    async fn chain() -> (Arc<StateDb>, ConsentProof) {
        let state = Arc::new(StateDb::open(Path::new(IN_MEMORY)).unwrap());
        let proof = ConsentProof::new(Arc::clone(&state));
        proof.append(record(1, Said::Granted, NOW.minus(YEAR))).await.unwrap();
        for (consent, said) in [(2, Said::Granted), (2, Said::Changed), (3, Said::Granted), (2, Said::OptedOut)] {
            proof.append(record(consent, said, NOW)).await.unwrap();
        }
        (state, proof)
    }

    fn check(state: &StateDb, noted: Option<Head>) -> Result<Verified, ChainFault> {
        verify(state, NOW, noted).unwrap()
    }

    #[tokio::test]
    async fn a_consent_can_be_shown_from_its_id_alone() {
        let (state, _proof) = chain().await;
        let verified = check(&state, None).unwrap();
        assert_eq!((verified.head.number, verified.erased), (5, 0));
        let said: Vec<_> = records_of(&state, &[2; 16]).unwrap().into_iter().map(|(number, record)| (number, record.said)).collect();
        assert_eq!(said, [(2, Said::Granted), (3, Said::Changed), (5, Said::OptedOut)]);
        let (_, first) = records_of(&state, &[2; 16]).unwrap().remove(0);
        assert_eq!(first, record(2, Said::Granted, NOW));
        assert_eq!((first.at.0 % 60_000, first.expires.0 % 60_000), (0, 0), "to the minute, and no finer");
        assert_eq!(records_of(&state, &[9; 16]).unwrap(), []);
    }

    #[tokio::test]
    async fn whoever_changes_the_chain_breaks_it() {
        use ChainFault::{Changed, ErasedEarly, Missing, Unlinked};
        let swap = "UPDATE consent_proof SET number = -2 WHERE number = 2; UPDATE consent_proof SET number = 2 WHERE number = 3;
                    UPDATE consent_proof SET number = 3 WHERE number = -2;";
        let erase = "UPDATE consent_proof SET consent = NULL, site = NULL, said = NULL, purposes = NULL, source = NULL, policy = NULL,
                     policy_version = NULL, at = NULL, expires = NULL WHERE number = 3";
        let attacks = [
            ("UPDATE consent_proof SET purposes = 7 WHERE number = 3", Changed(3)),
            ("UPDATE consent_proof SET said = 'granted' WHERE number = 5", Changed(5)),
            ("UPDATE consent_proof SET said = 'perhaps' WHERE number = 5", Changed(5)),
            ("UPDATE consent_proof SET at = at - 60000 WHERE number = 2", Changed(2)),
            ("UPDATE consent_proof SET expires = expires + 60000 WHERE number = 2", Changed(2)),
            ("UPDATE consent_proof SET consent = zeroblob(16) WHERE number = 1", Changed(1)),
            ("UPDATE consent_proof SET consent = 'jane' WHERE number = 1", Changed(1)),
            ("UPDATE consent_proof SET site = 2 WHERE number = 1", Changed(1)),
            ("UPDATE consent_proof SET source = 'ga4' WHERE number = 4", Changed(4)),
            ("UPDATE consent_proof SET policy = 'other' WHERE number = 4", Changed(4)),
            ("UPDATE consent_proof SET policy_version = 9 WHERE number = 4", Changed(4)),
            ("UPDATE consent_proof SET hash = zeroblob(32) WHERE number = 4", Changed(4)),
            ("UPDATE consent_proof SET link = zeroblob(32) WHERE number = 4", Unlinked(4)),
            ("UPDATE consent_proof SET kept_until = 0 WHERE number = 4", Changed(4)),
            ("DELETE FROM consent_proof WHERE number = 1", Missing(1)),
            ("DELETE FROM consent_proof WHERE number = 3", Missing(3)),
            ("DELETE FROM consent_proof WHERE number = 3; UPDATE consent_proof SET number = number - 1 WHERE number > 3", Changed(3)),
            (swap, Changed(2)),
            (erase, ErasedEarly(3)),
        ];
        for (attack, fault) in attacks {
            let (state, _proof) = chain().await;
            state.with(|connection| connection.execute_batch(attack)).unwrap();
            assert_eq!(check(&state, None), Err(fault), "{attack}");
        }
        // Erased, and its day set back, so that it looks as if it had been time: the link says that it was not.
        let (state, _proof) = chain().await;
        state
            .with(|connection| connection.execute_batch(&format!("{erase}; UPDATE consent_proof SET kept_until = 0 WHERE number = 3")))
            .unwrap();
        assert_eq!(check(&state, None), Err(Unlinked(3)));
    }

    #[tokio::test]
    async fn a_head_that_was_noted_shows_what_was_cut_off_or_written_anew() {
        let (state, proof) = chain().await;
        let noted = check(&state, None).unwrap().head;
        proof.append(record(4, Said::Granted, NOW)).await.unwrap();
        assert_eq!(check(&state, Some(noted)).unwrap().head.number, 6, "the chain has grown past it");
        state.with(|connection| connection.execute("DELETE FROM consent_proof WHERE number >= 5", [])).unwrap();
        assert!(check(&state, None).is_ok(), "the chain alone cannot tell");
        assert_eq!(check(&state, Some(noted)), Err(ChainFault::NotedHead(5)));
        for consent in 7..9 {
            proof.append(record(consent, Said::Granted, NOW)).await.unwrap();
        }
        assert_eq!(check(&state, Some(noted)), Err(ChainFault::NotedHead(5)));
    }

    #[tokio::test]
    async fn what_is_past_its_time_is_erased_and_the_chain_stays_whole() {
        let (state, proof) = chain().await;
        let head = check(&state, None).unwrap().head;
        assert_eq!(proof.erase_expired(NOW).unwrap(), 0);
        // Three years after the end of the first consent, which was a year before the others'.
        let later = NOW.plus(Duration::from_secs((3 * 366 + 3) * 24 * 60 * 60));
        assert_eq!(proof.erase_expired(later).unwrap(), 1);
        assert_eq!(verify(&state, later, Some(head)).unwrap(), Ok(Verified { head, erased: 1 }));
        assert_eq!(records_of(&state, &[1; 16]).unwrap(), []);
        let left = state.with(|connection| {
            connection.query_row("SELECT count(*) FROM consent_proof WHERE number = 1 AND coalesce(consent, site, said, purposes, source, policy, policy_version, at, expires) IS NULL", [], |row| row.get::<_, i64>(0))
        });
        assert_eq!(left.unwrap(), 1, "nothing but hashes and a day is left");
        proof.append(record(5, Said::Granted, later)).await.unwrap();
        assert_eq!(verify(&state, later, Some(head)).unwrap().unwrap().head.number, 6);
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_said() {
        let (state, proof) = chain().await;
        state.with(|connection| connection.execute_batch("DROP TABLE consent_proof")).unwrap();
        assert!(proof.append(record(6, Said::Granted, NOW)).await.is_err());
        proof.append_withdrawal(record(6, Said::Refused, NOW)).await;
        assert_eq!(proof.unwritten(), 1);
    }

    #[test]
    fn a_reference_is_read_as_people_write_it() {
        let id = [0x3f, 0x9a, 0x1c, 2, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255];
        let text = reference(&id);
        assert_eq!(text, "3f9a1c02-00010203-04050607-08090aff");
        for quoted in [text.clone(), text.to_uppercase(), text.replace('-', " "), text.replace('-', "")] {
            assert_eq!(parse_reference(&quoted), Some(id), "{quoted}");
        }
        for wrong in ["", "3f9a", "3f9a1c02-00010203-04050607-08090af", "zz9a1c02-00010203-04050607-08090aff", &format!("{text}00")] {
            assert_eq!(parse_reference(wrong), None, "{wrong}");
        }
    }
}
