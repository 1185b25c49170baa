//! Dates of birth: a day, a month and a year in which a visitor may have been born. Later dates are those of articles, and tell nothing.

use super::digits::{Run, value};

/// Nobody who reads pages was born before.
const BORN_FROM: u32 = 1910;
/// Later dates are taken for an article's or an event's: a child of 13 at the time of writing was born then.
const BORN_UNTIL: u32 = 2012;
/// The last year that pages are dated with.
const PUBLISHED_UNTIL: u32 = 2039;
/// Months as Polish dates have them, in capitals: `26-VIII-1975`.
const ROMAN: [&str; 12] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];
/// What has a date of its own that is nobody's birth's: laws and decrees, in the ten languages.
const LAWS: [&str; 14] =
    ["act", "law", "loi", "décret", "decret", "decreto", "ley", "legge", "lei", "gesetz", "verordnung", "wet", "ustawa", "lag"];
/// From this two-digit year on it is one of the last century; below, three pairs of digits are as likely a version.
const SHORT_YEAR_MIN: u32 = 30;
/// Three letters by which a month is known in the ten languages (folded to ASCII): the beginning of its name, or its abbreviation.
const MONTHS: [&str; 35] = [
    "jan", "ene", "gen", "sty", "feb", "fev", "lut", "mar", "maa", "mrt", "apr", "avr", "abr", "kwi", "may", "mai", "mag", "maj", "mei",
    "jun", "jui", "giu", "cze", "jul", "lug", "lip", "aug", "aou", "ago", "sie", "sep", "set", "wrz", "oct", "okt",
];
/// The rest of them.
const LATE_MONTHS: [&str; 10] = ["out", "ott", "paz", "nov", "lis", "dec", "dez", "dic", "des", "gru"];

/// Whether three groups of a run, or eight digits of one group, are a date of birth.
pub(super) fn is_birth(run: &Run<'_>) -> bool {
    if run.len() == 1 {
        return run.total == 8 && is_compact_birth(run.digits());
    }
    (0..run.len().saturating_sub(2)).any(|first| {
        let (one, two, three) = (run.group(first), run.group(first + 1), run.group(first + 2));
        year_of(one, two, three).is_some_and(is_of_birth) || run.len() == 3 && is_short_birth(run)
    })
}

/// Whether three groups are a date that is too late for a birth: an article's.
pub(super) fn is_of_publication(one: &[u8], two: &[u8], three: &[u8]) -> bool {
    year_of(one, two, three).is_some_and(|year| (BORN_UNTIL + 1..=PUBLISHED_UNTIL).contains(&year))
}

/// Whether two groups are a season: a year and the one behind it, `2025-26`.
pub(super) fn is_season(one: &[u8], two: &[u8]) -> bool {
    let (first, second) = (value(one), value(two));
    let next = match two.len() {
        2 => second == (first + 1) % 100,
        4 => second == first + 1,
        _ => false,
    };
    one.len() == 4 && (1900..2100).contains(&first) && next
}

/// Whether three groups may be a day and month with the last two digits of a year of the last century.
pub(super) fn may_be_short_birth(one: &[u8], two: &[u8], three: &[u8]) -> bool {
    let either = is_day_of_month(value(one), value(two)) || is_day_of_month(value(two), value(one));
    three.len() == 2 && value(three) >= SHORT_YEAR_MIN && either
}

/// Whether a segment of a path is the year of a date that is written over several, `/2026/11/27/`; never of a birth's.
pub(super) fn is_year_of_publication(segment: &str) -> bool {
    segment.len() == 4 && segment.bytes().all(|byte| byte.is_ascii_digit()) && {
        let year = segment.parse().unwrap_or(0);
        (BORN_UNTIL + 1..=PUBLISHED_UNTIL).contains(&year)
    }
}

/// Whether a segment is a month or, up to 31, a day of such a date: two digits.
pub(super) fn is_part_of_date(segment: &str, most: u32) -> bool {
    segment.len() == 2 && segment.bytes().all(|byte| byte.is_ascii_digit()) && segment.parse().is_ok_and(|part| (1..=most).contains(&part))
}

/// Whether a day, a month's name and a year of birth stand in a row: `12-mars-1985`, `March 12, 1985`.
pub(super) fn has_spelled_birth(text: &str) -> bool {
    if !text.as_bytes().windows(4).any(|four| matches!(four, [b'1', b'9', b'1'..=b'9', _] | [b'2', b'0', b'0' | b'1', _])) {
        return false;
    }
    let mut words = text.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    if words.clone().any(|word| LAWS.iter().any(|law| law.eq_ignore_ascii_case(word))) {
        return false;
    }
    let mut before: [&str; 3] = [""; 3];
    words.any(|word| {
        let [zero, one, two] = before;
        before = [one, two, word];
        let of = |one: &str| matches!(one, "de" | "del" | "di");
        let year = word.len() == 4 && word.parse().is_ok_and(is_of_birth);
        year && (is_month(two) && is_day(one)
            || is_day(two) && is_month(one)
            || of(two) && is_month(one)
            || is_month(two) && of(one) && is_day(zero))
    })
}

fn is_day(word: &str) -> bool {
    let digits = word.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    word.len() - digits.len() <= 2
        && !digits.is_empty()
        && digits.len() <= 2
        && digits.parse().is_ok_and(|day: u32| (1..=31).contains(&day))
}

fn is_month(word: &str) -> bool {
    // ASCII is enough for what tells months apart: "août" and "październik" are looked at without their marks.
    let mut letters = word.chars().filter_map(|letter| match letter {
        'û' | 'ù' => Some('u'),
        'é' | 'è' => Some('e'),
        'ź' => Some('z'),
        'ä' => Some('a'),
        letter if letter.is_ascii_alphabetic() => Some(letter.to_ascii_lowercase()),
        _ => None,
    });
    let start: String = letters.by_ref().take(3).collect();
    let marz = word.starts_with("mär") || word.starts_with("Mär");
    ROMAN.contains(&word)
        || word.chars().count() <= 12 && (marz || MONTHS.contains(&start.as_str()) || LATE_MONTHS.contains(&start.as_str()))
}

fn is_of_birth(year: u32) -> bool {
    (BORN_FROM..=BORN_UNTIL).contains(&year)
}

/// The year, where three groups are year, month and day, or day, month and year in either order of the first two.
fn year_of(one: &[u8], two: &[u8], three: &[u8]) -> Option<u32> {
    let short = |group: &[u8]| group.len() <= 2;
    if one.len() == 4 && short(two) && short(three) {
        return is_day_of_month(value(three), value(two)).then(|| value(one));
    }
    let either = || is_day_of_month(value(one), value(two)) || is_day_of_month(value(two), value(one));
    (three.len() == 4 && short(one) && short(two) && either()).then(|| value(three))
}

fn is_day_of_month(day: u32, month: u32) -> bool {
    (1..=31).contains(&day) && (1..=12).contains(&month)
}

/// `19850312` or `12031985`.
fn is_compact_birth(digits: &[u8]) -> bool {
    let (first, last) = digits.split_at(4);
    is_of_birth(value(first)) && is_day_of_month(value(&last[2..]), value(&last[..2]))
        || is_of_birth(value(last)) && is_day_of_month(value(&first[..2]), value(&first[2..]))
}

/// `12.03.85`: with dots or slashes and nothing else, not after a letter.
fn is_short_birth(run: &Run<'_>) -> bool {
    let signs: Vec<u8> = run.text.bytes().filter(|byte| !byte.is_ascii_digit()).collect();
    let dated = matches!(signs.as_slice(), b".." | b"//") && run.groups().all(|group| group.len() == 2);
    let free = !run.before.is_some_and(|before| before.is_ascii_alphanumeric());
    dated && free && value(run.group(2)) >= SHORT_YEAR_MIN && is_day_of_month(value(run.group(0)), value(run.group(1)))
}

#[cfg(test)]
mod tests {
    use super::{super::digits::runs, *};

    #[test]
    fn dates_of_birth_are_found() {
        for text in ["1985-03-12", "12.03.1985", "3/12/1985", "12-3-1985", "19850312", "12031985", "x 12/03/85", "1985_03_12", "2001 5 1"] {
            assert!(runs(text).any(|run| is_birth(&run)), "{text}");
        }
        for text in
            ["2024-11-23", "23.11.2024", "1.2.3", "10.11.12", "v10.11.85", "1985", "1985-13-40", "12345678", "85-03-12", "1066-10-14"]
        {
            assert!(!runs(text).any(|run| is_birth(&run)), "{text}");
        }
    }

    #[test]
    fn months_are_read_in_ten_languages() {
        for text in [
            "12-march-1985",
            "12 mars 1985",
            "March 12, 1985",
            "12. März 1985",
            "12-de-marzo-de-1985",
            "12 października 1985",
            "5 août 1985",
            "1st-may-1990",
            "24 juin 2006",
            "14-juillet-1990",
            "26-VIII-1975",
        ] {
            assert!(has_spelled_birth(text), "{text}");
        }
        for text in [
            "12 march 2024",
            "march 1985",
            "12 monkeys 1995",
            "the-best-of-1985",
            "day-one-1985",
            "loi-n-78-17-du-6-janvier-1978",
            "Gesetz vom 3. Oktober 1990",
            "louis-XIV-1985",
            "26-viii-1975",
        ] {
            assert!(!has_spelled_birth(text), "{text}");
        }
    }
}
