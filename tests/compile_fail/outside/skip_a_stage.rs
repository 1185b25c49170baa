//! Goes on without asking for consent.

use firsthand::privacy::{
    enrich::{self, Enriched, bot::Bot, device::DeviceClass, place::PlaceDatabase},
    raw::{Arrival, RawEvent},
};

fn skip<'a>(event: RawEvent<'a>, arrival: &Arrival<'_>, derived: (DeviceClass, Bot), places: &PlaceDatabase) -> Enriched<'a> {
    enrich::enrich(event, arrival, derived, places)
}

fn main() {}
