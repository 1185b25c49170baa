//! One disclosure as its receiver reads it: nothing but the bytes that leave.

use serde::Deserialize;
use serde_json::value::RawValue;

/// The fields that a receiver could join or count by.
#[derive(Deserialize)]
pub(super) struct Seen<'a> {
    pub(super) visitor_id: &'a str,
    #[serde(default)]
    pub(super) session_id: Option<&'a str>,
    pub(super) time: &'a str,
    #[serde(borrow)]
    pub(super) page: Option<Page<'a>>,
    #[serde(borrow)]
    pub(super) device: &'a RawValue,
    pub(super) country: &'a str,
    #[serde(default)]
    pub(super) language: Option<&'a str>,
    #[serde(default)]
    pub(super) screen: Option<&'a str>,
    #[serde(default)]
    pub(super) referrer_host: Option<&'a str>,
}

#[derive(Deserialize)]
pub(super) struct Page<'a> {
    pub(super) path: &'a str,
}

impl<'a> Seen<'a> {
    /// `None`: nothing left for this destination.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        text.starts_with('{').then(|| serde_json::from_str(text).expect("a disclosure has these fields, without escapes"))
    }

    /// What is left of the visitor but ids: the tuple that crowds are measured on.
    pub(super) fn description(&self) -> (&str, &str, Option<&str>, Option<&str>, Option<&str>) {
        (self.device.get(), self.country, self.language, self.screen, self.referrer_host)
    }

    /// Whether nothing at all is left of the visitor but ids.
    pub(super) fn says_nothing(&self) -> bool {
        const NO_DEVICE: &str = r#"{"browser":"other","major":0,"system":"other","form":"other"}"#;
        self.description() == (NO_DEVICE, "ZZ", None, None, None)
    }

    pub(super) fn path(&self) -> &str {
        self.page.as_ref().map_or("", |page| page.path)
    }
}
