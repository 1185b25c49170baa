//! Whether the receivers of a site's destinations can be reached from here: name, connection, TLS, and that anything at all answers. Their front page is asked for
//! with HEAD; no event goes there.

use std::collections::BTreeMap;

use http::{HeaderMap, Method, Uri};

use super::{
    super::{
        Finding,
        Weight::Wrong,
        machine::{addresses_of, is_metadata},
    },
    Deployment, transport,
};
use crate::{destination::DestinationType, documents::Site};

/// Receivers that are asked; a site has a handful.
const RECEIVERS_MAX: usize = 32;

pub(super) async fn findings(deployment: &Deployment<'_>, site: &Site, findings: &mut Vec<Finding>) {
    let mut fronts: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for destination in deployment.documents.destinations.iter().filter(|destination| destination.sites.contains(&site.number)) {
        let opened = DestinationType::named(destination.kind).and_then(|row| (row.open)(&destination.settings).ok());
        if let Some(front) = opened.and_then(|destination| front(destination.url()?)) {
            fronts.entry(front).or_default().push(&destination.name);
        }
    }
    for (front, names) in fronts.iter().take(RECEIVERS_MAX) {
        let of = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let host = front.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_owned)).unwrap_or_default();
        // What is found of those is said already, and nothing is asked there.
        if addresses_of(&host, 443).into_iter().any(is_metadata) {
            continue;
        }
        findings.push(match deployment.nearby.ask(Method::HEAD, front, HeaderMap::new()).await {
            Ok(seen) => {
                let tls = seen.tls.map_or_else(String::new, |version| format!(" by {version}"));
                Finding::right(format!("{front} answers{tls} (destination {of})"))
            }
            Err(unseen) => {
                let (why, fix) = transport::said(unseen);
                Finding::new(Wrong, format!("{front}: {why}: the events of destination {of} wait, and expire"), fix)
            }
        });
    }
}

/// The front page of whoever has that address.
fn front(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    Some(format!("{}://{}/", uri.scheme_str()?, uri.authority()?))
}

#[cfg(test)]
mod tests {
    use super::front;

    #[test]
    fn the_front_page_has_nothing_of_an_address_but_the_host() {
        assert_eq!(front("https://hooks.example.org:8443/in/secret?key=1").as_deref(), Some("https://hooks.example.org:8443/"));
        assert_eq!(front("outbox/measurement"), None);
    }
}
