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
