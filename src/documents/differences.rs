//! What a change of documents changes about what leaves: per site, destination and visitor's state, field by field and listed name by
//! listed name. What only widens is a relaxation, and asks for a reason.

use super::{Basis, Destination, Documents, Site, parse::Release};
use crate::privacy::policy::{Field, Treatment, Treatments};

/// One difference in what leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Of which site's events.
    pub site: String,
    /// To which destination; none: to all.
    pub destination: Option<String>,
    /// What is different.
    pub what: What,
    /// Whether the site was there before: nothing is relaxed about one that is new.
    pub known_site: bool,
}

/// What is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// What becomes of a field.
    Field {
        /// Of which visitors.
        of: Visitors,
        /// Which field.
        field: Field,
        /// What became of it.
        was: Treatment,
        /// What would.
        is: Treatment,
    },
    /// Names of events or properties come onto the policy's list, or go off it.
    Listed {
        /// [`Field::Name`], [`Field::Properties`], or [`Field::Page`] for a route.
        field: Field,
        /// The name, and for a property as what.
        name: String,
        /// It comes onto the list.
        newly: bool,
    },
    /// Whether a yes on the site outranks Global Privacy Control.
    Override {
        /// Why it would; nothing: it would not any more.
        reason: Option<String>,
    },
    /// Which vendor of the global vendor list a TC string must consent to.
    Vendor {
        /// Which one it had to.
        was: Option<u16>,
        /// Which one it would have to.
        is: Option<u16>,
    },
    /// How many visitors are a crowd, 1 meaning that none is asked for, or whose.
    Crowd {
        /// What was asked, of whoever has not agreed and of whoever has.
        was: (u32, u32),
        /// What would be.
        is: (u32, u32),
    },
    /// When it is decided who stands in a crowd: by the days before, or by the whole hour or day itself.
    Release {
        /// When it was.
        was: Release,
        /// When it would be.
        is: Release,
    },
    /// The destination would receive nothing of this site any more.
    Ends,
}

/// Which visitors a destination's table is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visitors {
    /// Those who have not chosen.
    Undecided,
    /// Those who agreed to what the destination needs.
    Agreed,
    /// All but those who objected: the destination needs no consent, and a consent shows it nothing more.
    All,
}

impl Difference {
    /// Whether more leaves than before.
    #[must_use]
    pub fn relaxes(&self) -> bool {
        self.known_site
            && match &self.what {
                What::Field { was, is, .. } => is > was,
                // Without its route, what stood behind a name may leave as it is.
                What::Listed { field, newly, .. } => *newly || *field == Field::Page,
                What::Override { reason } => reason.is_some(),
                // Another vendor is another question, of which nobody knows whether it is answered with yes more often.
                What::Vendor { was, .. } => was.is_some(),
                What::Release { is, .. } => is.is_live(),
                What::Crowd { was, is } => is.0 < was.0 || is.1 < was.1,
                What::Ends => false,
            }
    }
}

/// Every difference between two sets of documents, in the order of sites and destinations.
#[must_use]
pub fn differences(before: &Documents, after: &Documents) -> Vec<Difference> {
    let mut found = Vec::new();
    for site in &after.sites {
        let was_site = before.sites.iter().find(|was| was.name == site.name);
        let outranked = was_site.and_then(|was| was.signals.gpc_site_override.as_ref());
        if outranked.is_some() != site.signals.gpc_site_override.is_some() {
            let what = What::Override { reason: site.signals.gpc_site_override.clone() };
            found.push(Difference { site: site.name.clone(), destination: None, what, known_site: was_site.is_some() });
        }
        for destination in after.destinations.iter().filter(|destination| destination.sites.contains(&site.number)) {
            let mut differs = |what| {
                let (site, destination) = (site.name.clone(), Some(destination.name.clone()));
                found.push(Difference { site, destination, what, known_site: was_site.is_some() });
            };
            let was_destination = before.destinations.iter().find(|was| was.name == destination.name);
            let was = was_site.zip(was_destination);
            let exempt = |was: &Destination| was.basis == Basis::ExemptMeasurement;
            let all: &[_] = if exempt(destination) && was_destination.is_none_or(|was| exempt(was)) {
                &[Visitors::All]
            } else {
                &[Visitors::Undecided, Visitors::Agreed]
            };
            for of in all.iter().copied() {
                let old = was.map_or(Treatments::NOTHING, |(site, destination)| leaves(site, destination, of));
                let new = leaves(site, destination, of);
                for field in Field::ALL.into_iter().filter(|field| old.get(*field) != new.get(*field)) {
                    differs(What::Field { of, field, was: old.get(field), is: new.get(field) });
                }
            }
            // Where all is new, so is every listed name.
            if let Some((was, was_destination)) = was {
                if was_destination.tcf_vendor != destination.tcf_vendor {
                    differs(What::Vendor { was: was_destination.tcf_vendor, is: destination.tcf_vendor });
                }
                if was_destination.release != destination.release {
                    differs(What::Release { was: was_destination.release, is: destination.release });
                }
                listed(was, site).into_iter().for_each(&mut differs);
                let (was, is) = (crowds(was), crowds(site));
                if was != is {
                    differs(What::Crowd { was, is });
                }
            }
        }
    }
    for site in &before.sites {
        let stays = after.sites.iter().find(|stays| stays.name == site.name);
        for destination in before.destinations.iter().filter(|destination| destination.sites.contains(&site.number)) {
            let still = |stays: &Site| after.destinations.iter().any(|to| to.name == destination.name && to.sites.contains(&stays.number));
            if !stays.is_some_and(|stays| still(stays)) {
                let (site, destination) = (site.name.clone(), Some(destination.name.clone()));
                found.push(Difference { site, destination, what: What::Ends, known_site: true });
            }
        }
    }
    found
}

/// How many visitors are a crowd of those who have not agreed, and of those who have.
fn crowds(site: &Site) -> (u32, u32) {
    let rules = &site.policy.crowd;
    (rules.visitors, if rules.ask(true) { rules.visitors } else { 1 })
}

/// What leaves to a destination of some visitors; nothing, where it has no basis for them or none of this site.
fn leaves(site: &Site, destination: &Destination, of: Visitors) -> Treatments {
    let allowed = site.allowed(destination.number);
    match (destination.basis, of) {
        (Basis::Consent(_), Visitors::Undecided | Visitors::All) => Treatments::NOTHING,
        (Basis::Consent(_), Visitors::Agreed) => allowed.treatments(allowed.breadth, allowed.breadth.needs_consent()),
        (Basis::ExemptMeasurement, _) => allowed.treatments(allowed.breadth, false),
    }
}

/// Names that come onto the policy's lists, and those that go.
fn listed(before: &Site, after: &Site) -> Vec<What> {
    let events = |site: &Site| site.policy.events.iter().map(|name| (Field::Name, name.clone())).collect::<Vec<_>>();
    let properties = |site: &Site| {
        let name = |(name, kind): (&String, &super::site::PropertyKind)| (Field::Properties, format!("{name} ({})", kind.name()));
        site.policy.properties.iter().map(name).collect::<Vec<_>>()
    };
    let routes = |site: &Site| site.policy.routes.written().map(|route| (Field::Page, route.to_owned())).collect::<Vec<_>>();
    let all = |site: &Site| [events(site), properties(site), routes(site)].concat();
    let (old, new) = (all(before), all(after));
    let missing = |from: &[(Field, String)], of: &[(Field, String)], newly| {
        let there = from.iter().filter(|name| !of.contains(name)).cloned();
        there.map(|(field, name)| What::Listed { field, name, newly }).collect::<Vec<_>>()
    };
    [missing(&new, &old, true), missing(&old, &new, false)].concat()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        clock::Timestamp,
        documents::{
            parse::DocumentFile,
            store::{Author, DocumentStore},
        },
        state::{IN_MEMORY, StateDb},
    };

    const DOCUMENTS: &str = r#"
        [[policy]]
        name = "shop"
        events = ["newsletter_opened"]
        [[site]]
        name = "shop"
        hosts = ["www.shop.example"]
        origins = ["https://www.shop.example"]
        prefix = "/kesolu"
        policy = "shop"
        [[destination]]
        name = "visits"
        type = "file"
        sites = ["shop"]
        basis = "exempt_measurement"
        transform = "strict"
        settings = { directory = "visits" }
    "#;

    fn compiled(text: &str) -> Documents {
        let store = DocumentStore::new(Arc::new(StateDb::open(std::path::Path::new(IN_MEMORY)).unwrap()));
        let author = Author { name: "test", reason: "a test", at: Timestamp(0) };
        store.apply(DocumentFile::parse(text).unwrap().into_documents(), false, false, &author).unwrap();
        store.compiled().unwrap()
    }

    /// How many differences relax, and how many there are.
    fn count(before: &str, after: &str) -> (usize, usize) {
        let found = differences(&compiled(before), &compiled(after));
        (found.iter().filter(|difference| difference.relaxes()).count(), found.len())
    }

    #[test]
    fn what_widens_relaxes_and_what_narrows_does_not() {
        let wider = DOCUMENTS.replace("transform = \"strict\"", "transform = \"measurement\"");
        assert_eq!(count(DOCUMENTS, DOCUMENTS), (0, 0));
        assert_eq!(count(DOCUMENTS, &wider), (2, 2), "visitor and session");
        assert_eq!(count(&wider, DOCUMENTS), (0, 2));
        let listed =
            DOCUMENTS.replace("[\"newsletter_opened\"]", "[\"newsletter_opened\", \"quiz_ended\"]\nproperties = { plan = \"word\" }");
        assert_eq!(count(DOCUMENTS, &listed), (2, 2));
        assert_eq!(count(&listed, DOCUMENTS), (0, 2));
        let routed = DOCUMENTS.replace("events =", "routes = [\"/product/:slug\"]\nevents =");
        assert_eq!(count(DOCUMENTS, &routed), (1, 1), "a page that leaves without a crowd");
        assert_eq!(count(&routed, DOCUMENTS), (1, 1), "what stood behind the name");
    }

    #[test]
    fn to_wait_for_a_whole_day_no_more_relaxes() {
        let daily = DOCUMENTS.replace("transform =", "release = \"daily\"\ntransform =");
        assert_eq!((count(DOCUMENTS, &daily), count(&daily, DOCUMENTS)), ((0, 1), (1, 1)));
    }

    #[test]
    fn a_smaller_crowd_relaxes_and_a_larger_one_does_not() {
        let with = |rules: &str| DOCUMENTS.replace("events = [", &format!("{rules}\nevents = ["));
        assert_eq!(count(DOCUMENTS, &with("crowd = 40")), (0, 1));
        assert_eq!(count(&with("crowd = 40"), DOCUMENTS), (1, 1));
        assert_eq!(count(DOCUMENTS, &with("crowd = 1\ncrowd_reason = \"a test\"")), (1, 1));
        assert_eq!(count(&with("crowd_consented = true"), DOCUMENTS), (1, 1));
    }

    #[test]
    fn a_new_destination_relaxes_and_a_new_site_does_not() {
        let (site, _) = DOCUMENTS.split_once("[[destination]]").unwrap();
        let (relaxing, all) = count(site, DOCUMENTS);
        assert!(relaxing > 5 && relaxing == all, "{relaxing} of {all}");
        assert_eq!(count(DOCUMENTS, site), (0, 1), "it ends");
        let outranked = DOCUMENTS.replace("policy = \"shop\"\n", "policy = \"shop\"\ngpc_site_override = { reason = \"a test\" }\n");
        assert_eq!((count(DOCUMENTS, &outranked), count(&outranked, DOCUMENTS)), ((1, 1), (0, 1)));
        let vendor = DOCUMENTS.replace("\"exempt_measurement\"", "\"consent\"\npurposes = [\"analytics\"]");
        let asked = vendor.replace("transform =", "tcf_vendor = 755\ntransform =");
        assert_eq!((count(&vendor, &asked), count(&asked, &vendor)), ((0, 1), (1, 1)));
        let (relaxing, all) = count("", DOCUMENTS);
        assert!(relaxing == 0 && all > 5, "{relaxing} of {all}");
    }
}
