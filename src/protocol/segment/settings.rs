//! The settings document that analytics.js fetches before it starts, and RudderStack's library in its own form. Without our host in it, the library posts every event to the vendor
//! instead, whatever the page's own load options say; so this is what keeps it here.

use std::borrow::Cow;

use http::{StatusCode, header};
use serde_json::json;

use crate::{
    documents::Site,
    protocol::{Reply, VendorKey, inbound::Inbound, reading::parameters::Parameters},
};

/// `GET <prefix>/v1/projects/<write key>/settings`. A write key that is not the site's gets none: then the library does not start, and
/// says so in the browser's console; nothing goes anywhere.
pub(super) fn serve(site: &Site, request: &Inbound) -> Reply {
    let said = request.path().rsplit('/').nth(1).unwrap_or_default();
    let here = authority(site, request.authority().unwrap_or_default()).filter(|_| VendorKey::new(said).is_of(site, super::NAME));
    let Some(here) = here else { return Reply::text(StatusCode::NOT_FOUND, "This site has no such write key.\n") };
    let here = format!("{here}{}/v1", site.prefix);
    let protocol = if request.secure() { "https" } else { "http" };
    let document = json!({
        // A second integration would make the library fetch another of the vendor's scripts.
        "integrations": { "Segment.io": { "apiKey": said, "apiHost": here, "protocol": protocol } },
        // The library's measurements of itself: none; and if any, then here.
        "metrics": { "sampleRate": 0, "host": here },
    });
    Reply {
        status: StatusCode::OK,
        headers: vec![(header::CONTENT_TYPE, Cow::Borrowed("application/json"))],
        body: Cow::Owned(document.to_string().into_bytes()),
    }
}

/// `GET <prefix>/sourceConfig/?writeKey=<write key>`: what RudderStack's library asks for before it starts: a source that is on, with no
/// destinations of the vendor's, and no measurements of the library itself.
pub(super) fn serve_source(site: &Site, request: &Inbound) -> Reply {
    let query = Parameters::of(request.query().unwrap_or_default());
    let said = query.text("writeKey").unwrap_or_default();
    if !VendorKey::new(&said).is_of(site, super::NAME) {
        return Reply::text(StatusCode::NOT_FOUND, "This site has no such write key.\n");
    }
    let off = json!({ "enabled": false });
    let source = json!({
        "id": "site",
        "name": "site",
        "writeKey": said,
        "enabled": true,
        "workspaceId": "site",
        "config": { "statsCollection": { "errors": off, "metrics": off } },
        "destinations": [],
        "dataplanes": {},
    });
    Reply::json(json!({ "source": source, "updatedAt": "2026-01-01T00:00:00.000Z" }).to_string())
}

/// Where the library is to post to: the host that it asked for this document, and the port. A proxy in front may pass the host on without
/// its port; then it is the port of the site's pages on that host, if they have one.
fn authority(site: &Site, asked: &str) -> Option<String> {
    let (said, port) = split(asked);
    let said = said.strip_suffix('.').unwrap_or(said);
    // Only a name of the site's own goes into the document, whatever the client wrote.
    let host = site.hosts.iter().find(|own| own.eq_ignore_ascii_case(said)).or_else(|| site.hosts.first())?;
    match port.or_else(|| port_of_pages(site, host)) {
        Some(port) => Some(format!("{host}:{port}")),
        None => Some(host.clone()),
    }
}

/// The one port of the site's pages on that host; none where any page is on the scheme's own.
fn port_of_pages(site: &Site, host: &str) -> Option<u16> {
    let pages = site.origins.iter().filter_map(|origin| origin.split_once("://")).map(|(_, authority)| split(authority));
    let mut ports = pages.filter(|(page, _)| page.eq_ignore_ascii_case(host)).map(|(_, port)| port);
    let first = ports.next()??;
    ports.all(|port| port == Some(first)).then_some(first)
}

/// A host, and the port behind it. An IPv6 address has colons of its own, in brackets.
fn split(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ => (authority, None),
    }
}
