//! What is found about this machine and its configuration.

use std::{
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

use super::{
    super::{CommandError, Place, place::DEFAULT_FILE},
    Finding,
    Weight::{Doubtful, Note, Wrong},
};
use crate::{
    clock::{self, Timestamp},
    config::Config,
    privacy::{
        enrich::{bot::network::NetworkDatabase, place::PlaceDatabase, place_file::is_old},
        keys::locked::LockedKey,
    },
    server::{
        certificate_dates::Validity,
        client_address::Range,
        tls::{CertificateFiles, Tls},
    },
    upgrade::{self, Behind},
};

/// Below this a busy site fills the disk within hours: the log alone takes segments of 64 MiB.
const FREE_BYTES_MIN: u64 = 1 << 30;
/// Keys that are in locked memory at once: of two families, and of the day that ends beside the day that begins.
const LOCKED_KEYS: usize = 4;

pub(super) fn findings(place: &Place) -> Vec<Finding> {
    let mut findings = Vec::new();
    match place.config() {
        Err(error) => {
            findings.push(Finding::of_error(&error));
            return findings;
        }
        Ok(None) => {
            let what = format!(
                "there is no {DEFAULT_FILE} here: without a configuration, a demonstration runs on this machine's loopback address"
            );
            findings.push(Finding::new(Note, what, "`firsthand init https://www.shop.example` writes one, `--config FILE` names another"));
        }
        Ok(Some(config)) => of_configuration(&config, &mut findings),
    }
    match place.data_dir() {
        Ok(directory) if directory.exists() => of_data(&directory, &mut findings),
        _ => {}
    }
    of_keys(&mut findings);
    findings
}

fn of_configuration(config: &Config, findings: &mut Vec<Finding>) {
    of_proxies(config, findings);
    of_files(config, findings);
    let Config { limits, .. } = config;
    if limits.client_events_per_second == 0 {
        let what = "limits.client_events_per_second is 0: one client may send without end";
        findings.push(Finding::new(Doubtful, what, "leave it out: 50 a second is more than an office makes"));
    }
}

/// Who is believed about a visitor's address.
fn of_proxies(config: &Config, findings: &mut Vec<Finding>) {
    let trusts = |address: IpAddr| config.proxies.trusted.iter().any(|network| network.contains(&address));
    if let Some(http) = config.listen.http {
        if http.ip().is_loopback() && !trusts(http.ip()) {
            let what = format!(
                "plain HTTP is taken on {http}, where only a proxy on this machine reaches it, and that proxy is not trusted: every visitor has its address"
            );
            findings.push(Finding::new(Wrong, what, "[proxies] trusted = [\"127.0.0.0/8\", \"::1/128\"]"));
        } else if !http.ip().is_loopback() && config.proxies.trusted.is_empty() {
            let what = format!(
                "plain HTTP is taken on {http} and no proxy is trusted: beacons come unencrypted, or every visitor has the proxy's address"
            );
            findings.push(Finding::new(
                Doubtful,
                what,
                "[proxies] trusted = [\"10.0.0.0/8\"], the networks of your proxy; or `http` on loopback alone",
            ));
        }
    }
    if let Some(everybody) = config.proxies.trusted.iter().find(|network| network.prefix_len() == 0) {
        let what = format!("proxies.trusted has {everybody}: anybody may say which address they come from");
        findings.push(Finding::new(Wrong, what, "name the networks of your own proxies alone"));
    }
}

/// The files that the configuration names.
fn of_files(config: &Config, findings: &mut Vec<Finding>) {
    match config.places.database.as_ref().map(|file| (file, PlaceDatabase::open(file))) {
        None => {
            let fix = "[places] database = \"GeoLite2-Country.mmdb\", or any MaxMind DB file with country.iso_code";
            findings.push(Finding::new(Note, "there is no place database: every country is ZZ", fix));
        }
        Some((file, Err(error))) => {
            let what = format!("places.database: {}: {error}", file.display());
            findings.push(Finding::new(Wrong, what, "put a MaxMind DB file there, or leave the key out"));
        }
        Some((file, Ok(database))) if is_old(database.built(), clock::now()) => {
            let what = format!("places.database: {} is more than 60 days old: some countries will be wrong", file.display());
            findings.push(Finding::new(
                Doubtful,
                what,
                "put the vendor's newest file in its place; a running server takes it up by itself",
            ));
        }
        Some((_, Ok(_))) => {}
    }
    match config.places.networks.as_ref().map(|file| (file, NetworkDatabase::open(file))) {
        None => {
            let what = "there is no database of networks: no address is known to be a data centre's, and fewer bots are found";
            findings.push(Finding::new(
                Note,
                what,
                "[places] networks = \"GeoLite2-ASN.mmdb\", or any MaxMind DB file with autonomous_system_number",
            ));
        }
        Some((file, Err(error))) => {
            let what = format!("places.networks: {}: {error}", file.display());
            findings.push(Finding::new(Wrong, what, "put a MaxMind DB file there, or leave the key out"));
        }
        Some((_, Ok(_))) => {}
    }
    if let Some(tls) = &config.tls {
        match Tls::open(CertificateFiles { certificate: tls.certificate.clone(), key: tls.key.clone() }) {
            Err(error) => findings.push(Finding::of_error(&CommandError::from(error))),
            Ok(opened) => findings.extend(opened.validity().and_then(|validity| of_certificate(&tls.certificate, &validity, clock::now()))),
        }
    }
}

/// Whether the certificate that is served here is near its end.
fn of_certificate(file: &Path, validity: &Validity, now: Timestamp) -> Option<Finding> {
    let file = file.display();
    if validity.until <= now {
        let what = format!("tls.certificate: {file}: ended on {}: no browser sends anything here", day(validity.until));
        return Some(Finding::new(Wrong, what, "put a new one in its place; a running server takes it up by itself"));
    }
    let what = || format!("tls.certificate: {file}: ends on {}", day(validity.until));
    let fix = "see why it is not renewed by itself (certbot, acme.sh); a running server takes a new one up by itself";
    validity.ends_soon(now).then(|| Finding::new(Doubtful, what(), fix))
}

fn day(at: Timestamp) -> String {
    at.rfc3339().split('T').next().unwrap_or_default().to_owned()
}

fn of_data(directory: &Path, findings: &mut Vec<Finding>) {
    let shown = directory.display();
    match std::fs::metadata(directory).map(|found| found.permissions().mode() & 0o077) {
        Ok(0) | Err(_) => {}
        Ok(_) => {
            let what = format!("{shown}: others on this machine may look into it, where keys and events are");
            findings.push(Finding::new(Doubtful, what, format!("chmod 700 {shown}")));
        }
    }
    if let Ok(disk) = rustix::fs::statvfs(directory) {
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < FREE_BYTES_MIN {
            let what = format!("{shown}: {} MiB are free on its disk; when it is full, events are answered 503", free >> 20);
            findings.push(Finding::new(Doubtful, what, "make room, or shorten [retention]"));
        }
    }
    match upgrade::look(directory) {
        Ok(behind) => findings.extend(behind.into_iter().map(|Behind { file, found, known }| {
            let what = format!("{shown}/{file}: has schema {found}, and this program works with {known}");
            Finding::new(Note, what, "nothing: the next start brings it there, with a copy to go back to (docs/upgrades.md)")
        })),
        Err(error) => findings.push(Finding::of_error(&CommandError::from(error))),
    }
}

/// Whether the day's keys stay out of swap.
fn of_keys(findings: &mut Vec<Finding>) {
    let keys: Result<Vec<_>, _> = (0..LOCKED_KEYS).map(|_| LockedKey::random()).collect();
    let fix = "LimitMEMLOCK=1M in the service's unit, `--ulimit memlock=1048576` for a container; and no swap that is not encrypted";
    match keys {
        Ok(keys) if keys.iter().all(LockedKey::is_locked) => {}
        Ok(_) => {
            let what =
                "the day's keys cannot be locked into memory: the system may write them to its swap, where they would outlive the day";
            findings.push(Finding::new(Doubtful, what, fix));
        }
        Err(error) => findings.push(Finding::new(Wrong, format!("the system gives no key: {error}"), fix)),
    }
}

/// Whether an address is one that only this machine or its own network reaches.
pub(super) fn is_private(address: IpAddr) -> bool {
    matches!(Range::of(address), Range::Loopback | Range::Private)
}

/// Where a cloud's machines are told their secrets.
pub(super) fn is_metadata(address: IpAddr) -> bool {
    const METADATA: [&str; 2] = ["169.254.169.254", "fd00:ec2::254"];
    METADATA.iter().any(|known| known.parse() == Ok(address.to_canonical()))
}

/// The addresses of a host, as this machine would find them; none where it finds none.
pub(super) fn addresses_of(host: &str, port: u16) -> Vec<IpAddr> {
    use std::net::ToSocketAddrs as _;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    (host, port).to_socket_addrs().map(|found| found.map(|address: SocketAddr| address.ip()).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(configuration: &str) -> Vec<String> {
        let config = Config::parse(configuration, Path::new("firsthand.toml")).unwrap();
        let mut findings = Vec::new();
        of_proxies(&config, &mut findings);
        findings.into_iter().map(|finding| format!("{:?} {}", finding.weight, finding.what)).collect()
    }

    #[test]
    fn a_proxy_that_is_not_believed_is_found_and_so_is_everybody_who_is() {
        assert!(found("[proxies]\ntrusted = [\"127.0.0.0/8\"]").is_empty());
        assert!(
            found("[listen]\nhttps = \"0.0.0.0:443\"\n[tls]\ncertificate = \"a\"\nkey = \"b\"")
                .first()
                .is_some_and(|one| one.starts_with("Wrong"))
        );
        assert!(found("")[0].starts_with("Wrong plain HTTP is taken on 127.0.0.1:8080"));
        assert!(found("[listen]\nhttp = \"0.0.0.0:80\"")[0].starts_with("Doubtful plain HTTP is taken on 0.0.0.0:80"));
        assert!(found("[proxies]\ntrusted = [\"0.0.0.0/0\"]")[0].starts_with("Wrong proxies.trusted has 0.0.0.0/0"));
    }

    #[test]
    fn a_certificate_near_its_end_is_found() {
        let day = 24 * 60 * 60 * 1000;
        let validity = Validity { from: Timestamp(0), until: Timestamp(90 * day) };
        let found =
            |at: i64| of_certificate(Path::new("leaf.pem"), &validity, Timestamp(at * day)).map(|finding| (finding.weight, finding.what));
        assert_eq!(found(70), None);
        assert_eq!(found(80), Some((Doubtful, String::from("tls.certificate: leaf.pem: ends on 1970-04-01"))));
        assert_eq!(found(90).map(|(weight, _)| weight), Some(Wrong));
    }

    #[test]
    fn private_addresses_are_told_from_public_ones() {
        for address in [
            "10.1.2.3",
            "192.168.0.1",
            "172.31.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_private(address.parse().unwrap()), "{address}");
        }
        for address in ["192.0.2.1", "172.32.0.1", "100.128.0.1", "2001:db8::1", "::ffff:192.0.2.1"] {
            assert!(!is_private(address.parse().unwrap()), "{address}");
        }
        assert!(is_metadata("169.254.169.254".parse().unwrap()) && !is_metadata("169.254.1.1".parse().unwrap()));
        assert_eq!(addresses_of("[::1]", 443), ["::1".parse::<IpAddr>().unwrap()]);
    }
}
