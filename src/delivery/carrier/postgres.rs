//! The PostgreSQL carrier: one statement per parcel, whose one parameter is the parcel's body. Connections are kept while they are used;
//! over each, the table is looked at once, and made or brought up to date where that is needed.
//!
//! Another machine is spoken to over TLS alone, and its certificate has to be one that this machine trusts.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt as _;
use tokio_postgres::{Client, Config, GenericClient, NoTls, config::SslMode, types::Type};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{
    destination::{Answer, Database, Failure, RowInsert},
    supervise::Supervisor,
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For one attempt with all that belongs to it, as for a call over HTTP.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);
/// Idle connections kept per table: one per lane.
const IDLE_CONNECTIONS_MAX: usize = crate::delivery::LANES;
/// One that was idle for longer is closed: a database has few connections to give.
const IDLE: Duration = Duration::from_secs(60);
/// What the comment of a table says before its version.
const COMMENT: &str = "events of Firsthand, version ";
/// An answer of ours in the words of the database: "feature not supported".
const NEWER_TABLE: [u8; 5] = *b"0A000";
/// "Duplicate table": one of that name is there, and this program has not made it.
const ANOTHER_TABLE: [u8; 5] = *b"42P07";
/// Who holds it makes or changes tables.
const LOCK: i64 = 0x0066_6972_7374;

/// Writes rows.
pub struct PostgresCarrier {
    supervisor: Supervisor,
    tls: Option<MakeRustlsConnect>,
    idle: Arc<Mutex<Idle>>,
}

/// Connections that wait for the next parcel, and since when.
type Idle = HashMap<Key, Vec<(Client, Instant)>>;

/// Connections that are alike.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    host: String,
    port: u16,
    database: String,
    user: String,
    table: String,
}

/// Why an attempt failed. It carries no message of the library: that could quote a row.
enum Refused {
    Failed(Failure),
    Database([u8; 5]),
}

impl From<tokio_postgres::Error> for Refused {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(code) = error.code().and_then(|state| <[u8; 5]>::try_from(state.code().as_bytes()).ok()) {
            return Self::Database(code);
        }
        Self::Failed(failure_of(&error))
    }
}

fn failure_of(error: &tokio_postgres::Error) -> Failure {
    let mut cause = std::error::Error::source(error);
    while let Some(one) = cause {
        if one.is::<rustls::Error>() {
            return Failure::Tls;
        }
        let wrapped = one.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if wrapped.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return Failure::Tls;
        }
        if one.is::<io::Error>() {
            return Failure::Connect;
        }
        cause = one.source();
    }
    if error.is_closed() { Failure::Connect } else { Failure::Garbage }
}

impl PostgresCarrier {
    /// A carrier that trusts what this machine trusts. Where it trusts nobody, only databases on this machine can be reached.
    #[must_use]
    pub fn new(supervisor: Supervisor) -> Self {
        let tls = ClientConfig::with_platform_verifier().ok().map(MakeRustlsConnect::new);
        let idle = Arc::<Mutex<Idle>>::default();
        let (stop, kept) = (supervisor.stop_signal(), Arc::clone(&idle));
        // A connection lives as long as its client does, and the program waits for connections when it ends.
        supervisor.spawn("postgres-idle", async move {
            stop.cancelled().await;
            lock(&kept).clear();
        });
        Self { supervisor, tls, idle }
    }

    /// Makes one attempt: all rows, or none.
    pub async fn insert(&self, insert: &RowInsert, rows: Bytes) -> Answer {
        match tokio::time::timeout(TOTAL_TIMEOUT, self.attempt(insert, &rows)).await {
            Err(_) => Answer::Failed(Failure::Timeout),
            Ok(Err(Refused::Failed(failure))) => Answer::Failed(failure),
            Ok(Err(Refused::Database(code))) => Answer::Database(code),
            Ok(Ok(())) => Answer::Written,
        }
    }

    async fn attempt(&self, insert: &RowInsert, rows: &[u8]) -> Result<(), Refused> {
        let key = Key::of(insert);
        let client = match self.take_idle(&key) {
            Some(client) => client,
            None => self.connect(insert).await?,
        };
        // A body is JSON that this program has written.
        let rows = std::str::from_utf8(rows).map_err(|_| Refused::Failed(Failure::Garbage))?;
        let written = client.execute_typed(&insert.statement, &[(&rows, Type::TEXT)]).await;
        if !client.is_closed() && !self.supervisor.stop_signal().is_cancelled() {
            self.put_back(key, client);
        }
        written?;
        Ok(())
    }

    async fn connect(&self, insert: &RowInsert) -> Result<Client, Refused> {
        let Database { host, port, name, user, password, encrypted } = &insert.database;
        let mut config = Config::new();
        config.host(host).port(*port).dbname(name).user(user).application_name("firsthand").connect_timeout(CONNECT_TIMEOUT);
        if let Some(password) = password {
            config.password(password.bytes());
        }
        let mut client = if *encrypted {
            let tls = self.tls.clone().ok_or(Refused::Failed(Failure::Tls))?;
            let (client, connection) = config.ssl_mode(SslMode::Require).connect(tls).await?;
            self.drive(connection);
            client
        } else {
            let (client, connection) = config.ssl_mode(SslMode::Disable).connect(NoTls).await?;
            self.drive(connection);
            client
        };
        bring_up(&mut client, insert).await?;
        Ok(client)
    }

    /// Runs a connection until its client is dropped. What ends it early is the next statement's error.
    fn drive(&self, connection: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static) {
        drop(self.supervisor.spawn_short(async move { drop(connection.await) }));
    }

    fn take_idle(&self, key: &Key) -> Option<Client> {
        let mut idle = lock(&self.idle);
        let of_key = idle.get_mut(key)?;
        while let Some((client, since)) = of_key.pop() {
            if !client.is_closed() && since.elapsed() < IDLE {
                return Some(client);
            }
        }
        None
    }

    fn put_back(&self, key: Key, client: Client) {
        let mut idle = lock(&self.idle);
        idle.retain(|_, clients| {
            clients.retain(|(client, since)| !client.is_closed() && since.elapsed() < IDLE);
            !clients.is_empty()
        });
        let of_key = idle.entry(key).or_default();
        if of_key.len() < IDLE_CONNECTIONS_MAX {
            of_key.push((client, Instant::now()));
        }
    }
}

/// A panic while it is held leaves connections that are whole.
fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the table, or brings it up to date; nothing where it is. Another program, or another lane, may be at it at the same moment.
async fn bring_up(client: &mut Client, insert: &RowInsert) -> Result<(), Refused> {
    if version_of(client, &insert.table).await? == Some(insert.steps.len()) {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    transaction.execute_typed("SELECT pg_advisory_xact_lock($1)", &[(&LOCK, Type::INT8)]).await?;
    let from = version_of(&transaction, &insert.table).await?.unwrap_or(0);
    let steps = insert.steps.get(from..).ok_or(Refused::Database(NEWER_TABLE))?;
    for step in steps {
        transaction.batch_execute(&step.replace("{table}", &insert.table)).await?;
    }
    if !steps.is_empty() {
        transaction.batch_execute(&format!("COMMENT ON TABLE {} IS '{}'", insert.table, comment(insert.steps.len()))).await?;
    }
    Ok(transaction.commit().await?)
}

/// What a table that has seen so many steps says of itself.
pub(crate) fn comment(steps: usize) -> String {
    format!("{COMMENT}{steps}")
}

/// How many of the steps a table has seen; `None`: there is no such table.
async fn version_of(client: &impl GenericClient, table: &str) -> Result<Option<usize>, Refused> {
    const ASKED: &str = "SELECT to_regclass($1) IS NOT NULL, obj_description(to_regclass($1), 'pg_class')";
    let rows = client.query_typed(ASKED, &[(&table, Type::TEXT)]).await?;
    let row = rows.first().ok_or(Refused::Failed(Failure::Garbage))?;
    let (is_there, comment): (bool, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
    if !is_there {
        return Ok(None);
    }
    let version = comment.as_deref().and_then(|comment| comment.strip_prefix(COMMENT)?.parse().ok());
    version.map(Some).ok_or(Refused::Database(ANOTHER_TABLE))
}

impl Key {
    fn of(insert: &RowInsert) -> Self {
        let Database { host, port, name, user, .. } = &insert.database;
        Self { host: host.clone(), port: *port, database: name.clone(), user: user.clone(), table: insert.table.clone() }
    }
}
