//! The device's class in the words that vendors' reports show.

use crate::privacy::enrich::device::{Browser, Form, System};

/// A browser's name.
pub(in crate::destination) const fn browser(browser: Browser) -> Option<&'static str> {
    match browser {
        Browser::Chrome => Some("Chrome"),
        Browser::Edge => Some("Microsoft Edge"),
        Browser::Firefox => Some("Firefox"),
        Browser::Opera => Some("Opera"),
        Browser::Safari => Some("Safari"),
        Browser::SamsungInternet => Some("Samsung Internet"),
        Browser::Other | Browser::App => None,
    }
}

/// A system's name.
pub(in crate::destination) const fn system(system: System) -> Option<&'static str> {
    match system {
        System::Android => Some("Android"),
        System::ChromeOs => Some("Chrome OS"),
        System::Ios => Some("iOS"),
        System::Linux => Some("Linux"),
        System::Macos => Some("Mac OS X"),
        System::Windows => Some("Windows"),
        System::Other => None,
    }
}

/// A kind of device.
pub(in crate::destination) const fn form(form: Form) -> Option<&'static str> {
    match form {
        Form::Desktop => Some("Desktop"),
        Form::Mobile => Some("Mobile"),
        Form::Tablet => Some("Tablet"),
        Form::Other => None,
    }
}
