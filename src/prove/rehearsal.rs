//! The documents of a run: the ones in force, with every receiver's address replaced by the stand-in's, and with a destination of each type
//! that they do not have, so that every type is tried.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    beacons::{self, PATH, Target},
    stand_in::StandIn,
};
use crate::{
    config::Config,
    destination::{DESTINATIONS, DestinationType},
    documents::{
        parse::{BasisName, DestinationDocument, Document, PolicyDocument, SiteDocument},
        site::PropertyKind,
    },
    privacy::transform::Transform,
};

/// What the names of destinations begin with that the run adds.
pub const ADDED: &str = "prove-";
/// The destination whose receiver refuses at first, so that events are parked.
pub const REFUSED: &str = "prove-refused";
/// A name that no resolver knows (RFC 2606).
const NOWHERE: &str = "https://receiver.invalid";
/// Google's collection address, without what the destinations add.
const GA4_REAL: [(&str, &str); 2] = [("eu", "https://region1.google-analytics.com"), ("global", "https://www.google-analytics.com")];

/// What leaves by which destination in the run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Rehearsed {
    /// The destination's name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// On what ground, in documents' words.
    pub basis: &'static str,
    /// How much it may see.
    pub transform: &'static str,
    /// Whether the documents have it, or the run added it to have its type.
    pub added: bool,
}

/// The documents with a destination of every type, each type that is missing added for every site. `only`: nothing is added.
#[must_use]
pub fn with_every_type(mut documents: Vec<Document>, only: bool) -> Vec<Document> {
    let sites: Vec<String> = documents.iter().filter(|document| document.kind() == "site").map(|site| site.name().to_owned()).collect();
    let kinds: BTreeSet<String> = destinations(&documents).map(|destination| destination.kind.clone()).collect();
    let missing = DESTINATIONS.iter().filter(|row| !kinds.contains(row.name)).map(|row| (format!("{ADDED}{}", row.name), row.name));
    for (name, kind) in missing.chain([(REFUSED.to_owned(), "webhook")]).filter(|_| !only) {
        let purposes = ["analytics", "ads"].map(toml::Value::from).to_vec();
        let mut table = toml::Table::new();
        table.insert(String::from("name"), name.into());
        table.insert(String::from("type"), kind.into());
        table.insert(String::from("sites"), sites.clone().into());
        table.insert(String::from("basis"), "consent".into());
        table.insert(String::from("purposes"), purposes.into());
        table.insert(String::from("transform"), "consented-ads".into());
        if let Ok(destination) = toml::Value::Table(table).try_into::<DestinationDocument>() {
            documents.push(Document::Destination(destination));
        }
    }
    documents
}

/// The destinations among them.
pub fn destinations(documents: &[Document]) -> impl Iterator<Item = &DestinationDocument> {
    documents.iter().filter_map(|document| match document {
        Document::Destination(destination) => Some(destination),
        _ => None,
    })
}

/// What is certain to stand in what a destination of them is sent of a purchase.
#[must_use]
pub fn purchase_in(documents: &[Document], name: &str) -> &'static str {
    let destination = destinations(documents).find(|destination| destination.name == name);
    destination.and_then(|destination| DestinationType::named(&destination.kind)).map_or("purchase", |row| row.rehearsal.purchase)
}

/// The policies among them.
pub fn policies(documents: &[Document]) -> impl Iterator<Item = &PolicyDocument> {
    documents.iter().filter_map(|document| match document {
        Document::Policy(policy) => Some(policy),
        _ => None,
    })
}

/// In the words of people and machines.
#[must_use]
pub fn listed(documents: &[Document]) -> Vec<Rehearsed> {
    let listed = destinations(documents).map(|destination| Rehearsed {
        name: destination.name.clone(),
        kind: destination.kind.clone(),
        basis: match destination.basis {
            BasisName::ExemptMeasurement => "exempt_measurement",
            BasisName::Consent => "consent",
        },
        transform: Transform::name(destination.transform),
        added: destination.name.starts_with(ADDED),
    });
    listed.collect()
}

/// Writes the run's own secrets into its directory.
///
/// # Errors
/// When the directory cannot be written to.
pub fn write_secrets(directory: &Path) -> io::Result<()> {
    let mut with_one = DESTINATIONS.iter().filter(|row| !row.rehearsal.secret.is_empty());
    with_one.try_for_each(|row| fs::write(secret_of(row, directory), row.rehearsal.secret))
}

/// The file that the run's own secret for a type stands in.
fn secret_of(row: &DestinationType, directory: &Path) -> PathBuf {
    directory.join(format!("{}.secret", row.name))
}

/// The real addresses of the destinations that are to be tee'd. `Err`: there is no such destination, or it sends to no address.
///
/// # Errors
/// The name that cannot be tee'd.
pub fn tees(documents: &[Document], wanted: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut real = BTreeMap::new();
    for name in wanted {
        let destination = destinations(documents).find(|destination| destination.name == *name).ok_or_else(|| name.clone())?;
        let text = |key: &str| destination.settings.get(key).and_then(toml::Value::as_str);
        let address = match destination.kind.as_str() {
            "ga4" | "ga4-relay" => {
                let said = text("endpoint").unwrap_or("eu");
                let known = GA4_REAL.iter().find(|(name, _)| *name == said).map(|(_, url)| *url);
                known.or_else(|| said.strip_suffix("/mp/collect").or_else(|| said.strip_suffix("/g/collect"))).map(str::to_owned)
            }
            // What is no call cannot be passed on.
            "postgres" | "nats" | "kafka" => None,
            _ => text("url").map(str::to_owned),
        };
        real.insert(name.clone(), address.ok_or_else(|| name.clone())?);
    }
    Ok(real)
}

/// The same documents with the stand-in as everybody's receiver, and with keys by which vendors' libraries are known.
#[must_use]
pub fn rehearsed(documents: &[Document], stand_in: &StandIn, tees: &BTreeMap<String, String>, directory: &Path) -> Vec<Document> {
    let replaced = documents.iter().cloned().map(|document| match document {
        Document::Destination(destination) => {
            let keeps_secret = tees.contains_key(&destination.name);
            let url = stand_in.url(&destination.name);
            if let Some(row) = DestinationType::named(&destination.kind) {
                stand_in.speak_for(&destination.name, row.rehearsal.yes);
            }
            Document::Destination(redirected(destination, url, &stand_in.broker(), keeps_secret, directory))
        }
        Document::Site(site) => Document::Site(keyed(site)),
        as_it_is @ (Document::Policy(_) | Document::ApiKey(_)) => as_it_is,
    });
    replaced.collect()
}

fn keyed(mut site: SiteDocument) -> SiteDocument {
    for (protocol, key) in beacons::protocols().filter_map(|protocol| Some((protocol, beacons::key(protocol)?))) {
        site.keys.entry(protocol.to_owned()).or_default().insert(key);
    }
    site
}

/// A destination whose receiver is at this address. One of a type that nobody knows is paused: nothing of it may leave this machine.
fn redirected(
    mut destination: DestinationDocument,
    url: String,
    broker: &str,
    keeps_secret: bool,
    directory: &Path,
) -> DestinationDocument {
    let Some(row) = DestinationType::named(&destination.kind) else {
        destination.paused = true;
        return destination;
    };
    let settings = &mut destination.settings;
    if !keeps_secret {
        settings.retain(|_, value| !is_reference(value));
    }
    if row.name == "file" {
        settings.remove("rotate_bytes");
        settings.remove("keep");
    }
    let needed: toml::Table = row.rehearsal.settings.parse().expect("a row's settings are TOML");
    for (key, value) in needed {
        match value.as_str() {
            Some("{secret}") if keeps_secret => {}
            Some("{secret}") => drop(settings.insert(key, format!("file:{}", secret_of(row, directory).display()).into())),
            Some(text) if text.contains(['{']) => {
                let filled = text.replace("{url}", &url).replace("{authority}", authority(&url)).replace("{broker}", broker);
                drop(settings.insert(key, filled.replace("{name}", &destination.name).into()));
            }
            _ => drop(settings.entry(key).or_insert(value)),
        }
    }
    // Whatever else is an address leads to the stand-in, too.
    for value in settings.iter_mut().filter(|(_, value)| is_address(value)).map(|(_, value)| value) {
        if !value.as_str().is_some_and(|said| said.starts_with(&url)) {
            *value = url.clone().into();
        }
    }
    destination
}

fn is_reference(value: &toml::Value) -> bool {
    value.as_str().is_some_and(|text| text.starts_with("file:") || text.starts_with("env:"))
}

/// The same with receivers that are nowhere and secrets from that directory: for compiling what may leave.
#[must_use]
pub fn for_reading(documents: &[Document], directory: &Path) -> Vec<Document> {
    let read = documents.iter().cloned().map(|document| match document {
        Document::Destination(destination) => {
            Document::Destination(redirected(destination, NOWHERE.to_owned(), authority(NOWHERE), false, directory))
        }
        other => other,
    });
    read.collect()
}

/// Host and port of an address.
fn authority(url: &str) -> &str {
    let (_, rest) = url.split_once("://").unwrap_or_default();
    rest.split('/').next().unwrap_or_default()
}

fn is_address(value: &toml::Value) -> bool {
    value.as_str().is_some_and(|text| text.starts_with("https://") || text.starts_with("http://"))
}

/// The time zone of the first site.
#[must_use]
pub fn time_zone(documents: &[Document]) -> jiff::tz::TimeZone {
    let named = documents.iter().find_map(|document| match document {
        Document::Site(site) => Some(site.time_zone.as_str()),
        _ => None,
    });
    named.and_then(|name| jiff::tz::TimeZone::get(name).ok()).unwrap_or(jiff::tz::TimeZone::UTC)
}

/// Where the beacons of each site go.
#[must_use]
pub fn targets(documents: &[Document], config: &Config) -> Vec<Target> {
    let of_site = |site: &SiteDocument| {
        let policy = policies(documents).find(|policy| policy.name == site.policy);
        let words = policy.into_iter().flat_map(|policy| &policy.properties);
        let words = words.filter(|(_, kind)| **kind == PropertyKind::Word).map(|(name, _)| name.clone()).collect();
        Some(Target {
            site: site.name.clone(),
            host: site.hosts.first()?.clone(),
            origin: site.origins.first()?.clone(),
            prefix: site.prefix.clone(),
            address_header: config.proxies.header.clone(),
            words,
            word_in_path: policies(documents).any(|policy| policy.routes.iter().any(|route| route.starts_with(PATH))),
        })
    };
    let sites = documents.iter().filter_map(|document| match document {
        Document::Site(site) => of_site(site),
        _ => None,
    });
    sites.collect()
}
