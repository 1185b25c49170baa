//! `init`: a configuration and the documents of a first site, with names that are this installation's own.

use std::{
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{CommandError, place::DEFAULT_FILE, proxy::Proxy};
use crate::{
    config::Config,
    documents::{compile::DocumentError, names::neutral_prefix, parse::DocumentFile},
};

#[derive(Debug, Args)]
pub(super) struct InitArguments {
    /// The page's origin: scheme and host, such as `https://www.shop.example`.
    origin: String,
    /// The directory to write into; made where it is not there.
    #[arg(default_value = ".")]
    directory: PathBuf,
    /// Where the site's day begins and ends.
    #[arg(long, default_value = "Europe/Paris")]
    time_zone: String,
    /// Also write what this web server in front is to be told. Where `init` has been here before, only print that.
    #[arg(long, value_enum)]
    proxy: Option<Proxy>,
}

pub(super) fn init(arguments: &InitArguments, out: &mut dyn Write) -> Result<(), CommandError> {
    let host = host_of(&arguments.origin)?;
    let config = arguments.directory.join(DEFAULT_FILE);
    let site = arguments.directory.join("sites").join("site.toml");
    if let Some(proxy) = arguments.proxy
        && config.exists()
        && site.exists()
    {
        return print_snippet(proxy, host, &config, &site, out);
    }
    let snippet = arguments.proxy.map(|proxy| (proxy, arguments.directory.join(proxy.file())));
    for file in [&config, &site].into_iter().chain(snippet.iter().map(|(_, file)| file)) {
        if file.exists() {
            return Err(format!("{}: is there already\n  fix: name another directory, or edit the file", file.display()).into());
        }
    }
    let prefix = neutral_prefix();
    let documents = SITE
        .replace("{{host}}", host)
        .replace("{{origin}}", &arguments.origin)
        .replace("{{prefix}}", &prefix)
        .replace("{{time_zone}}", &arguments.time_zone);
    DocumentFile::parse(&documents)?;
    write_new(&config, include_str!("../../firsthand.example.toml"))?;
    write_new(&site, &documents)?;
    writeln!(out, "Wrote {} and {}.\n", config.display(), site.display())?;
    if let Some((proxy, file)) = &snippet {
        write_new(file, &proxy.snippet(&prefix, listener(&config)?))?;
        writeln!(out, "1. Put what is in {} where it says.", file.display())?;
    } else {
        writeln!(out, "1. Route {}{prefix}/ on your web server to this machine's http listener (127.0.0.1:8080);", arguments.origin)?;
        writeln!(out, "   the same command with --proxy nginx (caddy, apache, haproxy, cloudflare) prints how.")?;
    }
    writeln!(out, "2. Put this into your pages:  <script src=\"{prefix}/core.js\" async></script>")?;
    writeln!(out, "3. Tell it the visitor's choice from your consent banner, also before the script has loaded:")?;
    writeln!(out, "     (window.fpw = window.fpw || []).push([\"consent\", [\"analytics\"]])   // or [\"consent\", []] for no")?;
    writeln!(out, "4. Start it:  firsthand run --config {}", config.display())?;
    writeln!(out, "   and watch events arrive at http://127.0.0.1:8081/, or in the files below the data directory:")?;
    writeln!(out, "     outbox/measurement/events.ndjson (all who have not objected), outbox/customers/events.ndjson (those who agreed)")?;
    writeln!(out, "\nPages on other names (with or without www)? Add them to `hosts` and `origins` in {}.", site.display())?;
    Ok(())
}

/// What a web server is told of a site that is there already.
fn print_snippet(proxy: Proxy, host: &str, config: &Path, site: &Path, out: &mut dyn Write) -> Result<(), CommandError> {
    let text = std::fs::read_to_string(site).map_err(|error| format!("{}: cannot be read: {error}", site.display()))?;
    let documents = DocumentFile::parse(&text)?;
    let Some(found) = documents.site.iter().find(|document| document.hosts.iter().any(|name| name == host)) else {
        return Err(format!("{}: no site has the host \"{host}\"\n  fix: add it to `hosts`, or name another origin", site.display()).into());
    };
    write!(out, "{}", proxy.snippet(&found.prefix, listener(config)?))?;
    Ok(())
}

/// Where the program listens for a web server that ends TLS.
fn listener(config: &Path) -> Result<SocketAddr, CommandError> {
    let listen = Config::read(config)?.listen;
    listen.http.ok_or_else(|| format!("{}: listen.http is not set\n  fix: [listen] http = \"127.0.0.1:8080\"", config.display()).into())
}

fn host_of(origin: &str) -> Result<&str, CommandError> {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://")).unwrap_or("");
    let bare = host.split(':').next().unwrap_or("");
    if bare.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
        let error = DocumentError {
            kind: "site",
            name: String::from("site"),
            key: String::from("origins"),
            reason: format!("\"{origin}\" is no origin: scheme and host, nothing behind it"),
            fix: String::from("firsthand init https://www.shop.example"),
        };
        return Err(error.into());
    }
    Ok(bare)
}

fn write_new(file: &Path, text: &str) -> Result<(), CommandError> {
    let directory = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory).map_err(|error| format!("{}: cannot be made: {error}", directory.display()))?;
    std::fs::write(file, text).map_err(|error| format!("{}: cannot be written: {error}", file.display()))?;
    Ok(())
}

const SITE: &str = r#"# A site, what may be kept of its events, and where they go. `firsthand explain` says what each destination would receive.

[[policy]]
name = "site"
# Own event names and properties that may be kept, and as what (word, number, flag); everything else is dropped.
# These four are what the script itself says of a page: how long it was in sight, and which host or kind of file a link led to.
events = []
# routes = ["/pricing", "/product/:slug", "/account/*"]   # the forms of your pages: what stands in them never leaves, and no crowd is needed
# Without consent, devices, places and pages leave only where so many distinct visitors a day had them in the week before: none at first.
crowd = 20
properties = { engagement_ms = "number", link_domain = "word", outbound = "flag", file_extension = "word" }

[[site]]
name = "site"
hosts = ["{{host}}"]
origins = ["{{origin}}"]
# Made for this installation, so that no filter rule fits it. Keep it.
prefix = "{{prefix}}"
time_zone = "{{time_zone}}"
policy = "site"
# For `firsthand records`, which says what else is missing:
# controller = { name = "Shop SARL", contact = "privacy@shop.example", dpo = "none" }
# hosting = { name = "Hosting SAS", country = "FR", contract = "of 2026-01-15" }

# Audience measurement for your own account: also for visitors who have not chosen, never for those who objected.
[[destination]]
name = "measurement"
type = "file"
sites = ["site"]
basis = "exempt_measurement"
transform = "strict"
settings = { directory = "outbox/measurement" }

# Only with consent.
[[destination]]
name = "customers"
type = "file"
sites = ["site"]
basis = "consent"
purposes = ["analytics"]
transform = "consented-analytics"
settings = { directory = "outbox/customers" }
"#;
