//! Signs of automation in a request's headers: what a browser always sends and this one did not, and what no browser says. Only headers
//! that every request of a browser carries unasked are looked at; nothing is measured in the page.

use super::{Reason, Reasons};
use crate::privacy::{
    enrich::device::{Browser, DeviceClass, System},
    raw::Arrival,
};

/// The first version of Chromium that says its brands in every request over TLS (<https://wicg.github.io/ua-client-hints/>).
const FIRST_WITH_HINTS: u16 = 90;

/// What form a user agent has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::privacy::enrich) enum Form {
    /// There is none, or nothing in it.
    None,
    /// An application's, or that of a browser of another kind.
    Application,
    /// None that a browser has.
    Unknown,
    /// A browser's.
    Browser {
        /// Its version of Chromium.
        chromium: Option<u16>,
        /// It holds two things that exclude each other.
        impossible: bool,
        /// It says that it is within an application.
        embedded: bool,
    },
}

impl Form {
    /// A user agent's, which is of that device.
    pub(in crate::privacy::enrich) fn of(agent: &str, device: &DeviceClass) -> Self {
        match agent.trim() {
            "" => Self::None,
            agent if agent.starts_with("Mozilla/5.0 (") => {
                let chromium = version_of(agent, "Chrome/");
                Self::Browser { chromium, impossible: is_impossible(agent, chromium, device), embedded: agent.contains("; wv)") }
            }
            agent if is_an_application(agent) => Self::Application,
            _ => Self::Unknown,
        }
    }
}

/// The signs of one request whose user agent does not say by itself that it is a program.
pub(super) fn signs(arrival: &Arrival<'_>, form: Form) -> Reasons {
    let reasons = Reasons::NONE.and_if(arrival.prefetched, Reason::Prefetch);
    let (chromium, impossible, embedded) = match form {
        Form::None => return reasons.and(Reason::NoUserAgent),
        Form::Application => return reasons,
        Form::Unknown => return reasons.and(Reason::NotABrowser),
        Form::Browser { chromium, impossible, embedded } => (chromium, impossible, embedded),
    };
    let reasons = reasons.and_if(arrival.accept_language.is_none(), Reason::NoLanguage).and_if(impossible, Reason::ImpossibleUserAgent);
    match arrival.brands.as_ref().map(|brands| brands.expose()) {
        Some(brands) if brands.contains("HeadlessChrome") => reasons.and(Reason::Headless),
        Some(brands) => reasons.and_if(contradict(brands, chromium), Reason::ContradictingHints),
        None => {
            // A browser within an application may have them taken out.
            let says_brands = chromium.is_some_and(|version| version >= FIRST_WITH_HINTS) && !embedded;
            reasons.and_if(arrival.secure && says_brands, Reason::NoHints)
        }
    }
}

/// What a phone's system sends for applications, and browsers of another kind that people used.
fn is_an_application(agent: &str) -> bool {
    agent.starts_with("Dalvik/") || agent.starts_with("Opera/") || agent.contains(" CFNetwork/")
}

/// What no browser says: each is two things that exclude each other.
fn is_impossible(agent: &str, chromium: Option<u16>, device: &DeviceClass) -> bool {
    let chromium_without_its_ancestors = chromium.is_some() && !(agent.contains("(KHTML, like Gecko") && agent.contains(" Safari/"));
    let safari_on_windows = device.browser == Browser::Safari && device.system == System::Windows;
    let two_systems =
        agent.contains("Windows NT") && ["Macintosh", "iPhone", "Android", "Linux x86_64"].iter().any(|it| agent.contains(it));
    let two_engines = agent.contains(" Firefox/") && agent.contains(" AppleWebKit/");
    chromium_without_its_ancestors || safari_on_windows || two_systems || two_engines
}

/// Whether brands are said under a user agent that has none, or of another version: `"Chromium";v="142", "Google Chrome";v="142"`.
fn contradict(brands: &str, chromium: Option<u16>) -> bool {
    match (version_of(brands, "\"Chromium\";v=\""), chromium) {
        (Some(brand), Some(agent)) => brand != agent,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// The whole number behind a name.
fn version_of(text: &str, name: &str) -> Option<u16> {
    let (_, version) = text.split_once(name)?;
    version.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        privacy::{
            consent::{ConsentSignal, evidence::Evidence, matomo::MatomoCookies},
            enrich::agent::Agent,
            personal::Personal,
            raw::{ClientAddress, OwnCookies, Text},
        },
    };

    const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36";
    const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    const SAFARI: &str =
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15";
    const CHROME_ON_IOS: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.7444.0 Mobile/15E148 Safari/604.1";
    const WEB_VIEW: &str = "Mozilla/5.0 (Linux; Android 15; Pixel 9; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/142.0.7444.1 Mobile Safari/537.36";
    const BRANDS: &str = "\"Chromium\";v=\"142\", \"Google Chrome\";v=\"142\", \"Not_A Brand\";v=\"99\"";

    fn signs_of(
        agent: Option<&'static str>,
        language: Option<&'static str>,
        brands: Option<&'static str>,
        prefetched: bool,
    ) -> Vec<Reason> {
        let text = |said: Option<&'static str>| -> Option<Text<'static>> { said.map(|said| Personal::new(said.into())) };
        let address = Personal::new(ClientAddress::new([192, 0, 2, 1].into()));
        let arrival = Arrival {
            address: &address,
            user_agent: text(agent),
            app: None,
            accept_language: text(language),
            brands: text(brands),
            prefetched,
            own: OwnCookies::default(),
            matomo: MatomoCookies::default(),
            global_privacy_control: false,
            do_not_track: false,
            secure: true,
            signal: ConsentSignal::Absent,
            evidence: Evidence::default(),
            received: Timestamp(0),
        };
        signs(&arrival, Agent::of_arrival(&arrival).form).iter().collect()
    }

    #[test]
    fn browsers_as_they_are_have_no_sign() {
        for (agent, brands) in [(CHROME, Some(BRANDS)), (FIREFOX, None), (SAFARI, None), (CHROME_ON_IOS, None), (WEB_VIEW, None)] {
            assert_eq!(signs_of(Some(agent), Some("de"), brands, false), [], "{agent}");
        }
        for agent in ["Dalvik/2.1.0 (Linux; U; Android 15; Pixel 9)", "Shop/7 CFNetwork/1568.100.1 Darwin/24.0.0"] {
            assert_eq!(signs_of(Some(agent), None, None, false), [], "{agent}");
        }
    }

    #[test]
    fn each_sign_is_seen() {
        use Reason::{ContradictingHints, Headless, ImpossibleUserAgent, NoHints, NoLanguage, NoUserAgent, NotABrowser, Prefetch};
        let (fr, some) = (Some("fr"), Some(BRANDS));
        let no_ancestors = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/142.0.0.0";
        let two_systems = "Mozilla/5.0 (Windows NT 10.0; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Version/26.0 Safari/605.1.15";
        let two_engines = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/605.1.15 (KHTML, like Gecko) Firefox/140.0";
        let safari_on_windows = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15";
        for (agent, language, brands, reasons) in [
            (None, fr, None, &[NoUserAgent][..]),
            (Some(" "), fr, None, &[NoUserAgent]),
            (Some("Mine"), fr, None, &[NotABrowser]),
            (Some("Mozilla/4.0 (compatible)"), fr, None, &[NotABrowser]),
            (Some(CHROME), None, some, &[NoLanguage]),
            (Some(CHROME), fr, None, &[NoHints]),
            (Some(CHROME), None, None, &[NoLanguage, NoHints]),
            (Some(FIREFOX), fr, some, &[ContradictingHints]),
            (Some(CHROME), fr, Some("\"Chromium\";v=\"120\""), &[ContradictingHints]),
            (Some(CHROME), fr, Some("\"HeadlessChrome\";v=\"142\", \"Chromium\";v=\"142\""), &[Headless]),
            (Some(no_ancestors), fr, some, &[ImpossibleUserAgent]),
            (Some(two_systems), fr, None, &[ImpossibleUserAgent]),
            (Some(two_engines), fr, None, &[ImpossibleUserAgent]),
            (Some(safari_on_windows), fr, None, &[ImpossibleUserAgent]),
        ] {
            assert_eq!(signs_of(agent, language, brands, false), reasons, "{agent:?}");
        }
        assert_eq!(signs_of(Some(FIREFOX), fr, None, true), [Prefetch]);
    }
}
