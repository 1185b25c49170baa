//! K_visit as whoever can read the process's memory would look for it: bytes are tried as the key, and the token that they make of a visitor who
//! is known is compared with those that rest. For `prove`, which has to find the key while it lives, and nothing of it later. Makes no key, and
//! is never near one but in a child's memory.

use std::net::IpAddr;

use super::{locked::KEY_BYTES, visit::token_under};
use crate::{
    event::{Epoch, SiteNumber},
    privacy::{enrich::device::DeviceClass, purge_set::PurgeSet, raw::ClientAddress},
};

/// SHA-256's own.
const BLOCK_BYTES: usize = 64;
const INITIAL_STATE: [u32; 8] = [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
/// HMAC's two pads (RFC 2104).
const INNER_PAD: u8 = 0x36;
const OUTER_PAD: u8 = 0x5c;

/// A visitor of a site who objected on that day, so that their token rests.
pub struct Objector {
    site: SiteNumber,
    epoch: Epoch,
    address: ClientAddress,
    device: DeviceClass,
}

impl Objector {
    /// Who came from this address with this `User-Agent`.
    #[must_use]
    pub fn new(site: SiteNumber, epoch: Epoch, address: IpAddr, user_agent: &str) -> Self {
        Self { site, epoch, address: ClientAddress::new(address), device: DeviceClass::of(user_agent) }
    }

    /// Whether their token of that day is what these bytes make as K_visit.
    #[must_use]
    pub fn proves(&self, candidate: &[u8; KEY_BYTES], objections: &PurgeSet) -> bool {
        objections.has(self.site, self.epoch, &token_under(candidate, self.site, &self.address, &self.device))
    }
}

/// All that a key can be known by in memory: itself, and what HMAC-SHA-256 makes of it before it sees a message.
#[must_use]
pub fn traces(key: &[u8; KEY_BYTES]) -> Vec<(&'static str, Vec<u8>)> {
    let padded = |pad: u8| key.map(|byte| byte ^ pad);
    let mut traces = vec![
        ("the key", key.to_vec()),
        ("the key with HMAC's inner pad", padded(INNER_PAD).to_vec()),
        ("the key with HMAC's outer pad", padded(OUTER_PAD).to_vec()),
    ];
    for (name, pad) in [("HMAC's inner state", INNER_PAD), ("HMAC's outer state", OUTER_PAD)] {
        let mut block = [pad; BLOCK_BYTES];
        block[..KEY_BYTES].copy_from_slice(&padded(pad));
        let mut state = INITIAL_STATE;
        sha2::block_api::compress256(&mut state, &[block]);
        traces.push((name, state.iter().flat_map(|word| word.to_ne_bytes()).collect()));
    }
    traces
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        privacy::keys::{database::KeysDb, mac::mac},
        state::IN_MEMORY,
    };

    #[test]
    fn a_key_is_known_by_the_token_of_who_objected() {
        let objections = PurgeSet::open(Arc::new(KeysDb::open(std::path::Path::new(IN_MEMORY)).unwrap())).unwrap();
        let (site, epoch, address) = (SiteNumber(3), Epoch(20_000), "192.0.2.7".parse().unwrap());
        let objector = Objector::new(site, epoch, address, "Mozilla/5.0 (X11; Linux x86_64) Chrome/142.0.0.0");
        let key = [9; KEY_BYTES];
        objections.add(site, epoch, token_under(&key, site, &objector.address, &objector.device)).unwrap();
        assert!(objector.proves(&key, &objections));
        assert!(!objector.proves(&[8; KEY_BYTES], &objections));
        let other = Objector::new(site, epoch, "192.0.2.8".parse().unwrap(), "Mozilla/5.0 (X11; Linux x86_64) Chrome/142.0.0.0");
        assert!(!other.proves(&key, &objections));
    }

    /// From the two states alone the function can be finished, so they are the ones.
    #[test]
    fn the_states_are_those_of_the_function() {
        let key = [0x5a; KEY_BYTES];
        let state = |name: &str| {
            let found = traces(&key).into_iter().find(|(trace, _)| *trace == name).unwrap().1;
            let words: Vec<u32> = found.chunks(4).map(|word| u32::from_ne_bytes(word.try_into().unwrap())).collect();
            <[u32; 8]>::try_from(words).unwrap()
        };
        let finish = |mut state: [u32; 8], message: &[u8]| {
            let mut block = [0; BLOCK_BYTES];
            block[..message.len()].copy_from_slice(message);
            block[message.len()] = 0x80;
            block[56..].copy_from_slice(&(((BLOCK_BYTES + message.len()) * 8) as u64).to_be_bytes());
            sha2::block_api::compress256(&mut state, &[block]);
            state.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>()
        };
        let message = [&5_u64.to_le_bytes()[..], b"hello"].concat();
        let inner = finish(state("HMAC's inner state"), &message);
        assert_eq!(finish(state("HMAC's outer state"), &inner), mac(&key, &[b"hello"]));
    }
}
