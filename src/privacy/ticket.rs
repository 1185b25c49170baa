//! The ticket: what a page gets for its shop to keep with an order, so that the backend's event of the order belongs to the visit in which it was
//! placed. It is sealed under a key of the site: who has one can neither read nor change it, and without the site's API key it is of no use.
//!
//! ```text
//!  nonce     sealed: ends         cookie id   visit     what led to it
//!  12 bytes          i64 (s), LE  16 bytes    8 bytes   JSON
//! ```
//! Nobody gets one but who agreed to a lasting id; no day's token is in it.

use std::{io, time::Duration};

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{
    clean::{CampaignField, Granted},
    keys::persistent::SiteKey,
    rules::{Rule, holds},
    scrub::clicks::ClickId,
};
use crate::{clock::Timestamp, event::SiteNumber};

/// A ticket is of use for so long: as far back as a sender's clock is believed. An order that is paid for later has no visit that could be told.
pub(in crate::privacy) const TICKET_AGE: Duration = Duration::from_secs(72 * 60 * 60);
/// Bytes of a seal's nonce (AES-GCM's own).
const NONCE_BYTES: usize = 12;
/// What the seals of tickets, and of what is kept to make them of, cannot be taken for one another by.
const TICKET: &[u8] = b"ticket";
const LANDING: &[u8] = b"landing";

/// What led to a visit, as it rests of the event that said it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::privacy) struct Landing {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::privacy) campaign: Vec<(CampaignField, String)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(in crate::privacy) click_ids: Vec<ClickId>,
}

impl Landing {
    /// What the event says of it, if it says something.
    pub(in crate::privacy) fn of(granted: &Granted) -> Option<Self> {
        let Granted { campaign, click_ids, .. } = granted;
        (!campaign.is_empty() || !click_ids.is_empty()).then(|| Self { campaign: campaign.clone(), click_ids: click_ids.clone() })
    }

    /// As it is kept in memory while the visit lasts: nobody's campaign is there to be read.
    pub(in crate::privacy) fn sealed(&self, key: &SiteKey, site: SiteNumber) -> io::Result<Vec<u8>> {
        seal(key, site, LANDING, &serde_json::to_vec(self)?)
    }

    /// What was kept of it.
    pub(in crate::privacy) fn unsealed(key: &SiteKey, site: SiteNumber, sealed: &[u8]) -> Option<Self> {
        serde_json::from_slice(&open(key, site, LANDING, sealed)?).ok()
    }
}

/// The visit that an order was placed in, or that an event is of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::privacy) struct Visit {
    pub(in crate::privacy) session: Option<[u8; 8]>,
    pub(in crate::privacy) landing: Landing,
}

/// Makes a ticket of somebody's visit.
pub(in crate::privacy) fn ticket(
    key: &SiteKey,
    site: SiteNumber,
    cookie_id: &[u8; 16],
    session: [u8; 8],
    landing: &Landing,
    now: Timestamp,
) -> io::Result<String> {
    let mut plain = now.plus(TICKET_AGE).seconds().to_le_bytes().to_vec();
    plain.extend_from_slice(cookie_id);
    plain.extend_from_slice(&session);
    serde_json::to_writer(&mut plain, landing)?;
    Ok(URL_SAFE_NO_PAD.encode(seal(key, site, TICKET, &plain)?))
}

/// Whose a ticket is, and of which visit: nothing of the visit where its time is over. `None`: this site made no such ticket.
pub(in crate::privacy) fn read(key: &SiteKey, site: SiteNumber, ticket: &str, now: Timestamp) -> Option<([u8; 16], Visit)> {
    let plain = open(key, site, TICKET, &URL_SAFE_NO_PAD.decode(ticket).ok()?)?;
    let (ends, rest) = plain.split_first_chunk()?;
    let (cookie_id, rest) = rest.split_first_chunk()?;
    let (session, landing) = rest.split_first_chunk()?;
    let landing = serde_json::from_slice(landing).ok()?;
    let is_over = i64::from_le_bytes(*ends) <= now.seconds() && holds(Rule::TicketEnds);
    Some((*cookie_id, if is_over { Visit::default() } else { Visit { session: Some(*session), landing } }))
}

pub(in crate::privacy) fn seal(key: &SiteKey, site: SiteNumber, what: &[u8], plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|_| io::Error::other("the system has no randomness to give"))?;
    let payload = Payload { msg: plain, aad: &site.0.to_le_bytes() };
    let sealed = cipher(key, what).encrypt((&nonce).into(), payload).map_err(|_| io::Error::other("it is too long to seal"))?;
    Ok([&nonce[..], &sealed].concat())
}

pub(in crate::privacy) fn open(key: &SiteKey, site: SiteNumber, what: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    cipher(key, what).decrypt(nonce.into(), Payload { msg: sealed, aad: &site.0.to_le_bytes() }).ok()
}

fn cipher(key: &SiteKey, what: &[u8]) -> Aes256Gcm {
    Aes256Gcm::new((&*key.sealing(what)).into())
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::{
        privacy::keys::persistent::PersistentKeys,
        state::{IN_MEMORY, StateDb},
    };

    const NOW: Timestamp = Timestamp(1_773_480_413_589);
    const SITE: SiteNumber = SiteNumber(1);
    const COOKIE_ID: [u8; 16] = [7; 16];
    const SESSION: [u8; 8] = [9; 8];

    fn keys() -> PersistentKeys {
        PersistentKeys::new(Arc::new(StateDb::open(Path::new(IN_MEMORY)).unwrap()))
    }

    fn landing() -> Landing {
        Landing { campaign: vec![(CampaignField::Source, String::from("newsletter"))], click_ids: Vec::new() }
    }

    #[test]
    fn a_ticket_says_its_visit_to_its_site_until_it_ends() {
        let keys = keys();
        let (key, others) = (keys.site(SITE).unwrap(), keys.site(SiteNumber(2)).unwrap());
        let made = ticket(&key, SITE, &COOKIE_ID, SESSION, &landing(), NOW).unwrap();
        let visit = Visit { session: Some(SESSION), landing: landing() };
        assert_eq!(read(&key, SITE, &made, NOW.plus(TICKET_AGE / 2)), Some((COOKIE_ID, visit)));
        assert_eq!(read(&key, SITE, &made, NOW.plus(TICKET_AGE)), Some((COOKIE_ID, Visit::default())), "whose it is stays known");
        assert_eq!(read(&others, SiteNumber(2), &made, NOW), None);
        assert_eq!(read(&key, SiteNumber(2), &made, NOW), None);
        assert_ne!(ticket(&key, SITE, &COOKIE_ID, SESSION, &landing(), NOW).unwrap(), made, "two tickets have nothing in common");
    }

    #[test]
    fn nobody_reads_or_changes_one() {
        let keys = keys();
        let key = keys.site(SITE).unwrap();
        let made = ticket(&key, SITE, &COOKIE_ID, SESSION, &landing(), NOW).unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&made).unwrap();
        for said in [&COOKIE_ID[..], &SESSION, b"newsletter"] {
            assert!(!bytes.windows(said.len()).any(|part| part == said));
        }
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert_eq!(read(&key, SITE, &URL_SAFE_NO_PAD.encode(changed), NOW), None, "byte {place}");
        }
        let kept = landing().sealed(&key, SITE).unwrap();
        assert_eq!(Landing::unsealed(&key, SITE, &kept), Some(landing()));
        assert_eq!(read(&key, SITE, &URL_SAFE_NO_PAD.encode(kept), NOW), None, "what is kept in memory is no ticket");
        for odd in ["", "no", "AAAA", "jane@example.org"] {
            assert_eq!(read(&key, SITE, odd, NOW), None, "{odd}");
        }
    }
}
