//! Whether an address belongs to a network that rents out servers, by an ASN database in memory. Neither the network's number nor its
//! owner's name goes any further. No database, no sign.

use std::path::Path;

use maxminddb::Reader;
use serde::Deserialize;

use crate::privacy::{enrich::place::PlaceError, raw::ClientAddress};

/// Autonomous systems whose addresses are mostly those of rented servers; sorted. The numbers are public facts of the regional registries.
/// Networks that are above all exits of consumer VPNs are left out: behind them are people.
const HOSTING: [u32; 51] = [
    6724,   // Strato
    8075,   // Microsoft Azure
    8100,   // QuadraNet
    8560,   // IONOS
    8987,   // Amazon, Europe
    9123,   // Timeweb
    12876,  // Scaleway
    14061,  // DigitalOcean
    14618,  // Amazon, us-east
    16265,  // Leaseweb
    16276,  // OVHcloud
    16509,  // Amazon
    19994,  // Rackspace
    20473,  // Vultr
    24940,  // Hetzner
    26347,  // DreamHost
    26496,  // GoDaddy
    27357,  // Rackspace
    28753,  // Leaseweb, Germany
    29169,  // Gandi
    29222,  // Infomaniak
    29802,  // Hivelocity
    30633,  // Leaseweb, United States
    31898,  // Oracle Cloud
    32244,  // Liquid Web
    33070,  // Rackspace
    36351,  // IBM Cloud
    36352,  // ColoCrossing
    37963,  // Alibaba, China
    40021,  // Contabo, United States
    40509,  // Fly.io
    40676,  // Psychz
    45090,  // Tencent, China
    45102,  // Alibaba Cloud
    47583,  // Hostinger
    49505,  // Selectel
    49981,  // Worldstream
    51167,  // Contabo
    54825,  // Equinix Metal
    55990,  // Huawei Cloud, China
    60781,  // Leaseweb, Netherlands
    61098,  // Exoscale
    63949,  // Linode
    132203, // Tencent Cloud
    136907, // Huawei Cloud
    197540, // netcup
    200350, // Yandex Cloud
    202053, // UpCloud
    202425, // IP Volume
    213230, // Hetzner Cloud
    396982, // Google Cloud
];

/// Networks through which people reach the web, whatever their owner is called; sorted. Apple's Private Relay leaves by Akamai,
/// Cloudflare and Fastly; companies' staff by Zscaler.
const RELAYS: [u32; 5] = [13335, 20940, 22616, 36183, 54113];

/// Words in an owner's name that say what the network is for.
const HOSTING_WORDS: [&str; 9] = ["cloud", "colo", "colocation", "datacenter", "datacentre", "hosting", "server", "servers", "vps"];

/// What the database says of an address, by MaxMind's names (<https://dev.maxmind.com/geoip/docs/databases/asn>).
#[derive(Deserialize)]
struct Network<'d> {
    autonomous_system_number: Option<u32>,
    #[serde(borrow)]
    autonomous_system_organization: Option<&'d str>,
}

impl Network<'_> {
    fn is_data_centre(&self) -> bool {
        let among = |numbers: &[u32]| self.autonomous_system_number.is_some_and(|number| numbers.binary_search(&number).is_ok());
        !among(&RELAYS) && (among(&HOSTING) || self.autonomous_system_organization.is_some_and(names_hosting))
    }
}

fn names_hosting(owner: &str) -> bool {
    let mut before = "";
    owner.split(|letter: char| !letter.is_ascii_alphanumeric()).any(|word| {
        let data_centre = before.eq_ignore_ascii_case("data") && ["center", "centre"].iter().any(|it| word.eq_ignore_ascii_case(it));
        before = word;
        data_centre || HOSTING_WORDS.iter().any(|hosting| word.eq_ignore_ascii_case(hosting))
    })
}

/// The network database of this machine, in memory.
pub struct NetworkDatabase(Option<Reader<Vec<u8>>>);

impl NetworkDatabase {
    /// No address is known to be a data centre's.
    #[must_use]
    pub const fn none() -> Self {
        Self(None)
    }

    /// Reads a MaxMind DB file that has `autonomous_system_number`, `autonomous_system_organization` or both.
    ///
    /// # Errors
    /// When the file cannot be read, or is none.
    pub fn open(path: &Path) -> Result<Self, PlaceError> {
        Self::from_bytes(std::fs::read(path).map_err(PlaceError::Read)?)
    }

    /// The same from memory.
    ///
    /// # Errors
    /// When the bytes are no MaxMind DB.
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Self, PlaceError> {
        Reader::from_source(bytes).map(|reader| Self(Some(reader))).map_err(|_| PlaceError::Format)
    }

    pub(in crate::privacy) fn is_data_centre(&self, address: &ClientAddress) -> bool {
        let Some(reader) = &self.0 else { return false };
        let found = reader.lookup(address.ip()).and_then(|found| found.decode::<Network<'_>>());
        found.ok().flatten().is_some_and(|network| network.is_data_centre())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATABASE: &[u8] = include_bytes!("../../../../tests/suite/networks.mmdb");

    #[test]
    fn tables_are_sorted() {
        assert!(HOSTING.is_sorted() && RELAYS.is_sorted() && HOSTING_WORDS.is_sorted());
    }

    #[test]
    fn an_address_of_a_hosting_network_is_known_by_number_or_name() {
        let networks = NetworkDatabase::from_bytes(DATABASE.to_vec()).unwrap();
        for (address, expected) in [
            ("192.0.2.200", true),
            ("192.0.2.41", false),
            ("198.51.100.200", true),
            ("203.0.113.200", false),
            ("203.0.113.98", false),
            ("2001:db8:dc::1", true),
            ("2001:db8:9a1::5", false),
            ("9.9.9.9", false),
        ] {
            let address_known = ClientAddress::new(address.parse().unwrap());
            assert_eq!(networks.is_data_centre(&address_known), expected, "{address}");
            assert!(!NetworkDatabase::none().is_data_centre(&address_known));
        }
    }

    #[test]
    fn owners_are_known_by_words_and_relays_never() {
        let network = |number, owner| Network { autonomous_system_number: number, autonomous_system_organization: owner };
        for (number, owner, expected) in [
            (Some(64_500), Some("Example Hosting GmbH"), true),
            (Some(64_500), Some("EXAMPLE DATA CENTER LLC"), true),
            (None, Some("Nimbus Cloud"), true),
            (Some(64_500), Some("Cloudflare-like Telecom"), false),
            (Some(64_500), Some("Data Telecom"), false),
            (Some(13_335), Some("Some Cloud"), false),
            (Some(16_509), None, true),
            (None, None, false),
        ] {
            assert_eq!(network(number, owner).is_data_centre(), expected, "{number:?} {owner:?}");
        }
    }
}
