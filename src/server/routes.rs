//! The table of routes below a site's prefix, compiled once: the protocols' and the server's own.

use http::{HeaderValue, Method, Response, StatusCode, header};

use super::{
    cors::request_headers,
    own_data::{COST_IN_EVENTS, Step},
    rate_limit::Quota,
    reply::{ReplyBody, respond},
    transparency::Wish,
};
use crate::{
    documents::Site,
    protocol::{self, Action, Protocol, Reply, SentBy},
};

/// The opt-out page's path below the prefix.
const OPT_OUT_PATH: &str = "/o";
/// The transparency page's path below the prefix, and where its form goes to.
const TRANSPARENCY_PATHS: [(&str, Method, Wish); 3] =
    [("/about", Method::GET, Wish::See), ("/about/out", Method::POST, Wish::OptOut), ("/about/in", Method::POST, Wish::OptIn)];
/// The page of what rests about its visitor, and where its forms go to.
const OWN_DATA_PATHS: [(&str, Method, Step); 6] = [
    ("/about/you", Method::GET, Step::See),
    ("/about/you/mail", Method::POST, Step::Mail),
    ("/about/you/open", Method::POST, Step::Open),
    ("/about/you/erase", Method::POST, Step::Erase),
    ("/about/you/confirm", Method::POST, Step::AskToConfirm),
    ("/about/you/confirmed", Method::POST, Step::Confirm),
];
/// Where `doctor` brings its word; `*` is that.
const LOOK_PATH: &str = "/look/*";
/// Where a page asks for the ticket of its visit.
const TICKET_PATH: &str = "/v";
/// Where a page asks for what it is personalised by.
const LOOKUP_PATH: &str = "/state";
/// What a blocker stops and nothing else does: Matomo's script, by the name that generic rules of EasyPrivacy have for it. A site that respects blockers asks for it.
pub(super) const BAIT_PATH: &str = "/matomo.js";
/// How the access log names the snippet, whose path is each site's own.
const SNIPPET_TEMPLATE: &str = "/{script}";

/// What a path below the prefix leads to.
pub(super) struct Endpoint {
    /// How the access log names it: the path, or a template of it. Never a path that a client made up.
    pub(super) template: &'static str,
    targets: Vec<(Method, Target)>,
    /// The `Allow` header.
    pub(super) allow: HeaderValue,
    /// What `Access-Control-Allow-Headers` says.
    pub(super) request_headers: HeaderValue,
}

/// What answers one method.
#[derive(Clone, Copy)]
pub(super) enum Target {
    /// The site's snippet.
    Snippet,
    /// The opt-out page.
    OptOut,
    /// A look from outside.
    Look,
    /// Nothing: that there is an answer says that no blocker stands in between.
    Bait,
    /// What needs the whole request.
    Receive(Work),
}

/// What is done with a request that was received.
#[derive(Clone, Copy)]
pub(super) enum Work {
    /// A protocol's route.
    Protocol(&'static dyn Protocol, &'static Action),
    /// The transparency page's.
    Transparency(Wish),
    /// The ticket of a visit.
    Ticket,
    /// What a page is personalised by.
    Lookup,
    /// The page of what rests about its visitor.
    OwnData(Step),
}

impl Work {
    /// What it draws on, of a client's allowance: what apps send also on what the site's apps have, before their key is asked for.
    pub(super) fn quota(self, quota: Quota<'_>) -> Quota<'_> {
        match self {
            Self::Protocol(protocol, _) if protocol.sent_by() == SentBy::App => quota.of_app(),
            _ => quota,
        }
    }

    /// What it costs of that before it is looked at, in events.
    pub(super) const fn cost(self) -> u32 {
        match self {
            Self::OwnData(_) => COST_IN_EVENTS,
            _ => 1,
        }
    }
}

/// All endpoints.
pub(super) struct Routes {
    snippet: Endpoint,
    /// Sorted by path.
    by_path: Vec<(&'static str, Endpoint)>,
}

impl Routes {
    /// The table of these protocols' routes and our own.
    pub(super) fn new(protocols: &[&'static dyn Protocol]) -> Self {
        let mut routes = vec![
            (OPT_OUT_PATH, Method::GET, Target::OptOut),
            (BAIT_PATH, Method::GET, Target::Bait),
            (LOOK_PATH, Method::GET, Target::Look),
        ];
        routes.extend(TRANSPARENCY_PATHS.map(|(path, method, wish)| (path, method, Target::Receive(Work::Transparency(wish)))));
        routes.extend(OWN_DATA_PATHS.map(|(path, method, step)| (path, method, Target::Receive(Work::OwnData(step)))));
        routes.push((TICKET_PATH, Method::POST, Target::Receive(Work::Ticket)));
        routes.push((LOOKUP_PATH, Method::POST, Target::Receive(Work::Lookup)));
        for protocol in protocols {
            routes.extend(
                protocol
                    .routes()
                    .iter()
                    .map(|route| (route.path, route.method.clone(), Target::Receive(Work::Protocol(*protocol, &route.action)))),
            );
        }
        routes.sort_by_key(|(path, ..)| *path);
        let by_path = routes.chunk_by(|(one, ..), (other, ..)| one == other).map(|same| {
            let path = same[0].0;
            (path, Endpoint::new(path, same.iter().map(|(_, method, target)| (method.clone(), *target)).collect()))
        });
        Self { snippet: Endpoint::new(SNIPPET_TEMPLATE, vec![(Method::GET, Target::Snippet)]), by_path: by_path.collect() }
    }

    /// What a path below a site's prefix leads to.
    pub(super) fn find(&self, site: &Site, below: &str) -> Option<&Endpoint> {
        if let Ok(index) = self.by_path.binary_search_by_key(&below, |(path, _)| path) {
            return Some(&self.by_path[index].1);
        }
        if let Some((_, endpoint)) = self.by_path.iter().find(|(path, _)| path.contains('*') && protocol::fits(path, below)) {
            return Some(endpoint);
        }
        below.strip_prefix('/').filter(|name| *name == site.script).map(|_| &self.snippet)
    }
}

impl Endpoint {
    fn new(template: &'static str, targets: Vec<(Method, Target)>) -> Self {
        let mut methods: Vec<&str> = targets.iter().map(|(method, _)| method.as_str()).collect();
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.push("OPTIONS");
        let allow = HeaderValue::try_from(methods.join(", ")).expect("methods are header values");
        let of_protocols = targets.iter().filter_map(|(_, target)| match target {
            Target::Receive(Work::Protocol(protocol, _)) => Some(protocol.request_headers()),
            _ => None,
        });
        let request_headers = request_headers(of_protocols.flatten());
        Self { template, targets, allow, request_headers }
    }

    /// An answer that says which methods there are, and at most a sentence.
    pub(super) fn bare(&self, status: StatusCode, text: &'static str) -> Response<ReplyBody> {
        let mut response = respond(if text.is_empty() { Reply::status(status) } else { Reply::text(status, text) });
        response.headers_mut().insert(header::ALLOW, self.allow.clone());
        response
    }

    /// What answers this method. HEAD is GET whose answer hyper sends without its body.
    pub(super) fn target(&self, method: &Method) -> Option<Target> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.targets.iter().find(|(answered, _)| answered == method).map(|(_, target)| *target)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{super::tests::fixture::site, *};
    use crate::protocol::PROTOCOLS;

    #[test]
    fn no_two_routes_contend() {
        let mut seen = HashSet::new();
        for (path, endpoint) in &Routes::new(PROTOCOLS).by_path {
            assert!(path.starts_with('/') && !path[1..].contains('?'), "{path}");
            for (method, _) in &endpoint.targets {
                assert!(seen.insert((*path, method.clone())), "{method} {path} is there twice");
            }
        }
        assert!(seen.contains(&("/e", Method::POST)) && seen.contains(&("/o", Method::GET)));
        assert!(seen.contains(&("/about", Method::GET)) && seen.contains(&("/about/out", Method::POST)));
    }

    #[test]
    fn a_star_is_one_segment() {
        assert!(protocol::fits("/v1/projects/*/settings", "/v1/projects/abc/settings"));
        for other in ["/v1/projects//settings", "/v1/projects/a/b/settings", "/v1/projects/a/settings/", "/v1/projects/a"] {
            assert!(!protocol::fits("/v1/projects/*/settings", other), "{other}");
        }
    }

    #[test]
    fn paths_are_found_exactly() {
        let (routes, site) = (Routes::new(PROTOCOLS), site("https://www.shop.example"));
        let template = |below: &str| routes.find(&site, below).map(|endpoint| endpoint.template);
        assert_eq!(template("/e"), Some("/e"));
        assert_eq!(template("/core.js"), Some("/{script}"));
        for none in ["", "/", "/o/", "//e", "/E", "/core.jsx", "core.js", "/core.js/", "/%65"] {
            assert_eq!(template(none), None, "{none}");
        }
        let allow = |below: &str| routes.find(&site, below).map(|endpoint| endpoint.allow.clone()).expect("a route");
        assert_eq!(allow("/e"), "POST, OPTIONS");
        assert_eq!(allow("/o"), "GET, HEAD, OPTIONS");
    }
}
