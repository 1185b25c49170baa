//! Who looked at whose profile, handed it out, changed or erased it: written down before it is done, in `state.db`.
//!
//! Whose it was is said by a mark that is made with the key of the person's consent. While that key lives, it is found what was done with their
//! profile; once it is destroyed, nobody can tell any more whose mark it was, from this file or with any other.

use std::{sync::Arc, time::Duration};

use rusqlite::{params, params_from_iter};
use schemars::JsonSchema;
use serde::Serialize;

use super::{Profiles, store::StrandKey};
use crate::{
    clock::Timestamp,
    event::SiteNumber,
    privacy::profiled::{AuditMark, PersonHandle},
    state::{StateDb, StoreError},
};

/// For so long an entry is kept: as long as a person's key can live. Of an older one nobody could say whose it is about.
pub const KEPT: Duration = Duration::from_secs(395 * 24 * 60 * 60);
/// Entries that are read at a time.
pub const READ_MAX: usize = 500;
/// People of one profile: each of its account's browsers.
const MARKS_MAX: usize = 512;
/// A browser that shows its own page again within this time shows it on: a page that is reloaded all day does not fill the file.
const LOOKS_ON: Duration = Duration::from_secs(60 * 60);

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Somebody at the command line, by the name that they gave or that the system knows.
    CommandLine(String),
    /// The holder of an API key, by its name.
    ApiKey(String),
    /// Whose data it is about, on their own page.
    Person,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// A list of profiles was looked at; of how many is said, not of whom.
    Listed,
    /// Somebody was looked for by an identifier, and found.
    Found,
    /// A profile, or what happened in it, was looked at.
    Seen,
    /// How somebody is written to was looked at.
    Addressed,
    /// All of a profile was handed out.
    Exported,
    /// Contacts were taken over from a file; of how many is said, not of whom.
    Imported,
    /// A contact was taken over by a program, or brought up to date.
    Contacted,
    /// A consent that was given elsewhere was put on record.
    Agreed,
    /// A consent was taken back, or a part of one.
    Withdrawn,
    /// Their e-mail address was confirmed by a mailed link.
    Confirmed,
    /// A browser was joined with its account's profile.
    Joined,
    /// A browser was parted from it.
    Parted,
    /// What rests of whose profile it is was restricted.
    Restricted,
    /// That was taken back.
    Lifted,
    /// Whose profile it is objected, and it was removed.
    Objected,
    /// Whose profile it is was erased.
    Erased,
}

impl Act {
    const ALL: [Self; 16] = [
        Self::Listed,
        Self::Found,
        Self::Seen,
        Self::Addressed,
        Self::Exported,
        Self::Imported,
        Self::Contacted,
        Self::Agreed,
        Self::Withdrawn,
        Self::Confirmed,
        Self::Joined,
        Self::Parted,
        Self::Restricted,
        Self::Lifted,
        Self::Objected,
        Self::Erased,
    ];

    /// The name in which it rests.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::Found => "found",
            Self::Seen => "seen",
            Self::Addressed => "addressed",
            Self::Exported => "exported",
            Self::Imported => "imported",
            Self::Contacted => "contacted",
            Self::Agreed => "agreed",
            Self::Withdrawn => "withdrawn",
            Self::Confirmed => "confirmed",
            Self::Joined => "joined",
            Self::Parted => "parted",
            Self::Restricted => "restricted",
            Self::Lifted => "lifted",
            Self::Objected => "objected",
            Self::Erased => "erased",
        }
    }
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Noted {
    /// Its place among all.
    pub number: i64,
    /// When, RFC 3339.
    pub at: String,
    /// `command_line`, `api_key`, or `person`: whose data it is, on their own page.
    pub by: String,
    /// Who, by the name of the key or of the account on the machine; of a person, nothing.
    pub name: String,
    /// What was done.
    pub did: Act,
    /// Profiles that it was done with.
    pub profiles: u64,
    /// Marks of whose they were: the same for the same browser's consent, and nobody's once that has ended.
    pub about: Vec<String>,
}

/// The entries of an installation.
#[derive(Clone)]
pub struct ProfileAudit {
    state: Arc<StateDb>,
}

impl ProfileAudit {
    /// Those in this database.
    #[must_use]
    pub const fn new(state: Arc<StateDb>) -> Self {
        Self { state }
    }

    /// Writes an entry down: durable when it returns. `profiles`: how many it was done with. Returns its number. Blocks.
    ///
    /// # Errors
    /// When `state.db` cannot be written; then it is not to be done.
    pub fn note(
        &self,
        site: SiteNumber,
        (who, act): (&Who, Act),
        marks: &[AuditMark],
        profiles: usize,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let (by, name) = match who {
            Who::CommandLine(name) => ("command_line", name.as_str()),
            Who::ApiKey(name) => ("api_key", name.as_str()),
            Who::Person => ("person", ""),
        };
        self.state.with(|connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "INSERT INTO profile_audit (site, at, by, name, act, profiles) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![site.0, now.0, by, name, act.name(), i64::try_from(profiles).unwrap_or(i64::MAX)],
            )?;
            let number = transaction.last_insert_rowid();
            for mark in marks.iter().take(MARKS_MAX) {
                transaction.execute("INSERT OR IGNORE INTO profile_audit_marks (mark, number) VALUES (?1, ?2)", (mark.bytes(), number))?;
            }
            transaction.commit()?;
            Ok(number)
        })
    }

    /// Writes down that a browser looks at its own page, unless it did within the hour. Blocks.
    ///
    /// # Errors
    /// When `state.db` cannot be used; then it is not to be shown.
    pub fn note_own_look(&self, site: SiteNumber, mark: AuditMark, now: Timestamp) -> Result<(), StoreError> {
        let looked = self.state.with(|connection| {
            connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM profile_audit JOIN profile_audit_marks USING (number)
                 WHERE mark = ?1 AND site = ?2 AND by = 'person' AND act = 'seen' AND at > ?3 AND at <= ?4)",
                params![mark.bytes(), site.0, now.minus(LOOKS_ON).0, now.0],
                |row| row.get::<_, bool>(0),
            )
        })?;
        if !looked {
            self.note(site, (&Who::Person, Act::Seen), &[mark], 1, now)?;
        }
        Ok(())
    }

    /// Adds of whom an entry is, where they had no key when it was written. Blocks.
    ///
    /// # Errors
    /// When `state.db` cannot be written.
    pub fn add_mark(&self, number: i64, mark: &AuditMark) -> Result<(), StoreError> {
        let insert = "INSERT OR IGNORE INTO profile_audit_marks (mark, number) VALUES (?1, ?2)";
        self.state.with(|connection| connection.execute(insert, (mark.bytes(), number))).map(drop)
    }

    /// A site's entries, newest first, from before that one on; of whom these marks are, where some are given. Blocks.
    ///
    /// # Errors
    /// When `state.db` cannot be read.
    pub fn read(&self, site: SiteNumber, about: Option<&[AuditMark]>, before: Option<i64>, most: usize) -> Result<Vec<Noted>, StoreError> {
        let most = most.min(READ_MAX);
        self.state.with(|connection| {
            let among = match about {
                None => String::new(),
                Some(marks) => {
                    let places = vec!["?"; marks.len().min(MARKS_MAX)].join(", ");
                    format!("AND number IN (SELECT number FROM profile_audit_marks WHERE mark IN ({places}))")
                }
            };
            let mut select = connection.prepare(&format!(
                "SELECT number, at, by, name, act, profiles FROM profile_audit
                 WHERE site = {} AND number < {} {among} ORDER BY number DESC LIMIT {most}",
                site.0,
                before.unwrap_or(i64::MAX),
            ))?;
            let marks = about.unwrap_or_default().iter().take(MARKS_MAX).map(|mark| mark.bytes().as_slice());
            let rows = select.query_map(params_from_iter(marks), |row| {
                let act: String = row.get(4)?;
                Ok(Noted {
                    number: row.get(0)?,
                    at: Timestamp(row.get(1)?).rfc3339(),
                    by: row.get(2)?,
                    name: row.get(3)?,
                    did: Act::ALL.into_iter().find(|known| known.name() == act).unwrap_or(Act::Seen),
                    profiles: row.get::<_, i64>(5)?.unsigned_abs(),
                    about: Vec::new(),
                })
            })?;
            let mut entries = rows.collect::<rusqlite::Result<Vec<_>>>()?;
            let mut select = connection.prepare("SELECT mark FROM profile_audit_marks WHERE number = ?1 ORDER BY mark")?;
            for entry in &mut entries {
                let marks = select.query_map([entry.number], |row| Ok(AuditMark::of_bytes(row.get(0)?).to_string()))?;
                entry.about = marks.collect::<rusqlite::Result<_>>()?;
            }
            Ok(entries)
        })
    }

    /// Forgets what is past its time. Returns how many entries that was. Blocks.
    ///
    /// # Errors
    /// When `state.db` cannot be used. It can be called again.
    pub fn forget_old(&self, now: Timestamp) -> Result<usize, StoreError> {
        let oldest = now.minus(KEPT).0;
        self.state.with(|connection| {
            let transaction = connection.transaction()?;
            let old = "DELETE FROM profile_audit_marks WHERE number IN (SELECT number FROM profile_audit WHERE at < ?1)";
            transaction.execute(old, [oldest])?;
            let forgotten = transaction.execute("DELETE FROM profile_audit WHERE at < ?1", [oldest])?;
            transaction.commit()?;
            Ok(forgotten)
        })
    }
}

impl Profiles {
    /// The marks of whose these strands are, for the audit. Who does not agree any more has none.
    ///
    /// # Errors
    /// When the keys cannot be read.
    pub fn marks<'s>(&self, strands: impl IntoIterator<Item = &'s StrandKey>, now: Timestamp) -> Result<Vec<AuditMark>, StoreError> {
        self.marks_of(strands.into_iter().map(|strand| strand.person), now)
    }

    /// The marks of these people.
    ///
    /// # Errors
    /// When the keys cannot be read.
    pub fn marks_of(&self, people: impl IntoIterator<Item = PersonHandle>, now: Timestamp) -> Result<Vec<AuditMark>, StoreError> {
        let mut people: Vec<PersonHandle> = people.into_iter().collect();
        people.sort_unstable();
        people.dedup();
        let mut marks = Vec::with_capacity(people.len());
        for person in people {
            marks.extend(self.seals().mark(&person, now)?);
        }
        Ok(marks)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::state::IN_MEMORY;

    const SITE: SiteNumber = SiteNumber(1);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn a_browser_that_looks_at_its_own_all_day_is_written_down_by_the_hour() {
        let audit = ProfileAudit::new(Arc::new(StateDb::open(Path::new(IN_MEMORY)).unwrap()));
        let (anna, bert) = (AuditMark::of_bytes([1; 16]), AuditMark::of_bytes([2; 16]));
        let begun = Timestamp(1_790_000_000_000);
        let after = |minutes: u64| begun.plus(Duration::from_secs(60 * minutes));
        let entries = || audit.read(SITE, None, None, 100).unwrap().len();
        let look = |mark, minutes| {
            audit.note_own_look(SITE, mark, after(minutes)).unwrap();
            entries()
        };
        assert_eq!([look(anna, 0), look(anna, 5), look(anna, 59)], [1, 1, 1]);
        assert_eq!([look(bert, 59), look(anna, 60)], [2, 3]);
        audit.note(SITE, (&Who::Person, Act::Seen), &[anna], 1, after(61)).unwrap();
        audit.note(SITE, (&Who::ApiKey("crm".into()), Act::Seen), &[anna], 1, after(61)).unwrap();
        assert_eq!(entries(), 5, "by a link, and by others, each look is one");
    }

    #[test]
    fn what_was_done_is_found_by_whose_it_was_until_its_time_is_over() {
        let audit = ProfileAudit::new(Arc::new(StateDb::open(Path::new(IN_MEMORY)).unwrap()));
        let (anna, bert) = (AuditMark::of_bytes([1; 16]), AuditMark::of_bytes([2; 16]));
        let (crm, carla) = (Who::ApiKey("crm".into()), Who::CommandLine("carla".into()));
        let begun = Timestamp(1_790_000_000_000);
        audit.note(SITE, (&crm, Act::Seen), &[anna], 1, begun).unwrap();
        audit.note(SITE, (&carla, Act::Exported), &[bert, anna], 1, begun.plus(DAY)).unwrap();
        audit.note(SITE, (&crm, Act::Listed), &[], 100, begun.plus(DAY * 2)).unwrap();
        audit.note(SiteNumber(2), (&crm, Act::Erased), &[anna], 1, begun.plus(DAY * 2)).unwrap();
        let of = |marks: Option<&[AuditMark]>, before, most| -> Vec<(String, Act, u64, usize)> {
            let entries = audit.read(SITE, marks, before, most).unwrap();
            entries.into_iter().map(|entry| (entry.name, entry.did, entry.profiles, entry.about.len())).collect()
        };
        let (seen, exported) = (("crm".to_owned(), Act::Seen, 1, 1), ("carla".to_owned(), Act::Exported, 1, 2));
        let listed = ("crm".to_owned(), Act::Listed, 100, 0);
        assert_eq!(of(None, None, 10), [listed.clone(), exported.clone(), seen.clone()], "another site's are its own");
        assert_eq!(of(None, None, 1), [listed]);
        assert_eq!(of(Some(&[anna]), None, 10), [exported.clone(), seen.clone()]);
        assert_eq!(of(Some(&[anna]), Some(2), 10), std::slice::from_ref(&seen));
        assert_eq!(of(Some(&[bert]), None, 10), std::slice::from_ref(&exported));
        assert_eq!(of(Some(&[]), None, 10), [], "nobody's are nobody's");
        assert_eq!(audit.forget_old(begun.plus(KEPT)).unwrap(), 0);
        assert_eq!(audit.forget_old(begun.plus(KEPT).plus(DAY)).unwrap(), 1);
        assert_eq!(of(Some(&[anna]), None, 10), [exported]);
        let left = "SELECT count(*) FROM profile_audit_marks";
        assert_eq!(audit.state.with(|connection| connection.query_row(left, [], |row| row.get::<_, i64>(0))).unwrap(), 3);
    }
}
