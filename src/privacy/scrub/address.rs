//! Addresses of machines: IPv4 and IPv6 in every spelling that a request has brought one in, and hardware addresses.

use std::net::Ipv6Addr;

/// A quad with dashes has at least so many digits; shorter ones count down (`5-4-3-2-1`).
const DASHED_QUAD_DIGITS_MIN: usize = 6;

/// Whether text holds an IP address: a dotted or dashed quad, colons as in IPv6, brackets and zones as browsers write them.
pub(super) fn has_ip(text: &str) -> bool {
    // As people write one that nobody is to follow: `192[.]0[.]2[.]1`.
    let bracketed = text.contains("[.]") || text.contains("(.)");
    bracketed && has_quad(&text.replace("[.]", ".").replace("(.)", ".")) || has_quad(text) || has_colons(text) || has_dashed_ipv6(text)
}

/// Four numbers of a byte each with the same sign between them, also inside longer text: `host-192-0-2-1`.
fn has_quad(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (mut run, mut digits, mut joint) = (0, 0, 0);
    let mut at = 0_usize;
    for part in text.split(|letter: char| !letter.is_ascii_alphanumeric()) {
        let sign = at.checked_sub(1).map_or(0, |sign| bytes[sign]);
        at += part.len();
        // The sign behind, which is one character of any length.
        at += text[at..].chars().next().map_or(0, char::len_utf8);
        // With a zero in front it is half of a telephone number's four.
        let number = part.parse::<u8>().is_ok_and(|value| part.len() == 1 + usize::from(value > 9) + usize::from(value > 99));
        if !number {
            run = 0;
            continue;
        }
        let joined = run > 0 && b".-_".contains(&sign) && (run == 1 || sign == joint);
        (run, digits, joint) = if joined { (run + 1, digits + part.len(), sign) } else { (1, part.len(), 0) };
        if run >= 4 && (joint == b'.' || digits >= DASHED_QUAD_DIGITS_MIN + (run - 4) * 3) {
            return true;
        }
    }
    false
}

/// Two colons or more between groups of at most four hexadecimal digits, as in no time of day.
fn has_colons(text: &str) -> bool {
    let of_address = |byte: u8| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.';
    text.split(|letter: char| !(letter.is_alphanumeric() || letter == ':' || letter == '.')).any(|piece| {
        if piece.bytes().filter(|byte| *byte == b':').count() < 2 || !piece.bytes().all(of_address) {
            return false;
        }
        let groups = || piece.split(':');
        let time = groups().count() == 3 && groups().all(|group| group.len() == 2 && group.bytes().all(|byte| byte.is_ascii_digit()));
        let letters_alone = piece.bytes().all(|byte| byte == b':');
        piece.parse::<Ipv6Addr>().is_ok() && piece.len() > 2
            || !time && !letters_alone && groups().all(|group| group.len() <= 4 || group.contains('.'))
    })
}

/// IPv6 with dashes for colons, as host names have it: all eight groups, or a gap.
fn has_dashed_ipv6(text: &str) -> bool {
    if text.bytes().filter(|byte| *byte == b'-').count() < 7 && !text.contains("--") {
        return false;
    }
    text.split(|letter: char| !(letter.is_ascii_hexdigit() || letter == '-')).any(|piece| {
        let piece = piece.trim_matches('-');
        let digits = piece.bytes().filter(u8::is_ascii_digit).count();
        let groups: Vec<&str> = piece.split('-').collect();
        let whole = |groups: &[&str]| has_letter(&groups.concat()) && groups.join(":").parse::<Ipv6Addr>().is_ok();
        digits >= 4 && groups.len() >= 3 && (groups.windows(8).any(whole) || piece.contains("--") && whole(&groups))
    })
}

/// Whether text holds a hardware address (IEEE 802, EUI-48): six pairs with colons, dashes or underscores, or three fours with dots.
pub(super) fn has_mac(text: &str) -> bool {
    let pairs = |sign: char, length: usize, count: usize| {
        let mut run = 0;
        text.split(|letter: char| letter == sign || !letter.is_ascii_alphanumeric()).any(|part| {
            run = if part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit()) { run + 1 } else { 0 };
            run == count
        })
    };
    let signs = |sign: u8| text.bytes().filter(|byte| *byte == sign).count();
    let has_digit = text.bytes().any(|byte| byte.is_ascii_digit());
    has_digit
        && (signs(b':') >= 5 && pairs(':', 2, 6)
            || signs(b'-') >= 5 && pairs('-', 2, 6) && has_letter(text)
            || signs(b'_') >= 5 && pairs('_', 2, 6) && has_letter(text)
            || signs(b'.') >= 2 && pairs('.', 4, 3) && has_letter(text))
}

/// Six pairs of digits alone are a date and a time.
fn has_letter(text: &str) -> bool {
    text.bytes().any(|byte| matches!(byte, b'a'..=b'f' | b'A'..=b'F'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found() {
        for text in [
            "192.0.2.1",
            "1.1.1.1",
            "host-192-0-2-1",
            "192_0_2_1",
            "192[.]0[.]2[.]1",
            "192(.)0(.)2(.)1",
            "2001:db8::1",
            "[2001:db8::1]:443",
            "::ffff:c000:201",
            "::ffff:192.0.2.1",
            "fe80::1%eth0",
            "x [::1] y",
            "2001:db8:0:0:0:0:0:1",
            "ip6-2001-db8-0-0-0-0-0-1",
            "2001-db8--1",
            "from 192.0.2.1:8080",
        ] {
            assert!(has_ip(text), "{text}");
        }
        for text in ["1.2.3", "5-4-3-2-1", "12:30:45", "10.15.7", "std::vec::Vec", "2024-11-23-10", "300.1.1.1", "a--b", "::", "10.0.19045"]
        {
            assert!(!has_ip(text), "{text}");
        }
    }

    #[test]
    fn hardware_addresses_are_found() {
        for text in ["00:1b:44:11:3a:b7", "00-1B-44-11-3A-B7", "00_1b_44_11_3a_b7", "001b.4411.3ab7"] {
            assert!(has_mac(text), "{text}");
        }
        for text in ["20-24-11-23-10-30", "20_24_11_23_10_30", "12:30:45", "1b44113ab7"] {
            assert!(!has_mac(text), "{text}");
        }
    }
}
