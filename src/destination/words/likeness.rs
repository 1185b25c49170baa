//! What stands in for a visitor where a receiver tells visitors apart by the request itself: an address that is nobody's, and the user agent
//! of a device's class. Both are made of a disclosure and of nothing else, and there is no other way to make them.

use super::agent;
use crate::privacy::disclose::Disclosure;

/// The header in which a receiver looks for the visitor's address before it takes the caller's.
pub const ADDRESS_HEADER: &str = "x-forwarded-for";

/// A stand-in for one visitor.
pub struct Likeness {
    address: String,
    user_agent: Option<String>,
}

impl Likeness {
    /// Of the visitor of this disclosure: the same as long as the destination's id of them is.
    #[must_use]
    pub fn of(disclosure: &Disclosure) -> Self {
        Self { address: nobodys(disclosure.visitor_id()), user_agent: agent::of(disclosure.device()) }
    }

    /// As headers; without a user agent where no device is disclosed.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [(ADDRESS_HEADER, self.address.as_str())].into_iter().chain(self.user_agent.as_deref().map(|agent| ("user-agent", agent)))
    }
}

/// An address of the range for documentation, 2001:db8::/32 (RFC 3849), for which nobody finds a place; the same for the same visitor's id.
pub(in crate::destination) fn nobodys(visitor_id: &str) -> String {
    let part = |at: usize| visitor_id.get(at..at + 4).unwrap_or("0");
    format!("2001:db8::{}:{}:{}:{}", part(0), part(4), part(8), part(12))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use serde_json::json;

    use super::*;
    use crate::{clock::Timestamp, event::Offset};

    #[test]
    fn an_address_is_of_the_range_for_documentation_whatever_the_id() {
        for id in ["8f3a52c41d9be077", "0000000000000000", "ffffffffffffffff", ""] {
            let address: Ipv6Addr = nobodys(id).parse().unwrap();
            assert_eq!(address.segments()[..2], [0x2001, 0xdb8], "{id}");
        }
        assert_ne!(nobodys("8f3a52c41d9be077"), nobodys("8f3a52c41d9be078"));
    }

    #[test]
    fn a_likeness_says_an_address_and_a_class_of_device() {
        let of = |fields| Likeness::of(&Disclosure::for_test(Offset(1), 1, Timestamp(0)).saying(&fields));
        let known = of(
            json!({ "visitor_id": "8f3a52c41d9be077", "device": { "browser": "firefox", "major": 142, "system": "linux", "form": "desktop" } }),
        );
        let said: Vec<_> = known.headers().collect();
        assert_eq!(said[0], (ADDRESS_HEADER, "2001:db8::8f3a:52c4:1d9b:e077"));
        assert!(said[1].0 == "user-agent" && said[1].1.ends_with("Firefox/142.0"), "{said:?}");
        assert_eq!(of(json!({ "visitor_id": "8f3a52c41d9be077" })).headers().count(), 1);
    }
}
