//! Whether documents let less rest of events than those before them did: then what is stored already is brought to them (`recleanse`).

use super::{
    Documents,
    site::{Ceiling, Ceilings, Policy, Site},
};
use crate::privacy::policy::{Field, Treatment};

impl Documents {
    /// Whether some event that could rest under the documents before would rest as less under these, or not at all. What only leaves
    /// differently (a lasting id, an id under a key) rests as before.
    #[must_use]
    pub fn tighten(&self, before: &Self) -> bool {
        before.sites.iter().any(|was| match self.site(was.number) {
            Some(site) => less_rests(site, was),
            None => all(&was.ceilings).any(|ceiling| ceiling.is_some()),
        })
    }
}

fn less_rests(site: &Site, was: &Site) -> bool {
    all(&site.ceilings).zip(all(&was.ceilings)).any(|(now, was)| !covers(now, was))
        || lists_lack(&site.policy, &was.policy)
        || was.identified_by.iter().any(|kind| !site.identified_by.contains(kind))
}

fn all(ceilings: &Ceilings) -> impl Iterator<Item = Option<Ceiling>> {
    std::iter::once(ceilings.unknown).chain(ceilings.granted).chain(ceilings.held)
}

/// Whether all that one ceiling lets rest, the other does.
fn covers(now: Option<Ceiling>, was: Option<Ceiling>) -> bool {
    match (now, was) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(now), Some(was)) => {
            let field_covers = |field: &Field| at_rest(*field, was.rests.get(*field)) <= at_rest(*field, now.rests.get(*field));
            now.breadth.meet(was.breadth) == was.breadth && Field::ALL.iter().all(field_covers)
        }
    }
}

/// What a treatment leaves of a field at rest.
fn at_rest(field: Field, treatment: Treatment) -> Treatment {
    match (field, treatment) {
        // What ids are made of rests with every event of a person.
        (Field::Visitor, _) => Treatment::Keep,
        // Keys are used on the way out.
        (_, Treatment::Pseudonymise) => Treatment::Keep,
        (_, treatment) => treatment,
    }
}

/// Whether a name or property that could be kept cannot be any more.
fn lists_lack(now: &Policy, was: &Policy) -> bool {
    // A route takes what stands behind its names out of what rests.
    let routed = now.routes.written().any(|route| was.routes.written().all(|known| known != route));
    routed || !was.events.is_subset(&now.events) || was.properties.iter().any(|(name, kind)| now.properties.get(name) != Some(kind))
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

    const WIDE: &str = r#"
        [[policy]]
        name = "shop"
        events = ["newsletter_opened"]
        properties = { plan = "word" }
        [[site]]
        name = "shop"
        hosts = ["www.shop.example"]
        origins = ["https://www.shop.example"]
        prefix = "/kesolu"
        time_zone = "Europe/Paris"
        policy = "shop"
        [[destination]]
        name = "measurement"
        type = "file"
        sites = ["shop"]
        basis = "exempt_measurement"
        transform = "measurement"
        settings = { directory = "a" }
        [[destination]]
        name = "customers"
        type = "file"
        sites = ["shop"]
        basis = "consent"
        purposes = ["profile"]
        transform = "consented-profile"
        settings = { directory = "b" }
    "#;

    fn documents(text: &str) -> Documents {
        let store = DocumentStore::new(Arc::new(StateDb::open(Path::new(IN_MEMORY)).unwrap()));
        let author = Author { name: "test", reason: "a test", at: Timestamp(0) };
        store.apply(DocumentFile::parse(text).unwrap().into_documents(), true, false, &author).unwrap();
        store.compiled().unwrap()
    }

    fn deviating(field: &str, treatment: &str) -> String {
        let deviation = format!("[[policy.deviation]]\nfield = \"{field}\"\ntreatment = \"{treatment}\"\nreason = \"a test\"\n[[site]]");
        WIDE.replace("[[site]]", &deviation)
    }

    #[test]
    fn less_of_anything_is_tighter_and_more_is_not() {
        let narrower = [
            deviating("referrer", "drop"),
            deviating("value", "generalise"),
            deviating("name", "generalise"),
            deviating("session", "drop"),
            WIDE.replace("events = [\"newsletter_opened\"]", ""),
            WIDE.replace("plan = \"word\"", ""),
            WIDE.replace("plan = \"word\"", "plan = \"number\""),
            WIDE.replace("transform = \"measurement\"", "transform = \"strict\""),
            WIDE.replace("consented-profile", "measurement"),
            WIDE.replace("purposes = [\"profile\"]", "purposes = [\"profile\", \"analytics\"]"),
            WIDE.replace("name = \"shop\"\n        events", "name = \"shop\"\n        preset = \"strict\"\n        events"),
            WIDE.replace("basis = \"exempt_measurement\"", "basis = \"consent\"\n        purposes = [\"profile\"]"),
            String::new(),
        ];
        for text in narrower {
            assert_ne!(text, WIDE);
            assert!(documents(&text).tighten(&documents(WIDE)), "{text}");
            // A name or property that may be kept only as something else is less either way round.
            let other = text.contains("number");
            assert_eq!(documents(WIDE).tighten(&documents(&text)), other, "the other way round: {text}");
        }
    }

    #[test]
    fn what_only_leaves_differently_is_not() {
        for text in [
            WIDE.to_owned(),
            deviating("user_id", "keep"),
            deviating("order_id", "pseudonymise"),
            deviating("visitor", "drop"),
            WIDE.replace("www.shop.example\"]\n        prefix", "www.shop.example\", \"https://shop.example\"]\n        prefix"),
            WIDE.replace("sites = [\"shop\"]", "sites = [\"shop\"]\n        paused = true"),
        ] {
            assert!(!documents(&text).tighten(&documents(WIDE)), "{text}");
        }
        assert!(!documents(WIDE).tighten(&Documents::default()), "there was nothing");
    }
}
