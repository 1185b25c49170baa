//! Puts a header of its own on a clean event; makes an event for the profile store of somebody who never agreed to one.

use firsthand::privacy::{
    clean::CleanEvent,
    profiled::{PersonHandle, ProfileEvent},
    record::Header,
};

fn widen(header: Header, event: CleanEvent) -> CleanEvent {
    CleanEvent { header, ..event }
}

fn follow(event: ProfileEvent, token: [u8; 16]) -> ProfileEvent {
    ProfileEvent { person: PersonHandle::from_rest(token), ..event }
}

fn main() {}
