//! What is found about sites and their destinations.

use http::Uri;

use super::{
    Finding,
    Weight::{Doubtful, Note, Wrong},
    deployment::transport,
    machine::{addresses_of, is_metadata, is_private},
};
use crate::{
    destination::webhook,
    documents::{Destination, Documents, Site, names::label_on_a_list},
    protocol::PROTOCOLS,
};

/// About each site that is meant, and each destination.
pub(super) fn findings(documents: &Documents, is_meant: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for site in documents.sites.iter().filter(|site| is_meant(&site.name)) {
        of_destinations(site, documents, &mut findings);
        of_names(site, &mut findings);
        of_pages(site, &mut findings);
    }
    for destination in &documents.destinations {
        if documents.sites.iter().any(|site| destination.sites.contains(&site.number) && is_meant(&site.name)) {
            of_receiver(destination, &mut findings);
        }
    }
    findings
}

/// Who gets a site's events.
fn of_destinations(site: &Site, documents: &Documents, findings: &mut Vec<Finding>) {
    let name = &site.name;
    let mut destinations = documents.destinations.iter().filter(|destination| destination.sites.contains(&site.number)).peekable();
    if destinations.peek().is_none() {
        let what = format!("site \"{name}\": no destination gets its events, so none is kept");
        findings.push(Finding::new(Wrong, what, "add a [[destination]] with sites = [\"…\"] and apply it"));
        return;
    }
    let paused = destinations.filter(|destination| destination.paused);
    findings.extend(paused.map(|destination| {
        let what = format!("destination \"{}\" is paused: its events wait, and expire", destination.name);
        Finding::new(Note, what, "take `paused` out of its document when it is to go on")
    }));
    if site.ceilings.unknown.is_some() {
        return;
    }
    let wordless =
        PROTOCOLS.iter().filter(|protocol| !protocol.says_choices() && !protocol.is_backend() && site.keys.contains_key(protocol.name()));
    let wordless: Vec<_> = wordless.map(|protocol| protocol.name()).collect();
    if !wordless.is_empty() {
        let what = format!(
            "site \"{name}\": no destination may have anything before the visitor chooses, and the libraries of {} cannot wait for that: what they send before is refused",
            wordless.join(", ")
        );
        let fix = "load them after the choice, or add a destination with the basis \"exempt_measurement\"";
        findings.push(Finding::new(Doubtful, what, fix));
    }
}

/// Names of this installation that filter lists may know.
fn of_names(site: &Site, findings: &mut Vec<Finding>) {
    let name = &site.name;
    for host in &site.hosts {
        if let Some(label) = label_on_a_list(host) {
            let what = format!("site \"{name}\": beacons go to {host}, and filter lists know hosts whose name begins with \"{label}\"");
            findings.push(Finding::new(Doubtful, what, "a path of the pages' own host, or a name that means nothing"));
        }
    }
}

/// Pages, and the way from them.
fn of_pages(site: &Site, findings: &mut Vec<Finding>) {
    let name = &site.name;
    let of_pages: Vec<_> = site.origins.iter().filter_map(|origin| host_of(origin)).collect();
    if !site.hosts.iter().any(|host| of_pages.contains(host)) {
        let what = format!(
            "site \"{name}\": beacons go to {}, which is no page's host: blockers in Firefox look through such names, and Safari shortens cookies",
            site.hosts.join(", ")
        );
        findings.push(Finding::new(Doubtful, what, "route the prefix on the pages' own host, and put that host into `hosts`"));
    }
    for origin in site.origins.iter().filter(|origin| origin.starts_with("http://") && !is_of_this_machine(origin)) {
        let what = format!(
            "site \"{name}\": pages of {origin} are not encrypted: no browser keeps our cookies there, and no consent outlasts a page"
        );
        findings.push(Finding::new(Doubtful, what, format!("serve them at {}", origin.replacen("http://", "https://", 1))));
    }
}

fn host_of(origin: &str) -> Option<String> {
    origin.parse::<Uri>().ok()?.host().map(str::to_owned)
}

fn is_of_this_machine(origin: &str) -> bool {
    transport::is_of_this_machine(&host_of(origin).unwrap_or_default())
}

/// Where a destination's events go, and what their receiver checks them with.
fn of_receiver(destination: &Destination, findings: &mut Vec<Finding>) {
    let name = &destination.name;
    if destination.kind == "webhook" {
        for key in webhook::public_keys(&destination.settings) {
            let what = format!("destination \"{name}\": signs by Ed25519, to be checked with {key}");
            findings.push(Finding::new(Note, what, "give this key to whoever receives, and no other"));
        }
    }
    let texts = destination.settings.iter().filter_map(|(key, value)| Some((key, value.as_str()?)));
    let urls = texts.flat_map(|(key, text)| {
        // Brokers are hosts and ports, several in a text.
        let urls = if key == "brokers" {
            text.split(',').map(|broker| format!("kafka://{}", broker.trim()).parse::<Uri>()).collect()
        } else {
            vec![text.parse::<Uri>()]
        };
        urls.into_iter().filter_map(move |url| Some((key, url.ok()?)))
    });
    for (key, url) in
        urls.filter(|(_, url)| matches!(url.scheme_str(), Some("http" | "https" | "postgres" | "postgresql" | "nats" | "tls" | "kafka")))
    {
        let Some(host) = url.host() else { continue };
        let addresses = addresses_of(host, url.port_u16().unwrap_or(443));
        if addresses.is_empty() {
            let what = format!("destination \"{name}\": this machine finds no address for {host} (settings.{key})");
            findings.push(Finding::new(Doubtful, what, "mend the name, or this machine's name service"));
        }
        for address in addresses {
            if is_metadata(address) {
                let what =
                    format!("destination \"{name}\": settings.{key} leads to {address}, where a cloud tells its machines their secrets");
                findings.push(Finding::new(Wrong, what, "send events to a receiver of events"));
            } else if is_private(address) {
                let what = format!("destination \"{name}\": settings.{key} leads to {address}, a private address");
                findings.push(Finding::new(Note, what, "nothing, where that receiver is yours; else the receiver's public address"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::{
        clock::Timestamp,
        documents::{
            parse::DocumentFile,
            store::{Author, DocumentStore},
        },
        state::{IN_MEMORY, StateDb},
    };

    const SITE: &str = "[[policy]]\nname = \"shop\"\n[[site]]\nname = \"shop\"\nhosts = [\"www.shop.example\"]\norigins = [\"https://www.shop.example\"]\n\
                        prefix = \"/keso\"\ntime_zone = \"UTC\"\npolicy = \"shop\"\n";
    const FILE: &str = "[[destination]]\nname = \"own\"\ntype = \"file\"\nsites = [\"shop\"]\nbasis = \"exempt_measurement\"\ntransform = \"strict\"\n\
                        settings = { directory = \"outbox\" }\n";

    fn found(documents: &str) -> Vec<String> {
        let store = DocumentStore::new(Arc::new(StateDb::open(Path::new(IN_MEMORY)).unwrap()));
        let author = Author { name: "test", reason: "test", at: Timestamp(0) };
        store.apply(DocumentFile::parse(documents).unwrap().into_documents(), false, false, &author).unwrap();
        let findings = findings(&store.compiled().unwrap(), |_| true);
        findings.into_iter().map(|finding| format!("{:?} {}", finding.weight, finding.what)).collect()
    }

    /// What is found of a change to documents in which nothing is.
    fn found_with(from: &str, to: &str) -> String {
        let documents = [SITE, FILE].concat();
        assert!(documents.contains(from), "{from}");
        found(&documents.replacen(from, to, 1)).join("\n")
    }

    #[test]
    fn nothing_is_found_where_nothing_is_wrong() {
        assert_eq!(found(&[SITE, FILE].concat()), Vec::<String>::new());
    }

    #[test]
    fn names_that_lists_know_are_found() {
        let beside = found_with("[\"www.shop.example\"]", "[\"matomo.shop.example\"]");
        assert!(beside.contains("begins with \"matomo\"") && beside.contains("which is no page's host"), "{beside}");
    }

    #[test]
    fn what_visitors_lose_is_found() {
        assert!(found(SITE)[0].starts_with("Wrong site \"shop\": no destination gets its events"));
        assert!(found_with("transform", "paused = true\ntransform").contains("\"own\" is paused"));
        let consent = found_with("\"exempt_measurement\"", "\"consent\"\npurposes = [\"analytics\"]");
        assert_eq!(consent, "", "our own script waits for the choice");
        let libraries = FILE.replace("\"exempt_measurement\"", "\"consent\"\npurposes = [\"analytics\"]");
        let keys = SITE.replace("prefix", "keys = { plausible = [\"shop.example\"], ga4 = [\"G-ABC123DEF4\"] }\nprefix");
        assert!(found(&[keys, libraries].concat())[0].contains("the libraries of plausible cannot wait"));
        assert!(found_with("https://www", "http://www").contains("are not encrypted"));
    }

    #[test]
    fn receivers_on_private_addresses_are_listed() {
        let webhook = |url: &str| {
            let secret = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(secret.path(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
            let settings = format!("settings = {{ url = \"{url}\", secret = \"file:{}\" }}", secret.path().display());
            found(&[SITE, &FILE.replace("\"file\"", "\"webhook\"").replace("settings = { directory = \"outbox\" }", &settings)].concat())
                .join("\n")
        };
        assert!(
            webhook("https://10.0.0.7/hook").starts_with("Note destination \"own\": settings.url leads to 10.0.0.7, a private address")
        );
        assert!(webhook("https://169.254.169.254/latest").starts_with("Wrong"));
        assert_eq!(webhook("https://192.0.2.7/hook"), "");
        let database = |host: &str| {
            let settings = format!("settings = {{ url = \"postgres://{host}/analytics\", user = \"firsthand\" }}");
            found(&[SITE, &FILE.replace("\"file\"", "\"postgres\"").replace("settings = { directory = \"outbox\" }", &settings)].concat())
                .join("\n")
        };
        assert!(database("10.0.0.7").starts_with("Note destination \"own\": settings.url leads to 10.0.0.7, a private address"));
        assert!(database("169.254.169.254").starts_with("Wrong"));
        assert_eq!(database("192.0.2.7"), "");
    }
}
