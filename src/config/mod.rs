//! `firsthand.toml` → the typed, validated configuration of this machine: listeners, data directory, TLS, trusted proxies, limits, place
//! database. What concerns a site or a destination is a document (`crate::documents`), not here.

pub mod secret;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use serde::Deserialize;

use crate::{documents::compile::suggestion, event_log::LogOptions};

/// This machine's configuration, as `firsthand.toml` says it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the event log and the databases are.
    #[serde(default = "default_data_dir")]
    pub data_dir: PathBuf,
    /// Which addresses are listened on.
    #[serde(default)]
    pub listen: Listen,
    /// The certificate for `listen.https`.
    pub tls: Option<TlsFiles>,
    /// What stands in front of this machine.
    #[serde(default)]
    pub proxies: Proxies,
    /// Where countries are looked up.
    #[serde(default)]
    pub places: Places,
    /// How much may be sent.
    #[serde(default)]
    pub limits: Limits,
    /// How long clean events are kept.
    #[serde(default)]
    pub retention: Retention,
    /// Documents that are applied from files at start.
    pub managed: Option<Managed>,
    /// What is told to a person at once.
    #[serde(default)]
    pub alerts: Alerts,
    /// The page on which customers see what rests about them.
    pub own_data: Option<OwnData>,
    /// Where customer profiles are kept; without it, in the data directory.
    pub profiles: Option<Profiles>,
    /// The profile API for other machines; without it, it is on the admin listener alone.
    pub api: Option<Api>,
}

/// The profile API on a listener of its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// Its address.
    pub listen: SocketAddr,
    /// Its certificate; without one, that of `[tls]`.
    pub tls: Option<TlsFiles>,
    /// Networks that it answers to.
    #[serde(default)]
    pub from: Vec<IpNet>,
}

/// Where customer profiles are kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profiles {
    /// In a PostgreSQL: its `url`, `user`, and `password` by reference.
    pub postgres: toml::Table,
}

/// The listeners.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Plain HTTP, behind a proxy that ends TLS.
    pub http: Option<SocketAddr>,
    /// HTTPS.
    pub https: Option<SocketAddr>,
    /// Health, metrics and the live view: a loopback address.
    pub admin: SocketAddr,
}

impl Default for Listen {
    fn default() -> Self {
        Self { http: Some(([127, 0, 0, 1], 8080).into()), https: None, admin: ([127, 0, 0, 1], 8081).into() }
    }
}

/// A certificate and its key, PEM.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The leaf's private key.
    pub key: PathBuf,
}

/// The proxies in front.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Proxies {
    /// Networks whose word about the client's address is believed.
    pub trusted: Vec<IpNet>,
    /// The header in which a trusted proxy says the one client address; without it, `X-Forwarded-For` is read from the right.
    pub header: Option<String>,
}

/// The place database.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Places {
    /// A MaxMind DB file with `country.iso_code`; without one, every country is `ZZ`.
    pub database: Option<PathBuf>,
    /// A MaxMind DB file with `autonomous_system_number` and `autonomous_system_organization`; without one, no address is known to be a
    /// data centre's.
    pub networks: Option<PathBuf>,
}

/// How many events are taken, by GCRA: a rate, and a burst of four seconds of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Events a second from one client address (an IPv6 /64); 0: no limit.
    pub client_events_per_second: u32,
    /// Events a second from all apps of one site, whose key anybody can read in them; 0: no limit but the site's.
    pub app_events_per_second: u32,
    /// Events a second for one site; 0: no limit.
    pub site_events_per_second: u32,
    /// Events a second for this machine; 0: no limit.
    pub total_events_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        // A person makes a few events a second at most; an office or a mobile carrier shares an address.
        Self { client_events_per_second: 50, app_events_per_second: 500, site_events_per_second: 2_000, total_events_per_second: 20_000 }
    }
}

/// How long clean events are kept.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Events without consent, in hours.
    pub without_consent_hours: u32,
    /// Events with consent, in days.
    pub with_consent_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { without_consent_hours: 72, with_consent_days: 30 }
    }
}

/// Documents from files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Managed {
    /// A TOML file of documents, or a directory of them, relative to `firsthand.toml`.
    pub from: PathBuf,
}

/// What is told to a person at once. Alerts are on the live page and in the metrics in any case.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// Where they are told, too: signed by Standard Webhooks.
    pub webhook: Option<String>,
    /// What they are signed with: a reference to "whsec_" and base64 of 24 to 64 bytes.
    pub secret: Option<String>,
    /// To whom they are mailed, too.
    pub mail: Option<AlertMail>,
    /// A site is silent after so many minutes without an event; 0: never.
    pub silent_minutes: u32,
    /// A destination has a backlog when its oldest event has waited for so many minutes; 0: never.
    pub backlog_minutes: u32,
    /// So many events parked at a destination within an hour are too many; 0: never.
    pub parked_per_hour: u32,
    /// So many of a hundred answered events that a receiver does not keep are too many, within an hour; 0: never.
    pub dropped_percent: u32,
}

/// The page on which customers see what rests about them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnData {
    /// By whom links are mailed to who asks for one; without it, only what one browser produced can be seen.
    pub mail: MailServer,
}

/// By whom mails are sent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailServer {
    /// Whom they are from.
    pub from: String,
    /// Who takes them: `smtps://host`; `smtp://host` begins in the clear and goes on over TLS, or is this very machine.
    pub server: String,
    /// Whom the server knows us as, where it asks: the address of `from` where nothing is said.
    pub user: Option<String>,
    /// A reference to the password.
    pub password: Option<String>,
}

/// Mails about alerts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertMail {
    /// Whom to: an address, or several with commas between them.
    pub to: String,
    /// Whom they are from.
    pub from: String,
    /// Who takes them: `smtps://host`; `smtp://host` begins in the clear and goes on over TLS, or is this very machine.
    pub server: String,
    /// Whom the server knows us as, where it asks: the address of `from` where nothing is said.
    pub user: Option<String>,
    /// A reference to the password.
    pub password: Option<String>,
}

impl Default for Alerts {
    fn default() -> Self {
        // A small site may have no visitor for a night; a receiver may be down for its maintenance.
        Self {
            webhook: None,
            secret: None,
            mail: None,
            silent_minutes: 24 * 60,
            backlog_minutes: 60,
            parked_per_hour: 100,
            dropped_percent: 5,
        }
    }
}

fn default_data_dir() -> PathBuf {
    PathBuf::from("data")
}

/// What is wrong with a configuration: which file and key, why, and what to write instead.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {reason}\n  fix: `firsthand init` writes one, `--config FILE` names another", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// It is not what a configuration looks like.
    #[error("{}: {reason}{}", file.display(), fix.as_ref().map(|fix| format!("\n  fix: {fix}")).unwrap_or_default())]
    Parse {
        /// The file.
        file: PathBuf,
        /// The parser's words: line, column, key, what was expected.
        reason: String,
        /// The nearest name that there is.
        fix: Option<String>,
    },
    /// A value cannot be worked with.
    #[error("{}: {key}: {reason}\n  fix: {fix}", file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// The key.
        key: &'static str,
        /// What is wrong.
        reason: String,
        /// What to write instead.
        fix: String,
    },
}

impl Config {
    /// What the demonstration runs with: loopback only, plain and TLS, and everyone on this machine is believed about their address.
    #[must_use]
    pub fn demonstration() -> Self {
        const LOOPBACK: [u8; 4] = [127, 0, 0, 1];
        let listen = Listen { https: Some((LOOPBACK, 8443).into()), ..Listen::default() };
        let trusted = vec![IpNet::new_assert(LOOPBACK.into(), 8), IpNet::new_assert(std::net::Ipv6Addr::LOCALHOST.into(), 128)];
        Self {
            data_dir: default_data_dir(),
            listen,
            tls: None,
            proxies: Proxies { trusted, header: None },
            places: Places::default(),
            limits: Limits::default(),
            retention: Retention::default(),
            managed: None,
            alerts: Alerts::default(),
            own_data: None,
            api: None,
            profiles: None,
        }
    }

    /// Reads and checks a file. Paths in it are relative to its directory.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn read(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file).map_err(|reason| ConfigError::Read { file: file.to_owned(), reason })?;
        Self::parse(&text, file)
    }

    /// The same from text; `file` is for messages and relative paths.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text).map_err(|error| parse_error(file, &error))?;
        config.check(file)?;
        let base = file.parent().unwrap_or(Path::new(""));
        let of_api = config.api.as_mut().and_then(|api| api.tls.as_mut());
        let tls = config.tls.iter_mut().chain(of_api).flat_map(|tls| [&mut tls.certificate, &mut tls.key]);
        let managed = config.managed.iter_mut().map(|managed| &mut managed.from);
        for path in tls.chain(managed).chain(&mut config.places.database).chain(&mut config.places.networks).chain([&mut config.data_dir]) {
            *path = base.join(&*path);
        }
        Ok(config)
    }

    fn check(&self, file: &Path) -> Result<(), ConfigError> {
        let wrong = |key, reason: &str, fix: &str| {
            Err(ConfigError::Value { file: file.to_owned(), key, reason: reason.to_owned(), fix: fix.to_owned() })
        };
        if !self.listen.admin.ip().is_loopback() {
            let reason = "the admin listener has no access control, so it listens on loopback only";
            return wrong(
                "listen.admin",
                reason,
                "admin = \"127.0.0.1:8081\", and a tunnel to it; for the profile API, [api] with a listener of its own",
            );
        }
        if let Some(api) = self.api.as_ref().filter(|api| !api.listen.ip().is_loopback()) {
            if api.tls.is_none() && self.tls.is_none() {
                let reason = "beyond this machine keys and profiles travel over TLS alone, which needs a certificate";
                return wrong("api", reason, "tls = { certificate = \"…\", key = \"…\" } (PEM files), or [tls] for all listeners");
            }
            if api.from.is_empty() {
                let reason = "beyond this machine it has to be said which networks it answers to";
                return wrong("api.from", reason, "from = [\"10.0.0.0/8\"], the networks of the programs that have keys");
            }
        }
        if self.listen.https.is_some() && self.tls.is_none() {
            return wrong("tls", "listen.https needs a certificate", "[tls] with certificate = \"…\" and key = \"…\" (PEM files)");
        }
        if self.listen.https.is_none() && self.listen.http.is_none() {
            return wrong("listen", "neither http nor https: nothing could arrive", "http = \"127.0.0.1:8080\"");
        }
        if self.retention.without_consent_hours == 0 || self.retention.with_consent_days == 0 {
            return wrong("retention", "a retention of zero would drop events before they are sent", "without_consent_hours = 72");
        }
        if self.alerts.webhook.is_some() != self.alerts.secret.is_some() {
            let reason = "a webhook and the secret that its messages are signed with go together";
            return wrong("alerts", reason, "webhook = \"https://…\" and secret = \"file:/run/secrets/alerts\"");
        }
        if let Some(name) = &self.proxies.header
            && http::HeaderName::try_from(name).is_err()
        {
            return wrong("proxies.header", "is no header name", "header = \"cf-connecting-ip\"");
        }
        if self.proxies.header.is_some() && self.proxies.trusted.is_empty() {
            let reason = "nobody's word is believed without trusted networks";
            return wrong("proxies.header", reason, "trusted = [\"10.0.0.0/8\"], the networks of your proxy");
        }
        Ok(())
    }

    /// The event log's settings.
    #[must_use]
    pub fn log_options(&self) -> LogOptions {
        const HOUR: Duration = Duration::from_secs(60 * 60);
        LogOptions {
            short_retention: HOUR * self.retention.without_consent_hours,
            long_retention: HOUR * 24 * self.retention.with_consent_days,
            ..LogOptions::default()
        }
    }
}

/// The parser's words, and the nearest known name for one that it does not know.
fn parse_error(file: &Path, error: &toml::de::Error) -> ConfigError {
    let reason = error.to_string().trim_end().to_owned();
    let mut quoted = error.message().split('`').skip(1).step_by(2);
    let fix = error.message().starts_with("unknown field").then(|| {
        let written = quoted.next().unwrap_or_default();
        suggestion(written, &quoted.collect::<Vec<_>>())
    });
    ConfigError::Parse { file: file.to_owned(), reason, fix }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("conf/firsthand.toml")).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_file_is_a_configuration_and_paths_are_relative_to_it() {
        let config = parse("").unwrap();
        assert_eq!(config.data_dir, Path::new("conf/data"));
        assert_eq!(config.listen.http, Some(([127, 0, 0, 1], 8080).into()));
    }

    #[test]
    fn errors_name_file_key_reason_and_fix() {
        let cases = [
            ("[lisen]", "did you mean \"listen\"?"),
            ("[listen]\nadmin = \"0.0.0.0:8081\"", "listen.admin: the admin listener has no access control, "),
            (
                "[api]\nlisten = \"0.0.0.0:8443\"\nfrom = [\"10.0.0.0/8\"]",
                "api: beyond this machine keys and profiles travel over TLS alone",
            ),
            (
                "[api]\nlisten = \"[::]:8443\"\ntls = { certificate = \"c\", key = \"k\" }",
                "api.from: beyond this machine it has to be said",
            ),
            ("[api]\nlisten = \"0.0.0.0:8443\"\nfrom = [\"everywhere\"]", "line 3"),
            ("[listen]\nhttps = \"0.0.0.0:443\"", "listen.https needs a certificate"),
            ("[proxies]\ntrusted = [\"10.0.0.0/99\"]", "line 2"),
            ("[proxies]\nheader = \"x-real-ip\"", "nobody's word is believed"),
            ("data_dir = 7", "line 1"),
            ("[alerts]\nwebhook = \"https://alerts.example\"", "go together"),
            ("[alerts]\nmail = { to = \"a@example.org\", from = \"b@example.org\" }", "missing field `server`"),
        ];
        for (text, part) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with("conf/firsthand.toml: ") && error.contains(part), "{error}");
        }
    }
}
