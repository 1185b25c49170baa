//! GPP's sections for the United States: one for all of them (`usnat`) and one for each state that has a law of its own.
//! The formats: <https://github.com/InteractiveAdvertisingBureau/Global-Privacy-Platform> ("Sections/US-National", "Sections/US-States").
//!
//! Each is a version and a row of answers of two bits: 0 does not apply, 1 and 2 yes and no, in the sense of the field. Most have a second
//! part for Global Privacy Control; three states have one for sensitive data instead.
//!
//! # What follows for our purposes
//!
//! | field | value | here |
//! |---|---|---|
//! | `SaleOptOut`, `SharingOptOut`, `TargetedAdvertisingOptOut` | 1: opted out | objection to `ads` and `profile` |
//! | `KnownChildSensitiveDataConsents`, `PersonalDataConsents`, `AdditionalDataProcessingConsent` | 1: no consent | objection to `ads` and `profile` |
//! | `Gpc` | set | as the header `Sec-GPC: 1` |
//! | notices, sensitive data, the advertisers' agreement (`Mspa…`) | any | nothing |
//!
//! No value grants anything: these laws know the opt-out alone.

use super::{
    ConsentSignal, Stance,
    bits::{Bits, Unreadable},
};
use crate::event::Purposes;

/// A part is filled up to whole bytes, then to whole characters. With more behind it, it is of another form: only so can the two forms of
/// `usnat` not be taken for each other.
const PADDING_BITS_MAX: usize = 11;

/// What an opt-out of sale, sharing or targeted advertising takes away.
pub(super) const US_OBJECTION: Purposes = Purposes::ADS.and(Purposes::PROFILE);

/// What a row of answers is about, in the formats' own names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the formats' own, and are their documentation")]
pub enum UsField {
    ProcessingNotice,
    SharingNotice,
    SaleOptOutNotice,
    SharingOptOutNotice,
    TargetedAdvertisingOptOutNotice,
    SensitiveDataProcessingOptOutNotice,
    SensitiveDataOptOutNotice,
    SensitiveDataLimitUseNotice,
    SaleOptOut,
    SharingOptOut,
    TargetedAdvertisingOptOut,
    SensitiveDataProcessing,
    KnownChildSensitiveDataConsents,
    PersonalDataConsents,
    AdditionalDataProcessingConsent,
    MspaCoveredTransaction,
    MspaMode,
    MspaOptOutOptionMode,
    MspaServiceProviderMode,
}
use UsField::{
    AdditionalDataProcessingConsent, KnownChildSensitiveDataConsents, MspaCoveredTransaction, MspaMode, MspaOptOutOptionMode,
    MspaServiceProviderMode, PersonalDataConsents, ProcessingNotice, SaleOptOut, SaleOptOutNotice, SensitiveDataLimitUseNotice,
    SensitiveDataOptOutNotice, SensitiveDataProcessing, SensitiveDataProcessingOptOutNotice, SharingNotice, SharingOptOut,
    SharingOptOutNotice, TargetedAdvertisingOptOut, TargetedAdvertisingOptOutNotice,
};

/// Fields where 1 says no.
const RESTRICTING: [UsField; 6] = [
    SaleOptOut,
    SharingOptOut,
    TargetedAdvertisingOptOut,
    KnownChildSensitiveDataConsents,
    PersonalDataConsents,
    AdditionalDataProcessingConsent,
];

/// What may stand behind the answers, in a part of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SecondPart {
    None,
    /// A type, which is 1, and a bit.
    GlobalPrivacyControl,
    /// Eight more answers.
    SensitiveData,
}

/// One version of one section.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    id: u8,
    name: &'static str,
    version: u8,
    second: SecondPart,
    /// The fields in the order of the wire, and how many answers each has.
    fields: &'static [(UsField, u8)],
}

/// The answers that most states end with: to the advertisers' agreement.
const MSPA: [(UsField, u8); 3] = [(MspaCoveredTransaction, 1), (MspaOptOutOptionMode, 1), (MspaServiceProviderMode, 1)];

/// The form that most states share, with so many answers about sensitive data and children.
const fn state<const SENSITIVE: u8, const CHILDREN: u8>() -> &'static [(UsField, u8)] {
    &[
        (ProcessingNotice, 1),
        (SaleOptOutNotice, 1),
        (TargetedAdvertisingOptOutNotice, 1),
        (SaleOptOut, 1),
        (TargetedAdvertisingOptOut, 1),
        (SensitiveDataProcessing, SENSITIVE),
        (KnownChildSensitiveDataConsents, CHILDREN),
        (AdditionalDataProcessingConsent, 1),
        MSPA[0],
        MSPA[1],
        MSPA[2],
    ]
}

/// The form of the first states.
const fn first_state<const SENSITIVE: u8, const CHILDREN: u8>() -> &'static [(UsField, u8)] {
    &[
        (SharingNotice, 1),
        (SaleOptOutNotice, 1),
        (TargetedAdvertisingOptOutNotice, 1),
        (SaleOptOut, 1),
        (TargetedAdvertisingOptOut, 1),
        (SensitiveDataProcessing, SENSITIVE),
        (KnownChildSensitiveDataConsents, CHILDREN),
        MSPA[0],
        MSPA[1],
        MSPA[2],
    ]
}

/// The form for all states.
const fn national<const SENSITIVE: u8, const CHILDREN: u8>() -> &'static [(UsField, u8)] {
    &[
        (SharingNotice, 1),
        (SaleOptOutNotice, 1),
        (SharingOptOutNotice, 1),
        (TargetedAdvertisingOptOutNotice, 1),
        (SensitiveDataProcessingOptOutNotice, 1),
        (SensitiveDataLimitUseNotice, 1),
        (SaleOptOut, 1),
        (SharingOptOut, 1),
        (TargetedAdvertisingOptOut, 1),
        (SensitiveDataProcessing, SENSITIVE),
        (KnownChildSensitiveDataConsents, CHILDREN),
        (PersonalDataConsents, 1),
        MSPA[0],
        MSPA[1],
        MSPA[2],
    ]
}

const CALIFORNIA: &[(UsField, u8)] = &[
    (SaleOptOutNotice, 1),
    (SharingOptOutNotice, 1),
    (SensitiveDataLimitUseNotice, 1),
    (SaleOptOut, 1),
    (SharingOptOut, 1),
    (SensitiveDataProcessing, 9),
    (KnownChildSensitiveDataConsents, 2),
    (PersonalDataConsents, 1),
    MSPA[0],
    MSPA[1],
    MSPA[2],
];

const UTAH: &[(UsField, u8)] = &[
    (SharingNotice, 1),
    (SaleOptOutNotice, 1),
    (TargetedAdvertisingOptOutNotice, 1),
    (SensitiveDataProcessingOptOutNotice, 1),
    (SaleOptOut, 1),
    (TargetedAdvertisingOptOut, 1),
    (SensitiveDataProcessing, 8),
    (KnownChildSensitiveDataConsents, 1),
    MSPA[0],
    MSPA[1],
    MSPA[2],
];

const IOWA: &[(UsField, u8)] = &[
    (ProcessingNotice, 1),
    (SaleOptOutNotice, 1),
    (TargetedAdvertisingOptOutNotice, 1),
    (SensitiveDataOptOutNotice, 1),
    (SaleOptOut, 1),
    (TargetedAdvertisingOptOut, 1),
    (SensitiveDataProcessing, 8),
    (KnownChildSensitiveDataConsents, 1),
    MSPA[0],
    MSPA[1],
    MSPA[2],
];

const MONTANA: &[(UsField, u8)] = &[
    (SharingNotice, 1),
    (SaleOptOutNotice, 1),
    (TargetedAdvertisingOptOutNotice, 1),
    (SaleOptOut, 1),
    (TargetedAdvertisingOptOut, 1),
    (SensitiveDataProcessing, 8),
    (KnownChildSensitiveDataConsents, 3),
    (AdditionalDataProcessingConsent, 1),
    MSPA[0],
    MSPA[1],
    MSPA[2],
];

const MARYLAND: &[(UsField, u8)] = &[
    (MspaCoveredTransaction, 1),
    (MspaMode, 1),
    (ProcessingNotice, 1),
    (SaleOptOutNotice, 1),
    (TargetedAdvertisingOptOutNotice, 1),
    (SaleOptOut, 1),
    (TargetedAdvertisingOptOut, 1),
    (AdditionalDataProcessingConsent, 1),
];

/// The form of the states that came last.
const LAST_STATES: &[(UsField, u8)] = &[
    (MspaCoveredTransaction, 1),
    (MspaMode, 1),
    (ProcessingNotice, 1),
    (SaleOptOutNotice, 1),
    (TargetedAdvertisingOptOutNotice, 1),
    (SaleOptOut, 1),
    (TargetedAdvertisingOptOut, 1),
    (KnownChildSensitiveDataConsents, 1),
    (AdditionalDataProcessingConsent, 1),
];

#[rustfmt::skip]
const LAYOUTS: &[Layout] = {
    use SecondPart::{GlobalPrivacyControl as Gpc, None, SensitiveData};
    &[
        Layout { id: 7,  name: "usnat", version: 1, second: Gpc, fields: national::<12, 2>() },
        Layout { id: 7,  name: "usnat", version: 2, second: Gpc, fields: national::<16, 3>() },
        Layout { id: 8,  name: "usca", version: 1, second: Gpc, fields: CALIFORNIA },
        Layout { id: 9,  name: "usva", version: 1, second: None, fields: first_state::<8, 1>() },
        Layout { id: 10, name: "usco", version: 1, second: Gpc, fields: first_state::<7, 1>() },
        Layout { id: 11, name: "usut", version: 1, second: None, fields: UTAH },
        Layout { id: 12, name: "usct", version: 1, second: Gpc, fields: first_state::<8, 3>() },
        Layout { id: 13, name: "usfl", version: 1, second: None, fields: state::<8, 3>() },
        Layout { id: 14, name: "usmt", version: 1, second: Gpc, fields: MONTANA },
        Layout { id: 15, name: "usor", version: 1, second: Gpc, fields: state::<11, 3>() },
        Layout { id: 16, name: "ustx", version: 1, second: Gpc, fields: state::<8, 1>() },
        Layout { id: 17, name: "usde", version: 1, second: Gpc, fields: state::<9, 5>() },
        Layout { id: 18, name: "usia", version: 1, second: Gpc, fields: IOWA },
        Layout { id: 19, name: "usne", version: 1, second: Gpc, fields: state::<8, 1>() },
        Layout { id: 20, name: "usnh", version: 1, second: Gpc, fields: state::<8, 3>() },
        Layout { id: 21, name: "usnj", version: 1, second: Gpc, fields: state::<10, 5>() },
        Layout { id: 22, name: "ustn", version: 1, second: Gpc, fields: state::<8, 1>() },
        Layout { id: 23, name: "usmn", version: 1, second: Gpc, fields: state::<8, 1>() },
        Layout { id: 24, name: "usmd", version: 1, second: Gpc, fields: MARYLAND },
        Layout { id: 25, name: "usin", version: 1, second: SensitiveData, fields: LAST_STATES },
        Layout { id: 26, name: "usky", version: 1, second: SensitiveData, fields: LAST_STATES },
        Layout { id: 27, name: "usri", version: 1, second: SensitiveData, fields: LAST_STATES },
    ]
};

/// One section that could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsSection {
    layout: &'static Layout,
    /// The answers of the first part, the last one lowest.
    answers: u64,
    /// Global Privacy Control, where the section says something of it.
    pub global_privacy_control: Option<bool>,
    /// The eight answers about sensitive data that stand in a part of their own.
    sensitive_data: Option<u16>,
}

impl UsSection {
    /// Reads a section.
    ///
    /// # Errors
    /// The section or its version is not known, it ends too early or goes on behind its end, or an answer is none.
    pub(super) fn decode(id: u8, text: &str) -> Result<Self, Unreadable> {
        let mut parts = text.split('.');
        let mut bits = Bits::of(parts.next().unwrap_or_default())?;
        let version = bits.take_u8(6)?;
        let mut versions = LAYOUTS.iter().filter(|layout| layout.id == id).peekable();
        versions.peek().ok_or(Unreadable::Part)?;
        let layout = versions.find(|layout| layout.version == version).ok_or(Unreadable::Version)?;
        let answers = answers(bits, layout.fields.iter().map(|(_, count)| usize::from(*count)).sum())?;
        let mut section = Self { layout, answers, global_privacy_control: None, sensitive_data: None };
        if let Some(second) = parts.next() {
            let mut bits = Bits::of(second)?;
            match layout.second {
                SecondPart::None => return Err(Unreadable::Part),
                SecondPart::GlobalPrivacyControl => {
                    if bits.take(2)? != 1 {
                        return Err(Unreadable::Part);
                    }
                    section.global_privacy_control = Some(bits.flag()?);
                    bits.end()?;
                }
                SecondPart::SensitiveData => section.sensitive_data = Some(self::answers(bits, 8)? as u16),
            }
        }
        if parts.next().is_some() { Err(Unreadable::Part) } else { Ok(section) }
    }

    /// The section's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.layout.name
    }

    /// The version of its form.
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.layout.version
    }

    /// All answers, in the order of the wire: 0 does not apply, 1 or 2.
    pub fn answers(&self) -> impl Iterator<Item = (UsField, u8)> {
        let first = self.layout.fields.iter().flat_map(|(field, count)| (0..*count).map(|_| *field));
        let (first_count, second_count) = (first.clone().count(), if self.sensitive_data.is_some() { 8 } else { 0 });
        let (first_answers, second_answers) = (self.answers, self.sensitive_data.unwrap_or(0).into());
        let in_order = |answers: u64, count: usize| (0..count).rev().map(move |place| (answers >> (2 * place) & 0b11) as u8);
        first
            .zip(in_order(first_answers, first_count))
            .chain(in_order(second_answers, second_count).map(|one| (SensitiveDataProcessing, one)))
    }

    /// In our words; see the table above.
    #[must_use]
    pub fn stance(&self) -> Stance {
        let objected = self.answers().any(|(field, answer)| answer == 1 && RESTRICTING.contains(&field));
        let objection = if objected { Stance::objecting(US_OBJECTION) } else { Stance::default() };
        match self.global_privacy_control {
            Some(true) => objection.and(ConsentSignal::GlobalPrivacyControl.into()),
            _ => objection,
        }
    }
}

/// So many answers, up to the end of their part.
fn answers(mut bits: Bits<'_>, count: usize) -> Result<u64, Unreadable> {
    let answers = bits.take(2 * count)?;
    // Both bits of one answer set: there is no such answer.
    if answers & answers >> 1 & 0x5555_5555_5555_5555 != 0 {
        return Err(Unreadable::Value);
    }
    if bits.left() > PADDING_BITS_MAX {
        return Err(Unreadable::Trailing);
    }
    bits.end()?;
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_fits_and_no_two_are_the_same_section_and_version() {
        for (at, layout) in LAYOUTS.iter().enumerate() {
            let answers: u32 = layout.fields.iter().map(|(_, count)| u32::from(*count)).sum();
            assert!(2 * answers <= u64::BITS, "{}", layout.name);
            assert!(LAYOUTS[..at].iter().all(|other| (other.id, other.version) != (layout.id, layout.version)), "{}", layout.name);
        }
    }

    #[test]
    fn an_opt_out_takes_away_and_nothing_gives() {
        let objection = Stance::objecting(US_OBJECTION);
        let gpc = Stance::from(ConsentSignal::GlobalPrivacyControl);
        for (id, text, expected) in [
            // Version 1, sale opted out, no GPC; version 2, the same with GPC: both as the IAB's own library writes them.
            (7, "BAAQAAAAAQA.QA", Ok(objection)),
            (7, "CAAQAAAAAABA.YA", Ok(objection.and(gpc))),
            (7, "CAAAAAAAAABA.YA", Ok(gpc)),
            (7, "CAAAAAAAAABA.QA", Ok(Stance::default())),
            (7, "CAAAAAAAAABA", Ok(Stance::default())),
            (7, "CVVgAAAAAABA", Ok(Stance::default())),
            (7, "CAAgAAAAAABA", Ok(Stance::default())),
            (7, "CAAwAAAAAABA", Err(Unreadable::Value)),
            (7, "DAAQAAAAAABA", Err(Unreadable::Version)),
            (7, "AAAQAAAAAABA", Err(Unreadable::Version)),
            (7, "CAAQAAAAAAB", Err(Unreadable::TooShort)),
            (7, "CAAQAAAAAABAAB", Err(Unreadable::Trailing)),
            (7, "CAAQAAAAAABA.", Err(Unreadable::TooShort)),
            (7, "CAAQAAAAAABA.gA", Err(Unreadable::Part)),
            (7, "CAAQAAAAAABA.QA.QA", Err(Unreadable::Part)),
            (7, "BAAQAAAAAQAA.QA", Err(Unreadable::Trailing)),
            (7, "BAAQAAAAAQB.QA", Err(Unreadable::Trailing)),
            (7, "CAAAAAAAABBA.QA", Ok(objection)),
            (8, "BAgAAABA.QA", Ok(Stance::default())),
            (8, "BAEAAABA.QA", Ok(objection)),
            (9, "BAQAABA", Ok(objection)),
            (9, "BAQAABA.QA", Err(Unreadable::Part)),
            (25, "BQBA.AAA", Ok(objection)),
            (25, "BQAA.VVU", Ok(Stance::default())),
            (25, "BQAA", Ok(Stance::default())),
            (25, "BQAA.VV", Err(Unreadable::TooShort)),
            (25, "BQAA._VU", Err(Unreadable::Value)),
            (25, "BQAA.VVV", Err(Unreadable::Trailing)),
            (28, "BAAAAA", Err(Unreadable::Part)),
            (5, "BAAAAA", Err(Unreadable::Part)),
        ] {
            assert_eq!(UsSection::decode(id, text).map(|section| section.stance()), expected, "{id} {text}");
        }
    }
}
