//! Pages of the made-up shop: by template, the first ones viewed far more often, and with what should not be in an address but is.

use fastrand::Rng;

use super::{mix, zipf};

const PAGES: u32 = 400;
const PAGES_EXPONENT: f64 = 1.1;
/// Parts of words, so that paths look like words and not like tokens.
const PARTS: [&str; 16] = ["ba", "co", "di", "fa", "go", "ki", "la", "mo", "ne", "pa", "ri", "so", "ta", "vi", "wa", "zu"];
/// Parameters that follow a visitor, as networks append them.
const FOLLOWING: [&str; 6] = ["gclid", "fbclid", "msclkid", "ttclid", "mc_eid", "_hsenc"];

/// All pages.
pub struct Pages(Vec<Page>);

struct Page {
    path: String,
    /// Each visitor has a number of their own there.
    personal: bool,
}

impl Pages {
    pub(super) fn new(seed: u64) -> Self {
        let page = |index: u32| {
            let mut random = Rng::with_seed(mix(seed, &[20, index.into()]));
            let mut word = || -> String { (0..3).map(|_| PARTS[random.usize(0..PARTS.len())]).collect() };
            let path = match index {
                0 => String::from("/"),
                _ if index % 10 == 9 => format!("/{}/account", word()),
                _ => format!("/{}/{}", ["products", "blog", "help"][index as usize % 3], word()),
            };
            Page { path, personal: index % 10 == 9 }
        };
        Self((0..PAGES).map(page).collect())
    }

    /// The page as it should be counted.
    #[must_use]
    pub fn template(&self, page: usize) -> String {
        let page = &self.0[page];
        if page.personal { format!("{}/{{n}}", page.path) } else { page.path.clone() }
    }

    /// How many.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there are always some")]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// A page, and the address that a browser has of it.
    pub(super) fn view(&self, origin: &str, person: u32, random: &mut Rng) -> (usize, String) {
        let index = zipf(random, PAGES, PAGES_EXPONENT) as usize;
        let page = &self.0[index];
        let mut url = format!("{origin}{}", page.path);
        if page.personal {
            url.push_str(&format!("/{}", 10_000_000 + person));
        }
        match random.u32(0..100) {
            0..12 => url.push_str(&format!("?{}={:016x}&utm_source=newsletter", FOLLOWING[random.usize(0..6)], random.u64(..))),
            12..15 => url.push_str(&format!("?q=visitor+{person}")),
            15..16 => url.push_str(&format!("?email=visitor{person}@mail.example#token={:016x}", random.u64(..))),
            _ => {}
        }
        (index, url)
    }
}

/// Where a visit came from, for half of them.
pub(super) fn referrer(random: &mut Rng) -> Option<String> {
    match random.u32(0..10) {
        0..3 => Some(format!("https://search.example/?q={:08x}", random.u32(..))),
        3 => Some(String::from("https://social.example/")),
        4 => Some(format!("https://blog-{}.example/entry", zipf(random, 5_000, 1.05))),
        _ => None,
    }
}
