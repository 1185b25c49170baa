//! The tuple by which a visitor could be told from others: device, place, language, screen and kind of referrer, in the form in which a
//! destination would see it; and the steps by which it is made coarser.

use serde::{Deserialize, Serialize};

use super::referrer::ReferrerClass;
use crate::privacy::enrich::{
    ScreenClass,
    device::{Browser, DeviceClass, Form, System},
    language::Language,
    place::Country,
};

/// What leaves of a visitor's circumstances, as one cell of all combinations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tuple {
    /// Browser, version, system, form.
    pub device: DeviceClass,
    /// The country.
    pub country: Country,
    /// The language.
    pub language: Option<Language>,
    /// The screen's width class.
    pub screen: Option<ScreenClass>,
    /// What kind of site led here. Without consent no referrer leaves, and this is none.
    pub referrer: ReferrerClass,
}

/// One thing that a tuple can do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The browser's version.
    Version,
    /// The operating system.
    System,
    /// The browser, and its version with it.
    Browser,
    /// The screen's width class.
    Screen,
    /// The language.
    Language,
    /// The country.
    Place,
    /// What led here.
    Referrer,
    /// Desktop, phone or tablet.
    Device,
}

/// How many steps there are.
pub const STEPS: usize = 8;

impl Step {
    /// All of them, in the order that holds where a policy names none: what tells a visitor most from others and is worth least goes first.
    pub const ALL: [Self; STEPS] =
        [Self::Version, Self::System, Self::Browser, Self::Screen, Self::Language, Self::Place, Self::Referrer, Self::Device];

    /// The name in documents, metrics and pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::System => "system",
            Self::Browser => "browser",
            Self::Screen => "screen",
            Self::Language => "language",
            Self::Place => "place",
            Self::Referrer => "referrer",
            Self::Device => "device",
        }
    }
}

impl Tuple {
    /// Nothing is known: what everybody is at last.
    pub const NOTHING: Self =
        Self { device: DeviceClass::UNKNOWN, country: Country::UNKNOWN, language: None, screen: None, referrer: ReferrerClass::None };

    /// The same without one thing. Doing it twice changes nothing more.
    #[must_use]
    pub const fn without(mut self, step: Step) -> Self {
        match step {
            Step::Version => self.device.major = 0,
            Step::System => self.device.system = System::Other,
            Step::Browser => {
                self.device.browser = Browser::Other;
                self.device.major = 0;
            }
            Step::Screen => self.screen = None,
            Step::Language => self.language = None,
            Step::Place => self.country = Country::UNKNOWN,
            Step::Referrer => self.referrer = ReferrerClass::None,
            Step::Device => self.device.form = Form::Other,
        }
        self
    }

    /// Whether something of that kind is said by this tuple and not by a coarser one.
    #[must_use]
    pub fn loses(&self, step: Step, coarser: &Self) -> bool {
        match step {
            Step::Version => self.device.major != coarser.device.major,
            Step::System => self.device.system != coarser.device.system,
            Step::Browser => self.device.browser != coarser.device.browser,
            Step::Screen => self.screen != coarser.screen,
            Step::Language => self.language != coarser.language,
            Step::Place => self.country != coarser.country,
            Step::Referrer => self.referrer != coarser.referrer,
            Step::Device => self.device.form != coarser.device.form,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_takes_its_own_thing_and_all_of_them_everything() {
        let tuple = Tuple {
            device: DeviceClass { browser: Browser::Firefox, major: 140, system: System::Linux, form: Form::Desktop },
            country: serde_json::from_str("\"LU\"").unwrap(),
            language: Language::of("lb"),
            screen: Some(ScreenClass::From1600),
            referrer: ReferrerClass::Search,
        };
        for step in Step::ALL {
            let coarser = tuple.without(step);
            assert!(tuple.loses(step, &coarser), "{}", step.name());
            assert_eq!(coarser.without(step), coarser);
            let others = Step::ALL.into_iter().filter(|other| *other != step && tuple.loses(*other, &coarser));
            let also: &[Step] = if step == Step::Browser { &[Step::Version] } else { &[] };
            assert_eq!(others.collect::<Vec<_>>(), also, "{}", step.name());
        }
        assert_eq!(Step::ALL.into_iter().fold(tuple, Tuple::without), Tuple::NOTHING);
    }
}
