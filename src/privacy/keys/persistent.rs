//! K_site and K_dest: the two families that outlive a day. They rest in `state.db` and reveal no address: no token is made with them.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use foldhash::fast::RandomState;
use rusqlite::OptionalExtension;
use zeroize::Zeroizing;

use super::{
    locked::KEY_BYTES,
    mac::{self, Keyed},
    random_key,
};
use crate::{
    event::{DestinationNumber, EventId, SiteNumber},
    privacy::rules::{Rule, holds},
    state::{StateDb, StoreError},
};

/// One site's K_site.
pub struct SiteKey(Keyed);

impl SiteKey {
    /// Our event id for a client's own: the same for a retry, another for another sender.
    #[must_use]
    pub fn event_id(&self, protocol: &str, client_id: &str, subject: &[u8]) -> EventId {
        EventId(self.0.mac128(&[b"event", protocol.as_bytes(), client_id.as_bytes(), subject]))
    }

    /// The key that this site's own texts of one kind are sealed with.
    pub(in crate::privacy) fn sealing(&self, what: &[u8]) -> Zeroizing<[u8; KEY_BYTES]> {
        Zeroizing::new(self.0.mac(&[b"seal", what]))
    }

    /// The id of a backend's purchase, which follows from its order alone: one for whom the buyer's consent lets it name them, another for nobody's.
    pub(in crate::privacy) fn order_id(&self, transaction: &str, of_somebody: bool) -> EventId {
        EventId(self.0.mac128(&[b"order", transaction.as_bytes(), &[u8::from(of_somebody)]]))
    }

    /// The index under which a newcomer is found by their library's own id of the browser.
    pub(in crate::privacy) fn browser_index(&self, protocol: &str, browser_id: &str) -> [u8; 16] {
        self.0.mac128(&[b"browser", protocol.as_bytes(), browser_id.as_bytes()])
    }

    /// An identifier of a customer, as it rests in bodies.
    pub(in crate::privacy) fn identifier(&self, kind: &str, normal: &str) -> [u8; 16] {
        self.0.mac128(&[b"identifier", kind.as_bytes(), normal.as_bytes()])
    }

    /// The index under which the key row of an imported contact is found. No cookie id has it.
    pub(in crate::privacy) fn contact_index(&self, kind: &str, normal: &str) -> [u8; 16] {
        self.0.mac128(&[b"contact", kind.as_bytes(), normal.as_bytes()])
    }

    /// The index under which a cookie id's key row is found.
    pub(in crate::privacy) fn cookie_index(&self, cookie_id: &[u8; 16]) -> [u8; 16] {
        self.0.mac128(&[b"cookie", cookie_id])
    }
}

/// One destination's K_dest.
pub struct DestinationKey(Zeroizing<[u8; KEY_BYTES]>);

impl DestinationKey {
    /// The event id that leaves: a UUIDv8, stable across replays, another for each destination.
    pub(in crate::privacy) fn event_id(&self, event_id: EventId) -> String {
        let hex = hex(&self.event_id_bytes(event_id));
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// The same, as bytes.
    pub(in crate::privacy) fn event_id_bytes(&self, event_id: EventId) -> [u8; 16] {
        let mut id = mac::mac128(&self.0, &[b"event", &event_id.0]);
        id[6] = id[6] & 0x0f | 0x80;
        id[8] = id[8] & 0x3f | 0x80;
        id
    }

    /// The lasting visitor id of a person who consented.
    pub(in crate::privacy) fn visitor_id(&self, cookie_id: &[u8; 16]) -> u64 {
        mac::mac64(&self.0, &[b"visitor", cookie_id])
    }

    /// The id of a session of a person who consented.
    pub(in crate::privacy) fn session_id(&self, session: &[u8; 8]) -> u64 {
        mac::mac64(&self.0, &[b"session", session])
    }

    /// An id of a person that is stable and is no other destination's.
    pub(in crate::privacy) fn user_id(&self, user_id: &str) -> String {
        hex(&mac::mac128(&self.0, &[b"user", user_id.as_bytes()]))
    }

    /// An account in the profile store of this destination.
    pub(in crate::privacy) fn account_id(&self, account: &str) -> [u8; 16] {
        mac::mac128(&self.0, &[b"account", account.as_bytes()])
    }

    /// An identifier in the profile store of this destination, of what rests of it in bodies.
    pub(in crate::privacy) fn identifier(&self, kind: &str, resting: &[u8; 16]) -> [u8; 16] {
        mac::mac128(&self.0, &[b"identifier", kind.as_bytes(), resting])
    }

    /// An order id that is stable and says nothing.
    pub(in crate::privacy) fn transaction_id(&self, transaction: &str) -> String {
        hex(&mac::mac128(&self.0, &[b"transaction", transaction.as_bytes()]))
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Both families, loaded as they are needed. Bounded by the number of sites and destinations.
pub struct PersistentKeys {
    state: Arc<StateDb>,
    sites: RwLock<HashMap<SiteNumber, Arc<SiteKey>, RandomState>>,
    destinations: RwLock<HashMap<DestinationNumber, Arc<DestinationKey>, RandomState>>,
}

impl PersistentKeys {
    /// Keys from this database.
    #[must_use]
    pub fn new(state: Arc<StateDb>) -> Self {
        Self { state, sites: RwLock::default(), destinations: RwLock::default() }
    }

    /// The site's key; made on first use.
    ///
    /// # Errors
    /// When `state.db` cannot be used.
    pub fn site(&self, site: SiteNumber) -> Result<Arc<SiteKey>, StoreError> {
        if let Some(key) = self.sites.read().unwrap_or_else(PoisonError::into_inner).get(&site) {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(SiteKey(Keyed::with(&*self.load("site_keys", "site", site.0)?)));
        self.sites.write().unwrap_or_else(PoisonError::into_inner).insert(site, Arc::clone(&key));
        Ok(key)
    }

    /// The destination's key; made on first use.
    ///
    /// # Errors
    /// When `state.db` cannot be used.
    pub fn destination(&self, destination: DestinationNumber) -> Result<Arc<DestinationKey>, StoreError> {
        let destination = if holds(Rule::LastingIdsOfOneDestination) { destination } else { DestinationNumber(0) };
        if let Some(key) = self.destinations.read().unwrap_or_else(PoisonError::into_inner).get(&destination) {
            return Ok(Arc::clone(key));
        }
        let key = Arc::new(DestinationKey(self.load("destination_keys", "destination", destination.0)?));
        self.destinations.write().unwrap_or_else(PoisonError::into_inner).insert(destination, Arc::clone(&key));
        Ok(key)
    }

    fn load(&self, table: &str, column: &str, number: u32) -> Result<Zeroizing<[u8; KEY_BYTES]>, StoreError> {
        self.state.with(|connection| {
            let fresh = random_key().map_err(|_| rusqlite::Error::InvalidQuery)?;
            connection.execute(&format!("INSERT INTO {table} ({column}, key) VALUES (?1, ?2) ON CONFLICT DO NOTHING"), (number, fresh))?;
            let select = format!("SELECT key FROM {table} WHERE {column} = ?1");
            let key = connection.query_row(&select, [number], |row| row.get::<_, [u8; KEY_BYTES]>(0)).optional()?;
            key.map(Zeroizing::new).ok_or(rusqlite::Error::QueryReturnedNoRows)
        })
    }
}
