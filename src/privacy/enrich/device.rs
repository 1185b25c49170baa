//! A user agent as four words from closed lists: browser family, its major version, system, device class. What is not on the lists
//! is `other`; nothing of the string itself goes any further.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::agent::Agent;
use crate::privacy::raw::{AppDevice, Arrival, Text};

/// Longer user agents are not looked at beyond this: real ones have at most a few hundred bytes.
const LOOKED_AT_BYTES: usize = 512;
/// No browser has a higher major version; a larger number is somebody's own.
const MAJOR_MAX: u16 = 399;

/// What is known of the visitor's device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct DeviceClass {
    /// The browser's family.
    pub browser: Browser,
    /// Its major version; 0: not known.
    pub major: u16,
    /// The operating system's family.
    pub system: System,
    /// What kind of device.
    pub form: Form,
}

/// Browser families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the vendors'")]
pub enum Browser {
    Chrome,
    Edge,
    Firefox,
    Opera,
    Safari,
    SamsungInternet,
    Other,
    /// None: the site's own app.
    App,
}

impl Browser {
    /// Every family.
    pub const ALL: [Self; 8] =
        [Self::Chrome, Self::Edge, Self::Firefox, Self::Opera, Self::Safari, Self::SamsungInternet, Self::Other, Self::App];

    /// The name in counters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chrome => "chrome",
            Self::Edge => "edge",
            Self::Firefox => "firefox",
            Self::Opera => "opera",
            Self::Safari => "safari",
            Self::SamsungInternet => "samsung_internet",
            Self::Other => "other",
            Self::App => "app",
        }
    }
}

/// Operating system families.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the vendors'")]
pub enum System {
    Android,
    ChromeOs,
    Ios,
    Linux,
    Macos,
    Windows,
    Other,
}

/// Kinds of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A computer with a keyboard.
    Desktop,
    /// A phone.
    Mobile,
    /// A tablet.
    Tablet,
    /// Not known.
    Other,
}

/// What stands before a slash. The lowest rank decides: a browser built on another one names that one too.
fn browser_named(name: &str) -> Option<(u8, Browser)> {
    Some(match name {
        "EdgA" | "EdgiOS" | "Edg" => (0, Browser::Edge),
        "OPR" | "OPX" => (1, Browser::Opera),
        "SamsungBrowser" => (2, Browser::SamsungInternet),
        "FxiOS" | "Firefox" => (3, Browser::Firefox),
        "CriOS" | "HeadlessChrome" | "Chrome" | "Chromium" => (4, Browser::Chrome),
        "Version" => (5, Browser::Safari),
        _ => return None,
    })
}

/// A word that names a system, and whether it names the device's form, too. The lowest rank decides: Android names Linux.
fn system_named(word: &str) -> Option<(u8, (System, Form))> {
    Some(match word {
        "Windows" => (0, (System::Windows, Form::Desktop)),
        "iPhone" | "iPod" => (1, (System::Ios, Form::Mobile)),
        "iPad" => (2, (System::Ios, Form::Tablet)),
        "Android" => (3, (System::Android, Form::Tablet)),
        "CrOS" => (4, (System::ChromeOs, Form::Desktop)),
        "Macintosh" => (5, (System::Macos, Form::Desktop)),
        "Linux" => (6, (System::Linux, Form::Desktop)),
        _ => return None,
    })
}

impl DeviceClass {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { browser: Browser::Other, major: 0, system: System::Other, form: Form::Other };

    /// The class of a request's user agent.
    #[must_use]
    pub fn of_arrival(arrival: &Arrival<'_>) -> Self {
        Agent::of_arrival(arrival).device()
    }

    /// The class of a user agent.
    pub(in crate::privacy) fn of(user_agent: &str) -> Self {
        let end = user_agent.floor_char_boundary(LOOKED_AT_BYTES);
        let agent = &user_agent[..end];
        if !agent.starts_with("Mozilla/5.0 (") {
            return Self::UNKNOWN;
        }
        let mut browser: Option<(u8, (Browser, u16))> = None;
        let mut system: Option<(u8, (System, Form))> = None;
        let (mut mobile, mut safari) = (false, false);
        for word in agent.split([' ', ';', '(', ')']) {
            match word.split_once('/') {
                Some((name, version)) => {
                    safari |= name == "Safari";
                    mobile |= name == "Mobile";
                    better(&mut browser, browser_named(name).map(|(rank, browser)| (rank, (browser, major(version)))));
                }
                None => {
                    mobile |= word == "Mobile";
                    better(&mut system, system_named(word));
                }
            }
        }
        let (browser, major) = match browser {
            // Others have a version, too; only Safari's own name says that it is one.
            Some((_, (Browser::Safari, _))) if !safari => (Browser::Other, 0),
            Some((_, named)) => named,
            None => (Browser::Other, 0),
        };
        let (system, form) = match system {
            Some((_, (System::Android, _))) if mobile => (System::Android, Form::Mobile),
            Some((_, named)) => named,
            None => (System::Other, Form::Other),
        };
        Self { browser, major, system, form }
    }

    /// The class of what an app says of itself.
    pub(in crate::privacy) fn of_app(app: &AppDevice<'_>) -> Self {
        fn plain(said: Option<&Text<'_>>) -> String {
            let text = said.map_or("", |text| text.expose());
            text.chars()
                .take(LOOKED_AT_BYTES)
                .filter(|letter| letter.is_ascii_alphanumeric())
                .map(|letter| letter.to_ascii_lowercase())
                .collect()
        }
        let (system, mut form) = match plain(app.system.as_ref()).as_str() {
            "android" => (System::Android, Form::Other),
            "ios" => (System::Ios, Form::Other),
            "iphoneos" => (System::Ios, Form::Mobile),
            "ipados" => (System::Ios, Form::Tablet),
            "macos" | "macosx" => (System::Macos, Form::Desktop),
            "windows" => (System::Windows, Form::Desktop),
            "linux" => (System::Linux, Form::Desktop),
            "chromeos" => (System::ChromeOs, Form::Desktop),
            _ => (System::Other, Form::Other),
        };
        let model = plain(app.model.as_ref());
        form = match plain(app.form.as_ref()).as_str() {
            "phone" | "mobile" | "smartphone" => Form::Mobile,
            "tablet" => Form::Tablet,
            "desktop" => Form::Desktop,
            // Segment's libraries say the system there.
            _ if model.starts_with("iphone") => Form::Mobile,
            _ if model.starts_with("ipad") => Form::Tablet,
            _ => form,
        };
        Self { browser: Browser::App, major: app.version.as_ref().map_or(0, |version| major(version.expose())), system, form }
    }

    /// What [`Self::of`] makes of a user agent of ours, for tests of what makes them.
    #[cfg(test)]
    pub(crate) fn read_for_test(user_agent: &str) -> Self {
        Self::of(user_agent)
    }

    /// Five bytes that are the same for the same class.
    pub(in crate::privacy) fn code(&self) -> [u8; 5] {
        let major = self.major.to_le_bytes();
        [self.browser as u8, major[0], major[1], self.system as u8, self.form as u8]
    }
}

fn major(version: &str) -> u16 {
    let digits = version.bytes().take_while(u8::is_ascii_digit).count();
    version[..digits].parse().ok().filter(|major| *major <= MAJOR_MAX).unwrap_or(0)
}

/// Keeps what has the lower rank.
fn better<T>(known: &mut Option<(u8, T)>, found: Option<(u8, T)>) {
    if let Some(found) = found
        && known.as_ref().is_none_or(|known| found.0 < known.0)
    {
        *known = Some(found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_user_agents_become_their_class() {
        let cases = [
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
                (Browser::Chrome, 142, System::Windows, Form::Desktop),
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36 Edg/141.0.3537.71",
                (Browser::Edge, 141, System::Windows, Form::Desktop),
            ),
            (
                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
                (Browser::Firefox, 140, System::Linux, Form::Desktop),
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1",
                (Browser::Safari, 18, System::Ios, Form::Mobile),
            ),
            (
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36",
                (Browser::SamsungInternet, 28, System::Android, Form::Mobile),
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
                (Browser::Safari, 26, System::Macos, Form::Desktop),
            ),
        ];
        for (agent, (browser, major, system, form)) in cases {
            assert_eq!(DeviceClass::of(agent), DeviceClass { browser, major, system, form }, "{agent}");
        }
    }

    #[test]
    fn anything_else_is_other() {
        for agent in ["", "curl/8.5.0", "jane@example.org", "Mozilla/5.0 (jane@example.org)"] {
            assert_eq!(DeviceClass::of(agent).browser, Browser::Other, "{agent}");
        }
        let forged = DeviceClass::of("Mozilla/5.0 (X11; Linux x86_64) Chrome/491725360174.0 Safari/537.36");
        assert_eq!(forged.major, 0, "a number that no browser has is somebody's own");
        DeviceClass::of(&format!("Mozilla/5.0 ({}é", "x".repeat(LOOKED_AT_BYTES - 14)));
    }
}
