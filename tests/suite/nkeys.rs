//! Keys as NATS writes them, and what they sign, made without its libraries: <https://github.com/nats-io/nkeys>, and JSON Web Tokens in which operators
//! speak for accounts and accounts for users.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64_URL};
use serde_json::{Value, json};

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// What a seed begins with: an `S` in base32, before the letter of its kind.
const SEED: u8 = 18 << 3;

/// A key of one kind, made of a number.
pub(crate) struct Nkey {
    kind: u8,
    seed: [u8; 32],
}

impl Nkey {
    pub(crate) fn operator(number: u8) -> Self {
        Self { kind: 14 << 3, seed: [number; 32] }
    }

    pub(crate) fn account(number: u8) -> Self {
        Self { kind: 0, seed: [number; 32] }
    }

    pub(crate) fn user(number: u8) -> Self {
        Self { kind: 20 << 3, seed: [number; 32] }
    }

    pub(crate) fn public(&self) -> String {
        written([&[self.kind], self.pair().public_key().as_ref()].concat())
    }

    pub(crate) fn seed(&self) -> String {
        written([&[SEED | self.kind >> 5, (self.kind & 31) << 3], &self.seed[..]].concat())
    }

    /// What an operator says of itself.
    pub(crate) fn says_operator(&self) -> String {
        self.says(&self.public(), &json!({ "type": "operator", "version": 2 }))
    }

    /// What an operator says of an account: that it may do everything.
    pub(crate) fn says_account(&self, account: &Self) -> String {
        let limits =
            json!({ "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1 });
        self.says(&account.public(), &json!({ "limits": limits, "type": "account", "version": 2 }))
    }

    /// The file that an account gives a user.
    pub(crate) fn credentials_of(&self, user: &Self) -> String {
        let said = self.says(&user.public(), &json!({ "subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2 }));
        format!(
            "-----BEGIN NATS USER JWT-----\n{said}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            user.seed()
        )
    }

    fn says(&self, of: &str, what: &Value) -> String {
        let part = |value: Value| BASE64_URL.encode(value.to_string());
        let head = part(json!({ "typ": "JWT", "alg": "ed25519-nkey" }));
        let claims = part(json!({ "jti": of, "iat": 1_764_000_000, "iss": self.public(), "sub": of, "name": "test", "nats": what }));
        let signed = format!("{head}.{claims}");
        let signature = BASE64_URL.encode(self.pair().sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    fn pair(&self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&self.seed).unwrap()
    }
}

/// Bytes with their checksum (CRC-16) behind them, in base32.
fn written(mut bytes: Vec<u8>) -> String {
    let checksum = bytes.iter().fold(0_u16, |sum, byte| {
        (0..8).fold(sum ^ (u16::from(*byte) << 8), |sum, _| if sum & 0x8000 == 0 { sum << 1 } else { (sum << 1) ^ 0x1021 })
    });
    bytes.extend_from_slice(&checksum.to_le_bytes());
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let five = |bits: &[u8]| usize::from_str_radix(&format!("{:0<5}", std::str::from_utf8(bits).unwrap()), 2).unwrap();
    bits.as_bytes().chunks(5).map(|bits| char::from(BASE32[five(bits)])).collect()
}
