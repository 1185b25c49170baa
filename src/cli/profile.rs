//! `profile`: shows customer profiles and what joined them, parts them and joins them again, and has all made again from what is kept.

use std::{
    collections::BTreeSet,
    io::{BufRead, IsTerminal as _, Write, stdin},
    sync::Arc,
};

use clap::{Args, Subcommand, ValueEnum};
use tokio::runtime::Runtime;

use super::{CommandError, Place, import::Import};
use crate::{
    clock::{self, Timestamp},
    documents::{Documents, ProfileRules, Site, store::DocumentStore},
    privacy::{
        clean::Property,
        identifiers::{Identifier, IdentifierKind, identifier_of_site},
        keys::{database::KeysDb, persistent::PersistentKeys, person::PersonKeys},
        personal::Personal,
        profiled::ProfileSeals,
        rights::erasures::{ERASURES, Erasures},
    },
    profile::{
        Profiles,
        audit::{Act, Noted, ProfileAudit, Who},
        parting::{Undecidable, Wish},
        store::StrandKey,
        view::{KnownView, ProfileView, SaidView},
    },
    state::StateDb,
};

/// Longer than any account that is kept.
const ACCOUNT_BYTES_MAX: u64 = 4096;

#[derive(Debug, Subcommand)]
pub(super) enum ProfileCommand {
    /// List profiles, each with when it was last seen and what it bought.
    List {
        #[command(flatten)]
        site: OfSite,
        #[command(flatten)]
        who: ByWhom,
        /// At most so many.
        #[arg(long, default_value_t = 20)]
        most: usize,
        /// Go on behind the profile of this id, which the list before ended with.
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show one profile: what it is made of and why, its traits, its newest events.
    Show {
        #[command(flatten)]
        site: OfSite,
        #[command(flatten)]
        who: ByWhom,
        /// The profile's id, or that of a part of it. Default: by what standard input names, as the site knows it.
        id: Option<String>,
        /// What standard input names.
        #[arg(long, value_enum, default_value_t = Known::Account, conflicts_with = "id")]
        by: Known,
        /// So many of its newest events.
        #[arg(long, default_value_t = 10)]
        events: usize,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Part a browser from its account's profile. Nothing is lost: each keeps what came from it, before and after.
    Unmerge {
        #[command(flatten)]
        decided: Decided,
    },
    /// Join a browser with its account's profile again, after `unmerge`.
    Merge {
        #[command(flatten)]
        decided: Decided,
    },
    /// Take contacts of the site's customer system over, each under the consent that its row says.
    Import(Import),
    /// Make all profiles again from their timelines, and from what the event log retains.
    Rebuild,
    /// Say who looked at whose profile, handed it out, changed or erased it, newest first.
    Audit {
        #[command(flatten)]
        site: OfSite,
        /// Only what was done with the profile of this id.
        #[arg(long, value_name = "ID")]
        profile: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 50)]
        most: usize,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// What somebody is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Known {
    /// The user id of the site's that its backend has proven.
    Account,
    /// The id in the site's customer system.
    Crm,
    /// An e-mail address.
    Email,
    /// A phone number, with its country: +33…
    Phone,
}

impl Known {
    pub(super) const fn kind(self) -> IdentifierKind {
        match self {
            Self::Account => IdentifierKind::Account,
            Self::Crm => IdentifierKind::Crm,
            Self::Email => IdentifierKind::Email,
            Self::Phone => IdentifierKind::Phone,
        }
    }
}

/// On which site.
#[derive(Debug, Args)]
pub(super) struct OfSite {
    /// On which site; needed where several have profiles.
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
}

/// Who looks, for the audit.
#[derive(Debug, Args)]
pub(super) struct ByWhom {
    /// Who looks; kept in the audit.
    #[arg(long = "author", env = "USER", default_value = "command line")]
    author: String,
}

impl ByWhom {
    pub(super) fn who(&self) -> Who {
        Who::CommandLine(self.author.clone())
    }
}

/// What somebody decides of a browser, and why.
#[derive(Debug, Args)]
pub(super) struct Decided {
    #[command(flatten)]
    site: OfSite,
    /// The browser, as `profile show` names it; where several accounts are used in it, with the account: BROWSER.ACCOUNT.
    browser: String,
    /// Only what the browser did under no account: that it is somebody else's.
    #[arg(long)]
    without_account: bool,
    /// Why; it stays on record.
    #[arg(long)]
    reason: String,
    /// Who; kept with it.
    #[arg(long, env = "USER", default_value = "command line")]
    author: String,
}

/// What the commands work with.
struct Opened {
    documents: Documents,
    persistent: PersistentKeys,
    profiles: Profiles,
    audit: ProfileAudit,
    /// Outlives them.
    _runtime: Option<Runtime>,
}

impl Opened {
    fn open(place: &Place) -> Result<Self, CommandError> {
        let data_dir = place.data_dir()?;
        for file in ["state.db", "keys.db"] {
            if !data_dir.join(file).exists() {
                let path = data_dir.join(file);
                return Err(format!("{}: there is none yet\n  fix: name the data directory with --data-dir", path.display()).into());
            }
        }
        let state = Arc::new(StateDb::open(&data_dir.join("state.db"))?);
        let list = Erasures::open(&data_dir.join(ERASURES.file), place.log_options()?.short_retention)?;
        let persons = PersonKeys::new(Arc::new(KeysDb::open(&data_dir.join("keys.db"))?)).listed_in(Arc::new(list));
        persons.look_who_is_held()?;
        let (profiles, runtime) = place.profiles(ProfileSeals::new(Arc::new(persons)))?;
        if !profiles.are_there() {
            return Err(
                "there are no profiles yet\n  fix: `profile = {}` in a site's document switches them on; the server makes them".into()
            );
        }
        Ok(Self {
            documents: DocumentStore::new(Arc::clone(&state)).compiled()?,
            persistent: PersistentKeys::new(Arc::clone(&state)),
            audit: ProfileAudit::new(state),
            profiles,
            _runtime: runtime,
        })
    }

    /// Writes down what is about to be done with whose profile.
    fn note<'s>(
        &self,
        site: &Site,
        what: (&Who, Act),
        strands: impl IntoIterator<Item = &'s StrandKey>,
        now: Timestamp,
    ) -> Result<(), CommandError> {
        let marks = self.profiles.marks(strands, now)?;
        self.audit.note(site.number, what, &marks, 1, now)?;
        Ok(())
    }

    fn site(&self, named: &OfSite) -> Result<(&Arc<Site>, &Arc<ProfileRules>), CommandError> {
        site_with_profiles(&self.documents, named.site.as_deref())
    }
}

/// The site of that name, or the only one, which has profiles.
pub(super) fn site_with_profiles<'d>(
    documents: &'d Documents,
    named: Option<&str>,
) -> Result<(&'d Arc<Site>, &'d Arc<ProfileRules>), CommandError> {
    let sites: Vec<_> = documents.sites.iter().filter_map(|site| Some((site, documents.profile_of(site.number)?))).collect();
    let names = || sites.iter().map(|(site, _)| site.name.as_str()).collect::<Vec<_>>().join(", ");
    match (named, sites.as_slice()) {
        (None, [one]) => Ok(*one),
        (_, []) => Err("no site has profiles\n  fix: `profile = {}` in its document switches them on".into()),
        (None, _) => Err(format!("several sites have profiles\n  fix: --site NAME, one of: {}", names()).into()),
        (Some(name), sites) => sites
            .iter()
            .find(|(site, _)| site.name == *name)
            .copied()
            .ok_or_else(|| format!("--site: no site of that name has profiles\n  fix: one of: {}", names()).into()),
    }
}

pub(super) fn profile(place: &Place, command: &ProfileCommand, input: &mut dyn BufRead, out: &mut dyn Write) -> Result<(), CommandError> {
    if let ProfileCommand::Import(import) = command {
        return super::import::import(place, import, out);
    }
    let opened = Opened::open(place)?;
    let now = clock::now();
    match command {
        ProfileCommand::Import(_) => Ok(()),
        ProfileCommand::List { site, who, most, after, json } => {
            let (site, rules) = opened.site(site)?;
            list(&opened, (site, rules), (*most, after.as_deref(), *json), (&who.who(), now), out)
        }
        ProfileCommand::Show { site, who, id, by, events, json } => {
            let (site, rules) = opened.site(site)?;
            let strand = match id {
                Some(id) => opened.profiles.named(site.number, id)?,
                None => match asked(&opened, rules, by.kind(), input, out)? {
                    Some(identifier) => opened.profiles.named(site.number, &identifier.key.to_string())?,
                    None => None,
                },
            };
            let joined = strand.map(|strand| opened.profiles.joined(&strand, rules)).transpose()?;
            let view = match &joined {
                Some(joined) => {
                    let view = opened.profiles.view(joined, rules, *events, now)?;
                    if view.is_some() {
                        opened.note(site, (&who.who(), Act::Seen), &joined.strands, now)?;
                    }
                    view
                }
                None => None,
            };
            match view {
                None if joined.is_some_and(|joined| opened.profiles.is_restricted(&joined)) => writeln!(out, "{RESTRICTED}")?,
                Some(view) if *json => writeln!(out, "{}", serde_json::to_string_pretty(&view)?)?,
                Some(view) => show(&site.name, &view, out)?,
                None => writeln!(out, "{NOBODY}")?,
            }
            Ok(())
        }
        ProfileCommand::Unmerge { decided } => decide(&opened, decided, true, now, out),
        ProfileCommand::Merge { decided } => decide(&opened, decided, false, now, out),
        ProfileCommand::Rebuild => {
            opened.profiles.store()?.ask_again()?;
            writeln!(
                out,
                "Asked for. A running server begins within a second, one that does not run when it starts; what it does not find in the event log any\n\
                 more it makes from the timelines. Nothing is taken away meanwhile."
            )?;
            Ok(())
        }
        ProfileCommand::Audit { site, profile, most, json } => {
            let (site, rules) = opened.site(site)?;
            let marks = match profile {
                Some(id) => {
                    let strand = opened.profiles.named(site.number, id)?.ok_or_else(|| format!("--profile: {NOBODY}"))?;
                    Some(opened.profiles.marks(&opened.profiles.joined(&strand, rules)?.strands, now)?)
                }
                None => None,
            };
            let entries = opened.audit.read(site.number, marks.as_deref(), None, *most)?;
            if *json {
                writeln!(out, "{}", serde_json::to_string_pretty(&entries)?)?;
            } else {
                show_audit(&entries, out)?;
            }
            Ok(())
        }
    }
}

const RESTRICTED: &str = "This profile is restricted: it is kept, and not used, until `person restrict --lift`.";
const NOBODY: &str = "Nobody who agrees to a profile has this id.";

fn asked(
    opened: &Opened,
    rules: &ProfileRules,
    kind: IdentifierKind,
    input: &mut dyn BufRead,
    out: &mut dyn Write,
) -> Result<Option<Identifier>, CommandError> {
    if stdin().is_terminal() {
        write!(out, "{}: ", kind.name())?;
        out.flush()?;
    }
    let mut account = String::new();
    // What is no text is an account that nobody has.
    let _ = std::io::Read::take(input, ACCOUNT_BYTES_MAX).read_line(&mut account);
    Ok(identifier_of_site(&opened.persistent, &rules.destination, kind, &Personal::new(account.trim().to_owned()))?)
}

fn list(
    opened: &Opened,
    (site, rules): (&Site, &ProfileRules),
    (most, after, json): (usize, Option<&str>, bool),
    (who, now): (&Who, Timestamp),
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let after = match after {
        None => None,
        Some(id) => {
            let named = opened.profiles.named(site.number, id)?;
            let strand = named.ok_or_else(|| format!("--after: {NOBODY}\n  fix: the id that the list before ended with"))?;
            opened.profiles.joined(&strand, rules)?.strands.first().copied()
        }
    };
    let (page, more) = opened.profiles.page(rules, after, most)?;
    let mut views = Vec::new();
    for joined in &page {
        views.extend(opened.profiles.view(joined, rules, 0, now)?);
    }
    opened.audit.note(site.number, (who, Act::Listed), &[], views.len(), now)?;
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&views)?)?;
        return Ok(());
    }
    if views.is_empty() {
        writeln!(out, "There is no profile {}.", if after.is_some() { "behind that one" } else { "yet" })?;
        return Ok(());
    }
    writeln!(out, "{:<34}{:>10}{:>8}{:>8}  {:<22}revenue", "profile", "browsers", "visits", "orders", "last seen")?;
    for view in &views {
        let traits = &view.traits;
        let revenue: Vec<_> = traits.revenue.iter().map(|of| format!("{:.2} {}", of.revenue, of.currency)).collect();
        let seen = traits.last_seen.as_deref().unwrap_or("-");
        let seen = seen.split_once('.').map_or(seen, |(seconds, _)| seconds);
        let browsers: BTreeSet<&str> = view.parts.iter().map(|part| part.id.split('.').next().unwrap_or_default()).collect();
        let (visits, orders, revenue) = (traits.visits, traits.orders, revenue.join(", "));
        let line = format!("{:<34}{:>10}{visits:>8}{orders:>8}  {seen:<22}{revenue}", view.id, browsers.len());
        writeln!(out, "{}", line.trim_end())?;
    }
    if more.is_some()
        && let Some(last) = views.last()
    {
        writeln!(out, "There may be more: --after {}", last.id)?;
    }
    for (rule, shared) in opened.profiles.refused(rules)?.into_iter().filter(|(_, shared)| *shared > 0) {
        writeln!(out, "{}: {shared} in more than {} browsers, and so joining none of them.", rule.kind.name(), rule.most)?;
    }
    Ok(())
}

fn decide(opened: &Opened, decided: &Decided, apart: bool, now: Timestamp, out: &mut dyn Write) -> Result<(), CommandError> {
    let (site, rules) = opened.site(&decided.site)?;
    let Decided { browser, without_account, reason, author, .. } = decided;
    let wish = Wish { part: browser, without_account: *without_account, apart, author, reason };
    let considered = opened.profiles.consider(rules, &wish)?.map_err(|undecidable| match undecidable {
        Undecidable::NoSuchPart => "there is no browser of that id, or several accounts are used in it\n  fix: as `profile show` names it: BROWSER, or BROWSER.ACCOUNT",
        Undecidable::NothingWithoutAccount => "that browser has done nothing under no account",
    })?;
    if considered.is_so {
        writeln!(out, "It is {} already: nothing was changed.", if apart { "apart" } else { "joined" })?;
        return Ok(());
    }
    let act = if apart { Act::Parted } else { Act::Joined };
    opened.note(site, (&Who::CommandLine(author.clone()), act), &considered.strands, now)?;
    let profile = opened.profiles.decide_as(rules, &considered, &wish, now)?;
    if apart {
        writeln!(out, "Parted: it was a part of profile {}, and is profile {profile} now.", considered.profile)?;
        writeln!(out, "What it brought is out of the other one's traits and timeline, and comes back with `profile merge`.")?;
    } else {
        writeln!(out, "Joined: it is a part of profile {profile} again.")?;
    }
    Ok(())
}

fn show_audit(entries: &[Noted], out: &mut dyn Write) -> std::io::Result<()> {
    if entries.is_empty() {
        return writeln!(out, "Nobody has looked at any, as far as it is known: entries are kept for 13 months.");
    }
    writeln!(out, "{:<22}{:<30}{:<10}whose", "when", "who", "did")?;
    for entry in entries {
        let when = entry.at.split_once('.').map_or(entry.at.as_str(), |(seconds, _)| seconds);
        let who = match entry.by.as_str() {
            "api_key" => format!("key {}", entry.name),
            "person" => String::from("the person"),
            _ => entry.name.clone(),
        };
        let whose = match entry.about.as_slice() {
            [] => format!("{} profiles", entry.profiles),
            marks => marks.iter().map(|mark| mark.get(..8).unwrap_or(mark)).collect::<Vec<_>>().join(" "),
        };
        writeln!(out, "{when:<22}{who:<30}{:<10}{whose}", entry.did.name())?;
    }
    Ok(())
}

fn show(site: &str, view: &ProfileView, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "profile {} of \"{site}\"", view.id)?;
    for identifier in &view.shared_by_too_many {
        writeln!(out, "  {identifier}: in so many browsers that it joins none of them")?;
    }
    for identifier in &view.told_apart {
        writeln!(out, "  {identifier}: others have it, too, whom an identifier that counts more tells apart; it joins nothing")?;
    }
    if view.too_many_together {
        writeln!(out, "  so much hangs together with it that nothing was joined")?;
    }
    for part in &view.parts {
        let span = |at: &Option<String>| at.clone().unwrap_or_default();
        writeln!(out, "  part {}", part.id)?;
        writeln!(out, "    from {} to {}", span(&part.first_seen), span(&part.last_seen))?;
        match (&part.proof, part.account) {
            (Some(proof), _) => {
                writeln!(out, "    joined by {}: event {} of {} ({})", proof.rule, proof.event, proof.at, proof.source)?;
            }
            (None, None) => writeln!(out, "    under no account, in that browser")?,
            (None, Some(_)) => {}
        }
        for KnownView { identifier, proof } in &part.known_by {
            writeln!(out, "    known by {identifier}: {}, event {} of {} ({})", proof.rule, proof.event, proof.at, proof.source)?;
        }
        for decision in &part.decisions {
            writeln!(out, "    {} on {} by {}: {}", decision.what, decision.at, decision.author, decision.reason)?;
        }
    }
    show_traits(view, out)?;
    if !view.timeline.is_empty() {
        writeln!(out, "  newest events")?;
    }
    for event in &view.timeline {
        let entry = &event.entry;
        let page = entry.page.as_ref().map_or("", |page| page.path());
        let money = entry.value.map_or_else(String::new, |value| format!("{value:.2} {}", entry.currency.as_deref().unwrap_or("")));
        writeln!(out, "{}", format!("    {}  {:<20}{page:<32}{money}", event.happened, entry.name).trim_end())?;
    }
    Ok(())
}

fn show_traits(view: &ProfileView, out: &mut dyn Write) -> std::io::Result<()> {
    let traits = &view.traits;
    writeln!(out, "  traits")?;
    let mut say = |name: &str, value: &str, from: String| {
        if value.is_empty() { Ok(()) } else { writeln!(out, "{}", format!("    {name:<18}{value:<34}{from}").trim_end()) }
    };
    say("first seen", traits.first_seen.as_deref().unwrap_or(""), String::new())?;
    say("last seen", traits.last_seen.as_deref().unwrap_or(""), String::new())?;
    say("visits", &traits.visits.to_string(), String::new())?;
    for of in &traits.revenue {
        let average = format!("{:.2} on average, {:.2} refunded", of.average, of.refunded);
        say("orders", &format!("{} for {:.2} {}", of.orders, of.revenue, of.currency), average)?;
    }
    let names = |met: &[crate::profile::view::MetView]| met.iter().take(5).map(|met| met.name.as_str()).collect::<Vec<_>>().join(", ");
    say("last products", &names(&traits.last_products), String::new())?;
    say("last categories", &names(&traits.last_categories), String::new())?;
    for (name, campaign) in [("first campaign", &traits.first_campaign), ("last campaign", &traits.last_campaign)] {
        if let Some(campaign) = campaign {
            say(name, &campaign.value.values().cloned().collect::<Vec<_>>().join(" / "), from(campaign))?;
        }
    }
    if let Some(country) = &traits.country {
        say("country", &country.value, from(country))?;
    }
    if let Some(device) = &traits.device {
        say("device", &format!("{} on {}", device.value.browser.name(), word(&device.value.system)), from(device))?;
    }
    if let Some(language) = &traits.language {
        say("language", &language.value, from(language))?;
    }
    for (name, own) in &traits.own {
        let value = match &own.said.value {
            Property::Flag(flag) => flag.to_string(),
            Property::Number(number) => number.to_string(),
            Property::Word(word) => word.to_string(),
        };
        say(name, &format!("{value} ({})", own.rule), from(&own.said))?;
    }
    say("claimed accounts", &names(&traits.claimed_accounts), String::from("claimed by a browser; they join nothing"))?;
    say("claimed", &names(&traits.claimed_identifiers), String::from("claimed by a browser; they join nothing"))
}

/// The word that stands for a value of a closed list.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn from<T>(said: &SaidView<T>) -> String {
    let proven = if said.proven { ", proven" } else { "" };
    format!("{} by {}{proven}", said.at, said.source)
}
