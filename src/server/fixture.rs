//! What the server's tests share: a site.

use std::{collections::BTreeMap, collections::BTreeSet, sync::Arc};

use jiff::tz::TimeZone;

use crate::{
    documents::{
        Site,
        site::{Ceilings, Policy},
    },
    event::{PolicyVersion, SiteNumber},
    protocol::inbound::{CookieName, CookieNames},
};

/// A site under `/keso` on `www.shop.example`, whose pages are of that origin.
pub(super) fn site(origin: &str) -> Site {
    let policy = Policy { name: String::from("default"), version: PolicyVersion(1), events: BTreeSet::new(), properties: BTreeMap::new() };
    Site {
        number: SiteNumber(1),
        name: String::from("shop"),
        hosts: vec![String::from("www.shop.example")],
        prefix: String::from("/keso"),
        script: String::from("core.js"),
        global: String::from("mela"),
        origins: BTreeSet::from([origin.to_owned()]),
        page_hosts: vec![String::from("www.shop.example")],
        time_zone: TimeZone::UTC,
        cookies: CookieNames { visitor: CookieName::new("v"), opt_out: CookieName::new("o") },
        policy: Arc::new(policy),
        ceilings: Ceilings::default(),
    }
}
