//! Whom a body names: by one identifier, as a site knows it. It stands in the body, and so in no address and no log.

use schemars::JsonSchema;
use serde::Deserialize;

use super::problem::Problem;
use crate::privacy::{identifiers::IdentifierKind, personal::Personal, rights::Asked};

/// No account is longer that is kept, and no cookie of ours.
pub(super) const IDENTIFIER_BYTES_MAX: usize = 4_096;

/// By what somebody is looked for: one of them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Whom {
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
    /// The value of the site's visitor cookie in a browser.
    #[schemars(length(max = 4096))]
    cookie: Option<String>,
}

impl Whom {
    /// The one that is said, and of which kind; a cookie is of none.
    pub(super) fn one(self) -> Result<(Option<IdentifierKind>, Personal<String>), Problem> {
        let Self { account, crm, email, phone, cookie } = self;
        let kinds = [IdentifierKind::Account, IdentifierKind::Crm, IdentifierKind::Email, IdentifierKind::Phone].map(Some);
        let all = kinds.into_iter().chain([None]).zip([account, crm, email, phone, cookie]);
        let mut said = all.filter_map(|(kind, said)| Some((kind, said?)));
        let (Some((kind, said)), None) = (said.next(), said.next()) else {
            return Err(Problem::unreadable("one identifier is asked for: account, crm, email, phone or cookie"));
        };
        Ok((kind, sealed(said)?))
    }

    /// The same, as it is looked for in the log, too.
    pub(super) fn asked(self) -> Result<Asked, Problem> {
        let (kind, said) = self.one()?;
        Ok(match kind {
            None => Asked::Cookie(said),
            Some(IdentifierKind::Account) => Asked::Account(said),
            Some(kind) => Asked::Known(kind, said),
        })
    }
}

/// An identifier of bounded length.
pub(super) fn sealed(said: String) -> Result<Personal<String>, Problem> {
    if said.len() > IDENTIFIER_BYTES_MAX {
        return Err(Problem::unreadable("an identifier has 4096 bytes at most"));
    }
    Ok(Personal::new(said))
}
