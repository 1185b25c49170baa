//! `check`: is the configuration right, are its documents, and what is in effect?

use std::io::Write;

use super::{CommandError, Place, place::DEFAULT_FILE};
use crate::{
    documents::{Basis, Documents},
    privacy::enrich::{bot::network::NetworkDatabase, place::PlaceDatabase},
    server::tls::{CertificateFiles, Tls},
    upgrade::{self, Behind},
};

pub(super) fn check(place: &Place, out: &mut dyn Write) -> Result<(), CommandError> {
    let file = place
        .config_file()
        .ok_or_else(|| format!("{DEFAULT_FILE}: there is none here\n  fix: `firsthand init` writes one, `--config FILE` names another"))?;
    let Some(config) = place.config()? else { return Ok(()) };
    if let Some(database) = &config.places.database {
        PlaceDatabase::open(database).map_err(|error| format!("{}: places.database: {error}", database.display()))?;
    }
    if let Some(networks) = &config.places.networks {
        NetworkDatabase::open(networks).map_err(|error| format!("{}: places.networks: {error}", networks.display()))?;
    }
    if let Some(tls) = &config.tls {
        Tls::open(CertificateFiles { certificate: tls.certificate.clone(), key: tls.key.clone() })?;
    }
    if let Some(tls) = config.api.as_ref().and_then(|api| api.tls.as_ref()) {
        Tls::open(CertificateFiles { certificate: tls.certificate.clone(), key: tls.key.clone() })?;
    }
    writeln!(out, "{}: is right", file.display())?;
    let address = |address: Option<std::net::SocketAddr>| address.map_or_else(|| String::from("off"), |address| address.to_string());
    writeln!(out, "  http        {}", address(config.listen.http))?;
    writeln!(out, "  https       {}", address(config.listen.https))?;
    writeln!(out, "  admin       {}", config.listen.admin)?;
    if let Some(api) = &config.api {
        let from: Vec<_> = api.from.iter().map(ToString::to_string).collect();
        let from = if from.is_empty() { String::from("this machine") } else { from.join(", ") };
        writeln!(out, "  profile API {} for {from}", api.listen)?;
    }
    writeln!(out, "  data        {}", place.data_dir()?.display())?;
    let trusted: Vec<_> = config.proxies.trusted.iter().map(ToString::to_string).collect();
    writeln!(out, "  proxies     {}", if trusted.is_empty() { String::from("none is trusted") } else { trusted.join(", ") })?;
    match &config.places.database {
        None => writeln!(out, "  places      no database: every country is ZZ")?,
        Some(database) => writeln!(out, "  places      {}", database.display())?,
    }
    match &config.places.networks {
        None => writeln!(out, "  networks    no database: no address is known to be a data centre's")?,
        Some(networks) => writeln!(out, "  networks    {}", networks.display())?,
    }
    if let Some(tls) = &config.tls {
        writeln!(out, "  certificate {}", tls.certificate.display())?;
    }
    let directory = place.data_dir()?;
    let behind = upgrade::look(&directory)?;
    for Behind { file, found, known } in &behind {
        writeln!(out, "{}: has schema {found}; the next start brings it to {known}", directory.join(file).display())?;
    }
    match &config.managed {
        _ if !behind.is_empty() => writeln!(out, "  its documents can be looked at after that")?,
        Some(managed) => {
            let documents = place.documents_at_start()?;
            writeln!(out, "{}: is right", managed.from.display())?;
            describe(&documents, out)?;
        }
        None if place.data_dir()?.join("state.db").exists() => describe(&place.documents_at_start()?, out)?,
        None => writeln!(out, "  no documents yet: `firsthand apply FILE` puts some in force")?,
    }
    Ok(())
}

fn describe(documents: &Documents, out: &mut dyn Write) -> std::io::Result<()> {
    for site in &documents.sites {
        writeln!(out, "  site \"{}\": {}{}/ from {}", site.name, site.hosts.join(", "), site.prefix, join(&site.origins))?;
        for destination in documents.receiving(site.number) {
            let basis = match destination.basis {
                Basis::ExemptMeasurement => String::from("exempt_measurement"),
                Basis::Consent(purposes) => format!("consent to {}", purposes.names().collect::<Vec<_>>().join(" and ")),
            };
            let paused = if destination.paused { ", paused" } else { "" };
            let transform = destination.transform.name();
            writeln!(out, "    → \"{}\" ({}): {basis}, {transform}{paused}", destination.name, destination.kind)?;
        }
        if site.ceilings.unknown.is_none() {
            writeln!(out, "    no destination may have anything before the visitor chooses: the page holds events in memory until then")?;
        }
    }
    Ok(())
}

fn join(origins: &std::collections::BTreeSet<String>) -> String {
    origins.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}
