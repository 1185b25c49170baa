//! `explain`: what each destination would receive of a beacon and why. The beacon is the body of a `native` request, or a whole HTTP request.

use std::{
    io::{Read, Write},
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
};

use bytes::Bytes;
use clap::Args;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::{CommandError, Place};
use crate::{
    clock,
    documents::{Documents, Site},
    privacy::{
        crowd::Crowds,
        disclose::Discloser,
        enrich::{bot::network::NetworkDatabase, place::PlaceDatabase},
        explain::{DestinationExplanation, Explainer, Explanation, explain as explain_event},
        keys::{database::KeysDb, epoch::EpochKeys, persistent::PersistentKeys, person::PersonKeys},
        personal::Personal,
        purge_set::PurgeSet,
        raw::ClientAddress,
    },
    protocol::{PROTOCOLS, Protocol, inbound::Inbound},
    state::{IN_MEMORY, StateDb},
};

/// A beacon is no longer than what the server takes.
const BEACON_BYTES_MAX: u64 = 64 * 1024;

#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    /// The beacon: a body, or a whole HTTP request with its headers. Standard input where none is named.
    file: Option<PathBuf>,
    /// As if sent to this site. Default: the only one there is.
    #[arg(long)]
    site: Option<String>,
    /// As if sent from this address.
    #[arg(long, value_name = "ADDRESS", default_value = "192.0.2.1")]
    address: IpAddr,
    /// As if the site's policy were this earlier version of it.
    #[arg(long, value_name = "VERSION")]
    at: Option<u32>,
    /// The protocol.
    #[arg(long, default_value = "native")]
    protocol: String,
    /// Print JSON for machines.
    #[arg(long)]
    json: bool,
}

pub(super) fn explain(place: &Place, arguments: &ExplainArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    let documents = place.documents_at_start()?;
    let mut site = chosen_site(&documents, arguments.site.as_deref())?;
    let earlier = match arguments.at {
        Some(version) => Some(documents_at(place, &site.policy.name, version)?),
        None => None,
    };
    let documents = earlier.as_ref().unwrap_or(&documents);
    if earlier.is_some() {
        site = chosen_site(documents, Some(&site.name))?;
    }
    let protocol = PROTOCOLS.iter().find(|protocol| protocol.name() == arguments.protocol).ok_or_else(|| {
        let known: Vec<_> = PROTOCOLS.iter().map(|protocol| protocol.name()).collect();
        format!("--protocol: there is no protocol \"{}\"\n  fix: one of: {}", arguments.protocol, known.join(", "))
    })?;
    let files = place.config()?.map(|config| config.places);
    let networks = match files.as_ref().and_then(|files| files.networks.as_ref()) {
        Some(file) => NetworkDatabase::open(file).map_err(|error| format!("{}: {error}", file.display()))?,
        None => NetworkDatabase::none(),
    };
    let places = match files.map(|files| files.database) {
        Some(Some(file)) => PlaceDatabase::open(&file).map_err(|error| format!("{}: {error}", file.display()))?,
        Some(None) => PlaceDatabase::none(),
        // No configuration: it is the demonstration's documents that are explained.
        None => PlaceDatabase::from_bytes(crate::demonstration::PLACE_DATABASE.to_vec())?,
    };
    let (uri, headers, body) = take_apart(&read(arguments)?)?;
    let address = Personal::new(ClientAddress::new(arguments.address));
    let inbound = Inbound::new(uri, headers, body, address, true, clock::now());
    let explanations = explanations(&inbound, *protocol, site, documents, (&places, &networks))?;
    if arguments.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&explanations)?)?;
        return Ok(());
    }
    if explanations.is_empty() {
        writeln!(out, "There is no event in this beacon.")?;
    }
    for (index, explanation) in explanations.iter().enumerate() {
        print(index, explanation, out)?;
    }
    Ok(())
}

fn documents_at(place: &Place, policy: &str, version: u32) -> Result<Documents, CommandError> {
    place.documents(false)?.compiled_at(policy, version)?.ok_or_else(|| {
        format!("--at: policy \"{policy}\" has no version {version}\n  fix: `firsthand policy show` says which one is in force; they are numbered from 1").into()
    })
}

fn explanations(
    inbound: &Inbound,
    protocol: &dyn Protocol,
    site: &Site,
    documents: &Documents,
    (places, networks): (&PlaceDatabase, &NetworkDatabase),
) -> Result<Vec<Explanation>, CommandError> {
    // Keys that are thrown away: nobody can tell an explanation's ids from others, and nothing is written.
    let in_memory = std::path::Path::new(IN_MEMORY);
    let state = Arc::new(StateDb::open(in_memory)?);
    let keys_database = Arc::new(KeysDb::open(in_memory)?);
    let keys = Arc::new(PersistentKeys::new(state));
    let discloser = Discloser::new(
        Arc::clone(&keys),
        Arc::new(EpochKeys::new(Arc::clone(&keys_database))),
        Arc::new(PersonKeys::new(Arc::clone(&keys_database))),
        Arc::new(PurgeSet::open(keys_database)?),
        Arc::new(Crowds::supposed()),
    );
    let decoded = protocol.decode(inbound, inbound.received());
    if let Some((index, error)) = decoded.bad.first() {
        let place = error.byte.map_or_else(String::new, |byte| format!(" at byte {byte} of the body"));
        return Err(format!("the beacon cannot be read: event {index}: {}{place}", error.reason).into());
    }
    let with = Explainer { site, documents, places, networks, keys: &keys, discloser: &discloser, protocol: protocol.name() };
    let mut explanations = Vec::new();
    let arrival = inbound.arrival(&site.cookies, decoded.signal, decoded.evidence).by_app(decoded.app);
    let arrival = if decoded.anonymous { arrival.anonymously() } else { arrival };
    for event in decoded.events {
        explanations.push(explain_event(event, &arrival, &with)?);
    }
    Ok(explanations)
}

fn chosen_site<'d>(documents: &'d Documents, name: Option<&str>) -> Result<&'d Site, CommandError> {
    let known: Vec<_> = documents.sites.iter().map(|site| site.name.as_str()).collect();
    match name {
        Some(name) => documents.sites.iter().find(|site| site.name == name).map(AsRef::as_ref).ok_or_else(|| {
            format!("--site: there is no site \"{name}\"\n  fix: {}", crate::documents::compile::suggestion(name, &known)).into()
        }),
        None => match documents.sites.as_slice() {
            [only] => Ok(only),
            [] => Err("there is no site yet\n  fix: `firsthand apply FILE` puts one in force".into()),
            _ => Err(format!("there is more than one site\n  fix: --site with one of: {}", known.join(", ")).into()),
        },
    }
}

fn read(arguments: &ExplainArguments) -> Result<Vec<u8>, CommandError> {
    let mut text = Vec::new();
    let read = match &arguments.file {
        Some(file) => {
            let opened = std::fs::File::open(file).map_err(|error| format!("{}: cannot be read: {error}", file.display()))?;
            opened.take(BEACON_BYTES_MAX + 1).read_to_end(&mut text)
        }
        None => std::io::stdin().lock().take(BEACON_BYTES_MAX + 1).read_to_end(&mut text),
    };
    read?;
    if text.len() as u64 > BEACON_BYTES_MAX {
        return Err("the beacon is longer than the 64 KiB that the server takes".into());
    }
    Ok(text)
}

/// A whole request begins with a method; anything else is a body.
fn take_apart(beacon: &[u8]) -> Result<(Uri, HeaderMap, Bytes), CommandError> {
    if !beacon.starts_with(b"POST ") && !beacon.starts_with(b"GET ") {
        return Ok((Uri::default(), HeaderMap::new(), Bytes::copy_from_slice(beacon.trim_ascii())));
    }
    let text = String::from_utf8_lossy(beacon).replace("\r\n", "\n");
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let target = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let uri = Uri::try_from(target).map_err(|_| "the request's first line names no address")?;
    let mut headers = HeaderMap::new();
    for line in lines {
        let header = line
            .split_once(':')
            .and_then(|(name, value)| Some((HeaderName::try_from(name.trim()).ok()?, HeaderValue::try_from(value.trim()).ok()?)));
        let (name, value) = header.ok_or("a line of the request's head is no header")?;
        headers.append(name, value);
    }
    Ok((uri, headers, Bytes::copy_from_slice(body.trim().as_bytes())))
}

fn print(index: usize, explanation: &Explanation, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "event {index}, visitor: {}", explanation.visitor)?;
    if let Some(reason) = explanation.refused {
        writeln!(out, "  nothing would be recorded: {reason}\n")?;
        return Ok(());
    }
    for destination in &explanation.destinations {
        print_destination(destination, out)?;
    }
    Ok(())
}

fn print_destination(destination: &DestinationExplanation, out: &mut dyn Write) -> std::io::Result<()> {
    writeln!(out, "\n  to \"{}\" ({}, {})", destination.name, destination.basis, destination.transform)?;
    if let Some(reason) = destination.withheld {
        return writeln!(out, "    nothing: {reason}\n");
    }
    let width = destination.fields.iter().map(|field| field.said.chars().count()).max().unwrap_or(0);
    for field in &destination.fields {
        let leaves: Vec<_> = field.leaves.iter().map(|(name, value)| format!("{name} = {value}")).collect();
        let leaves = if leaves.is_empty() { String::from("—") } else { leaves.join(", ") };
        writeln!(out, "    {:width$}  →  {leaves}", field.said)?;
        writeln!(out, "    {:width$}     {}", "", field.rule)?;
    }
    writeln!(out)
}
