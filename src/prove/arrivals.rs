//! A control on the beacons themselves: the program's live view has to tell, of each protocol, that events of it were kept, and of visitors who
//! agreed. A beacon that is not understood leaks nothing, and shows nothing.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::beacons::{self, NATIVE};

/// What the live view told of one protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Arrived {
    /// An event was kept.
    pub kept: bool,
    /// One of a visitor who agreed was.
    pub kept_with_consent: bool,
}

/// By protocol: every one that there is.
pub type Arrivals = BTreeMap<&'static str, Arrived>;

/// What these bytes of the live view tell.
#[must_use]
pub fn seen(live: &[u8]) -> Arrivals {
    let mut arrivals: Arrivals = beacons::protocols().map(|protocol| (protocol, Arrived::default())).collect();
    let text = String::from_utf8_lossy(live);
    let items = text.lines().filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok());
    for item in items.filter(|item| item["kind"] == "arrived" && item["offset"].is_u64()) {
        let protocol = item["protocol"].as_str().and_then(|said| arrivals.iter_mut().find(|(name, _)| **name == said));
        if let Some((_, arrived)) = protocol {
            arrived.kept = true;
            arrived.kept_with_consent |= item["visitor"].as_str().is_some_and(|visitor| visitor.starts_with("granted"));
        }
    }
    arrivals
}

/// What is missing. Where no event of the native protocol was kept with a consent, no destination asks for one.
#[must_use]
pub fn missing(arrivals: &Arrivals) -> Vec<String> {
    let native = arrivals.get(NATIVE).copied().unwrap_or_default();
    let missing = arrivals.iter().filter_map(|(protocol, arrived)| {
        let what = match arrived {
            Arrived { kept: false, .. } => "no event was kept",
            Arrived { kept_with_consent: false, .. } if native.kept_with_consent => "no event of a visitor who agreed was kept",
            _ => return None,
        };
        Some(format!("of the beacons of {protocol} {what}: nothing was tried with them"))
    });
    missing.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_of_which_nothing_was_kept_is_missed() {
        let item = |protocol: &str, visitor: &str, offset: &str| {
            format!("data: {{\"kind\":\"arrived\",\"protocol\":\"{protocol}\",\"visitor\":\"{visitor}\",\"offset\":{offset}}}\n\n")
        };
        let all: String = beacons::protocols().map(|protocol| item(protocol, "granted: analytics", "3")).collect();
        assert_eq!(missing(&seen(all.as_bytes())), Vec::<String>::new());
        let refused = all.replace(&item("meta", "granted: analytics", "3"), &item("meta", "granted: analytics", "null"));
        assert!(missing(&seen(refused.as_bytes())).concat().contains("meta no event was kept"));
        let unknown = all.replace(&item("meta", "granted: analytics", "3"), &item("meta", "unknown", "3"));
        assert!(missing(&seen(unknown.as_bytes())).concat().contains("meta no event of a visitor who agreed"));
        let exempt = all.replace("granted: analytics", "unknown");
        assert_eq!(missing(&seen(exempt.as_bytes())), Vec::<String>::new(), "no destination asks for a consent");
        assert_eq!(missing(&seen(b"")).len(), beacons::protocols().count());
    }
}
