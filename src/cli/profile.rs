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
    },
    profile::{
        Profiles,
        store::{Decision, StrandKey},
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
        let persons = Arc::new(PersonKeys::new(Arc::new(KeysDb::open(&data_dir.join("keys.db"))?)));
        let (profiles, runtime) = place.profiles(ProfileSeals::new(persons))?;
        if !profiles.are_there() {
            return Err(
                "there are no profiles yet\n  fix: `profile = {}` in a site's document switches them on; the server makes them".into()
            );
        }
        Ok(Self {
            documents: DocumentStore::new(Arc::clone(&state)).compiled()?,
            persistent: PersistentKeys::new(state),
            profiles,
            _runtime: runtime,
        })
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
        ProfileCommand::List { site, most, after, json } => {
            let (site, rules) = opened.site(site)?;
            list(&opened, (site, rules), (*most, after.as_deref(), *json), now, out)
        }
        ProfileCommand::Show { site, id, by, events, json } => {
            let (site, rules) = opened.site(site)?;
            let strand = match id {
                Some(id) => opened.profiles.named(site.number, id)?,
                None => match asked(&opened, rules, by.kind(), input, out)? {
                    Some(identifier) => opened.profiles.named(site.number, &identifier.key.to_string())?,
                    None => None,
                },
            };
            let view = match strand {
                Some(strand) => opened.profiles.view(&opened.profiles.joined(&strand, rules)?, rules, *events, now)?,
                None => None,
            };
            match view {
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
    }
}

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
    now: Timestamp,
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
    let holder = opened.profiles.holder(site.number, &decided.browser)?;
    let holder = holder.ok_or("there is no browser of that id, or several accounts are used in it\n  fix: as `profile show` names it: BROWSER, or BROWSER.ACCOUNT")?;
    let key = if decided.without_account { StrandKey { account: None, ..holder } } else { holder };
    let before = opened.profiles.joined(&holder, rules)?;
    if opened.profiles.store()?.strand(&key)?.is_none() {
        return Err("that browser has done nothing under no account".into());
    }
    let is_apart = opened.profiles.store()?.decisions(&key)?.last().is_some_and(|last| last.apart);
    if is_apart == apart {
        writeln!(out, "It is {} already: nothing was changed.", if apart { "apart" } else { "joined" })?;
        return Ok(());
    }
    let (author, reason) = (decided.author.clone(), decided.reason.clone());
    opened.profiles.decide(&Decision { key, apart, at: now, author, reason })?;
    let after = opened.profiles.joined(&key, rules)?;
    if apart {
        writeln!(out, "Parted: it was a part of profile {}, and is profile {} now.", before.by.id(), after.by.id())?;
        writeln!(out, "What it brought is out of the other one's traits and timeline, and comes back with `profile merge`.")?;
    } else {
        writeln!(out, "Joined: it is a part of profile {} again.", after.by.id())?;
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
