//! What a user agent says, read once. The same few hundred user agents come again and again, and reading one takes half a dozen passes over it:
//! device, declaration and form of the latest ones are remembered, by a keyed hash of the whole text. The text itself is not kept, and
//! nothing but the text has a say in what is remembered.

use std::{
    cell::RefCell,
    hash::{BuildHasher, RandomState},
};

use super::{
    bot::{declared, headers},
    device::DeviceClass,
};
use crate::privacy::raw::Arrival;

/// User agents that each thread remembers, 32 bytes each: ten browsers in a few versions on a few systems are most of a day's. A flood of new
/// ones costs what reading each of them costs, as it would without this table.
const SLOTS: usize = 512;

/// All that follows from a user agent alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agent {
    pub(in crate::privacy) device: DeviceClass,
    /// What it says that it is, where it says so.
    pub(super) declared: Option<declared::Declared>,
    /// What form it has.
    pub(super) form: headers::Form,
}

impl Agent {
    /// Of a request without one.
    const NONE: Self = Self { device: DeviceClass::UNKNOWN, declared: None, form: headers::Form::None };

    /// A request's.
    #[must_use]
    pub fn of_arrival(arrival: &Arrival<'_>) -> Self {
        if let Some(app) = &arrival.app {
            return Self { device: DeviceClass::of_app(app), declared: None, form: headers::Form::Application };
        }
        arrival.user_agent.as_ref().map_or(Self::NONE, |agent| LATEST.with_borrow_mut(|latest| latest.of(agent.expose())))
    }

    /// The device that it is on.
    #[must_use]
    pub const fn device(&self) -> DeviceClass {
        self.device
    }

    fn read(text: &str) -> Self {
        let device = DeviceClass::of(text);
        Self { device, declared: declared::of(text), form: headers::Form::of(text, &device) }
    }
}

thread_local! {
    static LATEST: RefCell<Latest> = RefCell::new(Latest::new());
}

/// The latest user agents of one thread. The hash's key is random for each, so that nobody outside can make two texts that share one.
struct Latest {
    key: RandomState,
    slots: Box<[Option<(u64, Agent)>]>,
}

impl Latest {
    fn new() -> Self {
        Self { key: RandomState::new(), slots: vec![None; SLOTS].into_boxed_slice() }
    }

    fn of(&mut self, text: &str) -> Agent {
        let hash = self.key.hash_one(text);
        let slot = &mut self.slots[hash as usize % SLOTS];
        match slot {
            Some((known, agent)) if *known == hash => *agent,
            _ => slot.insert((hash, Agent::read(text))).1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_what_would_be_read() {
        let mut latest = Latest::new();
        let browsers = (100..100 + 2 * SLOTS).map(|number| {
            let system = ["Windows NT 10.0; Win64; x64", "X11; Linux x86_64", "iPhone", "compatible; Examplebot/1.0"][number % 4];
            format!("Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{number}.0.0.0 Safari/537.36")
        });
        let others = ["", "curl/8.5.0", "Mozilla/5.0 (Windows NT 10.0) Firefox/140.0 AppleWebKit/1", "Dalvik/2.1.0"].map(String::from);
        let all: Vec<String> = browsers.chain(others).collect();
        for _ in 0..2 {
            for text in &all {
                for _ in 0..2 {
                    assert_eq!(latest.of(text), Agent::read(text), "{text}");
                }
            }
        }
        assert_eq!(latest.slots.len(), SLOTS, "more than there is room for");
        assert!(size_of::<Option<(u64, Agent)>>() <= 32);
    }
}
