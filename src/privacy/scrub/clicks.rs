//! Click ids: what an advertiser put behind the address of its own link, and could find the click by again. One is somebody's as long as
//! its advertiser remembers, so it rests and leaves for advertising that was agreed to alone, and to nobody but who issued it.

use serde::{Deserialize, Serialize};

use super::parameters::Issuer;

/// An id longer than this is none: the longest that vendors give out are some 200 bytes.
const ID_BYTES_MAX: usize = 500;
/// Parameters of one address that are taken for click ids; the rest are dropped. One click has two or three.
const IDS_MAX: usize = 8;

/// The ids of clicks on advertisements, as their issuers name the parameter. What the table of all parameters knows beside these are ids of
/// persons (`_gl`, `_ga`, `li_fat_id`) and of mailings, which leave to nobody.
const PARAMETERS: [(&str, Issuer); 9] = [
    ("dclid", Issuer::Google),
    ("fbclid", Issuer::Meta),
    ("gad_campaignid", Issuer::Google),
    ("gad_source", Issuer::Google),
    ("gbraid", Issuer::Google),
    ("gclid", Issuer::Google),
    ("msclkid", Issuer::Microsoft),
    ("ttclid", Issuer::TikTok),
    ("wbraid", Issuer::Google),
];

/// One click id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::privacy) struct ClickId {
    pub(in crate::privacy) parameter: String,
    pub(in crate::privacy) id: String,
}

impl ClickId {
    /// Who issued it.
    pub(in crate::privacy) fn issuer(&self) -> Option<Issuer> {
        issuer_of(&self.parameter)
    }
}

/// Issuers of click ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Issuers(u8);

impl Issuers {
    /// Nobody.
    pub const NONE: Self = Self(0);
    /// Everybody.
    pub const ALL: Self = Self(u8::MAX);

    /// This one alone.
    #[must_use]
    pub const fn of(issuer: Issuer) -> Self {
        Self(1 << issuer as u8)
    }

    /// Those of both.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether there is anybody.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether one is among them.
    #[must_use]
    pub const fn have(self, issuer: Issuer) -> bool {
        self.0 & Self::of(issuer).0 != 0
    }
}

/// The click ids in a query that one of these issued, the first of each parameter, in the parameters' order.
pub(in crate::privacy) fn click_ids(query: &str, issuers: Issuers) -> Vec<ClickId> {
    let mut found: Vec<ClickId> = Vec::new();
    if issuers.is_empty() {
        return found;
    }
    for (parameter, id) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let wanted = issuer_of(parameter).is_some_and(|issuer| issuers.have(issuer)) && is_id(id);
        if wanted && found.len() < IDS_MAX && found.iter().all(|known| known.parameter != parameter) {
            found.push(ClickId { parameter: parameter.to_owned(), id: id.to_owned() });
        }
    }
    found.sort_by(|one, other| one.parameter.cmp(&other.parameter));
    found
}

/// Which of the parameters that click ids stand in this is, and what it is called here.
pub(in crate::privacy) fn known_parameter(parameter: &str) -> Option<&'static str> {
    PARAMETERS.iter().map(|(name, _)| *name).find(|name| *name == parameter)
}

fn issuer_of(parameter: &str) -> Option<Issuer> {
    PARAMETERS.iter().find(|(name, _)| *name == parameter).map(|(_, issuer)| *issuer)
}

/// The alphabet of every vendor's ids, which are case-sensitive: anything else in their place is not theirs.
fn is_id(id: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::{
        super::parameters::{Meaning, meaning},
        *,
    };

    fn found(query: &str, issuers: Issuers) -> Vec<String> {
        click_ids(query, issuers).into_iter().map(|click| format!("{}={}", click.parameter, click.id)).collect()
    }

    #[test]
    fn an_id_is_found_for_its_issuer_alone() {
        let query = "gclid=Cj0-A_b&fbclid=IwAR2x&utm_source=x&wbraid=&gclid=second&_gl=1*abc&ttclid=E.C.P";
        assert_eq!(found(query, Issuers::of(Issuer::Google)), ["gclid=Cj0-A_b"]);
        assert_eq!(found(query, Issuers::of(Issuer::Meta)), ["fbclid=IwAR2x"]);
        assert_eq!(found(query, Issuers::of(Issuer::Meta).and(Issuers::of(Issuer::TikTok))), ["fbclid=IwAR2x", "ttclid=E.C.P"]);
        assert!(found(query, Issuers::NONE).is_empty());
        assert!(found(query, Issuers::of(Issuer::Other)).is_empty());
    }

    #[test]
    fn what_is_no_id_is_dropped() {
        for id in ["jane@mail.example", "jane%40mail.example", "a b", "a+b", "", &"x".repeat(501)] {
            assert!(found(&format!("gclid={id}"), Issuers::of(Issuer::Google)).is_empty(), "{id}");
        }
    }

    #[test]
    fn the_table_of_all_parameters_knows_the_same_issuers() {
        for (parameter, issuer) in PARAMETERS {
            assert_eq!(meaning(parameter), Some(Meaning::Click(issuer)), "{parameter}");
        }
    }
}
