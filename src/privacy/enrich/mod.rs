//! `enrich`: what can be derived from address, user agent and headers in memory, in coarse words from closed lists; the originals end here.

pub mod agent;
pub mod bot;
pub mod device;
pub mod language;
pub mod place;
pub mod place_file;

use self::{
    bot::Bot,
    device::DeviceClass,
    language::Language,
    place::{Country, PlaceDatabase},
};
use super::{consent::Permitted, raw::Arrival};

/// A permitted event and what could be derived about its visitor.
pub struct Enriched<'a> {
    pub(in crate::privacy) permitted: Permitted<'a>,
    pub(in crate::privacy) device: DeviceClass,
    pub(in crate::privacy) country: Country,
    pub(in crate::privacy) bot: Bot,
    pub(in crate::privacy) language: Option<Language>,
    pub(in crate::privacy) screen: Option<ScreenClass>,
}

/// Derives the coarse words; device and verdict are the request's, and the same for all its events.
#[must_use]
pub fn enrich<'a>(permitted: Permitted<'a>, arrival: &Arrival<'_>, derived: (DeviceClass, Bot), places: &PlaceDatabase) -> Enriched<'a> {
    let (device, bot) = derived;
    let said = permitted.event.language.as_ref().or(arrival.accept_language.as_ref());
    Enriched {
        device,
        country: places.country(arrival.address.expose()),
        bot,
        language: said.and_then(|said| Language::of(said.expose())),
        screen: permitted.event.screen_width.as_ref().map(|width| ScreenClass::of(*width.expose())),
        permitted,
    }
}

/// Width classes in CSS pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ScreenClass {
    /// Below 576.
    #[serde(rename = "<576")]
    Below576,
    /// Below 768.
    #[serde(rename = "<768")]
    Below768,
    /// Below 992.
    #[serde(rename = "<992")]
    Below992,
    /// Below 1200.
    #[serde(rename = "<1200")]
    Below1200,
    /// Below 1600.
    #[serde(rename = "<1600")]
    Below1600,
    /// Wider.
    #[serde(rename = ">=1600")]
    From1600,
}

impl ScreenClass {
    fn of(width: u32) -> Self {
        match width {
            0..576 => Self::Below576,
            576..768 => Self::Below768,
            768..992 => Self::Below992,
            992..1200 => Self::Below1200,
            1200..1600 => Self::Below1600,
            _ => Self::From1600,
        }
    }
}
