//! The settings document that analytics.js fetches before it starts. Without our host in it, the library posts every event to the vendor
//! instead, whatever the page's own load options say; so this is what keeps it here.

use std::borrow::Cow;

use http::{StatusCode, header};
use serde_json::json;

use crate::{
    documents::Site,
    protocol::{Reply, VendorKey, inbound::Inbound},
};

/// `GET <prefix>/v1/projects/<write key>/settings`. A write key that is not the site's gets none: then the library does not start, and
/// says so in the browser's console; nothing goes anywhere.
pub(super) fn serve(site: &Site, request: &Inbound) -> Reply {
    let said = request.path().rsplit('/').nth(1).unwrap_or_default();
    let host = site.hosts.first().filter(|_| VendorKey::new(said).is_of(site, super::NAME));
    let Some(host) = host else { return Reply::text(StatusCode::NOT_FOUND, "This site has no such write key.\n") };
    let here = format!("{host}{}/v1", site.prefix);
    let document = json!({
        // A second integration would make the library fetch another of the vendor's scripts.
        "integrations": { "Segment.io": { "apiKey": said, "apiHost": here } },
        // The library's measurements of itself: none; and if any, then here.
        "metrics": { "sampleRate": 0, "host": here },
    });
    Reply {
        status: StatusCode::OK,
        headers: vec![(header::CONTENT_TYPE, Cow::Borrowed("application/json"))],
        body: Cow::Owned(document.to_string().into_bytes()),
    }
}
