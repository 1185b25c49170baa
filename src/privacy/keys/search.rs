//! The attack on the day's token: every address there is, under the key and under another. It makes keys of its own in [`VisitKeys`] of its own,
//! ends them as the program does, and says nothing but numbers; of the keys in use it knows nothing.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    time::{Duration, Instant},
};

use super::{
    locked::LockedKey,
    visit::{VisitKeys, token},
};
use crate::{
    clock::Timestamp,
    documents::Site,
    event::SiteNumber,
    privacy::{enrich::device::DeviceClass, raw::ClientAddress},
    supervise::in_parallel,
};

/// So many addresses are tried between two words about progress: a second's work or so.
const PIECE_ADDRESSES: u64 = 1 << 13;
/// By so many the speed is measured, before it is known how many can be tried.
const MEASURED_ADDRESSES: u64 = 1 << 10;
/// All of IPv4, in bits.
const WHOLE_BITS: u32 = 32;
/// A network of fewer addresses is no search.
const LEAST_BITS: u32 = 8;
/// The key of today is over then, by the wall clock, in whatever time zone.
const NEXT_DAY: Duration = Duration::from_secs(48 * 60 * 60);

/// What is searched.
pub struct AddressSearch<'a> {
    /// Whose token.
    pub site: &'a Site,
    /// The user agents that the attacker tries with each address; what is one class to the program is tried once.
    pub user_agents: &'a [&'a str],
    /// At most so many classes of them.
    pub classes: usize,
    /// How many visitors are looked for.
    pub targets: usize,
    /// How long one search may take; `None`: the whole of IPv4, however long that is.
    pub budget: Option<Duration>,
}

/// What both searches came to.
#[derive(Clone, Copy, Debug)]
pub struct AddressesFound {
    /// How many visitors were looked for.
    pub targets: usize,
    /// Classes of device that were tried with each address.
    pub classes: usize,
    /// How many addresses were tried, a whole network.
    pub addresses: u64,
    /// With the key.
    pub with_key: Search,
    /// With another one, the first having been destroyed.
    pub without_key: Search,
}

/// What one search came to.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// How many of the visitors have their true address and class among the candidates.
    pub recovered: usize,
    /// All pairs of address and class that gave some visitor's token.
    pub candidates: u64,
    /// How long it took.
    pub took: Duration,
}

impl AddressesFound {
    /// Tokens tried.
    #[must_use]
    pub const fn tried(&self) -> u64 {
        self.addresses * self.classes as u64
    }

    /// Tokens a second, of both searches.
    #[must_use]
    pub fn rate(&self) -> f64 {
        2.0 * self.tried() as f64 / (self.with_key.took + self.without_key.took).as_secs_f64().max(1e-9)
    }

    /// How many candidates are there by chance: each token tried is one of 2^128.
    #[must_use]
    pub fn by_chance(&self) -> f64 {
        self.tried() as f64 * self.targets as f64 / 2_f64.powi(128)
    }
}

/// Somebody who is looked for: where they are, and what the attacker has of them.
struct Target {
    address: Ipv4Addr,
    class: usize,
    token: u128,
}

impl AddressSearch<'_> {
    /// Makes a key, takes tokens under it, and searches for their addresses; then ends the key's day and searches under the next one.
    /// `draw` says who is looked for, and where: some number below the one that it is asked for; no key has anything to do with it. `progress` hears how
    /// many of how many addresses are done. Blocks, on all processors.
    ///
    /// # Errors
    /// When the system gives no key.
    pub fn run(&self, draw: &mut dyn FnMut(u64) -> u64, progress: &mut dyn FnMut(&'static str, u64, u64)) -> io::Result<AddressesFound> {
        let mut classes = Vec::new();
        for class in self.user_agents.iter().map(|agent| DeviceClass::of(agent)) {
            if classes.len() < self.classes && !classes.contains(&class) {
                classes.push(class);
            }
        }
        let today = Timestamp(0);
        let keys = VisitKeys::default();
        let bits = match self.budget {
            None => WHOLE_BITS,
            Some(budget) => keys.with_key(self.site, today, |key, _| bits_within(budget, key.key(), self.site.number, &classes))?,
        };
        let addresses = 1_u64 << bits;
        let first = (draw(1 << (WHOLE_BITS - bits)) << bits) as u32;
        let mut one = || (Ipv4Addr::from_bits(first + draw(addresses) as u32), draw(classes.len().max(1) as u64) as usize);
        let drawn: Vec<_> = (0..self.targets).map(|_| one()).collect();
        let (targets, with_key) = keys.with_key(self.site, today, |key, _| {
            let of = |(address, class): (Ipv4Addr, usize)| {
                let token = token(key.key(), self.site.number, &ClientAddress::new(IpAddr::V4(address)), classes.get(class)?);
                Some(Target { address, class, token: u128::from_le_bytes(token) })
            };
            let targets: Vec<Target> = drawn.into_iter().filter_map(of).collect();
            let found = search(key.key(), self.site.number, &classes, (first, addresses), &targets, "addresses, with the key", progress);
            (targets, found)
        })?;
        let tomorrow = today.plus(NEXT_DAY);
        keys.destroy_old(tomorrow);
        let without_key = keys.with_key(self.site, tomorrow, |key, _| {
            search(key.key(), self.site.number, &classes, (first, addresses), &targets, "addresses, the key destroyed", progress)
        })?;
        Ok(AddressesFound { targets: targets.len(), classes: classes.len(), addresses, with_key, without_key })
    }
}

/// The largest network whose addresses can be tried within that time, by how fast the first ones are.
fn bits_within(budget: Duration, key: &LockedKey, site: SiteNumber, classes: &[DeviceClass]) -> u32 {
    let found = search(key, site, classes, (0, MEASURED_ADDRESSES), &[], "", &mut |_, _, _| {});
    let within = budget.as_secs_f64() / found.took.as_secs_f64().max(1e-9) * MEASURED_ADDRESSES as f64;
    (within.max(1.0).log2() as u32).clamp(LEAST_BITS, WHOLE_BITS)
}

fn search(
    key: &LockedKey,
    site: SiteNumber,
    classes: &[DeviceClass],
    (first, addresses): (u32, u64),
    targets: &[Target],
    what: &'static str,
    progress: &mut dyn FnMut(&'static str, u64, u64),
) -> Search {
    let began = Instant::now();
    let mut hits: Vec<(u32, usize, usize)> = Vec::new();
    let mut done = 0;
    while done < addresses {
        let piece = PIECE_ADDRESSES.min(addresses - done);
        let found = in_parallel(|part, parts| {
            let mut hits = Vec::new();
            for offset in (done + part as u64..done + piece).step_by(parts) {
                let bits = first.wrapping_add(offset as u32);
                let address = ClientAddress::new(IpAddr::V4(Ipv4Addr::from_bits(bits)));
                for (class, device) in classes.iter().enumerate() {
                    let token = u128::from_le_bytes(token(key, site, &address, device));
                    hits.extend(targets.iter().enumerate().filter(|(_, target)| target.token == token).map(|(who, _)| (bits, class, who)));
                }
            }
            hits
        });
        hits.extend(found.into_iter().flatten());
        done += piece;
        progress(what, done, addresses);
    }
    let is_true = |(who, target): (usize, &Target)| hits.contains(&(target.address.to_bits(), target.class, who));
    Search {
        recovered: targets.iter().enumerate().filter(|target| is_true(*target)).count(),
        candidates: hits.len() as u64,
        took: began.elapsed(),
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::{
        documents::{
            parse::DocumentFile,
            store::{Author, DocumentStore},
        },
        state::{IN_MEMORY, StateDb},
    };

    const DOCUMENTS: &str = r#"
        policy = [{ name = "shop" }]
        [[site]]
        name = "shop"
        hosts = ["www.shop.example"]
        origins = ["https://www.shop.example"]
        prefix = "/keso"
        time_zone = "Pacific/Auckland"
        policy = "shop"
    "#;

    #[test]
    fn with_the_key_everybody_is_found_and_with_the_next_one_nobody() {
        let store = DocumentStore::new(Arc::new(StateDb::open(Path::new(IN_MEMORY)).unwrap()));
        let author = Author { name: "test", reason: "test", at: Timestamp(0) };
        store.apply(DocumentFile::parse(DOCUMENTS).unwrap().into_documents(), false, false, &author).unwrap();
        let documents = store.compiled().unwrap();
        let agents = [
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0 (the same class)",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/153.0.0.0 Safari/537.36",
            "curl/8.9.1",
        ];
        let budget = Some(Duration::from_millis(1));
        let search = AddressSearch { site: &documents.sites[0], user_agents: &agents, classes: 50, targets: 20, budget };
        let mut random = fastrand::Rng::with_seed(3);
        let (mut words, mut last) = (Vec::new(), (0, 0));
        let found = search
            .run(&mut |below| random.u64(0..below), &mut |what, done, of| {
                words.push(what);
                last = (done, of);
            })
            .unwrap();
        assert_eq!((found.targets, found.classes), (20, 3));
        assert!(found.addresses >= 1 << LEAST_BITS && last == (found.addresses, found.addresses));
        assert_eq!((found.with_key.recovered, found.without_key.recovered, found.without_key.candidates), (20, 0, 0));
        assert!(found.with_key.candidates >= 1 && found.by_chance() < 1e-20 && found.rate() > 0.0);
        words.dedup();
        assert_eq!(words, ["addresses, with the key", "addresses, the key destroyed"]);
    }
}
