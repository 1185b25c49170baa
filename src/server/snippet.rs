//! The script that a site's pages load: the built snippet with the site's settings put in, rendered once per version of the documents.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{limits::RENDERED_SNIPPETS, reply::ReplyBody};
use crate::{documents::Site, event::SiteNumber};

/// Built by `js-snippet/`.
const SOURCE: &str = include_str!("../../js-snippet/dist/snippet.js");
/// Where the settings go in it.
const SETTINGS_TOKEN: &str = "__FIRSTHAND_CONFIG__";
/// How long a browser uses the script without asking again: a change of the site's settings reaches every page within the hour.
const CACHE_CONTROL: &str = "public, max-age=3600";

/// What the snippet knows of its site.
#[derive(Serialize)]
struct Settings<'a> {
    /// Where it sends events.
    e: String,
    /// Whether events may be sent before the visitor has chosen: some destination has the basis for it.
    u: bool,
    /// The global name that the page calls it by.
    g: &'a str,
    /// Whether a yes on the site outranks Global Privacy Control; left out where it does not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    o: bool,
}

/// The rendered scripts of all sites, bounded.
#[derive(Default)]
pub(super) struct Snippets {
    rendered: Mutex<HashMap<SiteNumber, Rendered>>,
}

#[derive(Clone)]
struct Rendered {
    /// The document that it was rendered from; another one means that it is out of date. It is not kept alive: when documents that
    /// were in force are gone, no request is under way with them.
    site: Weak<Site>,
    script: Bytes,
    tag: HeaderValue,
}

impl Snippets {
    /// The script of a site, or "not modified" for who has it.
    pub(super) fn serve(&self, site: &Arc<Site>, asked: &HeaderMap) -> Response<ReplyBody> {
        let Rendered { script, tag, .. } = self.of(site);
        let unchanged = asked.get_all(header::IF_NONE_MATCH).iter().any(|tags| matches_tag(tags, &tag));
        let mut response = Response::new(ReplyBody::whole(if unchanged { Bytes::new() } else { script }));
        *response.status_mut() = if unchanged { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
        let headers = response.headers_mut();
        headers.insert(header::ETAG, tag);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(CACHE_CONTROL));
        if !unchanged {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            // A page that isolates itself (`Cross-Origin-Embedder-Policy`) loads scripts of another host only if they say this.
            headers.insert("cross-origin-resource-policy", HeaderValue::from_static("cross-origin"));
        }
        response
    }

    fn of(&self, site: &Arc<Site>) -> Rendered {
        let mut rendered = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = rendered.get(&site.number)
            && std::ptr::eq(known.site.as_ptr(), Arc::as_ptr(site))
        {
            return known.clone();
        }
        if rendered.len() >= RENDERED_SNIPPETS {
            rendered.clear();
        }
        let fresh = render(site);
        rendered.insert(site.number, fresh.clone());
        fresh
    }
}

fn render(site: &Arc<Site>) -> Rendered {
    let settings = Settings {
        e: format!("{}/e", site.prefix),
        u: site.ceilings.unknown.is_some(),
        g: &site.global,
        o: site.signals.gpc_site_override.is_some(),
    };
    let settings = serde_json::to_string(&settings).expect("texts and flags are always JSON");
    let script = SOURCE.replace(SETTINGS_TOKEN, &settings);
    let mut tag = String::from("\"");
    for byte in &Sha256::digest(&script)[..12] {
        // Writing to a String cannot fail.
        let _ = write!(tag, "{byte:02x}");
    }
    tag.push('"');
    let tag = HeaderValue::try_from(tag).expect("hexadecimal digits in quotes are a header value");
    Rendered { site: Arc::downgrade(site), script: Bytes::from(script), tag }
}

/// Whether one of the listed entity tags is ours (RFC 9110 §13.1.2: the weak comparison).
fn matches_tag(tags: &HeaderValue, ours: &HeaderValue) -> bool {
    let tags = tags.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    tags.map(|tag| tag.strip_prefix(b"W/").unwrap_or(tag)).any(|tag| tag == b"*" || tag == ours.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{super::tests::fixture::site, *};

    fn asked(tags: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::IF_NONE_MATCH, HeaderValue::from_static(tags))])
    }

    #[test]
    fn the_settings_are_in_and_the_token_is_gone() {
        assert_eq!(SOURCE.matches(SETTINGS_TOKEN).count(), 1);
        let rendered = render(&Arc::new(site("https://www.shop.example")));
        let script = std::str::from_utf8(&rendered.script).expect("text");
        assert!(script.contains(r#"{"e":"/keso/e","u":false,"g":"mela"}"#), "{script}");
        assert!(!script.contains(SETTINGS_TOKEN));
        let mut relaxed = site("https://www.shop.example");
        relaxed.signals.gpc_site_override = Some(String::from("a reason"));
        let rendered = render(&Arc::new(relaxed));
        let script = std::str::from_utf8(&rendered.script).expect("text");
        assert!(script.contains(r#""g":"mela","o":true}"#) && !script.contains("a reason"), "{script}");
    }

    #[test]
    fn a_script_that_is_known_is_not_sent_again() {
        let (snippets, document) = (Snippets::default(), Arc::new(site("https://www.shop.example")));
        let first = snippets.serve(&document, &HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[header::ETAG].to_str().expect("text").to_owned();
        let tag: &'static str = Box::leak(format!("\"other\", W/{tag}").into_boxed_str());
        assert_eq!(snippets.serve(&document, &asked(tag)).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(snippets.serve(&document, &asked("\"other\"")).status(), StatusCode::OK);
    }

    #[test]
    fn a_new_document_is_rendered_anew() {
        let snippets = Snippets::default();
        let old = snippets.of(&Arc::new(site("https://www.shop.example")));
        let mut changed = site("https://www.shop.example");
        changed.global = String::from("olive");
        let new = snippets.of(&Arc::new(changed));
        assert_ne!(old.tag, new.tag);
        assert_eq!(snippets.rendered.lock().expect("no panic").len(), 1);
    }
}
