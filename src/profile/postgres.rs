//! Profiles in a PostgreSQL of the owner's own: when one machine is outgrown. Tables, columns and what is sealed are those of `sqlite`.
//!
//! Two connections, over each of which one statement goes at a time: whoever reads does not wait for a batch that is written. A broken one is made anew. What is deleted there is overwritten when the database
//! gets to it; what it said of a person is sealed, and dies with their key.

use std::{
    collections::BTreeSet,
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt as _;
use tokio::runtime::Handle;
use tokio_postgres::{
    Client, Config, NoTls, Row,
    config::SslMode,
    types::{ToSql, Type},
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    entry::Class,
    store::{Bounds, Change, Decision, EntryRow, ProfileError, ProfileStore, SiteCounts, Slice, StrandKey, StrandRow},
};
use crate::{
    clock::Timestamp,
    destination::Database,
    event::{Offset, SiteNumber},
    privacy::{
        identifiers::{Identifier, IdentifierKind},
        profiled::{AccountId, EventKey, IdentifierKey, PersonHandle},
    },
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For one call with all that belongs to it.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);
/// Who holds it makes or changes tables.
const LOCK: i64 = 0x6669_7273_7470;
/// How the tables are made, and then changed: one step after the other, each for good.
const STEPS: &[&str] = &["
    CREATE TABLE firsthand_profile_strands (
        site int8 NOT NULL, person bytea NOT NULL, account bytea NOT NULL, browser int8 NOT NULL, sealed bytea NOT NULL,
        PRIMARY KEY (site, person, account));
    CREATE INDEX ON firsthand_profile_strands (site, account, person) WHERE length(account) > 0;
    CREATE INDEX ON firsthand_profile_strands (site, browser);
    CREATE INDEX ON firsthand_profile_strands (person);
    CREATE TABLE firsthand_profile_entries (
        site int8 NOT NULL, person bytea NOT NULL, account bytea NOT NULL, event bytea NOT NULL, class int8 NOT NULL, received int8 NOT NULL,
        sealed bytea NOT NULL, PRIMARY KEY (site, person, account, event));
    CREATE INDEX ON firsthand_profile_entries (site, person, account, received);
    CREATE INDEX ON firsthand_profile_entries (site, class, received);
    CREATE INDEX ON firsthand_profile_entries (person);
    CREATE TABLE firsthand_profile_decisions (
        number bigserial PRIMARY KEY, site int8 NOT NULL, person bytea NOT NULL, account bytea NOT NULL, apart bool NOT NULL, at int8 NOT NULL,
        author text NOT NULL, reason text NOT NULL);
    CREATE INDEX ON firsthand_profile_decisions (person, site, account);
    CREATE TABLE firsthand_profile_progress (only_row bool PRIMARY KEY CHECK (only_row), version int8 NOT NULL, position int8, again bool NOT NULL);
    INSERT INTO firsthand_profile_progress VALUES (true, 0, NULL, false);
", "
    CREATE TABLE firsthand_profile_identifiers (
        site int8 NOT NULL, person bytea NOT NULL, account bytea NOT NULL, kind int8 NOT NULL, id bytea NOT NULL,
        PRIMARY KEY (site, person, account, kind, id));
    CREATE INDEX ON firsthand_profile_identifiers (site, kind, id, person);
    CREATE INDEX ON firsthand_profile_identifiers (person);
"];
const STRAND: &str = "SELECT site, person, account, browser, sealed FROM firsthand_profile_strands";
const ENTRY: &str = "SELECT site, person, account, event, class, received, sealed FROM firsthand_profile_entries";

/// A parameter and its type.
type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// The open connection, and what moves its bytes while a statement is under way.
struct Link {
    client: Client,
    connection: Pin<Box<dyn Future<Output = Result<(), tokio_postgres::Error>> + Send>>,
}

/// The database.
pub struct PostgresProfiles {
    database: Database,
    runtime: Handle,
    writing: Mutex<Option<Link>>,
    reading: Mutex<Option<Link>>,
}

impl PostgresProfiles {
    /// Profiles in that database. `runtime` moves the bytes; its calls must not be made on one of its own threads. Connects at the first call.
    #[must_use]
    pub const fn new(database: Database, runtime: Handle) -> Self {
        Self { database, runtime, writing: Mutex::new(None), reading: Mutex::new(None) }
    }

    /// Does something with the connection that writes.
    fn with<T>(&self, work: impl AsyncFnOnce(&mut Client) -> Result<T, tokio_postgres::Error>) -> Result<T, ProfileError> {
        self.over(&self.writing, work)
    }

    /// Does something with a connection, which is made where there is none. A connection that broke is not used again.
    fn over<T>(
        &self,
        link: &Mutex<Option<Link>>,
        work: impl AsyncFnOnce(&mut Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, ProfileError> {
        let mut link = link.lock().unwrap_or_else(PoisonError::into_inner);
        if link.as_ref().is_some_and(|link| link.client.is_closed()) {
            *link = None;
        }
        let done = self.runtime.block_on(async {
            let open = match &mut *link {
                Some(open) => open,
                none => {
                    // All of it: TLS, the log-in, and the wait for who brings the tables up to date.
                    let connected = tokio::time::timeout(TOTAL_TIMEOUT, self.connect()).await;
                    none.insert(connected.unwrap_or_else(|_| Err(ProfileError::Database(String::from("it does not let us in"))))?)
                }
            };
            let Link { client, connection } = open;
            let told = async {
                tokio::select! {
                    biased;
                    done = work(client) => done.map_err(said),
                    _ = connection => Err(ProfileError::Database(String::from("the connection broke"))),
                }
            };
            tokio::time::timeout(TOTAL_TIMEOUT, told)
                .await
                .unwrap_or_else(|_| Err(ProfileError::Database(String::from("it does not answer"))))
        });
        if done.is_err() {
            // Whether a transaction is left open in it nobody knows.
            *link = None;
        }
        done
    }

    async fn connect(&self) -> Result<Link, ProfileError> {
        let Database { host, port, name, user, password, encrypted } = &self.database;
        let mut config = Config::new();
        config.host(host).port(*port).dbname(name).user(user).application_name("firsthand").connect_timeout(CONNECT_TIMEOUT);
        if let Some(password) = password {
            config.password(password.bytes());
        }
        let mut link = if *encrypted {
            let trusting = ClientConfig::with_platform_verifier();
            let tls = trusting.map_err(|_| ProfileError::Database(String::from("this machine trusts no certificate")))?;
            let (client, connection) = config.ssl_mode(SslMode::Require).connect(MakeRustlsConnect::new(tls)).await.map_err(said)?;
            Link { client, connection: Box::pin(connection) }
        } else {
            let (client, connection) = config.ssl_mode(SslMode::Disable).connect(NoTls).await.map_err(said)?;
            Link { client, connection: Box::pin(connection) }
        };
        let Link { client, connection } = &mut link;
        tokio::select! {
            biased;
            made = bring_up(client) => made?,
            _ = connection => return Err(ProfileError::Database(String::from("the connection broke"))),
        }
        Ok(link)
    }

    fn rows<T>(
        &self,
        statement: &str,
        parameters: &[Parameter<'_>],
        of: fn(&Row) -> Result<T, tokio_postgres::Error>,
    ) -> Result<Vec<T>, ProfileError> {
        self.over(&self.reading, async |client| client.query_typed(statement, parameters).await?.iter().map(of).collect())
    }

    fn execute(&self, statement: &str, parameters: &[Parameter<'_>]) -> Result<u64, ProfileError> {
        self.with(async |client| client.execute_typed(statement, parameters).await)
    }
}

/// Without the library's message: that could quote a row.
fn said(error: tokio_postgres::Error) -> ProfileError {
    ProfileError::Database(match error.code() {
        Some(code) => format!("it refuses, with SQLSTATE {}", code.code()),
        None if error.is_closed() => String::from("the connection broke"),
        None => String::from("it cannot be reached, or does not speak PostgreSQL's protocol"),
    })
}

/// Makes the tables where there are none, and brings them up to date.
async fn bring_up(client: &mut Client) -> Result<(), ProfileError> {
    let transaction = client.transaction().await.map_err(said)?;
    transaction.execute_typed("SELECT pg_advisory_xact_lock($1)", &[(&LOCK, Type::INT8)]).await.map_err(said)?;
    let there = "SELECT to_regclass('firsthand_profile_progress') IS NOT NULL";
    let is_there: bool = transaction.query_typed(there, &[]).await.map_err(said)?.first().is_some_and(|row| row.get(0));
    let version: i64 = if is_there {
        let rows = transaction.query_typed("SELECT version FROM firsthand_profile_progress", &[]).await.map_err(said)?;
        rows.first().map_or(0, |row| row.get(0))
    } else {
        0
    };
    let version = usize::try_from(version).unwrap_or(0);
    let number = |version: usize| u32::try_from(version).unwrap_or(u32::MAX);
    let steps = STEPS.get(version..).ok_or(ProfileError::Newer { found: number(version), known: number(STEPS.len()) })?;
    for step in steps {
        transaction.batch_execute(step).await.map_err(said)?;
    }
    let known = i64::try_from(STEPS.len()).unwrap_or(i64::MAX);
    transaction.execute_typed("UPDATE firsthand_profile_progress SET version = $1", &[(&known, Type::INT8)]).await.map_err(said)?;
    transaction.commit().await.map_err(said)
}

fn account_at_rest(account: Option<&AccountId>) -> &[u8] {
    account.map_or(&[], |account| account.bytes().as_slice())
}

fn key_of(row: &Row) -> Result<StrandKey, tokio_postgres::Error> {
    let (site, person, account): (i64, &[u8], &[u8]) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    Ok(StrandKey {
        site: SiteNumber(u32::try_from(site).unwrap_or(0)),
        person: PersonHandle::from_rest(person.try_into().unwrap_or_default()),
        account: account.try_into().ok().map(AccountId::of_bytes),
    })
}

fn strand_row(row: &Row) -> Result<StrandRow, tokio_postgres::Error> {
    Ok(StrandRow { key: key_of(row)?, browser: row.try_get::<_, i64>(3)?.cast_unsigned(), sealed: row.try_get(4)? })
}

fn entry_row(row: &Row) -> Result<EntryRow, tokio_postgres::Error> {
    let (event, class): (&[u8], i64) = (row.try_get(3)?, row.try_get(4)?);
    Ok(EntryRow {
        key: key_of(row)?,
        event: EventKey::of_bytes(event.try_into().unwrap_or_default()),
        class: Class::ALL.into_iter().find(|known| i64::from(known.number()) == class).unwrap_or(Class::Views),
        received: Timestamp(row.try_get(5)?),
        sealed: row.try_get(6)?,
    })
}

fn site_of(key: &StrandKey) -> i64 {
    i64::from(key.site.0)
}

fn at_most(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

/// The columns of some keys, as arrays.
fn columns<'k>(keys: impl Iterator<Item = &'k StrandKey> + Clone) -> (Vec<i64>, Vec<&'k [u8]>, Vec<&'k [u8]>) {
    let accounts = keys.clone().map(|key| account_at_rest(key.account.as_ref()));
    (keys.clone().map(site_of).collect(), keys.map(|key| key.person.at_rest().as_slice()).collect(), accounts.collect())
}

impl ProfileStore for PostgresProfiles {
    fn position(&self) -> Result<Option<Offset>, ProfileError> {
        let rows = self.rows("SELECT position FROM firsthand_profile_progress", &[], |row| row.try_get::<_, Option<i64>>(0))?;
        Ok(rows.into_iter().next().flatten().and_then(|position| u64::try_from(position).ok()).map(Offset))
    }

    fn write(&self, change: &Change) -> Result<(), ProfileError> {
        self.with(async |client| {
            let transaction = client.transaction().await?;
            if !change.strands.is_empty() {
                let (sites, people, accounts) = columns(change.strands.iter().map(|row| &row.key));
                let browsers: Vec<i64> = change.strands.iter().map(|row| row.browser.cast_signed()).collect();
                let sealed: Vec<&[u8]> = change.strands.iter().map(|row| row.sealed.as_slice()).collect();
                let put = "INSERT INTO firsthand_profile_strands (site, person, account, browser, sealed)
                    SELECT * FROM unnest($1::int8[], $2::bytea[], $3::bytea[], $4::int8[], $5::bytea[])
                    ON CONFLICT (site, person, account) DO UPDATE SET browser = excluded.browser, sealed = excluded.sealed";
                let parameters: [Parameter<'_>; 5] = [
                    (&sites, Type::INT8_ARRAY),
                    (&people, Type::BYTEA_ARRAY),
                    (&accounts, Type::BYTEA_ARRAY),
                    (&browsers, Type::INT8_ARRAY),
                    (&sealed, Type::BYTEA_ARRAY),
                ];
                transaction.execute_typed(put, &parameters).await?;
            }
            if !change.identifiers.is_empty() {
                let (sites, people, accounts) = columns(change.identifiers.iter().map(|(key, _)| key));
                let forget = "DELETE FROM firsthand_profile_identifiers WHERE (site, person, account) IN
                    (SELECT * FROM unnest($1::int8[], $2::bytea[], $3::bytea[]))";
                let parameters: [Parameter<'_>; 3] =
                    [(&sites, Type::INT8_ARRAY), (&people, Type::BYTEA_ARRAY), (&accounts, Type::BYTEA_ARRAY)];
                transaction.execute_typed(forget, &parameters).await?;
                let known = || change.identifiers.iter().flat_map(|(key, identifiers)| identifiers.iter().map(move |known| (key, known)));
                let (sites, people, accounts) = columns(known().map(|(key, _)| key));
                let kinds: Vec<i64> = known().map(|(_, known)| i64::from(known.kind.number())).collect();
                let ids: Vec<&[u8]> = known().map(|(_, known)| known.key.bytes().as_slice()).collect();
                let know = "INSERT INTO firsthand_profile_identifiers (site, person, account, kind, id)
                    SELECT * FROM unnest($1::int8[], $2::bytea[], $3::bytea[], $4::int8[], $5::bytea[])";
                let parameters: [Parameter<'_>; 5] = [
                    (&sites, Type::INT8_ARRAY),
                    (&people, Type::BYTEA_ARRAY),
                    (&accounts, Type::BYTEA_ARRAY),
                    (&kinds, Type::INT8_ARRAY),
                    (&ids, Type::BYTEA_ARRAY),
                ];
                transaction.execute_typed(know, &parameters).await?;
            }
            if !change.entries.is_empty() {
                let (sites, people, accounts) = columns(change.entries.iter().map(|row| &row.key));
                let events: Vec<&[u8]> = change.entries.iter().map(|row| row.event.bytes().as_slice()).collect();
                let classes: Vec<i64> = change.entries.iter().map(|row| i64::from(row.class.number())).collect();
                let received: Vec<i64> = change.entries.iter().map(|row| row.received.0).collect();
                let sealed: Vec<&[u8]> = change.entries.iter().map(|row| row.sealed.as_slice()).collect();
                let keep = "INSERT INTO firsthand_profile_entries (site, person, account, event, class, received, sealed)
                    SELECT * FROM unnest($1::int8[], $2::bytea[], $3::bytea[], $4::bytea[], $5::int8[], $6::int8[], $7::bytea[])
                    ON CONFLICT DO NOTHING";
                let parameters: [Parameter<'_>; 7] = [
                    (&sites, Type::INT8_ARRAY),
                    (&people, Type::BYTEA_ARRAY),
                    (&accounts, Type::BYTEA_ARRAY),
                    (&events, Type::BYTEA_ARRAY),
                    (&classes, Type::INT8_ARRAY),
                    (&received, Type::INT8_ARRAY),
                    (&sealed, Type::BYTEA_ARRAY),
                ];
                transaction.execute_typed(keep, &parameters).await?;
            }
            if !change.dropped.is_empty() {
                let (sites, people, accounts) = columns(change.dropped.iter().map(|(key, _)| key));
                let events: Vec<&[u8]> = change.dropped.iter().map(|(_, event)| event.bytes().as_slice()).collect();
                let drop = "DELETE FROM firsthand_profile_entries WHERE (site, person, account, event) IN
                    (SELECT * FROM unnest($1::int8[], $2::bytea[], $3::bytea[], $4::bytea[]))";
                let parameters: [Parameter<'_>; 4] = [
                    (&sites, Type::INT8_ARRAY),
                    (&people, Type::BYTEA_ARRAY),
                    (&accounts, Type::BYTEA_ARRAY),
                    (&events, Type::BYTEA_ARRAY),
                ];
                transaction.execute_typed(drop, &parameters).await?;
            }
            if let Some(position) = change.position {
                let position = i64::try_from(position.0).unwrap_or(i64::MAX);
                transaction.execute_typed("UPDATE firsthand_profile_progress SET position = $1", &[(&position, Type::INT8)]).await?;
            }
            transaction.commit().await
        })
    }

    fn strand(&self, key: &StrandKey) -> Result<Option<StrandRow>, ProfileError> {
        let statement = format!("{STRAND} WHERE site = $1 AND person = $2 AND account = $3");
        let (site, person, account) = (site_of(key), key.person.at_rest().as_slice(), account_at_rest(key.account.as_ref()));
        let rows = self.rows(&statement, &[(&site, Type::INT8), (&person, Type::BYTEA), (&account, Type::BYTEA)], strand_row)?;
        Ok(rows.into_iter().next())
    }

    fn strands(&self, keys: &[StrandKey]) -> Result<Vec<StrandRow>, ProfileError> {
        let (sites, people, accounts) = columns(keys.iter());
        let statement = format!(
            "{STRAND} JOIN unnest($1::int8[], $2::bytea[], $3::bytea[]) AS wanted (site, person, account) USING (site, person, account)"
        );
        let parameters: [Parameter<'_>; 3] = [(&sites, Type::INT8_ARRAY), (&people, Type::BYTEA_ARRAY), (&accounts, Type::BYTEA_ARRAY)];
        self.rows(&statement, &parameters, strand_row)
    }

    fn people_after(&self, after: Option<&PersonHandle>, most: usize) -> Result<Vec<PersonHandle>, ProfileError> {
        let (after, most) = (after.map_or(&[][..], |after| after.at_rest()), at_most(most));
        let statement = "SELECT DISTINCT person FROM firsthand_profile_strands WHERE person > $1 ORDER BY person LIMIT $2";
        let of = |row: &Row| row.try_get::<_, &[u8]>(0).map(|person| PersonHandle::from_rest(person.try_into().unwrap_or_default()));
        self.rows(statement, &[(&after, Type::BYTEA), (&most, Type::INT8)], of)
    }

    fn of_person(&self, site: SiteNumber, person: &PersonHandle) -> Result<Vec<StrandRow>, ProfileError> {
        let (site, person) = (i64::from(site.0), person.at_rest().as_slice());
        let statement = format!("{STRAND} WHERE site = $1 AND person = $2 ORDER BY account");
        self.rows(&statement, &[(&site, Type::INT8), (&person, Type::BYTEA)], strand_row)
    }

    fn of_identifier(&self, site: SiteNumber, identifier: &Identifier, browsers: usize) -> Result<Vec<StrandRow>, ProfileError> {
        let (site, id, most) = (i64::from(site.0), identifier.key.bytes().as_slice(), at_most(browsers));
        if identifier.kind == IdentifierKind::Account {
            let statement = format!("{STRAND} WHERE site = $1 AND account = $2 AND length(account) > 0 ORDER BY person LIMIT $3");
            return self.rows(&statement, &[(&site, Type::INT8), (&id, Type::BYTEA), (&most, Type::INT8)], strand_row);
        }
        let kind = i64::from(identifier.kind.number());
        let statement = format!(
            "{STRAND} JOIN firsthand_profile_identifiers USING (site, person, account) WHERE site = $1 AND kind = $2 AND id = $3 AND person IN
             (SELECT DISTINCT person FROM firsthand_profile_identifiers WHERE site = $1 AND kind = $2 AND id = $3 ORDER BY person LIMIT $4)
             ORDER BY person, account"
        );
        let parameters: [Parameter<'_>; 4] = [(&site, Type::INT8), (&kind, Type::INT8), (&id, Type::BYTEA), (&most, Type::INT8)];
        self.rows(&statement, &parameters, strand_row)
    }

    fn identifiers(&self, key: &StrandKey) -> Result<BTreeSet<Identifier>, ProfileError> {
        let (site, person, account) = (site_of(key), key.person.at_rest().as_slice(), account_at_rest(key.account.as_ref()));
        let statement = "SELECT kind, id FROM firsthand_profile_identifiers WHERE site = $1 AND person = $2 AND account = $3";
        let of = |row: &Row| {
            let (kind, id): (i64, &[u8]) = (row.try_get(0)?, row.try_get(1)?);
            let kind = u8::try_from(kind).ok().and_then(IdentifierKind::of_number);
            Ok(kind.map(|kind| Identifier { kind, key: IdentifierKey::of_bytes(id.try_into().unwrap_or_default()) }))
        };
        let known = self.rows(statement, &[(&site, Type::INT8), (&person, Type::BYTEA), (&account, Type::BYTEA)], of)?;
        Ok(known.into_iter().flatten().collect())
    }

    fn shared(&self, site: SiteNumber, kind: IdentifierKind, browsers: usize) -> Result<u64, ProfileError> {
        let (site, most, number) = (i64::from(site.0), at_most(browsers), i64::from(kind.number()));
        let count = |row: &Row| row.try_get::<_, i64>(0).map(i64::unsigned_abs);
        let counted = if kind == IdentifierKind::Account {
            let statement = "SELECT count(*) FROM (SELECT 1 FROM firsthand_profile_strands WHERE site = $1 AND length(account) > 0 \
                             GROUP BY account HAVING count(*) > $2) AS shared";
            self.rows(statement, &[(&site, Type::INT8), (&most, Type::INT8)], count)?
        } else {
            let statement = "SELECT count(*) FROM (SELECT 1 FROM firsthand_profile_identifiers WHERE site = $1 AND kind = $2 \
                             GROUP BY id HAVING count(DISTINCT person) > $3) AS shared";
            self.rows(statement, &[(&site, Type::INT8), (&number, Type::INT8), (&most, Type::INT8)], count)?
        };
        Ok(counted.into_iter().next().unwrap_or_default())
    }

    fn of_browser(&self, site: SiteNumber, browser: u64) -> Result<Vec<StrandRow>, ProfileError> {
        let (site, browser) = (i64::from(site.0), browser.cast_signed());
        let statement = format!("{STRAND} WHERE site = $1 AND browser = $2 ORDER BY person, account");
        self.rows(&statement, &[(&site, Type::INT8), (&browser, Type::INT8)], strand_row)
    }

    fn strands_after(&self, after: Option<&StrandKey>, most: usize) -> Result<Vec<StrandRow>, ProfileError> {
        let most = at_most(most);
        let Some(key) = after else {
            let statement = format!("{STRAND} ORDER BY site, person, account LIMIT $1");
            return self.rows(&statement, &[(&most, Type::INT8)], strand_row);
        };
        let (site, person, account) = (site_of(key), key.person.at_rest().as_slice(), account_at_rest(key.account.as_ref()));
        let statement = format!("{STRAND} WHERE (site, person, account) > ($1, $2, $3) ORDER BY site, person, account LIMIT $4");
        let parameters: [Parameter<'_>; 4] = [(&site, Type::INT8), (&person, Type::BYTEA), (&account, Type::BYTEA), (&most, Type::INT8)];
        self.rows(&statement, &parameters, strand_row)
    }

    fn entries(&self, key: &StrandKey, slice: &Slice, most: usize) -> Result<Vec<EntryRow>, ProfileError> {
        let (site, person, account) = (site_of(key), key.person.at_rest().as_slice(), account_at_rest(key.account.as_ref()));
        let (Bounds { from, until, class, behind, event }, most) = (slice.bounds(), at_most(most));
        let event = event.as_slice();
        let statement = format!(
            "{ENTRY} WHERE site = $1 AND person = $2 AND account = $3 AND received >= $4 AND received < $5 AND received <= $6
             AND (received < $6 OR event > $7) AND ($8 < 0 OR class = $8) ORDER BY received DESC, event LIMIT $9"
        );
        let parameters: [Parameter<'_>; 9] = [
            (&site, Type::INT8),
            (&person, Type::BYTEA),
            (&account, Type::BYTEA),
            (&from, Type::INT8),
            (&until, Type::INT8),
            (&behind, Type::INT8),
            (&event, Type::BYTEA),
            (&class, Type::INT8),
            (&most, Type::INT8),
        ];
        self.rows(&statement, &parameters, entry_row)
    }

    fn older(&self, site: SiteNumber, class: Class, than: Timestamp, most: usize) -> Result<Vec<EntryRow>, ProfileError> {
        let (site, class, most) = (i64::from(site.0), i64::from(class.number()), at_most(most));
        let statement = format!("{ENTRY} WHERE site = $1 AND class = $2 AND received < $3 ORDER BY received LIMIT $4");
        let parameters: [Parameter<'_>; 4] = [(&site, Type::INT8), (&class, Type::INT8), (&than.0, Type::INT8), (&most, Type::INT8)];
        self.rows(&statement, &parameters, entry_row)
    }

    fn decide(&self, Decision { key, apart, at, author, reason }: &Decision) -> Result<(), ProfileError> {
        let (site, person, account) = (site_of(key), key.person.at_rest().as_slice(), account_at_rest(key.account.as_ref()));
        let parameters: [Parameter<'_>; 7] = [
            (&site, Type::INT8),
            (&person, Type::BYTEA),
            (&account, Type::BYTEA),
            (apart, Type::BOOL),
            (&at.0, Type::INT8),
            (author, Type::TEXT),
            (reason, Type::TEXT),
        ];
        let statement = "INSERT INTO firsthand_profile_decisions (site, person, account, apart, at, author, reason) \
                         VALUES ($1, $2, $3, $4, $5, $6, $7)";
        self.execute(statement, &parameters).map(drop)
    }

    fn decisions(&self, key: &StrandKey) -> Result<Vec<Decision>, ProfileError> {
        let (site, person, account) = (site_of(key), key.person.at_rest().as_slice(), account_at_rest(key.account.as_ref()));
        let statement = "SELECT apart, at, author, reason FROM firsthand_profile_decisions \
                         WHERE site = $1 AND person = $2 AND account = $3 ORDER BY number";
        let parameters: [Parameter<'_>; 3] = [(&site, Type::INT8), (&person, Type::BYTEA), (&account, Type::BYTEA)];
        let rows = self.rows(statement, &parameters, |row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?)))?;
        Ok(rows.into_iter().map(|(apart, at, author, reason)| Decision { key: *key, apart, at: Timestamp(at), author, reason }).collect())
    }

    fn remove(&self, persons: &BTreeSet<PersonHandle>) -> Result<u64, ProfileError> {
        let people: Vec<&[u8]> = persons.iter().map(|person| person.at_rest().as_slice()).collect();
        self.with(async |client| {
            let transaction = client.transaction().await?;
            let mut removed = [0; 4];
            for (removed, table) in removed.iter_mut().zip(["strands", "entries", "decisions", "identifiers"]) {
                let statement = format!("DELETE FROM firsthand_profile_{table} WHERE person = ANY($1)");
                *removed = transaction.execute_typed(&statement, &[(&people, Type::BYTEA_ARRAY)]).await?;
            }
            transaction.commit().await?;
            Ok(removed[0])
        })
    }

    fn wipe(&self) -> Result<(), ProfileError> {
        self.with(async |client| {
            client.batch_execute("VACUUM firsthand_profile_strands").await?;
            client.batch_execute("VACUUM firsthand_profile_entries").await?;
            client.batch_execute("VACUUM firsthand_profile_identifiers").await?;
            client.batch_execute("VACUUM firsthand_profile_decisions").await
        })
    }

    fn wipe_what_is_due(&self) -> Result<bool, ProfileError> {
        // It was asked for at each erasure, and holds nobody up.
        Ok(false)
    }

    fn counts(&self) -> Result<Vec<SiteCounts>, ProfileError> {
        let statement = "SELECT site, count(DISTINCT person), count(DISTINCT account) FILTER (WHERE length(account) > 0), \
                         (SELECT count(*) FROM firsthand_profile_entries entries WHERE entries.site = strands.site) \
                         FROM firsthand_profile_strands strands GROUP BY site ORDER BY site";
        let count = |row: &Row, column: usize| row.try_get::<_, i64>(column).map(i64::unsigned_abs);
        self.with(async |client| {
            let rows = client.query_typed(statement, &[]).await?;
            let counts = rows.iter().map(|row| {
                let site = SiteNumber(u32::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0));
                Ok(SiteCounts { site, browsers: count(row, 1)?, accounts: count(row, 2)?, events: count(row, 3)? })
            });
            counts.collect()
        })
    }

    fn ask_again(&self) -> Result<(), ProfileError> {
        self.execute("UPDATE firsthand_profile_progress SET again = true", &[]).map(drop)
    }

    fn is_asked_again(&self) -> Result<bool, ProfileError> {
        Ok(self.rows("SELECT again FROM firsthand_profile_progress", &[], |row| row.try_get(0))?.contains(&true))
    }

    fn done_again(&self) -> Result<(), ProfileError> {
        self.execute("UPDATE firsthand_profile_progress SET again = false", &[]).map(drop)
    }
}
