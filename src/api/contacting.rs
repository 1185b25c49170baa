//! Contacts and consents that programs of the site's own bring: one at a time, by the rules of a row of `firsthand profile import`, whose code this is. What
//! is said twice changes nothing the second time, and is answered as the first time.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};
use tokio::runtime::Handle;

use super::{
    call::{Answer, Call},
    desk::Desk,
    problem::Problem,
    whom::sealed,
};
use crate::{
    privacy::{
        contacts::{Became, ContactFile, ContactSaid, ContactTold, Importer, Left},
        identifiers::{Identifier, IdentifierKind},
        personal::Personal,
    },
    profile::{audit::Act, contact::Again, store::StrandKey, strand_id},
};

/// Properties of one contact: a policy lists fewer.
const PROPERTIES_MAX: usize = 100;
/// A moment is no longer in RFC 3339, however it is written.
const MOMENT_BYTES_MAX: usize = 64;
/// Purposes that are said; there are three.
const PURPOSES_MAX: usize = 10;

/// Who a contact is: one at least, of a kind that the site's document lists. The one that counts most tells one contact from another.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KnownBy {
    /// The account as the site knows it.
    #[schemars(length(max = 4096))]
    account: Option<String>,
    /// The id in the site's customer system.
    #[schemars(length(max = 4096))]
    crm: Option<String>,
    /// An e-mail address.
    #[schemars(length(max = 4096))]
    email: Option<String>,
    /// A phone number, with its country: `+33…`.
    #[schemars(length(max = 4096))]
    phone: Option<String>,
}

/// What somebody agreed to elsewhere.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Given {
    /// To what: `profile` among it, or nothing is kept.
    #[schemars(length(min = 1, max = 10))]
    purposes: Vec<String>,
    /// When: a day, or RFC 3339.
    #[schemars(length(max = 64))]
    at: String,
    /// When it ends, if earlier than after 13 months.
    #[schemars(length(max = 64))]
    until: Option<String>,
}

/// A contact, with the consent that it rests on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Contact {
    /// Who it is.
    who: KnownBy,
    /// What they agreed to.
    consent: Given,
    /// Their name, which is kept where the site's document says so, as address and number are.
    #[schemars(length(max = 200))]
    name: Option<String>,
    /// Properties: what the policy lists is kept. Texts, numbers, `true` and `false`.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 100, "additionalProperties" = { "type": ["string", "number", "boolean"] }))]
    properties: BTreeMap<String, Value>,
}

/// A consent that was given elsewhere.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Granted {
    /// Who gave it.
    who: KnownBy,
    /// What they agreed to.
    consent: Given,
}

/// What is kept from now on.
#[derive(Serialize, JsonSchema)]
pub(super) struct Kept {
    /// The contact's own part.
    part: String,
    /// The profile that it is a part of.
    profile: String,
    /// What they agree to.
    agreed_to: Vec<&'static str>,
    /// Until when.
    until: String,
    /// The properties that were said and are kept, by name.
    properties: Vec<String>,
}

/// Takes a contact over, or brings it up to date.
pub(super) fn contact(desk: &Desk, call: &Call) -> Result<Answer, Problem> {
    let Contact { who, consent, name, properties } = call.said()?;
    let name = name.map(Personal::new);
    take(desk, call, Act::Contacted, ContactSaid { name, ..said(who, consent, properties)? })
}

/// Puts on record what somebody agreed to elsewhere.
pub(super) fn grant(desk: &Desk, call: &Call) -> Result<Answer, Problem> {
    let Granted { who, consent } = call.said()?;
    take(desk, call, Act::Agreed, said(who, consent, BTreeMap::new())?)
}

fn said(who: KnownBy, Given { purposes, at, until }: Given, properties: BTreeMap<String, Value>) -> Result<ContactSaid, Problem> {
    let KnownBy { account, crm, email, phone } = who;
    let kinds = [IdentifierKind::Account, IdentifierKind::Crm, IdentifierKind::Email, IdentifierKind::Phone];
    let mut known_by = Vec::new();
    for (kind, said) in kinds.into_iter().zip([account, crm, email, phone]) {
        if let Some(said) = said {
            known_by.push((kind, sealed(said)?));
        }
    }
    let moments = [Some(&at), until.as_ref()];
    if moments.into_iter().flatten().any(|moment| moment.len() > MOMENT_BYTES_MAX) || purposes.len() > PURPOSES_MAX {
        return Err(Problem::unreadable("a consent says its purposes, and when it was given, as a day or in RFC 3339"));
    }
    if properties.len() > PROPERTIES_MAX {
        return Err(Problem::unreadable("a contact has 100 properties at most"));
    }
    let mut plain = Vec::with_capacity(properties.len());
    for (name, value) in properties {
        let text = match value {
            Value::String(text) => text,
            Value::Number(number) => Number::to_string(&number),
            Value::Bool(is) => is.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                return Err(Problem::unreadable("a property is a text, a number, or true or false"));
            }
        };
        plain.push((name, Personal::new(text)));
    }
    Ok(ContactSaid { known_by, purposes, agreed: at, until, name: None, properties: plain })
}

/// By the rules of a row; written down before it is done.
fn take(desk: &Desk, call: &Call, act: Act, said: ContactSaid) -> Result<Answer, Problem> {
    let rules = call.rules()?;
    let file = ContactFile::of_one(&said).ok_or_else(|| Problem::unreadable("a property has the name of something else"))?;
    // The same one may come twice at once.
    let _alone = desk.contacts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let importer = Importer {
        persons: &desk.persons,
        proof: desk.pipeline.visitors.proof(),
        persistent: &desk.persistent,
        list: &desk.list,
        site: &call.site,
        rules,
    };
    // Under whichever of their identifiers: nothing is added to what is held.
    let known_by = importer.known_by(&file, 0, call.now).map_err(failed)?;
    if desk.profiles.holds_of_any(rules, &known_by)? {
        return Err(refused(Left::Restricted));
    }
    let waiting = Handle::current();
    let importing = |dry: bool| waiting.block_on(importer.take(&file, 0, call.now, dry)).map_err(failed);
    // What is not taken over is refused before anything is written.
    if let Became::Left(left) = importing(true)? {
        return Err(refused(left));
    }
    let number = desk.audit.note(call.site.number, (&call.who(), act), &[], 1, call.now)?;
    let told = match importing(false)? {
        Became::New(told) | Became::Known(told) => told.ok_or_else(|| Problem::later("the contact cannot be kept now"))?,
        Became::Left(left) => return Err(refused(left)),
    };
    // Their key is there now, and with it the mark by which they find what was done.
    if let Some(mark) = desk.profiles.seals().mark(&told.person, call.now)? {
        desk.audit.add_mark(number, &mark)?;
    }
    if !desk.profiles.take_contact(&call.site, &told, Again::CountsAnew, call.now)? {
        return Err(refused(Left::ErasedBefore));
    }
    kept(desk, call, &told)
}

fn kept(desk: &Desk, call: &Call, told: &ContactTold) -> Result<Answer, Problem> {
    let account = told.known_by.iter().find_map(Identifier::account);
    let key = StrandKey { site: call.site.number, person: told.person, account };
    let joined = desk.profiles.joined(&key, call.rules()?)?;
    Answer::of(&Kept {
        part: strand_id(&key, told.browser),
        profile: joined.by.id(),
        agreed_to: told.purposes.names().collect(),
        until: told.until.rfc3339(),
        properties: told.properties.keys().cloned().collect(),
    })
}

fn refused(left: Left) -> Problem {
    match left {
        Left::Unreadable | Left::NoIdentifier => {
            Problem::unreadable("it names nobody, by what the site's document lists and in its form: account, crm, email, phone")
        }
        Left::NoConsent => Problem::unreadable("it says no consent to \"profile\", or not when it was given: then nothing is kept"),
        Left::ConsentOver => Problem::conflict("consent_over", "the consent that it says has ended"),
        Left::ErasedBefore => {
            Problem::conflict("erased_since", "who it names was erased, objected or took a consent back since they agreed")
        }
        Left::Restricted => Problem::conflict("restricted", "what rests of who it names is kept and not used"),
    }
}

fn failed(error: impl std::fmt::Display) -> Problem {
    tracing::warn!(%error, "the profile API cannot take a contact over");
    Problem::later("the contact cannot be kept now: the same request again goes on")
}
