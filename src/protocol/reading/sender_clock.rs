//! The sender's clock: what it says of when something happened, with its error taken out.

use std::time::Duration;

use serde_json::value::RawValue;

use super::loose::flat;
use crate::{clock::Timestamp, privacy::raw::PropertyValue};

/// An event is at most this old by its sender's clock; older ones get the time of receipt.
const AGE_MAX: Duration = Duration::from_secs(72 * 60 * 60);

/// The moment by our clock: as long before the receipt as it was before the sending, by the sender's. Both in milliseconds since 1970; a
/// sender that does not say when it sent is taken to have our clock.
pub(in crate::protocol) fn corrected(happened: i64, sent: Option<i64>, now: Timestamp) -> Option<Timestamp> {
    let age = sent.unwrap_or(now.0).checked_sub(happened)?;
    let age = Duration::from_millis(u64::try_from(age).ok()?);
    (age <= AGE_MAX).then(|| now.minus(age))
}

/// A moment in milliseconds since 1970, written as text (RFC 3339).
pub(in crate::protocol) fn instant(value: &RawValue) -> Option<i64> {
    match flat(value)? {
        PropertyValue::Text(text) => text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_senders_clock_is_taken_out() {
        let now = Timestamp(10_000_000_000);
        assert_eq!(corrected(4_000, Some(5_000), now), Some(Timestamp(9_999_999_000)), "a clock of 1970");
        assert_eq!(corrected(9_999_999_000, None, now), Some(Timestamp(9_999_999_000)));
        assert_eq!(corrected(6_000, Some(5_000), now), None, "after it was sent");
        assert_eq!(corrected(0, Some(73 * 3_600_000), now), None, "too old");
        assert_eq!(corrected(i64::MIN, Some(i64::MAX), now), None);
    }

    #[test]
    fn a_moment_is_read_from_text_alone() {
        let at = |json: &str| instant(&RawValue::from_string(json.to_owned()).expect("JSON"));
        assert_eq!(at("\"1970-01-01T00:00:04.500Z\""), Some(4_500));
        assert_eq!((at("\"yesterday\""), at("\"\""), at("4500")), (None, None, None));
    }
}
