//! One request that was admitted, as those who carry it out read it: whose key, which site, what is said in the address and in the body.

use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use bytes::Bytes;
use http::StatusCode;
use percent_encoding::percent_decode_str;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    problem::Problem,
    routes::{Parameter, Takes},
};
use crate::{
    clock::Timestamp,
    documents::{Documents, ProfileRules, Site, api_key::ApiKey},
    privacy::profiled::EventKey,
    profile::{audit::Who, store::Place},
};

/// A request.
pub(super) struct Call {
    pub(super) key: Arc<ApiKey>,
    pub(super) documents: Arc<Documents>,
    pub(super) site: Arc<Site>,
    /// What stands in the address in the place of `{id}`.
    pub(super) id: Option<String>,
    pub(super) query: Query,
    pub(super) body: Bytes,
    pub(super) now: Timestamp,
}

impl Call {
    /// Who asks, for the audit.
    pub(super) fn who(&self) -> Who {
        Who::ApiKey(self.key.name.clone())
    }

    /// The rules of the site's profiles. A site without any has none that could be found.
    pub(super) fn rules(&self) -> Result<&ProfileRules, Problem> {
        self.documents.profile_of(self.site.number).map(|rules| &**rules).ok_or_else(Problem::not_found)
    }

    pub(super) fn id(&self) -> Result<&str, Problem> {
        self.id.as_deref().ok_or_else(Problem::not_found)
    }

    /// What the body says. Where it cannot be read, only the place is told.
    pub(super) fn said<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Problem::unreadable(format!("the body is not what /api/v1/openapi.json says of it (line {line}, column {column})"))
        })
    }
}

/// What stands behind the question mark.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(&'static str, String)>);

impl Query {
    /// Reads it: every name is one of the route's, and stands once.
    pub(super) fn read(query: Option<&str>, known: &'static [Parameter]) -> Result<Self, Problem> {
        let mut said: Vec<(&'static str, String)> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(parameter) = known.iter().find(|parameter| parameter.name == name) else {
                return Err(Problem::unreadable("the address has a parameter that this route does not know"));
            };
            let value = percent_decode_str(value).decode_utf8().map_err(|_| parameter.wrong())?.into_owned();
            if said.iter().any(|(other, _)| *other == parameter.name) {
                return Err(Problem::unreadable(format!("the parameter {} stands there twice", parameter.name)));
            }
            if !parameter.takes.fits(&value) {
                return Err(parameter.wrong());
            }
            said.push((parameter.name, value));
        }
        Ok(Self(said))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn count(&self, name: &str, otherwise: usize) -> usize {
        self.get(name).and_then(|value| value.parse().ok()).unwrap_or(otherwise)
    }

    pub(super) fn moment(&self, name: &str) -> Option<Timestamp> {
        self.get(name).and_then(moment)
    }
}

impl Parameter {
    fn wrong(&self) -> Problem {
        Problem::unreadable(format!("the parameter {} is not what /api/v1/openapi.json says of it", self.name))
    }
}

impl Takes {
    fn fits(self, value: &str) -> bool {
        match self {
            Self::Count { most, .. } => value.parse().is_ok_and(|count: usize| (1..=most).contains(&count)),
            Self::OneOf(words) => words.contains(&value),
            Self::Moment => moment(value).is_some(),
            // Whether it leads anywhere is seen where it is looked for.
            Self::Word => value.len() <= 1_000,
        }
    }
}

fn moment(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(|moment| Timestamp(moment.as_millisecond()))
}

/// A place in a timeline as text: what is in it stands in the answer before it, too.
pub(super) fn written(place: &Place) -> String {
    let mut bytes = place.received.0.to_be_bytes().to_vec();
    bytes.extend_from_slice(place.event.bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads one back.
pub(super) fn place(text: &str) -> Option<Place> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let (received, event) = bytes.split_first_chunk()?;
    Some(Place { received: Timestamp(i64::from_be_bytes(*received)), event: EventKey::of_bytes(event.try_into().ok()?) })
}

/// What is answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// 200, with that.
    pub(super) fn of(value: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_vec(value).map_err(|_| Problem::later("the answer could not be written"))?;
        Ok(Self { status: StatusCode::OK, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Parameter] = &[
        Parameter { name: "limit", about: "", takes: Takes::Count { most: 200, otherwise: 50 } },
        Parameter { name: "class", about: "", takes: Takes::OneOf(&["views", "orders"]) },
        Parameter { name: "from", about: "", takes: Takes::Moment },
    ];

    #[test]
    fn only_what_the_route_knows_may_stand_in_an_address() {
        let read = |text: &str| Query::read(Some(text), KNOWN);
        let query = read("limit=20&class=orders&from=2026-11-28T10%3A00%3A00Z").unwrap();
        assert_eq!((query.count("limit", 1), query.get("class"), query.count("other", 7)), (20, Some("orders"), 7));
        assert_eq!(query.moment("from").unwrap().rfc3339(), "2026-11-28T10:00:00.000Z");
        assert!(read("").unwrap().get("limit").is_none());
        for wrong in
            ["account=u7", "limit=0", "limit=201", "limit=-1", "limit", "class=view", "from=yesterday", "limit=1&limit=2", "class=%ff"]
        {
            let problem = read(wrong).unwrap_err();
            assert_eq!(problem.status, StatusCode::BAD_REQUEST, "{wrong}");
            assert!(!format!("{problem:?}").contains("u7"), "nothing of the request is said");
        }
    }

    #[test]
    fn a_place_is_written_and_read_as_the_same() {
        let one = Place { received: Timestamp(1_790_000_000_000), event: EventKey::of_bytes([9; 16]) };
        assert_eq!(place(&written(&one)), Some(one));
        for wrong in ["", "x", "AAAA", &format!("{}AAAA", written(&one))] {
            assert_eq!(place(wrong), None, "{wrong}");
        }
    }
}
