//! Vendors' libraries: what to change in a page or a server so that each talks to the site's own host, and what of it then arrives.

use std::io::Write;

use serde::Serialize;

use crate::{
    documents::{Site, snippet::Shim},
    protocol::{
        PROTOCOLS, Protocol,
        library::{Code, Library},
    },
};

/// What stands in for a key where the site's document lists none.
const NO_KEY: &str = "KEY";

/// One site's libraries.
#[derive(Serialize)]
pub(super) struct OfSite<'a> {
    site: &'a str,
    base: String,
    libraries: Vec<Pointed>,
    /// How many more there are that the site has no key for.
    #[serde(skip)]
    others: usize,
}

/// One library, pointed to a site.
#[derive(Serialize)]
struct Pointed {
    protocol: &'static str,
    #[serde(flatten)]
    library: &'static Library,
    /// What to write on this site.
    write: Option<String>,
    /// What arrives past blockers that know hosts.
    past_hosts: &'static str,
    /// What arrives past blockers that know addresses, too.
    past_addresses: &'static str,
    meets_no_vendor: bool,
    /// Which shim takes the calls that pages make to it, where our own script stands in its place.
    shim: Option<&'static str>,
}

impl Pointed {
    fn new(protocol: &dyn Protocol, library: &'static Library, (origin, prefix, key): (&str, &str, &str)) -> Self {
        Self {
            protocol: protocol.name(),
            library,
            write: library.change_for(origin, prefix, key),
            past_hosts: library.where_hosts_are_known().word(),
            past_addresses: library.where_addresses_are_known().word(),
            meets_no_vendor: library.meets_no_vendor(),
            shim: shim(library.name).map(Shim::name),
        }
    }
}

/// The shim for a library whose functions pages call by a global name.
fn shim(library: &str) -> Option<Shim> {
    Some(match library {
        "Google's gtag.js" => Shim::Gtag,
        "Matomo's matomo.js" => Shim::Matomo,
        "Meta's fbevents.js" => Shim::Meta,
        "mixpanel-browser" => Shim::Mixpanel,
        "@plausible-analytics/tracker" => Shim::Plausible,
        "posthog-js" => Shim::Posthog,
        "@segment/analytics-next" => Shim::Segment,
        "Umami's script.js" => Shim::Umami,
        _ => return None,
    })
}

impl<'a> OfSite<'a> {
    pub(super) fn new(site: &'a Site, all: bool) -> Self {
        let origin = site.origins.first().map_or("https://www.shop.example", String::as_str);
        let mut of_site = Self { site: &site.name, base: format!("{origin}{}", site.prefix), libraries: Vec::new(), others: 0 };
        for protocol in PROTOCOLS {
            let key = site.keys.get(protocol.name()).and_then(|keys| keys.first());
            let is_native = protocol.name() == "native";
            for library in protocol.libraries() {
                if all || is_native || key.is_some() {
                    of_site.libraries.push(Pointed::new(*protocol, library, (origin, &site.prefix, key.map_or(NO_KEY, String::as_str))));
                } else {
                    of_site.others += 1;
                }
            }
        }
        of_site
    }

    pub(super) fn print(&self, out: &mut dyn Write) -> std::io::Result<()> {
        writeln!(out, "\nsite \"{}\": libraries, and what to write to point each to {}", self.site, self.base)?;
        for Pointed { protocol, library, write, past_hosts, past_addresses, meets_no_vendor, shim } in &self.libraries {
            let tried = library.tried.map_or_else(String::new, |version| format!(", tried: {version}"));
            writeln!(out, "\n  {} ({protocol}{tried})", library.name)?;
            writeln!(out, "    {}", write.as_deref().unwrap_or("nothing: it cannot be pointed elsewhere"))?;
            if let Some(shim) = shim {
                writeln!(
                    out,
                    "    or our own script in its place, with `shims = [\"{shim}\"]` in the site's document: it takes the page's calls"
                )?;
            }
            if library.code == Code::Server {
                writeln!(out, "    runs on a server: no blocker stands in between, and no browser meets its vendor")?;
                continue;
            }
            let known: Vec<_> = library.known.iter().map(|list| list.name()).collect();
            let known = if known.is_empty() { String::new() } else { format!(" ({})", known.join(", ")) };
            let meets = if *meets_no_vendor { "does not meet" } else { "meets" };
            writeln!(
                out,
                "    past blockers that know hosts: {past_hosts}; that know addresses, too: {past_addresses}{known}; a browser {meets} its vendor"
            )?;
        }
        if self.others > 0 {
            writeln!(out, "\n  {} more speak to other keys than this site lists: `--all` shows them", self.others)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    //! The same table in README.md, between two marks. `UPDATE_README=1 cargo test --lib readme` writes it.

    use std::{fs, path::Path};

    use super::*;

    const MARKS: [&str; 2] = ["<!-- libraries: written by `UPDATE_README=1 cargo test --lib readme` -->\n", "<!-- end of libraries -->\n"];

    fn table() -> String {
        let mut table = String::from(
            "| library | what to write | Firefox, Safari, DNS | uBlock Origin | meets no vendor | shim |\n|---|---|---|---|---|---|\n",
        );
        for protocol in PROTOCOLS {
            for library in protocol.libraries() {
                let site = ("https://www.shop.example", "/kesolu", NO_KEY);
                let Pointed { write, past_hosts, past_addresses, meets_no_vendor, shim, .. } = Pointed::new(*protocol, library, site);
                let name = library.name;
                let tried = library.tried.map_or_else(String::new, |version| format!(" {version}"));
                let write = write.map_or_else(|| String::from("it cannot be pointed elsewhere"), |write| format!("`{write}`"));
                let meets = if meets_no_vendor { "yes" } else { "no" };
                let shim = shim.map_or_else(|| String::from("—"), |shim| format!("`{shim}`"));
                table += &format!("| {name}{tried} | {write} | {past_hosts} | {past_addresses} | {meets} | {shim} |\n");
            }
        }
        table
    }

    #[test]
    fn every_shim_is_one_librarys() {
        let libraries = PROTOCOLS.iter().flat_map(|protocol| protocol.libraries());
        let shims: Vec<_> = libraries.filter_map(|library| shim(library.name)).collect();
        let mut sorted = shims.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, Shim::ALL);
    }

    #[test]
    fn the_readme_has_the_table_of_libraries() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        let readme = fs::read_to_string(&file).unwrap();
        let (before, rest) = readme.split_once(MARKS[0]).expect("the table's first mark");
        let (there, after) = rest.split_once(MARKS[1]).expect("the table's last mark");
        if std::env::var_os("UPDATE_README").is_some() {
            fs::write(&file, [before, MARKS[0], &table(), MARKS[1], after].concat()).unwrap();
        } else {
            assert_eq!(there, table(), "README.md has another table: UPDATE_README=1 writes it");
        }
    }
}
