//! `api-key`: makes the key of a site's backend, which goes to the terminal and nowhere else while the site's document holds its fingerprint; or the
//! key of its app, which is no secret. `api-key make`, `list` and `revoke` are for keys of the profile API, which have documents of their own.

use std::{collections::BTreeSet, io::Write, time::Duration};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use clap::{Args, Subcommand};

use super::{CommandError, Place};
use crate::{
    clock::{self, Timestamp},
    documents::{
        api_key::{ApiKeyDocument, Scope, day},
        compile::suggestion,
        parse::Document,
        store::Author,
    },
    protocol::{
        app,
        server::{NAME, fingerprint},
    },
};

/// Random bytes of a key: so many that its fingerprint, which stands in documents and in git, helps nobody to guess it.
const KEY_BYTES: usize = 32;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How the key of a backend begins.
const BACKEND_PREFIX: &str = "fhk_";
/// How one of the profile API does, so that a leaked one is known for what it is.
const API_PREFIX: &str = "fhp_";
/// How the key of an app begins, so that nobody takes one for the other.
const APP_PREFIX: &str = "fha_";
/// Random bytes of an app's key. It is a name more than a secret; nobody should come by another site's by trying.
const APP_KEY_BYTES: usize = 12;

/// For whom the key is.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct ApiKeyArguments {
    /// For the site's app, which anybody can read it in: events under it count as a browser's do
    #[arg(long)]
    app: bool,
    #[command(subcommand)]
    command: Option<KeyCommand>,
}

/// Keys of the profile API, which are documents.
#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a key of the profile API: it is shown once, and its document put in force.
    Make {
        /// Its name, which stands in the audit and beside what is decided with it: `crm`.
        name: String,
        /// Of which site; needed where there are several.
        #[arg(long, value_name = "NAME")]
        site: Option<String>,
        /// What it is for: profiles:read, profiles:write, profiles:erase, events:write, audit:read; several with commas.
        #[arg(long, required = true, value_delimiter = ',', value_name = "SCOPES")]
        scope: Vec<String>,
        /// It ends after so many days; 0: never.
        #[arg(long, default_value_t = 365)]
        days: u32,
        #[command(flatten)]
        by: By,
    },
    /// List the keys of the profile API.
    List,
    /// End a key of the profile API, within a second.
    Revoke {
        /// Its name.
        name: String,
        #[command(flatten)]
        by: By,
    },
}

/// Who changes keys, and why.
#[derive(Debug, Args)]
struct By {
    /// Why; kept with the document's version.
    #[arg(long, default_value = "")]
    reason: String,
    /// Who; kept with it.
    #[arg(long, env = "USER", default_value = "command line")]
    author: String,
}

impl By {
    fn author(&self, at: Timestamp) -> Author<'_> {
        Author { name: &self.author, reason: &self.reason, at }
    }
}

pub(super) fn api_key(place: &Place, arguments: &ApiKeyArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    match &arguments.command {
        None if arguments.app => app_key(out),
        None => backend_key(out),
        Some(KeyCommand::Make { name, site, scope, days, by }) => {
            let scopes = scopes(scope)?;
            make(place, (name, site.as_deref()), scopes, *days, by, out)
        }
        Some(KeyCommand::List) => list(place, out),
        Some(KeyCommand::Revoke { name, by }) => revoke(place, name, by, out),
    }
}

/// A new key's text.
fn new_key(prefix: &str, bytes: usize) -> Result<String, CommandError> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).map_err(|_| "the system has no randomness to give")?;
    Ok(format!("{prefix}{}", BASE64_URL_SAFE_NO_PAD.encode(random)))
}

fn app_key(out: &mut dyn Write) -> Result<(), CommandError> {
    let key = new_key(APP_PREFIX, APP_KEY_BYTES)?;
    writeln!(
        out,
        "The key, for the app. Whoever has the app can read it there: it is no secret, and gives no rights but to send.\n\n    {key}\n"
    )?;
    writeln!(
        out,
        "In the site's document; as many as versions of the app with different ones are about:\n\n    keys = {{ {} = [\"{key}\"] }}",
        app::NAME
    )?;
    Ok(())
}

fn backend_key(out: &mut dyn Write) -> Result<(), CommandError> {
    let key = new_key(BACKEND_PREFIX, KEY_BYTES)?;
    writeln!(out, "The key, for the backend alone. It is shown this once, and kept nowhere here:\n\n    {key}\n")?;
    writeln!(
        out,
        "In the site's document; while a key is changed, two are valid:\n\n    keys = {{ {NAME} = [\"{}\"] }}",
        fingerprint(&key)
    )?;
    Ok(())
}

fn scopes(said: &[String]) -> Result<BTreeSet<Scope>, CommandError> {
    let known: Vec<_> = Scope::ALL.into_iter().map(Scope::name).collect();
    let read = |name: &String| {
        Scope::named(name).ok_or_else(|| format!("--scope: there is no scope \"{name}\"\n  fix: {}", suggestion(name, &known)).into())
    };
    said.iter().map(read).collect()
}

fn make(
    place: &Place,
    (name, site): (&str, Option<&str>),
    scopes: BTreeSet<Scope>,
    days: u32,
    by: &By,
    out: &mut dyn Write,
) -> Result<(), CommandError> {
    let store = place.documents(false)?;
    let documents = store.export()?;
    if documents.iter().any(|document| matches!(document, Document::ApiKey(key) if key.name == name)) {
        return Err(format!("there is a key \"{name}\" already\n  fix: another name, or `firsthand api-key revoke {name}` first").into());
    }
    let sites: Vec<&str> = documents.iter().filter(|document| document.kind() == "site").map(Document::name).collect();
    let site = match (site, sites.as_slice()) {
        (Some(site), _) => site,
        (None, [one]) => one,
        (None, _) => return Err(format!("there is not one site\n  fix: --site NAME, one of: {}", sites.join(", ")).into()),
    };
    let now = clock::now();
    let expires = (days > 0).then(|| now.plus(DAY * days).rfc3339().split('T').next().unwrap_or_default().to_owned());
    let key = new_key(API_PREFIX, KEY_BYTES)?;
    let document = ApiKeyDocument { name: name.to_owned(), site: site.to_owned(), scopes, key: fingerprint(&key), expires };
    let until =
        document.expires.as_ref().map_or_else(|| String::from("It does not end by itself, but"), |day| format!("It ends on {day}, or"));
    let document = Document::ApiKey(document);
    place.refuse_managed(std::slice::from_ref(&document), &[])?;
    store.apply(vec![document], false, false, &by.author(now))?;
    writeln!(out, "The key \"{name}\" of site \"{site}\". It is shown this once, and kept nowhere here:\n\n    {key}\n")?;
    writeln!(out, "{until} with `firsthand api-key revoke {name}`. A running server takes it within a second.")?;
    Ok(())
}

fn list(place: &Place, out: &mut dyn Write) -> Result<(), CommandError> {
    let documents = place.documents(false)?.export()?;
    let keys: Vec<&ApiKeyDocument> = documents
        .iter()
        .filter_map(|document| match document {
            Document::ApiKey(key) => Some(key),
            _ => None,
        })
        .collect();
    if keys.is_empty() {
        writeln!(out, "There is no key of the profile API: `firsthand api-key make NAME --scope profiles:read` makes one.")?;
        return Ok(());
    }
    let now = clock::now();
    writeln!(out, "{:<24}{:<16}{:<26}scopes", "key", "site", "ends")?;
    for key in keys {
        let scopes: Vec<_> = key.scopes.iter().map(|scope| scope.name()).collect();
        let ends = match &key.expires {
            None => String::from("never"),
            Some(expires) if day(expires).is_some_and(|end| end <= now) => format!("{expires}: it is over"),
            Some(expires) => expires.clone(),
        };
        writeln!(out, "{:<24}{:<16}{ends:<26}{}", key.name, key.site, scopes.join(", "))?;
    }
    Ok(())
}

fn revoke(place: &Place, name: &str, by: &By, out: &mut dyn Write) -> Result<(), CommandError> {
    let store = place.documents(false)?;
    place.refuse_managed(&[], &[("api_key", name)])?;
    if !store.remove("api_key", name, &by.author(clock::now()))? {
        return Err(format!("there is no key \"{name}\"\n  fix: `firsthand api-key list`").into());
    }
    writeln!(out, "The key \"{name}\" has ended. A running server refuses it within a second.")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::server::is_fingerprint;

    #[test]
    fn what_is_said_for_the_document_is_the_fingerprint_of_the_key() {
        let made = || {
            let mut out = Vec::new();
            backend_key(&mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            let key = text.split_whitespace().find(|word| word.starts_with("fhk_")).unwrap().to_owned();
            (key, text.split('"').nth(1).unwrap().to_owned())
        };
        let (key, listed) = made();
        assert!(key.len() > 40 && listed == fingerprint(&key) && is_fingerprint(&listed) && !is_fingerprint(&key));
        assert_ne!(made().0, key);
    }

    #[test]
    fn the_key_of_an_app_stands_in_the_document_as_it_is() {
        let mut out = Vec::new();
        app_key(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let key = text.split_whitespace().find(|word| word.starts_with(APP_PREFIX)).unwrap();
        assert!(key.len() == APP_PREFIX.len() + 16 && text.contains(&format!("keys = {{ app = [\"{key}\"] }}")), "{text}");
    }
}
