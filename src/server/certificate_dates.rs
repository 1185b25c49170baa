//! From when until when a certificate is valid, read from its DER form (RFC 5280 §4.1): whose end is near is said before visitors find out.

use std::time::Duration;

use jiff::{civil::DateTime, tz::TimeZone};

use crate::clock::Timestamp;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// An end that is nearer than this is said. Renewal begins a month before the end of a certificate of three months.
const NEAR: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// Or, for one that lives shortly by intent, nearer than this part of its life.
const NEAR_PART: i64 = 4;

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// From here on.
    pub from: Timestamp,
    /// Up to here.
    pub until: Timestamp,
}

impl Validity {
    /// A certificate's; nothing where the bytes are none.
    #[must_use]
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = element(certificate, SEQUENCE)?;
        let (mut rest, _) = element(certificate, SEQUENCE)?;
        if rest.first() == Some(&VERSION) {
            rest = any(rest)?.2;
        }
        // Serial number, signature algorithm, issuer.
        for _ in 0..3 {
            rest = any(rest)?.2;
        }
        let (dates, _) = element(rest, SEQUENCE)?;
        let (kind, from, rest) = any(dates)?;
        let (until_kind, until, _) = any(rest)?;
        Some(Self { from: moment(kind, from)?, until: moment(until_kind, until)? })
    }

    /// Whether its end is near, or over.
    #[must_use]
    pub fn ends_soon(&self, now: Timestamp) -> bool {
        let part = Duration::from_millis(self.until.since(self.from).as_millis() as u64 / NEAR_PART as u64);
        self.until <= now || self.until.since(now) < NEAR.min(part)
    }

    /// Whole days until its end; 0 on the last one and when it is over.
    #[must_use]
    pub fn days_left(&self, now: Timestamp) -> u64 {
        self.until.since(now).as_secs() / DAY.as_secs()
    }
}

/// One element: what it is, what is in it, and what follows.
fn any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&kind, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        // A certificate is shorter than 16 MiB.
        let digits = usize::from(first & 0x7f);
        if !(1..=3).contains(&digits) {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(digits)?;
        (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
    };
    let (inside, rest) = rest.split_at_checked(length)?;
    Some((kind, inside, rest))
}

/// The same of a kind.
fn element(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    any(bytes).filter(|(found, ..)| *found == kind).map(|(_, inside, rest)| (inside, rest))
}

/// `YYMMDDHHMMSSZ` up to 2049, `YYYYMMDDHHMMSSZ` from then on.
fn moment(kind: u8, text: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match kind {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i16 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let two = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let civil = DateTime::new(year, two(0)?, two(2)?, two(4)?, two(6)?, two(8)?, 0).ok()?;
    Some(Timestamp(TimeZone::UTC.to_timestamp(civil).ok()?.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(from: (i32, u8, u8), until: (i32, u8, u8)) -> Vec<u8> {
        let mut params = CertificateParams::new([String::from("www.shop.example")]).unwrap();
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn both_forms_of_a_date_are_read() {
        let found = Validity::of(&certificate((2026, 10, 1), (2026, 12, 30))).unwrap();
        assert_eq!((found.from, found.until), (at("2026-10-01T00:00:00Z"), at("2026-12-30T00:00:00Z")));
        let found = Validity::of(&certificate((1999, 1, 2), (2050, 3, 4))).unwrap();
        assert_eq!((found.from, found.until), (at("1999-01-02T00:00:00Z"), at("2050-03-04T00:00:00Z")));
    }

    #[test]
    fn an_end_is_near_by_its_date_and_by_the_certificates_own_life() {
        let of_three_months = Validity { from: at("2026-10-01T00:00:00Z"), until: at("2026-12-30T00:00:00Z") };
        assert!(!of_three_months.ends_soon(at("2026-12-15T23:00:00Z")));
        assert!(of_three_months.ends_soon(at("2026-12-16T01:00:00Z")));
        assert!(of_three_months.ends_soon(at("2027-01-01T00:00:00Z")), "over");
        assert_eq!(of_three_months.days_left(at("2026-12-16T01:00:00Z")), 13);
        let of_six_days = Validity { from: at("2026-10-01T00:00:00Z"), until: at("2026-10-07T00:00:00Z") };
        assert!(!of_six_days.ends_soon(at("2026-10-05T11:00:00Z")));
        assert!(of_six_days.ends_soon(at("2026-10-05T13:00:00Z")));
    }

    #[test]
    fn what_is_no_certificate_has_no_dates() {
        let whole = certificate((2026, 10, 1), (2026, 12, 30));
        for end in 0..whole.len() {
            assert_eq!(Validity::of(&whole[..end]), None, "cut at {end}");
        }
        assert_eq!(Validity::of(b"-----BEGIN CERTIFICATE-----"), None);
    }
}
