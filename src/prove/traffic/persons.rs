//! One visitor: made of seed and number alone, so that nothing has to be remembered. Network, device, language and place go together as they
//! do on the web: phones behind addresses that hundreds share, offices with one address and one kind of machine, homes with their own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use fastrand::Rng;

use super::{
    agents::{self, Agents, Kind},
    mix,
    places::{Places, carrier_network, data_centre_network, home_network, home_network_v6, office_network},
    zipf,
};

/// One in so many is a program.
const AUTOMATED: f64 = 0.03;
const OFFICE: f64 = 0.12;
/// Of the phones, so many are behind a carrier's shared address at the moment.
const PHONE_ON_CARRIER: f64 = 0.6;
const IPV6_AT_HOME: f64 = 0.4;
/// How many visitors of a day there are for each shared address of a carrier, and for each office.
const VISITORS_PER_SHARED_ADDRESS: u32 = 150;
const VISITORS_PER_OFFICE: u32 = 60;

/// Where a visitor's packets come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// An address of a household's own, or an IPv6 network.
    Home,
    /// A carrier's address that many phones share.
    Carrier,
    /// One address and one kind of machine for everybody in it.
    Office,
    /// A program's.
    DataCentre,
}

/// What a visitor has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Nothing.
    None,
    /// Yes, to what is asked.
    Granted,
    /// No.
    Refused,
    /// Nothing, but the browser says no.
    GlobalPrivacyControl,
}

/// One visitor.
pub struct Person {
    /// Who.
    pub number: u32,
    /// Where the packets come from.
    pub network: Network,
    /// The browser's own words.
    pub user_agent: String,
    /// Width in CSS pixels.
    pub screen: u32,
    /// As a browser says it: `fr-FR`.
    pub language: String,
    /// Index of the city.
    pub city: u32,
    /// What was said.
    pub choice: Choice,
    address: IpAddr,
}

impl Person {
    pub(super) fn new(seed: u64, number: u32, visitors: u32, agents: &Agents, places: &Places) -> Self {
        let mut random = Rng::with_seed(mix(seed, &[10, number.into()]));
        let choice = match random.u32(0..100) {
            0..25 => Choice::Granted,
            25..35 => Choice::Refused,
            35..37 => Choice::GlobalPrivacyControl,
            _ => Choice::None,
        };
        let kind = random.f64();
        if kind < AUTOMATED {
            let address = v4(data_centre_network(), random.u16(1..400));
            let user_agent = agents::automated(&mut random);
            let (network, city) = (Network::DataCentre, places.data_centre());
            return Self { number, network, user_agent, screen: 1280, language: "en-US".into(), city, choice: Choice::None, address };
        }
        if kind < AUTOMATED + OFFICE {
            let office = zipf(&mut random, visitors / VISITORS_PER_OFFICE + 2, 1.1);
            return Self::in_office(seed, number, office, choice, agents, places);
        }
        let (user_agent, usual_width, form) = agents.draw(&mut random);
        let city = places.draw_city(&mut random);
        let country = places.country_of(city);
        let carrier = form == Kind::Mobile && random.f64() < PHONE_ON_CARRIER;
        let address = if carrier {
            let shared = (visitors / VISITORS_PER_SHARED_ADDRESS / 4 + 1).min(60_000);
            v4(carrier_network(country), 1 + zipf(&mut random, shared, 1.05) as u16)
        } else if random.f64() < IPV6_AT_HOME {
            let [a, b] = home_network_v6(city);
            Ipv6Addr::new(a, b, random.u16(..), random.u16(..), 0, 0, 0, 1).into()
        } else {
            v4(home_network(city), random.u16(..))
        };
        Self {
            number,
            network: if carrier { Network::Carrier } else { Network::Home },
            user_agent,
            screen: screen(&mut random, usual_width, form),
            language: places.language(country, &mut random),
            city,
            choice,
            address,
        }
    }

    /// Everybody in an office has the same of everything but a choice.
    fn in_office(seed: u64, number: u32, office: u32, choice: Choice, agents: &Agents, places: &Places) -> Self {
        let mut random = Rng::with_seed(mix(seed, &[11, office.into()]));
        let city = places.draw_city(&mut random);
        let (user_agent, screen) = loop {
            let (user_agent, width, kind) = agents.draw(&mut random);
            if kind == Kind::Desktop {
                break (user_agent, width);
            }
        };
        let language = places.language(places.country_of(city), &mut random);
        let address = v4(office_network(city), random.u16(..));
        Self { number, network: Network::Office, user_agent, screen, language, city, choice, address }
    }

    /// Where a request of this visitor comes from: in an IPv6 network, not twice the same.
    pub(super) fn address(&self, random: &mut Rng) -> IpAddr {
        match self.address {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Ipv6Addr::new(a, b, c, d, random.u16(..), random.u16(..), random.u16(..), random.u16(..)).into()
            }
            address @ IpAddr::V4(_) => address,
        }
    }
}

fn v4([a, b]: [u8; 2], rest: u16) -> IpAddr {
    let [c, d] = rest.to_be_bytes();
    Ipv4Addr::new(a, b, c, d).into()
}

/// Mostly what is usual for the user agent; sometimes another that is usual; seldom anything.
fn screen(random: &mut Rng, usual: u32, kind: Kind) -> u32 {
    const DESKTOP: [u32; 8] = [1920, 1536, 1366, 1440, 1280, 2560, 1680, 3840];
    const MOBILE: [u32; 6] = [390, 393, 360, 412, 430, 375];
    match random.u32(0..100) {
        0..70 => usual,
        70..98 if kind == Kind::Mobile => MOBILE[zipf(random, 6, 1.2) as usize],
        70..98 => DESKTOP[zipf(random, 8, 1.2) as usize],
        _ => random.u32(240..5120),
    }
}
