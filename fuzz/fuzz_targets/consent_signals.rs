//! Consent strings of any form, alone and together: nothing panics, what cannot be read is a no, and no further word ever grants more.
#![no_main]

use firsthand::{
    clock::Timestamp,
    event::Purposes,
    privacy::consent::{
        ConsentSignal, Stance,
        consent_mode::{ConsentMode, PARAMETERS},
        gpp::{self, Gpp},
        matomo,
        tcf::{self, TcString},
        us_privacy::{self, UsPrivacy},
    },
};
use libfuzzer_sys::fuzz_target;

const NOW: Timestamp = Timestamp(1_800_000_000_000);

fuzz_target!(|input: (u8, &str, &str)| {
    let (which, text, other) = input;
    let (one, two) = (stance(which % 5, text), stance(which / 5 % 5, other));
    let together = one.and(two);
    assert!(together == two.and(one), "the order matters");
    let most = Purposes::from_bits(granted(one).bits() | granted(two).bits());
    assert!(most.cover(granted(together)), "together they grant what none does alone");
    for stance in [one, two] {
        let taken = stance.objected();
        assert!(Purposes::from_bits(granted(together).bits() & taken.bits()).is_empty(), "an objection is not heard");
        let refuses = matches!(stance.signal(), ConsentSignal::Malformed | ConsentSignal::GlobalPrivacyControl)
            || matches!(stance.signal(), ConsentSignal::Given { purposes, .. } if purposes.is_empty());
        assert!(!refuses || granted(together).is_empty(), "a no is not heard");
    }
});

fn stance(which: u8, text: &str) -> Stance {
    let (stance, is_read) = match which {
        0 => (tcf::stance(text, NOW), TcString::decode(text).map(|string| ask(&string)).is_ok()),
        1 => (gpp::stance(text, NOW), Gpp::decode(text).map(|gpp| gpp.tcf_eu.iter().for_each(ask)).is_ok()),
        2 => (us_privacy::stance(text), UsPrivacy::decode(text).is_ok()),
        3 => {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            (matomo::stance(name, value), true)
        }
        _ => {
            let mut mode = ConsentMode::default();
            text.split('&').zip(PARAMETERS.iter().cycle()).for_each(|(value, name)| mode.hear(name, value));
            (mode.stance(), true)
        }
    };
    assert!(is_read || stance == Stance::from(ConsentSignal::Malformed), "what is not read is no no");
    stance
}

/// Asks all that can be asked of a string.
fn ask(string: &TcString<'_>) {
    for purpose in [0, 1, 2, 24, 25, 255] {
        for vendor in [0, 1, 755, u16::MAX] {
            let consented = string.consents_to(purpose, vendor);
            assert!(!consented || string.purpose_consents.has(purpose) && string.vendor_consents.has(vendor));
            assert!(string.vendor_consents.has(vendor) || string.vendor_consents_to(vendor).is_empty());
        }
    }
}

fn granted(stance: Stance) -> Purposes {
    match stance.signal() {
        ConsentSignal::Given { purposes, .. } => purposes,
        _ => Purposes::NONE,
    }
}
