//! The script that a site's pages load: the built core with the site's settings and the parts that its document asks for, rendered once per version of the
//! documents. It is the same for every visitor.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{limits::RENDERED_SNIPPETS, reply::ReplyBody, routes::BAIT_PATH};
use crate::{
    documents::{
        Site,
        snippet::{ConsentTool, Shim, SnippetParts, Watch},
    },
    event::SiteNumber,
};

/// Built by `js-snippet/`.
const SOURCE: &str = include_str!("../../js-snippet/dist/snippet.js");
/// Where the settings go in it.
const SETTINGS_TOKEN: &str = "__FIRSTHAND_CONFIG__";
/// Where the parts go in it, as a list of expressions.
const PARTS_TOKEN: &str = "__FIRSTHAND_PARTS__";

macro_rules! part {
    ($name:literal) => {
        include_str!(concat!("../../js-snippet/dist/parts/", $name, ".js"))
    };
}

/// Whether vendors' own tags ran.
const RECOVERY: &str = part!("recovery");
/// What all shims have in common; before the first of them.
const SHIMS: &str = part!("shims");

const fn shim(shim: Shim) -> &'static str {
    match shim {
        Shim::Gtag => part!("gtag"),
        Shim::Matomo => part!("matomo"),
        Shim::Meta => part!("meta"),
        Shim::Mixpanel => part!("mixpanel"),
        Shim::Plausible => part!("plausible"),
        Shim::Posthog => part!("posthog"),
        Shim::Segment => part!("segment"),
        Shim::Umami => part!("umami"),
    }
}

/// A consent tool's part; Matomo's cookies are the server's to read.
const fn tool(tool: ConsentTool) -> Option<&'static str> {
    match tool {
        ConsentTool::Axeptio => Some(part!("axeptio")),
        ConsentTool::Cookiebot => Some(part!("cookiebot")),
        ConsentTool::Cookieconsent => Some(part!("cookieconsent")),
        ConsentTool::Didomi => Some(part!("didomi")),
        ConsentTool::Klaro => Some(part!("klaro")),
        ConsentTool::Matomo => None,
        ConsentTool::Onetrust => Some(part!("onetrust")),
        ConsentTool::Tarteaucitron => Some(part!("tarteaucitron")),
        ConsentTool::Usercentrics => Some(part!("usercentrics")),
    }
}

const fn watched(watch: Watch) -> &'static str {
    match watch {
        Watch::Forms => part!("forms"),
        Watch::NotFound => part!("notfound"),
        Watch::Scroll => part!("scroll"),
        Watch::Search => part!("search"),
        Watch::Video => part!("video"),
        Watch::Vitals => part!("vitals"),
    }
}

/// A site's parts, in the order in which they run: whose word on the choice is followed, before what that is about.
fn parts(of: &SnippetParts) -> String {
    let tools = of.tools.iter().filter_map(|each| tool(*each));
    let common = (!of.shims.is_empty()).then_some(SHIMS);
    let shims = of.shims.iter().map(|each| shim(*each));
    let watched = of.watch.iter().map(|each| watched(*each));
    let recovery = (!of.measure_recovery.is_empty()).then_some(RECOVERY);
    // What shims hand on is for shims; the rest is content with it. What is said aside is put together by the last of them.
    let all: Vec<_> = tools.chain(watched).chain(common).chain(shims).chain(recovery).map(str::trim_ascii_end).collect();
    format!("[{}]", all.join(","))
}
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
    /// What blockers stop, where the site wants nothing sent for visitors who have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    b: Option<String>,
    /// Of which vendors' own tags it says whether they ran.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    r: Vec<&'static str>,
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
        b: site.snippet.respect_blockers.then(|| format!("{}{BAIT_PATH}", site.prefix)),
        r: site.snippet.measure_recovery.iter().map(|vendor| vendor.name()).collect(),
    };
    let settings = serde_json::to_string(&settings).expect("texts and flags are always JSON");
    let script = SOURCE.replace(SETTINGS_TOKEN, &settings).replace(PARTS_TOKEN, &parts(&site.snippet));
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
        assert_eq!((SOURCE.matches(SETTINGS_TOKEN).count(), SOURCE.matches(PARTS_TOKEN).count()), (1, 1));
        let rendered = render(&Arc::new(site("https://www.shop.example")));
        let script = std::str::from_utf8(&rendered.script).expect("text");
        assert!(script.contains(r#"{"e":"/keso/e","u":false,"g":"mela"}"#), "{script}");
        assert!(!script.contains(SETTINGS_TOKEN) && !script.contains(PARTS_TOKEN));
        let mut relaxed = site("https://www.shop.example");
        relaxed.signals.gpc_site_override = Some(String::from("a reason"));
        let rendered = render(&Arc::new(relaxed));
        let script = std::str::from_utf8(&rendered.script).expect("text");
        assert!(script.contains(r#""g":"mela","o":true}"#) && !script.contains("a reason"), "{script}");
    }

    #[test]
    fn a_site_is_served_the_parts_that_it_asks_for_and_not_one_byte_of_another() {
        let script = |parts: SnippetParts| {
            let mut asking = site("https://www.shop.example");
            asking.snippet = parts;
            String::from_utf8(render(&Arc::new(asking)).script.to_vec()).expect("text")
        };
        let everything = SnippetParts {
            shims: Shim::ALL.into(),
            tools: [
                ConsentTool::Axeptio,
                ConsentTool::Cookiebot,
                ConsentTool::Cookieconsent,
                ConsentTool::Didomi,
                ConsentTool::Klaro,
                ConsentTool::Onetrust,
                ConsentTool::Tarteaucitron,
                ConsentTool::Usercentrics,
            ]
            .into(),
            watch: [Watch::Forms, Watch::NotFound, Watch::Scroll, Watch::Search, Watch::Video, Watch::Vitals].into(),
            measure_recovery: [Shim::Gtag, Shim::Meta].into(),
            respect_blockers: true,
        };
        let every = [SHIMS, RECOVERY].into_iter().chain(Shim::ALL.map(shim));
        let every = every.chain(everything.tools.iter().filter_map(|each| tool(*each)));
        let every: Vec<_> = every.chain(everything.watch.iter().map(|each| watched(*each))).map(str::trim_ascii_end).collect();
        let all = script(everything.clone());
        assert!(every.iter().all(|part| all.contains(part)) && all.contains("\"b\":\"/keso/matomo.js\",\"r\":[\"gtag\",\"meta\"]"));
        let none = script(SnippetParts { tools: [ConsentTool::Matomo].into(), ..SnippetParts::default() });
        assert!(every.iter().all(|part| !none.contains(part)) && !none.contains("matomo"));
        assert_eq!(
            none.len(),
            SOURCE.len() - SETTINGS_TOKEN.len() - PARTS_TOKEN.len() + r#"{"e":"/keso/e","u":false,"g":"mela"}"#.len() + "[]".len()
        );
        for one in Shim::ALL {
            let one_of_them = script(SnippetParts { shims: [one].into(), ..SnippetParts::default() });
            let found: Vec<_> = every.iter().filter(|part| one_of_them.contains(**part)).collect();
            assert_eq!(found, [&SHIMS.trim_ascii_end(), &shim(one).trim_ascii_end()]);
        }
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
