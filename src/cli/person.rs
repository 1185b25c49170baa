//! `person`: hands out what rests about one person, or erases it. Whose it is is said on standard input, so that no id stands in a list of
//! processes or in a shell's history; and no answer repeats it.

use std::{
    io::{BufRead, IsTerminal as _, Write, stdin},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use clap::{Args, Subcommand, ValueEnum};
use tokio::runtime::Runtime;

use super::{CommandError, Place};
use crate::{
    clock::{self, Timestamp},
    delivery::ledger::Ledger,
    documents::{Documents, Site, store::DocumentStore},
    event::{Offset, Purposes, RetentionClass},
    event_log::LogOptions,
    privacy::{
        consent::proof::ConsentProof,
        identifiers::IdentifierKind,
        keys::{database::KeysDb, epoch::EpochKeys, persistent::PersistentKeys, person::PersonKeys},
        personal::Personal,
        profiled::ProfileSeals,
        rights::{
            Asked, Found, Rights,
            erasures::{ERASURES, Erasures},
            export::Facts,
            recipients::Ids,
        },
    },
    profile::{
        Profiles,
        audit::{self, Act, ProfileAudit},
        whose::Whose,
    },
    rights::{ends, sweep},
    state::StateDb,
};

/// Longer than any id of ours, and than any account that is kept.
const ID_BYTES_MAX: u64 = 4096;
/// A running server has this long to carry an erasure out in its log, before the command says that it goes on without being watched.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Subcommand)]
pub(super) enum PersonCommand {
    /// Write everything that rests about a person into a new directory, as JSON and as a page to read.
    Export {
        #[command(flatten)]
        who: Who,
        /// A directory that does not exist yet.
        directory: PathBuf,
    },
    /// Keep what rests about a person, and use it for nothing (Article 18): no profile of them is shown, none is added to, and nothing leaves.
    Restrict {
        #[command(flatten)]
        who: Who,
        /// Use it again.
        #[arg(long)]
        lift: bool,
    },
    /// Remove a person's customer profile, and make none of them until they agree anew (Article 21).
    Object {
        #[command(flatten)]
        who: Who,
    },
    /// Destroy a person's key, and with it all that rests about them, in backups too; then what is left of them in the event log.
    Erase {
        #[command(flatten)]
        who: Who,
        /// A file that does not exist yet: who has received something of them, and the ids by which these have to erase it, too.
        #[arg(long, value_name = "FILE")]
        notice: PathBuf,
    },
}

/// Whose data it is about; the id itself is read from standard input.
#[derive(Debug, Args)]
pub(super) struct Who {
    /// What the id on standard input is.
    #[arg(long, value_enum)]
    by: By,
    /// On which site; needed where there are several.
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// Who does it; kept in the audit of profiles.
    #[arg(long, env = "USER", default_value = "command line")]
    author: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    /// The value of our cookie in the person's browser.
    Cookie,
    /// Their account: the user id that the site's backend has proven.
    Account,
    /// Their id in the site's customer system, as its backend or an import said it.
    Crm,
    /// Their e-mail address, as the site's backend or an import said it.
    Email,
    /// Their phone number, with its country, as the site's backend or an import said it.
    Phone,
}

/// What a command about a person works with.
struct Opened {
    state: Arc<StateDb>,
    documents: Documents,
    rights: Rights,
    persistent: PersistentKeys,
    epochs: EpochKeys,
    ledger: Ledger,
    list: Erasures,
    profiles: Profiles,
    /// Outlives them.
    _runtime: Option<Runtime>,
    options: LogOptions,
    data_dir: PathBuf,
}

impl Opened {
    fn open(place: &Place) -> Result<Self, CommandError> {
        let data_dir = place.data_dir()?;
        for file in ["state.db", "keys.db"] {
            if !data_dir.join(file).exists() {
                return Err(format!(
                    "{}: there is none yet\n  fix: name the data directory with --data-dir",
                    data_dir.join(file).display()
                )
                .into());
            }
        }
        let options = place.log_options()?;
        let state = Arc::new(StateDb::open(&data_dir.join("state.db"))?);
        let keys = Arc::new(KeysDb::open(&data_dir.join("keys.db"))?);
        let (profiles, runtime) = place.profiles(ProfileSeals::new(Arc::new(PersonKeys::new(Arc::clone(&keys)))))?;
        Ok(Self {
            documents: DocumentStore::new(Arc::clone(&state)).compiled()?,
            rights: Rights::new(Arc::clone(&state), Arc::clone(&keys), &data_dir.join("log")),
            persistent: PersistentKeys::new(Arc::clone(&state)),
            epochs: EpochKeys::new(keys),
            ledger: Ledger::new(Arc::clone(&state)),
            profiles,
            _runtime: runtime,
            list: Erasures::open(&data_dir.join(ERASURES.file), options.short_retention)?,
            state,
            options,
            data_dir,
        })
    }

    fn site(&self, named: Option<&str>) -> Result<&Arc<Site>, CommandError> {
        let names = || self.documents.sites.iter().map(|site| site.name.as_str()).collect::<Vec<_>>().join(", ");
        match (named, self.documents.sites.as_slice()) {
            (None, [site]) => Ok(site),
            (None, _) => Err(format!("there is not one site\n  fix: --site NAME, one of: {}", names()).into()),
            (Some(name), sites) => sites
                .iter()
                .find(|site| site.name == name)
                .ok_or_else(|| format!("--site: there is no site of that name\n  fix: one of: {}", names()).into()),
        }
    }

    fn whose(&self) -> Whose<'_> {
        Whose { rights: &self.rights, persistent: &self.persistent, profiles: &self.profiles, documents: &self.documents }
    }

    /// Their profiles, as far as what is in them is theirs.
    fn profiles(&self, site: &Site, asked: &Asked, found: &Found, now: Timestamp) -> Result<Option<serde_json::Value>, CommandError> {
        let Some(rules) = self.documents.profile_of(site.number).filter(|_| self.profiles.are_there()) else { return Ok(None) };
        let asked = self.whose().identifier(site, asked)?;
        let people: Vec<_> = found.people().collect();
        let view = self.profiles.of_people(rules, &people, asked.as_ref(), now)?;
        Ok(view.map(serde_json::to_value).transpose()?.map(|view| serde_json::Value::Array(vec![view])))
    }

    /// Writes down what is about to be done with whose profile, where the site has any.
    fn note(&self, site: &Site, (author, act): (&str, Act), found: &Found, now: Timestamp) -> Result<(), CommandError> {
        if found.is_nobody() || self.documents.profile_of(site.number).is_none() {
            return Ok(());
        }
        let marks = self.profiles.marks_of(found.people().map(|(person, _)| person), now)?;
        let who = audit::Who::CommandLine(author.to_owned());
        ProfileAudit::new(Arc::clone(&self.state)).note(site.number, (&who, act), &marks, 1, now)?;
        Ok(())
    }

    fn facts<'a>(&'a self, site: &'a Site, now: clock::Timestamp) -> Facts<'a> {
        Facts {
            documents: &self.documents,
            site,
            state: &self.state,
            ids: Ids { persistent: &self.persistent, epochs: &self.epochs },
            kept: RetentionClass::ALL.map(|class| self.options.retention(class)),
            now,
        }
    }
}

pub(super) fn person(place: &Place, command: &PersonCommand, input: &mut dyn BufRead, out: &mut dyn Write) -> Result<(), CommandError> {
    let opened = Opened::open(place)?;
    match command {
        PersonCommand::Export { who, directory } => export(&opened, who, directory, input, out),
        PersonCommand::Erase { who, notice } => erase(&opened, who, notice, input, out),
        PersonCommand::Restrict { who, lift } => restrict(&opened, who, *lift, input, out),
        PersonCommand::Object { who } => object(&opened, who, input, out),
    }
}

fn asked(who: &Who, input: &mut dyn BufRead, out: &mut dyn Write) -> Result<Asked, CommandError> {
    if stdin().is_terminal() {
        let what = match who.by {
            By::Cookie => "the value of the cookie",
            By::Account => "the account's id",
            By::Crm => "the id in the customer system",
            By::Email => "the e-mail address",
            By::Phone => "the phone number",
        };
        write!(out, "{what}: ")?;
        out.flush()?;
    }
    let mut id = String::new();
    // What is no text is an id that nobody has.
    let _ = std::io::Read::take(input, ID_BYTES_MAX).read_line(&mut id);
    let id = Personal::new(id);
    Ok(match who.by {
        By::Cookie => Asked::Cookie(id),
        By::Account => Asked::Account(id),
        By::Crm => Asked::Known(IdentifierKind::Crm, id),
        By::Email => Asked::Known(IdentifierKind::Email, id),
        By::Phone => Asked::Known(IdentifierKind::Phone, id),
    })
}

fn export(opened: &Opened, who: &Who, directory: &Path, input: &mut dyn BufRead, out: &mut dyn Write) -> Result<(), CommandError> {
    let site = opened.site(who.site.as_deref())?;
    if directory.exists() {
        return Err(format!("{}: is there already\n  fix: name a new directory", directory.display()).into());
    }
    let asked = asked(who, input, out)?;
    let now = clock::now();
    let found = opened.whose().find(site, &asked, now)?;
    opened.note(site, (&who.author, Act::Exported), &found, now)?;
    let mut ask = |offset: Offset| ends(&opened.ledger, &opened.documents, site, offset);
    let mut export = opened.rights.export(&found, &opened.facts(site, now), &mut ask)?;
    if let Some(profiles) = opened.profiles(site, &asked, &found, now)? {
        export = export.with_profiles(profiles);
    }
    let events = export.events();
    export.hand_over_to_the_person(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    if found.is_nobody() {
        writeln!(out, "{NOTHING}")?;
    } else {
        writeln!(out, "Found: {events} events of {} browser{}.", found.browsers(), if found.browsers() == 1 { "" } else { "s" })?;
        if found.shared() > 0 {
            writeln!(out, "{SHARED} Their events are left out.")?;
        }
    }
    writeln!(out, "Written: {}/person.html, to read, and person.json, for programs.", directory.display())?;
    writeln!(out, "Make sure that whoever asked is the one whose id it is, hand both files over, and delete them here.")?;
    Ok(())
}

const NOTHING: &str = "Nothing can be found under this id. Visits without a consent to a lasting id cannot be looked up: nobody can tell whose they are\n\
                       (Article 11 of the GDPR), and more must not be collected to find out.";
const SHARED: &str = "Other accounts were used in the same browser.";

fn erase(opened: &Opened, who: &Who, notice_file: &Path, input: &mut dyn BufRead, out: &mut dyn Write) -> Result<(), CommandError> {
    let site = opened.site(who.site.as_deref())?;
    if notice_file.exists() {
        return Err(format!("{}: is there already\n  fix: --notice NEW_FILE", notice_file.display()).into());
    }
    let asked = asked(who, input, out)?;
    let (begun, now) = (Instant::now(), clock::now());
    let found = opened.whose().find(site, &asked, now)?;
    let known_by = opened.whose().known_by(site, &asked, &found)?;
    if found.is_nobody() {
        // What was asked for stays on the list all the same: an older copy, or an import, may hold something of it.
        opened.rights.erase(&found, &known_by, &opened.list, now)?;
        writeln!(out, "{NOTHING}\nThere is nothing to erase.")?;
        return Ok(());
    }
    let mut ask = |offset: Offset| ends(&opened.ledger, &opened.documents, site, offset);
    // Before anything is destroyed: afterwards nobody can tell any more.
    let notice = opened.rights.notice(&found, &opened.facts(site, now), &mut ask)?;
    let receivers = notice.receivers();
    notice.hand_over_to_the_operator(notice_file).map_err(|error| format!("{}: {error}", notice_file.display()))?;
    let people = found.people().map(|(person, _)| person).collect();
    opened.note(site, (&who.author, Act::Erased), &found, now)?;
    opened.rights.erase(&found, &known_by, &opened.list, now)?;
    if opened.profiles.are_there() {
        opened.profiles.erase(&people)?;
    }
    let finished = sweep::finish(&opened.data_dir, &opened.options, &opened.list, PATIENCE)
        .map_err(|error| format!("the keys are destroyed, so nothing can be read any more; but the event log still holds remains: {error}\n  fix: start the server, which goes on with it"))?;
    let keys = found.browsers();
    writeln!(out, "Erased: the key{} of {keys} browser{}, and with it everything that was sealed under it.", plural(keys), plural(keys))?;
    if found.shared() > 0 {
        writeln!(out, "{SHARED} What they did there is erased, too: it was sealed under the same key.")?;
    }
    if finished {
        writeln!(out, "Nothing of it is left in the event log ({:.1} s).", begun.elapsed().as_secs_f64())?;
    } else {
        writeln!(out, "The server is still taking what cannot be read any more out of the event log; it goes on by itself.")?;
    }
    match receivers {
        0 => writeln!(out, "Nobody has received anything of it.")?,
        _ => writeln!(
            out,
            "{receivers} receiver{} or may have: {} names them and the ids by which they find it. Tell them to erase it, too\n\
             (Article 19), the files of `file` destinations included; then delete that file.",
            if receivers == 1 { " has received something of it," } else { "s have received something of it," },
            notice_file.display(),
        )?,
    }
    writeln!(out, "Copies of the keys still hold theirs: run `firsthand backup --keys FILE` again, over the last copy.")?;
    writeln!(out, "An erasure is no objection: if they visit again and agree, events of theirs come in again, as somebody new's.")?;
    Ok(())
}

fn restrict(opened: &Opened, who: &Who, lift: bool, input: &mut dyn BufRead, out: &mut dyn Write) -> Result<(), CommandError> {
    let site = opened.site(who.site.as_deref())?;
    let asked = asked(who, input, out)?;
    let now = clock::now();
    let found = opened.whose().find(site, &asked, now)?;
    let keys = found.browsers();
    if found.is_nobody() {
        writeln!(out, "{NOTHING}")?;
    } else if lift {
        opened.note(site, (&who.author, Act::Lifted), &found, now)?;
        let lifted = opened.rights.lift(&found, &opened.list)?;
        if lifted == 0 {
            writeln!(out, "It was not restricted: nothing was changed.")?;
            return Ok(());
        }
        if opened.profiles.are_there() {
            // What came in meanwhile, as far as the log retains it.
            opened.profiles.store()?.ask_again()?;
        }
        writeln!(out, "Lifted: what rests of {keys} browser{} is used again. What was not sent meanwhile stays unsent.", plural(keys))?;
    } else {
        opened.note(site, (&who.author, Act::Restricted), &found, now)?;
        opened.rights.restrict(&found, &opened.list, now)?;
        writeln!(
            out,
            "Restricted: what rests of {keys} browser{} is kept, and used for nothing. A running server sees it within a second.\n\
             It ends with `--lift`, and with the consent that it came under. Tell those who received something (Article 19): `person export` names them.",
            plural(keys)
        )?;
    }
    Ok(())
}

fn object(opened: &Opened, who: &Who, input: &mut dyn BufRead, out: &mut dyn Write) -> Result<(), CommandError> {
    let site = opened.site(who.site.as_deref())?;
    let asked = asked(who, input, out)?;
    let now = clock::now();
    let found = opened.whose().find(site, &asked, now)?;
    let known_by = opened.whose().known_by(site, &asked, &found)?;
    opened.note(site, (&who.author, Act::Objected), &found, now)?;
    let proof = ConsentProof::new(Arc::clone(&opened.state));
    let waiting = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    waiting.block_on(opened.rights.object((&found, Purposes::PROFILE), &known_by, (&opened.list, &proof, site), now))?;
    let people = found.people().map(|(person, _)| person).collect();
    if opened.profiles.are_there() {
        opened.profiles.erase(&people)?;
    }
    if found.is_nobody() {
        writeln!(out, "{NOTHING}")?;
        return Ok(());
    }
    let keys = found.browsers();
    writeln!(
        out,
        "Removed: the customer profile of {keys} browser{}. There will be none until they agree anew: a yes that a page",
        plural(keys)
    )?;
    writeln!(out, "repeats is not one, nor is an import of what was agreed to before.")?;
    writeln!(out, "Whatever else they agreed to stays; `person erase` destroys it.")?;
    Ok(())
}

const fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
