//! Runs of digits as people group them: `+49 (0)171 123-4567`, `2026-11-23`, `DE` left aside. What they mean is the other detectors' matter.

use super::date;

/// Digits of one run that are kept; a longer run is somebody's number whatever it means.
pub(super) const DIGITS_KEPT_MAX: usize = 40;
/// Groups of one run that are kept.
const GROUPS_KEPT_MAX: usize = 16;
/// Signs between two groups, at most: `) - (` is the longest that people write.
const SEPARATORS_MAX: usize = 3;

/// A version has no more digits: of more, it may be somebody's number with dots in it.
const VERSION_DIGITS_MAX: usize = 6;

/// A run of digits with signs in between.
pub(super) struct Run<'t> {
    /// As it stands in the text, without a sign before or after it, but with the plus that begins it.
    pub(super) text: &'t str,
    /// What stands directly before it.
    pub(super) before: Option<u8>,
    digits: [u8; DIGITS_KEPT_MAX],
    kept: usize,
    /// Where each group ends in `digits`.
    ends: [usize; GROUPS_KEPT_MAX],
    groups: usize,
    /// How many digits there are, kept or not.
    pub(super) total: usize,
    /// Whether a plus begins it.
    pub(super) plus: bool,
}

impl Run<'_> {
    /// The digits' values.
    pub(super) fn digits(&self) -> &[u8] {
        &self.digits[..self.kept]
    }

    /// The groups' values.
    pub(super) fn groups(&self) -> impl Iterator<Item = &[u8]> + Clone {
        (0..self.groups).map(|group| self.group(group))
    }

    /// How many groups there are.
    pub(super) const fn len(&self) -> usize {
        self.groups
    }

    /// One group's values.
    pub(super) fn group(&self, group: usize) -> &[u8] {
        &self.digits[if group == 0 { 0 } else { self.ends[group - 1] }..self.ends[group]]
    }

    /// Whether some groups in a row, taken together, are what is asked for; it is also told how long each group is.
    pub(super) fn any_span(&self, lengths: std::ops::RangeInclusive<usize>, is: impl Fn(&[u8]) -> bool) -> bool {
        (0..self.groups).any(|first| {
            let start = if first == 0 { 0 } else { self.ends[first - 1] };
            (first..self.groups).any(|last| {
                let span = &self.digits[start..self.ends[last]];
                lengths.contains(&span.len()) && is(span)
            })
        })
    }

    /// `9.00-17.30`: when a shop is open.
    fn is_hours(&self) -> bool {
        let signs = self.text.bytes().filter(|byte| !byte.is_ascii_digit());
        let hour = |group: usize| self.group(group).len() <= 2 && value(self.group(group)) <= 24;
        let minute = |group: usize| self.group(group).len() == 2 && value(self.group(group)) <= 59;
        self.groups == 4 && signs.eq(*b".-.") && hour(0) && minute(1) && hour(2) && minute(3)
    }

    /// How many digits are left when years, dates that are too late for a birth, and the two digits of cents are taken away.
    pub(super) fn telling(&self) -> usize {
        if self.total > self.kept {
            return self.total;
        }
        if self.is_hours() {
            return 0;
        }
        let mut left = 0;
        let mut group = 0;
        while group < self.groups {
            if group + 3 <= self.groups && date::is_of_publication(self.group(group), self.group(group + 1), self.group(group + 2)) {
                group += 3;
                continue;
            }
            let year = group_is_year(self.group(group)) && self.digits[0] != 0 && !self.plus;
            left += if year { 0 } else { self.group(group).len() };
            group += 1;
        }
        let amount = self.groups == 2 && self.text.as_bytes().iter().rev().nth(2) == Some(&b'.') && self.group(0).len() <= 6;
        if amount { left.min(self.group(0).len()) } else { left }
    }
}

/// Whether text is nothing but what names no person and no record: a day on which something was published (`2026-11-27`), a season
/// (`2025-26`), or a version of three numbers (`10.15.7`; a day, a month and two digits of a year are none).
pub(super) fn is_of_thing(text: &str) -> bool {
    let Some(run) = runs(text).next().filter(|run| run.text.len() == text.len() && !run.plus) else { return false };
    let single = |signs: &[u8]| {
        run.text.len() == run.total + run.len() - 1 && run.text.bytes().all(|byte| byte.is_ascii_digit() || signs.contains(&byte))
    };
    match run.len() {
        2 => single(b"-_") && date::is_season(run.group(0), run.group(1)),
        3 => {
            let (one, two, three) = (run.group(0), run.group(1), run.group(2));
            let plain = || run.groups().all(|group| group.len() <= 3 && (group.len() == 1 || group[0] != 0));
            single(b"-_.") && date::is_of_publication(one, two, three)
                || single(b".") && run.total <= VERSION_DIGITS_MAX && plain() && !date::may_be_short_birth(one, two, three)
        }
        _ => false,
    }
}

/// 1900 to 2099.
fn group_is_year(group: &[u8]) -> bool {
    matches!(group, [1, 9, _, _] | [2, 0, _, _])
}

/// The value of up to four digits.
pub(super) fn value(digits: &[u8]) -> u32 {
    digits.iter().take(9).fold(0, |value, digit| value * 10 + u32::from(*digit))
}

/// All runs of a text, from left to right.
pub(super) fn runs(text: &str) -> impl Iterator<Item = Run<'_>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let first = at + bytes.get(at..)?.iter().position(u8::is_ascii_digit)?;
        let plus = first > 0 && bytes[first - 1] == b'+' || first > 1 && bytes[first - 1] == b'(' && bytes[first - 2] == b'+';
        let start = if plus { first - 1 } else { first };
        let mut run = Run {
            text: "",
            before: start.checked_sub(1).map(|before| bytes[before]),
            digits: [0; DIGITS_KEPT_MAX],
            kept: 0,
            ends: [0; GROUPS_KEPT_MAX],
            groups: 0,
            total: 0,
            plus,
        };
        at = first;
        loop {
            while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
                if run.kept < DIGITS_KEPT_MAX && run.groups < GROUPS_KEPT_MAX {
                    run.digits[run.kept] = digit - b'0';
                    run.kept += 1;
                }
                run.total += 1;
                at += 1;
            }
            if run.groups < GROUPS_KEPT_MAX {
                run.ends[run.groups] = run.kept;
                run.groups += 1;
            }
            let separators = bytes[at..].iter().take(SEPARATORS_MAX + 1).take_while(|byte| b" .-/()_+".contains(byte)).count();
            let next = at + separators;
            if separators == 0 || separators > SEPARATORS_MAX || !bytes.get(next).is_some_and(u8::is_ascii_digit) {
                break;
            }
            at = next;
        }
        run.text = &text[start..at];
        Some(run)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<(String, usize, bool)> {
        runs(text).map(|run| (run.text.to_owned(), run.len(), run.plus)).collect()
    }

    #[test]
    fn runs_are_taken_with_their_signs() {
        assert_eq!(shown("call +49 (0)171 123-4567 now"), [("+49 (0)171 123-4567".to_owned(), 5, true)]);
        assert_eq!(shown("s24-2024"), [("24-2024".to_owned(), 2, false)]);
        assert_eq!(shown("a1b2"), [("1".to_owned(), 1, false), ("2".to_owned(), 1, false)]);
        assert_eq!(shown("1, 2"), [("1".to_owned(), 1, false), ("2".to_owned(), 1, false)]);
        assert_eq!(shown("nothing"), []);
    }

    #[test]
    fn dates_of_articles_seasons_and_versions_are_things() {
        for text in ["2026-11-27", "2026_11_27", "27.11.2026", "2025-26", "2025-2026", "1999-00", "10.15.7", "2.14.0", "6.3.0"] {
            assert!(is_of_thing(text), "{text}");
        }
        for text in [
            "2019",
            "7",
            "1985-03-12",
            "1.2.85",
            "12.03.85",
            "2.14.85",
            "2025-27",
            "39-2015",
            "2018:218",
            "48.8566",
            "01.02.03",
            "1.2.3.4",
            "1234.567.8",
            "123.456.789",
            "+1.2.3",
            "10.15.7 ",
            "2026-11-27-1",
            "1..2.3",
            "12 34 56",
            "",
        ] {
            assert!(!is_of_thing(text), "{text}");
        }
    }

    #[test]
    fn dates_and_years_tell_nothing() {
        for (text, telling) in [
            ("2024-11-23", 0),
            ("1985-03-12", 4),
            ("10-2023-2024", 2),
            ("0171-2023", 8),
            ("12999.00", 5),
            ("9.00-17.30", 0),
            ("12999.001", 8),
            ("4111111111111111", 16),
        ] {
            assert_eq!(runs(text).next().unwrap().telling(), telling, "{text}");
        }
    }
}
