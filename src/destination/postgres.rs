//! Destination `postgres`: a table of the site owner's own PostgreSQL, one row per event. What one looks for most has a column; the event as
//! it was disclosed is beside them as `jsonb`.
//!
//! The table is made when it is not there, and brought up to date when a newer program needs more of it: its comment says which version it
//! is. An event that comes twice is there once, by its id. Rows are the owner's from then on: nothing here deletes them.

use std::time::Duration;

use bytes::Bytes;
use http::Uri;

use super::{
    Answer, BatchLimits, Database, Destination, DestinationType, GroupBy, Parcel, Rehearsal, RowInsert, SettingsError, Verdict, Via,
    settings::{Settings, error, is_loopback},
    words::{
        disclosed,
        parcels::{Bounds, Filled, Said, fill},
    },
};
use crate::privacy::disclose::Disclosure;

/// The row of the table of destinations.
pub const TYPE: DestinationType = DestinationType {
    name: NAME,
    receiver: "A database on a server that the website’s owner chose",
    vendor_reuses_data: false,
    issuer: None,
    envelope: None,
    headers: &[],
    form: &[
        ("[]", disclosed::ONE),
        ("[].consent", disclosed::CONSENT),
        ("[].device", disclosed::DEVICE),
        ("[].page", disclosed::PAGE),
        ("[].referrer_page", disclosed::PAGE),
        ("[].campaign", disclosed::CAMPAIGN),
        ("[].items[]", disclosed::ITEM),
        ("[].bot", disclosed::BOT),
        ("[].click_ids", disclosed::LISTED),
        ("[].properties", disclosed::LISTED),
    ],
    oldest: OLDEST,
    visitor: super::as_disclosed,
    rehearsal: Rehearsal {
        settings: "url = \"postgres://{authority}/{name}\"\nuser = \"prove\"",
        secret: "",
        purchase: "purchase",
        yes: |_| String::new(),
    },
    open,
};

const NAME: &str = "postgres";
/// One statement and one commit for this many rows: enough that the commit does not set the pace.
const EVENTS_MAX: usize = 500;
/// About `EVENTS_MAX` events of the usual size.
const BYTES_MAX: usize = 512 * 1024;
/// A table takes events of any age.
const OLDEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const PORT: u16 = 5432;
const TABLE: &str = "firsthand_events";
/// PostgreSQL cuts longer names (NAMEDATALEN, <https://www.postgresql.org/docs/current/sql-syntax-lexical.html>).
const IDENTIFIER_BYTES_MAX: usize = 63;
/// How the table is made, and then changed: one step after the other, each for good. `{table}` is its name.
pub const STEPS: &[&str] = &["CREATE TABLE {table} (
    event_id uuid PRIMARY KEY,
    time timestamptz NOT NULL,
    site text NOT NULL,
    name text NOT NULL,
    visitor_id text,
    session_id text,
    event jsonb NOT NULL
);
CREATE INDEX ON {table} (site, time);
CREATE INDEX ON {table} (visitor_id);"];
/// One statement for all rows of a parcel, which are its one parameter.
const INSERT: &str = "INSERT INTO {table} (event_id, time, site, name, visitor_id, session_id, event)
SELECT (event->>'event_id')::uuid, (event->>'time')::timestamptz, event->>'site', event->>'name', event->>'visitor_id', event->>'session_id', event
FROM jsonb_array_elements($1::jsonb) AS event
ON CONFLICT (event_id) DO NOTHING";

struct Postgres {
    database: Database,
    table: String,
}

/// The database that settings name by `url`, `user` and `password`, and by no other key. Reads a file: blocks.
///
/// # Errors
/// For a key that is missing, wrong, or none of these.
pub fn database(table: &toml::Table) -> Result<Database, SettingsError> {
    database_of(&Settings::read(table, &["url", "user", "password"])?)
}

fn database_of(settings: &Settings<'_>) -> Result<Database, SettingsError> {
    let (host, port, name) = place(settings.text("url", "postgres://db.example.org/analytics")?)?;
    Ok(Database {
        // To another machine, nothing goes in the clear.
        encrypted: !is_loopback(&host),
        host,
        port,
        name,
        user: settings.text("user", "firsthand")?.to_owned(),
        password: settings.optional_secret("password")?,
    })
}

fn open(table: &toml::Table) -> Result<Box<dyn Destination>, SettingsError> {
    let settings = Settings::read(table, &["url", "user", "password", "table"])?;
    let database = database_of(&settings)?;
    let table = settings.optional_text("table")?.unwrap_or(TABLE);
    if !table.split('.').all(is_identifier) || table.matches('.').count() > 1 {
        let fix = String::from("lower case letters, digits and _, with a schema's name and a dot in front where it is in one");
        return Err(error("table", "is no name of a table", Some(fix)));
    }
    Ok(Box::new(Postgres { database, table: table.to_owned() }))
}

/// Host, port and database of an address.
fn place(url: &str) -> Result<(String, u16, String), SettingsError> {
    let wrong = |reason: &str| Err(error("url", reason, Some(String::from("write it as postgres://host/database"))));
    let Ok(uri) = url.parse::<Uri>() else { return wrong("is no URL") };
    if !matches!(uri.scheme_str(), Some("postgres" | "postgresql")) {
        return wrong("is no address of a PostgreSQL");
    }
    let Some(authority) = uri.authority() else { return wrong("names no host") };
    if authority.as_str().contains('@') || uri.query().is_some() {
        return wrong("holds more than host, port and database");
    }
    let name = uri.path().trim_start_matches('/');
    if name.is_empty() || name.contains('/') || name.len() > IDENTIFIER_BYTES_MAX {
        return wrong("names no database");
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    Ok((host.to_owned(), authority.port_u16().unwrap_or(PORT), name.to_owned()))
}

/// A name that needs no quotes.
fn is_identifier(name: &str) -> bool {
    name.len() <= IDENTIFIER_BYTES_MAX
        && name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

impl Destination for Postgres {
    fn name(&self) -> &'static str {
        NAME
    }

    fn url(&self) -> Option<&str> {
        None
    }

    fn limits(&self) -> BatchLimits {
        BatchLimits { events: EVENTS_MAX, bytes: BYTES_MAX, oldest: OLDEST, group_by: GroupBy::None }
    }

    fn encode(&self, batch: &[&Disclosure]) -> Vec<Parcel> {
        let say = |disclosure: &Disclosure| Said {
            text: serde_json::to_vec(disclosure).expect("a disclosure is made of texts, numbers and flags"),
            unsaid: 0,
        };
        let bounds = Bounds { events: EVENTS_MAX, bytes: BYTES_MAX - 2 };
        fill(batch, bounds, say).into_iter().map(|filled| self.parcel(filled)).collect()
    }

    fn judge(&self, parcel: &Parcel, answer: &Answer) -> Vec<Verdict> {
        vec![verdict(answer); parcel.events.len()]
    }

    fn knows_again(&self) -> bool {
        true
    }
}

/// By the class of the error, <https://www.postgresql.org/docs/current/errcodes-appendix.html>. One statement is all or nothing.
fn verdict(answer: &Answer) -> Verdict {
    let Answer::Database(code) = answer else {
        return match answer {
            Answer::Written => Verdict::Accepted { proven: true },
            _ => Verdict::Retry { after: None },
        };
    };
    match (&code[..2], &code[..]) {
        // A value that it cannot take, as a zero character in a text; or what a constraint of the owner's forbids.
        (b"22" | b"23", _) => Verdict::Rejected { reason: "the database refuses a value of the event" },
        (b"28", _) => Verdict::EndpointRefuses { reason: "the database does not let us in: check user and password" },
        (b"3D", _) => Verdict::EndpointRefuses { reason: "there is no such database" },
        (_, b"42501") => Verdict::EndpointRefuses { reason: "the user may not write to the table, or not make it" },
        (b"3F", _) => Verdict::EndpointRefuses { reason: "there is no such schema" },
        (b"42", _) => Verdict::EndpointRefuses { reason: "the table is not the one that this program makes" },
        (_, b"0A000") => Verdict::EndpointRefuses { reason: "the table is of a newer program" },
        _ => Verdict::Retry { after: None },
    }
}

impl Postgres {
    fn parcel(&self, filled: Filled) -> Parcel {
        let insert = RowInsert {
            database: self.database.clone(),
            table: self.table.clone(),
            steps: STEPS,
            statement: INSERT.replace("{table}", &self.table),
        };
        let body = Bytes::from([b"[", &filled.texts[..], b"]"].concat());
        Parcel { via: Via::Rows(insert), body, events: filled.events, unsaid: filled.unsaid }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(text: &str) -> Result<Box<dyn Destination>, SettingsError> {
        open(&text.parse().unwrap())
    }

    #[test]
    fn an_address_is_host_port_and_database_and_nothing_else() {
        for (url, expected) in [
            ("postgres://db.example.org/analytics", Ok(("db.example.org", 5432, "analytics"))),
            ("postgresql://127.0.0.1:6000/a", Ok(("127.0.0.1", 6000, "a"))),
            ("postgres://[::1]/a", Ok(("::1", 5432, "a"))),
            ("https://db.example.org/a", Err("is no address of a PostgreSQL")),
            ("postgres://jane:secret@db.example.org/a", Err("holds more than host, port and database")),
            ("postgres://db.example.org/a?sslmode=disable", Err("holds more than host, port and database")),
            ("postgres://db.example.org", Err("names no database")),
            ("postgres://db.example.org/a/b", Err("names no database")),
        ] {
            let found = place(url);
            let found =
                found.as_ref().map(|(host, port, name)| (host.as_str(), *port, name.as_str())).map_err(|error| error.reason.as_str());
            assert_eq!(found, expected, "{url}");
        }
    }

    #[test]
    fn a_table_is_named_without_quotes() {
        let settings = |table: &str| format!("url = \"postgres://localhost/a\"\nuser = \"u\"\ntable = \"{table}\"");
        for table in ["events", "own.events_2", "_e"] {
            assert!(opened(&settings(table)).is_ok(), "{table}");
        }
        for table in ["Events", "a.b.c", "a;drop", "1a", "", ".a", "a b", &"x".repeat(64)] {
            assert!(opened(&settings(table)).is_err(), "{table}");
        }
    }
}
