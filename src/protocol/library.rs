//! Libraries that speak a protocol, by name: what to change so that one talks to the site's own host, what a browser then asks for, and which
//! filter lists know that by its form. README.md's table and `firsthand doctor` are made of this; `tests/names.rs` holds it against the lists, and
//! `tests/clients/` against what the libraries do.

use serde::Serialize;

/// A library, a tag or an SDK that speaks a protocol.
#[derive(Debug, Serialize)]
pub struct Library {
    /// What people call it; where it is a package, the package's name.
    pub name: &'static str,
    /// The version that `tests/clients/` drives, unmodified; `None`: it could not be had from a package registry, and is known from its documentation.
    pub tried: Option<&'static str>,
    /// Where its code comes from.
    pub code: Code,
    /// What to write, where `{base}`, `{host}`, `{origin}`, `{path}` and `{key}` stand for the site's own; `None`: it cannot be pointed elsewhere.
    pub change: Option<&'static str>,
    /// What it asks for where nothing is changed.
    pub before: &'static [Asked],
    /// Which lists know that.
    pub known_before: &'static [List],
    /// What it asks for below the site's prefix.
    pub asks: &'static [Asked],
    /// Which lists know that, by its form.
    pub known: &'static [List],
}

/// Where a library's code comes from, and so whom a browser has to meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The site's own build or the site's own host has it.
    Own,
    /// Its vendor's host serves it, and nobody else may: a browser meets the vendor, whatever else is changed.
    Vendors,
    /// The site's server runs it: no browser meets anyone.
    Server,
    /// The site's own app has it: the same.
    App,
}

/// One request of a library's.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Asked {
    /// As what a browser asks: `script`, `xhr`, `ping` or `image`.
    pub kind: &'static str,
    /// The whole address; below the site's prefix, the path from there on. `*` stands for what the site's key is.
    pub address: &'static str,
}

/// Filter lists that uBlock Origin has on when it is installed; Brave, AdGuard and others have the first two or their likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum List {
    /// <https://easylist.to>
    EasyList,
    /// <https://easylist.to>
    EasyPrivacy,
    /// uBlock Origin's own.
    #[serde(rename = "uBlock filters")]
    Ublock,
}

impl List {
    /// Its name on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EasyList => "EasyList",
            Self::EasyPrivacy => "EasyPrivacy",
            Self::Ublock => "uBlock filters",
        }
    }
}

/// A request for a script.
#[must_use]
pub const fn script(address: &'static str) -> Asked {
    Asked { kind: "script", address }
}

/// A request by `fetch` or `XMLHttpRequest`.
#[must_use]
pub const fn xhr(address: &'static str) -> Asked {
    Asked { kind: "xhr", address }
}

/// A request by `sendBeacon`.
#[must_use]
pub const fn ping(address: &'static str) -> Asked {
    Asked { kind: "ping", address }
}

/// A request for an image.
#[must_use]
pub const fn image(address: &'static str) -> Asked {
    Asked { kind: "image", address }
}

/// What becomes of a library's events where it is pointed to the site's own host and nothing else is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// They arrive.
    Arrives,
    /// What it asks for is known by its form, wherever it goes.
    KnownByForm,
    /// It stays its vendor's, or its code does.
    StaysTheVendors,
    /// No browser stands in between.
    NoBrowser,
}

impl Recovery {
    /// In a word, for tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Arrives => "arrives",
            Self::KnownByForm => "known by its form",
            Self::StaysTheVendors => "blocked",
            Self::NoBrowser => "—",
        }
    }
}

impl Library {
    /// Against blockers that know hosts: Firefox, Safari, DNS.
    #[must_use]
    pub const fn where_hosts_are_known(&self) -> Recovery {
        match (self.code, self.change) {
            (Code::Server | Code::App, _) => Recovery::NoBrowser,
            (Code::Vendors, _) | (Code::Own, None) => Recovery::StaysTheVendors,
            (Code::Own, Some(_)) => Recovery::Arrives,
        }
    }

    /// Against blockers that know addresses, too: [`List`]s.
    #[must_use]
    pub const fn where_addresses_are_known(&self) -> Recovery {
        match self.where_hosts_are_known() {
            Recovery::Arrives if !self.known.is_empty() => Recovery::KnownByForm,
            same => same,
        }
    }

    /// Whether no browser meets the vendor, which is the first condition of the CNIL for a proxy
    /// (<https://www.cnil.fr/en/google-analytics-and-data-transfers-how-make-your-analytics-tool-compliant-gdpr>).
    #[must_use]
    pub const fn meets_no_vendor(&self) -> bool {
        match self.code {
            Code::Own => self.change.is_some(),
            Code::Vendors => false,
            Code::Server | Code::App => true,
        }
    }

    /// What to write on a site whose pages are at `origin`, with that prefix and that vendor's key.
    #[must_use]
    pub fn change_for(&self, origin: &str, prefix: &str, key: &str) -> Option<String> {
        let host = origin.split_once("://").map_or(origin, |(_, host)| host);
        let words = [("{base}", format!("{origin}{prefix}")), ("{host}", host.to_owned()), ("{origin}", origin.to_owned())];
        let words = words.into_iter().chain([("{path}", prefix.to_owned()), ("{key}", key.to_owned())]);
        Some(words.fold(self.change?.to_owned(), |text, (word, meant)| text.replace(word, &meant)))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::PROTOCOLS, *};

    #[test]
    fn what_a_library_asks_for_is_a_route_of_its_protocol() {
        for protocol in PROTOCOLS {
            assert!(!protocol.libraries().is_empty(), "{} has a library that speaks it", protocol.name());
            for library in protocol.libraries() {
                assert!(library.change.is_some() != library.asks.is_empty(), "{}: pointed here, it asks here", library.name);
                for Asked { address, .. } in library.asks {
                    let path = address.split('?').next().unwrap_or_default();
                    let own = ["/core.js"].contains(&path);
                    let found = protocol.routes().iter().any(|route| super::super::fits(route.path, path));
                    assert!(own || found, "{}: {address}", library.name);
                }
            }
        }
    }

    #[test]
    fn a_change_is_written_for_the_site() {
        let [tracker, ..] = PROTOCOLS.iter().find(|protocol| protocol.name() == "plausible").expect("it is there").libraries() else {
            panic!("it has libraries")
        };
        let change = tracker.change_for("https://www.shop.example", "/kesolu", "shop.example").expect("it can be pointed here");
        assert_eq!(change, r#"init({ domain: "shop.example", endpoint: "https://www.shop.example/kesolu/api/event" })"#);
    }

    #[test]
    fn a_library_recovers_what_its_code_and_its_form_allow() {
        const ONE: Library =
            Library { name: "one", tried: None, code: Code::Own, change: Some("x"), before: &[], known_before: &[], asks: &[], known: &[] };
        let known = Library { known: &[List::EasyPrivacy], ..ONE };
        let vendors = Library { code: Code::Vendors, ..ONE };
        let server = Library { code: Code::Server, ..ONE };
        let fixed = Library { change: None, ..ONE };
        let all = |library: &Library| (library.where_hosts_are_known(), library.where_addresses_are_known(), library.meets_no_vendor());
        assert_eq!(all(&ONE), (Recovery::Arrives, Recovery::Arrives, true));
        assert_eq!(all(&known), (Recovery::Arrives, Recovery::KnownByForm, true));
        assert_eq!(all(&vendors), (Recovery::StaysTheVendors, Recovery::StaysTheVendors, false));
        assert_eq!(all(&server), (Recovery::NoBrowser, Recovery::NoBrowser, true));
        assert_eq!(all(&fixed), (Recovery::StaysTheVendors, Recovery::StaysTheVendors, false));
    }
}
