//! Sets of vendors in a TC string: a bit for each, or ranges of numbers; and what a publisher forbids them.

use super::{
    bits::{Bits, Unreadable},
    tcf::PURPOSES_MAX,
};

/// A set of vendors by their numbers in the global vendor list, read in place.
#[derive(Clone, Copy, Debug)]
pub struct VendorSet<'a> {
    max: u16,
    form: Form<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Form<'a> {
    /// A bit for each number from 1 to the highest.
    Field(Bits<'a>),
    Ranges(Ranges<'a>),
}

/// So many ranges of vendors, checked when they were taken.
#[derive(Clone, Copy, Debug)]
struct Ranges<'a> {
    entries: u16,
    bits: Bits<'a>,
}

impl<'a> VendorSet<'a> {
    /// Reads a set and goes past it.
    pub(super) fn take(bits: &mut Bits<'a>) -> Result<Self, Unreadable> {
        let max = bits.take_u16(16)?;
        if bits.flag()? {
            return Ok(Self { max, form: Form::Ranges(Ranges::take(bits, max)?) });
        }
        let field = *bits;
        bits.skip(max.into())?;
        Ok(Self { max, form: Form::Field(field) })
    }

    /// Whether that vendor is in it.
    #[must_use]
    pub fn has(&self, vendor: u16) -> bool {
        if vendor == 0 || vendor > self.max {
            return false;
        }
        match self.form {
            Form::Field(mut bits) => bits.skip(usize::from(vendor) - 1).and_then(|()| bits.flag()).unwrap_or(false),
            Form::Ranges(ranges) => ranges.has(vendor),
        }
    }

    /// The highest number that the set has room for.
    #[must_use]
    pub const fn max(&self) -> u16 {
        self.max
    }
}

impl<'a> Ranges<'a> {
    fn take(bits: &mut Bits<'a>, max: u16) -> Result<Self, Unreadable> {
        let ranges = Self { entries: bits.take_u16(12)?, bits: *bits };
        for _ in 0..ranges.entries {
            let (first, last) = range(bits)?;
            if first == 0 || last < first || last > max {
                return Err(Unreadable::Value);
            }
        }
        Ok(ranges)
    }

    fn has(&self, vendor: u16) -> bool {
        let mut bits = self.bits;
        (0..self.entries).any(|_| range(&mut bits).is_ok_and(|(first, last)| (first..=last).contains(&vendor)))
    }
}

/// One range: a number, or the first and the last of several.
fn range(bits: &mut Bits<'_>) -> Result<(u16, u16), Unreadable> {
    let several = bits.flag()?;
    let first = bits.take_u16(16)?;
    let last = if several { bits.take_u16(16)? } else { first };
    Ok((first, last))
}

/// What a publisher demands of vendors for one purpose. Ordered: the lesser one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Restriction {
    /// They may not at all.
    Forbidden,
    /// They may by consent alone.
    ConsentRequired,
    /// They may by legitimate interest alone.
    LegitimateInterestRequired,
}

/// All restrictions of a TC string, read in place.
#[derive(Clone, Copy, Debug)]
pub struct Restrictions<'a> {
    entries: u16,
    bits: Bits<'a>,
}

impl<'a> Restrictions<'a> {
    /// Reads all restrictions and goes past them.
    pub(super) fn take(bits: &mut Bits<'a>) -> Result<Self, Unreadable> {
        let restrictions = Self { entries: bits.take_u16(12)?, bits: *bits };
        for _ in 0..restrictions.entries {
            restriction(bits)?;
        }
        Ok(restrictions)
    }

    /// The strictest restriction on that vendor for that purpose.
    #[must_use]
    pub fn on(&self, purpose: u8, vendor: u16) -> Option<Restriction> {
        let mut bits = self.bits;
        let all = (0..self.entries).map_while(|_| restriction(&mut bits).ok());
        all.filter(|(about, _, vendors)| *about == purpose && vendors.has(vendor)).map(|(_, kind, _)| kind).min()
    }
}

fn restriction<'a>(bits: &mut Bits<'a>) -> Result<(u8, Restriction, Ranges<'a>), Unreadable> {
    let purpose = bits.take_u8(6)?;
    let kind = match bits.take(2)? {
        0 => Restriction::Forbidden,
        1 => Restriction::ConsentRequired,
        2 => Restriction::LegitimateInterestRequired,
        _ => return Err(Unreadable::Value),
    };
    if !(1..=PURPOSES_MAX).contains(&purpose) {
        return Err(Unreadable::Value);
    }
    Ok((purpose, kind, Ranges::take(bits, u16::MAX)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number and its width in bits.
    type Field = (u16, usize);

    /// Numbers as characters.
    fn text(fields: &[Field]) -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let bits: Vec<u16> = fields.iter().flat_map(|(value, width)| (0..*width).rev().map(move |at| value >> at & 1)).collect();
        let digits = bits.chunks(6).map(|chunk| chunk.iter().fold(0, |digit, bit| digit << 1 | bit) << (6 - chunk.len()));
        digits.map(|digit| char::from(alphabet[usize::from(digit)])).collect()
    }

    #[test]
    fn both_forms_say_the_same_and_impossible_ranges_are_refused() {
        let members = |fields: &[Field]| {
            let text = text(fields);
            let set = VendorSet::take(&mut Bits::of(&text).unwrap())?;
            Ok((0..=u16::MAX).filter(|vendor| set.has(*vendor)).collect::<Vec<_>>())
        };
        const LAST: u16 = u16::MAX;
        let ranges = |max, entries: &[(u16, u16)]| {
            let several = entries.iter().flat_map(|(first, last)| [(1, 1), (*first, 16), (*last, 16)]);
            [(max, 16), (1, 1), (entries.len() as u16, 12)].into_iter().chain(several).collect::<Vec<_>>()
        };
        let cases = [
            (vec![(0, 16), (0, 1)], Ok(vec![])),
            (vec![(6, 16), (0, 1), (0b10_0111, 6)], Ok(vec![1, 4, 5, 6])),
            (vec![(9, 16), (0, 1), (0b1, 3)], Err(Unreadable::TooShort)),
            (vec![(9, 16), (1, 1), (2, 12), (0, 1), (1, 16), (1, 1), (4, 16), (6, 16)], Ok(vec![1, 4, 5, 6])),
            (ranges(6, &[(4, 6), (1, 1)]), Ok(vec![1, 4, 5, 6])),
            (ranges(LAST, &[(LAST - 1, LAST)]), Ok(vec![LAST - 1, LAST])),
            (ranges(6, &[]), Ok(vec![])),
            (ranges(6, &[(0, 3)]), Err(Unreadable::Value)),
            (ranges(6, &[(3, 2)]), Err(Unreadable::Value)),
            (ranges(6, &[(3, 7)]), Err(Unreadable::Value)),
            (vec![(9, 16), (1, 1), (4095, 12)], Err(Unreadable::TooShort)),
            (vec![(9, 16)], Err(Unreadable::TooShort)),
        ];
        for (fields, expected) in cases {
            assert_eq!(members(&fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn the_strictest_restriction_holds() {
        let one = |purpose, kind, vendor| [(purpose, 6), (kind, 2), (1, 12), (0, 1), (vendor, 16)];
        let read = |entries: &[[Field; 5]]| text(&[vec![(entries.len() as u16, 12)], entries.concat()].concat());
        let said = read(&[one(2, 2, 7), one(2, 1, 7), one(3, 1, 7), one(3, 0, 7), one(24, 2, 8)]);
        let restrictions = Restrictions::take(&mut Bits::of(&said).unwrap()).unwrap();
        for (purpose, vendor, expected) in [
            (2, 7, Some(Restriction::ConsentRequired)),
            (3, 7, Some(Restriction::Forbidden)),
            (24, 8, Some(Restriction::LegitimateInterestRequired)),
            (2, 8, None),
            (4, 7, None),
        ] {
            assert_eq!(restrictions.on(purpose, vendor), expected, "{purpose} {vendor}");
        }
        for (purpose, kind, vendor) in [(0, 1, 7), (25, 1, 7), (2, 3, 7), (2, 1, 0)] {
            let refused = Restrictions::take(&mut Bits::of(&read(&[one(purpose, kind, vendor)])).unwrap()).map(|_| ());
            assert_eq!(refused, Err(Unreadable::Value), "{purpose} {kind} {vendor}");
        }
    }
}
