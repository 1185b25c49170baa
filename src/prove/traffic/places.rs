//! Countries and cities: a few with most visitors, many with one. And a place database of them in MaxMind's format, so that the product looks
//! them up as it looks up real ones. The networks are made up; nobody is asked where they are.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::zipf;

/// Country, share of the visitors in ten-thousandths, languages with the most frequent first.
const COUNTRIES: [(&str, u32, &[&str]); 40] = [
    ("FR", 4800, &["fr-FR"]),
    ("DE", 1200, &["de-DE"]),
    ("BE", 700, &["fr-BE", "nl-BE", "de-BE"]),
    ("CH", 550, &["de-CH", "fr-CH", "it-CH"]),
    ("GB", 450, &["en-GB"]),
    ("US", 400, &["en-US", "es-US"]),
    ("ES", 300, &["es-ES", "ca-ES"]),
    ("IT", 250, &["it-IT"]),
    ("NL", 200, &["nl-NL"]),
    ("CA", 180, &["fr-CA", "en-CA"]),
    ("LU", 140, &["fr-LU", "de-LU", "lb-LU"]),
    ("PT", 100, &["pt-PT"]),
    ("AT", 90, &["de-AT"]),
    ("PL", 80, &["pl-PL"]),
    ("MA", 70, &["fr-MA", "ar-MA"]),
    ("DZ", 60, &["fr-DZ", "ar-DZ"]),
    ("TN", 50, &["fr-TN", "ar-TN"]),
    ("SE", 40, &["sv-SE"]),
    ("DK", 35, &["da-DK"]),
    ("IE", 30, &["en-IE"]),
    ("SN", 28, &["fr-SN"]),
    ("CI", 25, &["fr-CI"]),
    ("RO", 22, &["ro-RO"]),
    ("CZ", 20, &["cs-CZ"]),
    ("GR", 18, &["el-GR"]),
    ("HU", 16, &["hu-HU"]),
    ("NO", 14, &["nb-NO"]),
    ("FI", 12, &["fi-FI", "sv-FI"]),
    ("JP", 10, &["ja-JP"]),
    ("BR", 9, &["pt-BR"]),
    ("IN", 8, &["en-IN", "hi-IN"]),
    ("AU", 7, &["en-AU"]),
    ("TR", 6, &["tr-TR"]),
    ("MX", 5, &["es-MX"]),
    ("MC", 4, &["fr-MC"]),
    ("IS", 3, &["is-IS"]),
    ("MT", 2, &["mt-MT", "en-MT"]),
    ("KR", 2, &["ko-KR"]),
    ("NZ", 1, &["en-NZ"]),
    ("FO", 1, &["fo-FO"]),
];
/// Cities of every country.
const CITIES: u32 = 100;
const CITIES_EXPONENT: f64 = 1.3;

// Networks of 65,536 addresses each (IPv6: of 2^96), by city or country.
const HOMES: u16 = 0x1000;
const OFFICES: u16 = 0x3000;
const CARRIERS: u16 = 0x5000;
const DATA_CENTRES: u16 = 0x6000;
const HOMES_V6: u16 = 0x2a00;

pub(super) fn home_network(city: u32) -> [u8; 2] {
    (HOMES + city as u16).to_be_bytes()
}

pub(super) fn office_network(city: u32) -> [u8; 2] {
    (OFFICES + city as u16).to_be_bytes()
}

pub(super) fn carrier_network(country: u32) -> [u8; 2] {
    (CARRIERS + country as u16).to_be_bytes()
}

pub(super) fn data_centre_network() -> [u8; 2] {
    DATA_CENTRES.to_be_bytes()
}

pub(super) fn home_network_v6(city: u32) -> [u16; 2] {
    [HOMES_V6, city as u16]
}

/// Where visitors are.
pub struct Places {
    /// Shares added up.
    up_to: Vec<u32>,
}

impl Places {
    pub(super) fn new() -> Self {
        let mut sum = 0;
        let up_to = COUNTRIES.iter().map(|(_, share, _)| {
            sum += share;
            sum
        });
        Self { up_to: up_to.collect() }
    }

    pub(super) fn draw_city(&self, random: &mut Rng) -> u32 {
        let place = random.u32(0..*self.up_to.last().expect("there are countries"));
        let country = self.up_to.partition_point(|up_to| *up_to <= place) as u32;
        country * CITIES + zipf(random, CITIES, CITIES_EXPONENT)
    }

    /// The index of a city's country.
    #[must_use]
    pub const fn country_of(&self, city: u32) -> u32 {
        city / CITIES
    }

    /// Its code.
    #[must_use]
    pub fn code(&self, city: u32) -> &'static str {
        COUNTRIES[self.country_of(city) as usize].0
    }

    pub(super) fn data_centre(&self) -> u32 {
        5 * CITIES
    }

    pub(super) fn language(&self, country: u32, random: &mut Rng) -> String {
        let own = COUNTRIES[country as usize].2;
        match random.u32(0..100) {
            0..88 => own[zipf(random, own.len() as u32, 1.5) as usize].to_owned(),
            88..95 => String::from("en-US"),
            _ => COUNTRIES[random.usize(0..COUNTRIES.len())].2[0].to_owned(),
        }
    }

    /// The bytes of a database of all networks, with country, city and a number for it.
    #[must_use]
    pub fn database(&self) -> Vec<u8> {
        let mut database = Database::default();
        for city in 0..COUNTRIES.len() as u32 * CITIES {
            let data = database.place(self.code(city), Some(city));
            for [a, b] in [home_network(city), office_network(city)] {
                database.insert_v4(a, b, data);
            }
            let [a, b] = home_network_v6(city);
            database.insert(u128::from(a) << 112 | u128::from(b) << 96, 32, data);
        }
        for country in 0..COUNTRIES.len() as u32 {
            let data = database.place(self.code(country * CITIES), None);
            let [a, b] = carrier_network(country);
            database.insert_v4(a, b, data);
        }
        let data = database.place("US", None);
        let [a, b] = data_centre_network();
        database.insert_v4(a, b, data);
        database.bytes()
    }
}

/// A MaxMind DB (format 2.0) under construction: a binary tree over the bits of an address, and what its leaves say.
/// <https://maxmind.github.io/MaxMind-DB/>
#[derive(Default)]
struct Database {
    /// What is at a node for the bits 0 and 1.
    nodes: Vec<[Leaf; 2]>,
    data: Vec<u8>,
}

#[derive(Clone, Copy, Default)]
enum Leaf {
    #[default]
    Nothing,
    Node(u32),
    Data(u32),
}

/// A value of the format.
enum Value<'a> {
    Text(&'a str),
    Number16(u16),
    Number32(u32),
    Number64(u64),
    Map(BTreeMap<&'a str, Value<'a>>),
    List(Vec<Value<'a>>),
}

impl Value<'_> {
    fn write(&self, bytes: &mut Vec<u8>) {
        let mut head = |kind: u8, size: usize| {
            let (size, more) = if size < 29 { (size as u8, None) } else { (29, Some((size - 29) as u8)) };
            if kind < 8 {
                bytes.push(kind << 5 | size);
            } else {
                bytes.extend([size, kind - 7]);
            }
            bytes.extend(more);
        };
        match self {
            Self::Text(text) => {
                head(2, text.len());
                bytes.extend_from_slice(text.as_bytes());
            }
            Self::Number16(number) => {
                head(5, 2);
                bytes.extend_from_slice(&number.to_be_bytes());
            }
            Self::Number32(number) => {
                head(6, 4);
                bytes.extend_from_slice(&number.to_be_bytes());
            }
            Self::Number64(number) => {
                head(9, 8);
                bytes.extend_from_slice(&number.to_be_bytes());
            }
            Self::Map(fields) => {
                head(7, fields.len());
                for (name, value) in fields {
                    Value::Text(name).write(bytes);
                    value.write(bytes);
                }
            }
            Self::List(values) => {
                head(11, values.len());
                values.iter().for_each(|value| value.write(bytes));
            }
        }
    }
}

impl Database {
    /// Where the description of a place begins among the data.
    fn place(&mut self, country: &str, city: Option<u32>) -> u32 {
        let at = self.data.len() as u32;
        let name = city.map(|city| format!("City {city}"));
        let mut fields = BTreeMap::from([("country", Value::Map(BTreeMap::from([("iso_code", Value::Text(country))])))]);
        if let (Some(city), Some(name)) = (city, &name) {
            let names = Value::Map(BTreeMap::from([("en", Value::Text(name))]));
            fields.insert("city", Value::Map(BTreeMap::from([("geoname_id", Value::Number32(city + 1)), ("names", names)])));
        }
        Value::Map(fields).write(&mut self.data);
        at
    }

    /// A network of 65,536 IPv4 addresses.
    fn insert_v4(&mut self, a: u8, b: u8, data: u32) {
        self.insert(u128::from(u16::from_be_bytes([a, b])) << 16, 96 + 16, data);
    }

    fn insert(&mut self, network: u128, length: u32, data: u32) {
        if self.nodes.is_empty() {
            self.nodes.push(Default::default());
        }
        let mut node = 0;
        for depth in 0..length {
            let bit = (network >> (127 - depth) & 1) as usize;
            if depth + 1 == length {
                self.nodes[node][bit] = Leaf::Data(data);
            } else if let Leaf::Node(next) = self.nodes[node][bit] {
                node = next as usize;
            } else {
                let next = self.nodes.len();
                self.nodes.push(Default::default());
                self.nodes[node][bit] = Leaf::Node(next as u32);
                node = next;
            }
        }
    }

    fn bytes(self) -> Vec<u8> {
        let count = self.nodes.len() as u32;
        let mut bytes = Vec::with_capacity(self.nodes.len() * 8 + self.data.len() + 256);
        for leaf in self.nodes.iter().flatten() {
            let record = match leaf {
                Leaf::Nothing => count,
                Leaf::Node(node) => *node,
                Leaf::Data(at) => count + 16 + at,
            };
            bytes.extend_from_slice(&record.to_be_bytes());
        }
        bytes.extend([0; 16]);
        bytes.extend(self.data);
        bytes.extend(b"\xab\xcd\xefMaxMind.com");
        let about = [
            ("binary_format_major_version", Value::Number16(2)),
            ("binary_format_minor_version", Value::Number16(0)),
            ("build_epoch", Value::Number64(1_760_000_000)),
            ("database_type", Value::Text("Firsthand-Synthetic-City")),
            ("description", Value::Map(BTreeMap::from([("en", Value::Text("made up"))]))),
            ("ip_version", Value::Number16(6)),
            ("languages", Value::List(vec![Value::Text("en")])),
            ("node_count", Value::Number32(count)),
            ("record_size", Value::Number16(32)),
        ];
        Value::Map(BTreeMap::from(about)).write(&mut bytes);
        bytes
    }
}
