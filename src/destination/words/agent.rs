//! A user agent of the device's class, for receivers that ask one for browser and system. It is made of the four words that are disclosed
//! and of nothing else: everybody of one class has the same, and no visitor's own is ever sent.

use crate::privacy::enrich::device::{Browser, DeviceClass, Form, System};

/// The user agent of a class; none where nothing is known.
pub(in crate::destination) fn of(class: &DeviceClass) -> Option<String> {
    if *class == DeviceClass::UNKNOWN {
        return None;
    }
    let mobile = class.form == Form::Mobile;
    let ios = class.system == System::Ios;
    let platform = match class.system {
        System::Android => "Linux; Android 10; K",
        System::ChromeOs => "X11; CrOS x86_64 14541.0.0",
        System::Ios if mobile => "iPhone; CPU iPhone OS 18_0 like Mac OS X",
        System::Ios => "iPad; CPU OS 18_0 like Mac OS X",
        System::Linux => "X11; Linux x86_64",
        System::Macos => "Macintosh; Intel Mac OS X 10_15_7",
        System::Windows => "Windows NT 10.0; Win64; x64",
        System::Other => "compatible",
    };
    let major = class.major;
    let of_chromium = |name: &str| {
        let word = if mobile { " Mobile" } else { "" };
        let own = if name.is_empty() { String::new() } else { format!(" {name}/{major}.0.0.0") };
        format!(" AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{major}.0.0.0{word} Safari/537.36{own}")
    };
    // On iOS, every browser is Safari with another name.
    let of_webkit = |name: &str| {
        let word = if mobile { " Mobile/15E148" } else { "" };
        format!(" AppleWebKit/605.1.15 (KHTML, like Gecko) {name}/{major}.0{word} Safari/605.1.15")
    };
    let rest = match class.browser {
        Browser::Chrome if ios => of_webkit("CriOS"),
        Browser::Edge if ios => of_webkit("EdgiOS"),
        Browser::Firefox if ios => of_webkit("FxiOS"),
        Browser::Chrome => of_chromium(""),
        Browser::Edge => of_chromium(if class.system == System::Android { "EdgA" } else { "Edg" }),
        Browser::Opera => of_chromium("OPR"),
        Browser::SamsungInternet => of_chromium("SamsungBrowser"),
        Browser::Safari => of_webkit("Version"),
        Browser::Firefox => {
            let platform = match class.system {
                System::Android if mobile => "Android 10; Mobile",
                System::Android => "Android 10; Tablet",
                _ => platform,
            };
            return Some(format!("Mozilla/5.0 ({platform}; rv:{major}.0) Gecko/20100101 Firefox/{major}.0"));
        }
        Browser::Other | Browser::App if mobile => String::from(" Mobile"),
        Browser::Other | Browser::App => String::new(),
    };
    Some(format!("Mozilla/5.0 ({platform}){rest}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::privacy::disclose::Disclosure;

    fn class(browser: &str, major: u16, system: &str, form: &str) -> DeviceClass {
        let fields = json!({ "device": { "browser": browser, "major": major, "system": system, "form": form } });
        *Disclosure::for_test(crate::event::Offset(1), 1, crate::clock::Timestamp(0)).saying(&fields).device()
    }

    #[test]
    fn a_class_has_the_user_agent_that_its_browsers_reduce_theirs_to() {
        for (class, expected) in [
            (
                class("chrome", 142, "windows", "desktop"),
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
            ),
            (
                class("chrome", 142, "android", "mobile"),
                "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
            ),
            (
                class("safari", 26, "macos", "desktop"),
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15",
            ),
        ] {
            assert_eq!(of(&class).as_deref(), Some(expected));
        }
        assert_eq!(of(&DeviceClass::UNKNOWN), None);
    }

    #[test]
    fn whoever_reads_it_finds_the_class_that_it_was_made_of() {
        let systems = [
            ("android", "mobile"),
            ("android", "tablet"),
            ("chrome_os", "desktop"),
            ("ios", "mobile"),
            ("ios", "tablet"),
            ("linux", "desktop"),
            ("macos", "desktop"),
            ("windows", "desktop"),
        ];
        for browser in ["chrome", "edge", "firefox", "opera", "safari", "samsung_internet", "other"] {
            for (system, form) in systems {
                let major = if browser == "other" { 0 } else { 99 };
                let class = class(browser, major, system, form);
                let agent = of(&class).unwrap();
                assert_eq!(DeviceClass::read_for_test(&agent), class, "{agent}");
            }
        }
    }
}
