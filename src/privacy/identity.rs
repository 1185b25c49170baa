//! Who the page says is visiting, and how far that is to be believed. A browser's word is a claim; it is proven
//! where the site's backend has signed it for this very browser.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::raw::{Arrival, RawEvent};
use crate::{clock::Timestamp, config::secret::Secret};

/// How far an identifier is to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assurance {
    /// A browser says so. Nobody's account may be opened, joined or changed by it.
    Claimed,
    /// The site's backend says so.
    Proven,
}

/// How far the event's user id is to be believed. The signature is base64url without padding of HMAC-SHA256, under the site's secret, of
/// three lines without an end of line after the last: the user id, the value of our visitor cookie as the backend receives it, and the
/// signature's end in seconds since 1970. So it is of use to that one browser alone, for that long. What the backend says itself needs none.
pub(in crate::privacy) fn assurance(raw: &RawEvent<'_>, cookie_id: &[u8; 16], secret: Option<&Secret>, now: Timestamp) -> Assurance {
    let proven = || -> Option<()> {
        let (secret, user_id, ends) = (secret?, raw.user_id.as_ref()?, raw.user_signature_ends?);
        let signature = URL_SAFE_NO_PAD.decode(raw.user_signature.as_ref()?.expose().as_bytes()).ok()?;
        if ends.saturating_mul(1000) <= now.0 {
            return None;
        }
        signing(secret, user_id.expose(), &URL_SAFE_NO_PAD.encode(cookie_id), ends).verify_slice(&signature).ok()
    };
    if raw.vouched || proven().is_some() { Assurance::Proven } else { Assurance::Claimed }
}

fn signing(secret: &Secret, user_id: &str, cookie: &str, ends: i64) -> Hmac<Sha256> {
    let mut state = Hmac::<Sha256>::new_from_slice(secret.bytes()).expect("HMAC takes a key of any length");
    state.update(format!("{user_id}\n{cookie}\n{ends}").as_bytes());
    state
}

/// What a site's backend signs: that the browser of this request is that account's, until then (seconds since 1970). For the demonstration,
/// which is its own shop's backend. Nothing: the browser has no visitor cookie, and there is nothing to sign it for.
#[must_use]
pub fn signature(secret: &Secret, user_id: &str, arrival: &Arrival<'_>, ends: i64) -> Option<String> {
    let cookie = arrival.own.visitor.first()?.expose();
    Some(URL_SAFE_NO_PAD.encode(signing(secret, user_id, cookie, ends).finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::personal::Personal;

    const COOKIE_ID: [u8; 16] = [7; 16];
    const NOW: Timestamp = Timestamp(1_790_000_000_000);

    /// As a site's backend would make it, from the text of the cookie.
    fn sign(secret: &str, user_id: &str, cookie: &str, ends: i64) -> String {
        let mut state = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        state.update([user_id, cookie, &ends.to_string()].join("\n").as_bytes());
        URL_SAFE_NO_PAD.encode(state.finalize().into_bytes())
    }

    fn said(user_id: &'static str, signature: String, ends: i64) -> RawEvent<'static> {
        RawEvent {
            user_id: Some(Personal::new(user_id.into())),
            user_signature: Some(Personal::new(signature.into())),
            user_signature_ends: Some(ends),
            ..RawEvent::default()
        }
    }

    #[test]
    fn an_id_is_proven_by_the_sites_own_signature_for_this_browser_and_this_long() {
        let secret = Secret::new(b"a shop's secret".to_vec());
        let cookie = URL_SAFE_NO_PAD.encode(COOKIE_ID);
        let (soon, past) = (1_790_000_600, 1_790_000_000);
        let good = sign("a shop's secret", "u7", &cookie, soon);
        let judge = |raw: &RawEvent<'_>| assurance(raw, &COOKIE_ID, Some(&secret), NOW);
        assert_eq!(judge(&said("u7", good.clone(), soon)), Assurance::Proven);
        for (what, raw) in [
            ("another id", said("u8", good.clone(), soon)),
            ("another end", said("u7", good.clone(), soon + 1)),
            ("no end", RawEvent { user_signature_ends: None, ..said("u7", good.clone(), soon) }),
            ("cut off", said("u7", good[..40].to_owned(), soon)),
            ("no base64url", said("u7", format!("{}+", &good[1..]), soon)),
            ("over", said("u7", sign("a shop's secret", "u7", &cookie, past), past)),
            ("another secret", said("u7", sign("another", "u7", &cookie, soon), soon)),
            ("another browser's", said("u7", sign("a shop's secret", "u7", &URL_SAFE_NO_PAD.encode([8; 16]), soon), soon)),
            ("an end beyond all time", said("u7", good.clone(), i64::MAX)),
        ] {
            assert_eq!(judge(&raw), Assurance::Claimed, "{what}");
        }
        assert_eq!(assurance(&said("u7", good, soon), &COOKIE_ID, None, NOW), Assurance::Claimed, "a site without a secret");
        let by_backend = RawEvent { user_id: Some(Personal::new("u7".into())), vouched: true, ..RawEvent::default() };
        assert_eq!(assurance(&by_backend, &COOKIE_ID, None, NOW), Assurance::Proven, "the backend itself");
    }
}
