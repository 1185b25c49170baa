//! The table of routes: what the router answers by, and what the OpenAPI document is made from.

use http::Method;
use schemars::{Schema, SchemaGenerator};

use super::{
    answering,
    call::{Answer, Call},
    contacting, deciding,
    desk::Desk,
    erasing,
    problem::Problem,
    reading, sending, whom,
};
use crate::{
    documents::api_key::Scope,
    profile::{audit, contact_view::ContactView, timeline, view::ProfileView},
};

/// What every address begins with.
pub const BASE: &str = "/api/v1";

/// A route.
pub(super) struct Route {
    pub(super) method: Method,
    /// Below [`BASE`]; `{id}` is one segment.
    pub(super) path: &'static str,
    /// Its name for programs.
    pub(super) name: &'static str,
    /// What it does, in a line.
    pub(super) about: &'static str,
    /// What a key needs for it; nothing: any key does.
    pub(super) scope: Option<Scope>,
    pub(super) parameters: &'static [Parameter],
    /// What its body is.
    pub(super) body: Option<fn(&mut SchemaGenerator) -> Schema>,
    /// What it answers.
    pub(super) answer: fn(&mut SchemaGenerator) -> Schema,
    /// Whether something may stand against it.
    pub(super) conflicts: bool,
    pub(super) work: Work,
}

/// What carries it out.
#[derive(Clone, Copy)]
pub(super) enum Work {
    /// Something that blocks: databases.
    Look(fn(&Desk, &Call) -> Result<Answer, Problem>),
    /// The line takes events in.
    Send,
    /// The document of all this.
    Describe,
}

/// Something behind the question mark.
#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) takes: Takes,
}

/// What a parameter takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Takes {
    /// A number from 1 on.
    Count { most: usize, otherwise: usize },
    /// One of some words.
    OneOf(&'static [&'static str]),
    /// RFC 3339.
    Moment,
    /// Something that an answer said.
    Word,
}

const CURSOR: Parameter = Parameter { name: "cursor", about: "Where to go on: `next` of the page before.", takes: Takes::Word };

const fn limit(most: usize) -> Parameter {
    Parameter { name: "limit", about: "At most so many.", takes: Takes::Count { most, otherwise: 50 } }
}

const OTHERS: Parameter = Parameter {
    name: "others",
    about: "Say `erase` where others have accounts in a browser that is meant: what they did there goes with it.",
    takes: Takes::OneOf(&["erase"]),
};

fn schema<T: schemars::JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// All of them.
pub(super) static ROUTES: &[Route] = &[
    Route {
        method: Method::GET,
        path: "/profiles",
        name: "listProfiles",
        about: "Lists the site's profiles, a page at a time.",
        scope: Some(Scope::ProfilesRead),
        parameters: &[limit(100), CURSOR],
        body: None,
        answer: schema::<reading::Profiles>,
        conflicts: false,
        work: Work::Look(reading::list),
    },
    Route {
        method: Method::POST,
        path: "/profiles/find",
        name: "findProfiles",
        about: "Finds profiles by an account, an id of the customer system, an address, a number or a cookie: in the body, so that it is in no address and no log.",
        scope: Some(Scope::ProfilesRead),
        parameters: &[],
        body: Some(schema::<whom::Whom>),
        answer: schema::<reading::Found>,
        conflicts: false,
        work: Work::Look(reading::find),
    },
    Route {
        method: Method::GET,
        path: "/profiles/{id}",
        name: "getProfile",
        about: "One profile: its parts and what joined them, its traits with source, time and consent, its ten newest events.",
        scope: Some(Scope::ProfilesRead),
        parameters: &[],
        body: None,
        answer: schema::<ProfileView>,
        conflicts: false,
        work: Work::Look(reading::one),
    },
    Route {
        method: Method::DELETE,
        path: "/profiles/{id}",
        name: "eraseProfile",
        about: "Erases whose profile it is: the keys of all its browsers, and with them everything that was sealed under them. Again, it is 404.",
        scope: Some(Scope::ProfilesErase),
        parameters: &[OTHERS],
        body: None,
        answer: schema::<erasing::Receivers>,
        conflicts: true,
        work: Work::Look(erasing::erase),
    },
    Route {
        method: Method::GET,
        path: "/profiles/{id}/receivers",
        name: "getReceivers",
        about: "Who has received something of whose profile it is, and by which ids they find it: who has to be told of an erasure. Ask before it.",
        scope: Some(Scope::ProfilesErase),
        parameters: &[],
        body: None,
        answer: schema::<erasing::Receivers>,
        conflicts: false,
        work: Work::Look(erasing::receivers),
    },
    Route {
        method: Method::GET,
        path: "/profiles/{id}/timeline",
        name: "getTimeline",
        about: "What happened, the newest that came in first, a page at a time.",
        scope: Some(Scope::ProfilesRead),
        parameters: &[
            Parameter { name: "class", about: "Only events of this class.", takes: Takes::OneOf(&["views", "actions", "orders"]) },
            Parameter { name: "from", about: "Only what came in then or later.", takes: Takes::Moment },
            Parameter { name: "until", about: "Only what came in before.", takes: Takes::Moment },
            limit(timeline::PAGE_MAX),
            CURSOR,
        ],
        body: None,
        answer: schema::<reading::Timeline>,
        conflicts: false,
        work: Work::Look(reading::timeline),
    },
    Route {
        method: Method::GET,
        path: "/profiles/{id}/contact",
        name: "getContact",
        about: "How whose profile it is is written to, in the clear: e-mail address, phone number, name, as far as the site's document keeps them.",
        scope: Some(Scope::ContactsRead),
        parameters: &[],
        body: None,
        answer: schema::<ContactView>,
        conflicts: false,
        work: Work::Look(reading::contact),
    },
    Route {
        method: Method::GET,
        path: "/profiles/{id}/export",
        name: "exportProfile",
        about: "All of a profile, with its events: to be handed to the person.",
        scope: Some(Scope::ProfilesRead),
        parameters: &[],
        body: None,
        answer: schema::<reading::Exported>,
        conflicts: false,
        work: Work::Look(reading::export),
    },
    Route {
        method: Method::POST,
        path: "/profiles/{id}/unlink",
        name: "unlinkPart",
        about: "Parts a browser from its account's profile; `id` is that of the part. Said twice, nothing is changed the second time.",
        scope: Some(Scope::ProfilesWrite),
        parameters: &[],
        body: Some(schema::<deciding::Reasoned>),
        answer: schema::<deciding::Decided>,
        conflicts: true,
        work: Work::Look(deciding::unlink),
    },
    Route {
        method: Method::POST,
        path: "/profiles/{id}/link",
        name: "linkPart",
        about: "Joins a browser with its account's profile again, after `unlinkPart`. Said twice, nothing is changed the second time.",
        scope: Some(Scope::ProfilesWrite),
        parameters: &[],
        body: Some(schema::<deciding::Reasoned>),
        answer: schema::<deciding::Decided>,
        conflicts: true,
        work: Work::Look(deciding::link),
    },
    Route {
        method: Method::POST,
        path: "/contacts",
        name: "upsertContact",
        about: "Takes a contact over with the consent that it rests on, or brings it up to date: by the rules of a row of an import. Again, nothing is changed.",
        scope: Some(Scope::ContactsWrite),
        parameters: &[],
        body: Some(schema::<contacting::Contact>),
        answer: schema::<contacting::Kept>,
        conflicts: true,
        work: Work::Look(contacting::contact),
    },
    Route {
        method: Method::POST,
        path: "/consents/grant",
        name: "grantConsent",
        about: "Puts on record what somebody agreed to elsewhere, and when: as a row of an import may. It widens no browser's consent. Again, nothing is changed.",
        scope: Some(Scope::ConsentsWrite),
        parameters: &[],
        body: Some(schema::<contacting::Granted>),
        answer: schema::<contacting::Kept>,
        conflicts: true,
        work: Work::Look(contacting::grant),
    },
    Route {
        method: Method::POST,
        path: "/consents/withdraw",
        name: "withdrawConsent",
        about: "Takes a consent back, for some purposes or all, in every browser and contact that is found by an identifier. The answer is the same whether there was one.",
        scope: Some(Scope::ConsentsWrite),
        parameters: &[OTHERS],
        body: Some(schema::<answering::TakenBack>),
        answer: schema::<answering::Withdrawn>,
        conflicts: true,
        work: Work::Look(answering::withdraw),
    },
    Route {
        method: Method::POST,
        path: "/rights/restrict",
        name: "restrict",
        about: "Keeps what rests of somebody, and uses it for nothing (Article 18). Again, nothing is changed.",
        scope: Some(Scope::RightsWrite),
        parameters: &[],
        body: Some(schema::<answering::About>),
        answer: schema::<answering::HeldState>,
        conflicts: false,
        work: Work::Look(answering::restrict),
    },
    Route {
        method: Method::POST,
        path: "/rights/lift",
        name: "liftRestriction",
        about: "Takes a restriction back. Again, nothing is changed.",
        scope: Some(Scope::RightsWrite),
        parameters: &[],
        body: Some(schema::<answering::About>),
        answer: schema::<answering::HeldState>,
        conflicts: false,
        work: Work::Look(answering::lift),
    },
    Route {
        method: Method::POST,
        path: "/rights/object",
        name: "objectToProfile",
        about: "Removes somebody's profile, and makes none until they agree anew (Article 21). The answer is the same whether there was one.",
        scope: Some(Scope::RightsWrite),
        parameters: &[OTHERS],
        body: Some(schema::<answering::About>),
        answer: schema::<answering::Withdrawn>,
        conflicts: true,
        work: Work::Look(answering::object),
    },
    Route {
        method: Method::POST,
        path: "/events",
        name: "sendEvents",
        about: "Takes events in as POST <prefix>/v1/events does. Each has a messageId, or the request an Idempotency-Key: sent again, it is known.",
        scope: Some(Scope::EventsWrite),
        parameters: &[],
        body: Some(schema::<sending::Calls>),
        answer: schema::<sending::Sent>,
        conflicts: false,
        work: Work::Send,
    },
    Route {
        method: Method::GET,
        path: "/audit",
        name: "readAudit",
        about: "Who looked at whose profile, handed it out, changed or erased it, the newest first.",
        scope: Some(Scope::AuditRead),
        parameters: &[
            Parameter { name: "profile", about: "Only what was done with this profile.", takes: Takes::Word },
            limit(audit::READ_MAX - 1),
            CURSOR,
        ],
        body: None,
        answer: schema::<reading::Audit>,
        conflicts: false,
        work: Work::Look(reading::audit),
    },
    Route {
        method: Method::GET,
        path: "/openapi.json",
        name: "getDescription",
        about: "This document.",
        scope: None,
        parameters: &[],
        body: None,
        answer: schema::<serde_json::Map<String, serde_json::Value>>,
        conflicts: false,
        work: Work::Describe,
    },
];

/// What an address leads to.
pub(super) enum Lead<'p> {
    /// A route, and what stands in the place of `{id}`.
    Route(&'static Route, Option<&'p str>),
    /// Routes for other methods: which.
    Methods(String),
    /// Nothing.
    Nowhere,
}

/// Finds what answers a method and path.
pub(super) fn find<'p>(method: &Method, path: &'p str) -> Lead<'p> {
    let Some(below) = path.strip_prefix(BASE) else { return Lead::Nowhere };
    let mut others: Vec<&str> = Vec::new();
    // What is written out goes before what stands for anything.
    let fitting = |exactly: bool| {
        ROUTES.iter().filter_map(move |route| fits(route.path, below).map(|id| (route, id))).filter(move |(_, id)| id.is_none() == exactly)
    };
    for exactly in [true, false] {
        for (route, id) in fitting(exactly) {
            if route.method == *method {
                return Lead::Route(route, id);
            }
            others.push(route.method.as_str());
        }
        if !others.is_empty() {
            return Lead::Methods(others.join(", "));
        }
    }
    Lead::Nowhere
}

/// Whether a path is a route's; and what stands in the place of `{id}`.
fn fits<'p>(template: &str, below: &'p str) -> Option<Option<&'p str>> {
    let (mut wanted, mut said, mut id) = (template.split('/'), below.split('/'), None);
    loop {
        match (wanted.next(), said.next()) {
            (None, None) => return Some(id),
            (Some("{id}"), Some(segment)) if !segment.is_empty() => id = Some(segment),
            (Some(one), Some(other)) if one == other => {}
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn lead(method: Method, path: &str) -> String {
        match find(&method, path) {
            Lead::Route(route, id) => format!("{} {}", route.name, id.unwrap_or("-")),
            Lead::Methods(methods) => methods,
            Lead::Nowhere => String::from("nowhere"),
        }
    }

    #[test]
    fn each_address_leads_to_one_route() {
        for (method, path, wanted) in [
            (Method::GET, "/api/v1/profiles", "listProfiles -"),
            (Method::GET, "/api/v1/profiles/0f3c", "getProfile 0f3c"),
            (Method::DELETE, "/api/v1/profiles/0f3c", "eraseProfile 0f3c"),
            (Method::POST, "/api/v1/profiles/find", "findProfiles -"),
            (Method::GET, "/api/v1/profiles/find", "POST"),
            (Method::DELETE, "/api/v1/profiles/find", "POST"),
            (Method::PUT, "/api/v1/profiles/0f3c", "GET, DELETE"),
            (Method::OPTIONS, "/api/v1/profiles", "GET"),
            (Method::GET, "/api/v1/profiles/0f3c.9b/timeline", "getTimeline 0f3c.9b"),
            (Method::GET, "/api/v1/profiles//timeline", "nowhere"),
            (Method::GET, "/api/v1/profiles/", "nowhere"),
            (Method::GET, "/api/v1/profiles/0f3c/timeline/", "nowhere"),
            (Method::GET, "/api/v1", "nowhere"),
            (Method::GET, "/api/v2/profiles", "nowhere"),
            (Method::GET, "/api/v1x/profiles", "nowhere"),
        ] {
            assert_eq!(lead(method.clone(), path), wanted, "{method} {path}");
        }
    }

    #[test]
    fn no_two_routes_or_names_contend() {
        let mut seen = BTreeSet::new();
        for route in ROUTES {
            assert!(seen.insert(format!("{} {}", route.method, route.path)) && seen.insert(route.name.to_owned()), "{}", route.name);
            assert!(route.method != Method::GET || route.body.is_none());
            assert!(!route.about.is_empty() && route.parameters.iter().all(|parameter| !parameter.about.is_empty()));
        }
    }
}
