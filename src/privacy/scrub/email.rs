//! E-mail addresses, written as such or spelled out, and names in social networks.

use super::detect::Class;

/// Words for the sign, in the ten languages.
const SIGNS: [&str; 8] = ["at", "arroba", "arobase", "chiocciola", "klammeraffe", "snabela", "malpa", "apenstaartje"];
/// Words for the dot.
const DOTS: [&str; 7] = ["dot", "punkt", "punto", "point", "ponto", "kropka", "punt"];

/// What an at sign makes of text: a name in a network where it comes first (`@jane`), else an address. No page's name has one.
pub(super) fn of_sign(text: &str) -> Option<Class> {
    let at = memchr::memchr(b'@', text.as_bytes())?;
    let name = &text[at + 1..];
    let free = text[..at].chars().next_back().is_none_or(|before| before.is_whitespace() || "(/,+".contains(before));
    let plain = !name.is_empty()
        && name.chars().take_while(|letter| !letter.is_whitespace()).all(|letter| letter.is_alphanumeric() || letter == '_');
    Some(if free && plain { Class::Handle } else { Class::Email })
}

/// Whether an address is spelled out: `jane at example.org`, `jane (at) example [dot] org`.
pub(super) fn is_spelled(text: &str) -> bool {
    let bytes = text.as_bytes();
    if !has_sign(bytes) {
        return false;
    }
    let mut before = "";
    let mut next = Next::Sign;
    let mut at = 0;
    while at < bytes.len() {
        if !is_of_word(text, at) {
            at += char_length(text, at);
            continue;
        }
        let start = at;
        while at < bytes.len() && is_of_word(text, at) {
            at += char_length(text, at);
        }
        let word = &text[start..at];
        let after_host = if bytes.get(at) == Some(&b'.') { Next::LabelAt(at + 1) } else { Next::Dot };
        next = match next {
            Next::Host => after_host,
            Next::Dot if is_one_of(word, &DOTS) => Next::Label,
            Next::LabelAt(place) if place == start && is_top_level(word) => return true,
            Next::Label if is_top_level(word) => return true,
            Next::LabelAt(place) if place == start => after_host,
            Next::Label => after_host,
            _ if !before.is_empty() && is_one_of(word, &SIGNS) => Next::Host,
            _ => Next::Sign,
        };
        before = word;
    }
    false
}

/// Whether one of the words for the sign stands in text: what nearly all text is spared the rest by.
fn has_sign(bytes: &[u8]) -> bool {
    let words = bytes.split(|byte| !byte.is_ascii_alphanumeric() && byte.is_ascii());
    words.skip(1).any(|word| match word {
        [b'a' | b'A', b't' | b'T'] => true,
        _ => {
            word.len() >= 5 && SIGNS[1..].iter().any(|sign| sign.as_bytes().eq_ignore_ascii_case(word))
                || word.eq_ignore_ascii_case("małpa".as_bytes())
        }
    })
}

/// What would go on with an address that is being spelled.
enum Next {
    /// A word for the sign.
    Sign,
    /// The host's first label.
    Host,
    /// A word for a dot.
    Dot,
    /// A label, wherever it stands.
    Label,
    /// A label that begins here, right behind a dot.
    LabelAt(usize),
}

fn char_length(text: &str, at: usize) -> usize {
    text[at..].chars().next().map_or(1, char::len_utf8)
}

fn is_of_word(text: &str, at: usize) -> bool {
    text[at..].chars().next().is_some_and(char::is_alphanumeric)
}

fn is_one_of(word: &str, known: &[&str]) -> bool {
    // "małpa" and "snabel-a" are the only ones with a letter beyond ASCII or a dash.
    known.iter().any(|known| known.eq_ignore_ascii_case(word)) || known.len() == SIGNS.len() && word.eq_ignore_ascii_case("małpa")
}

/// Whether there is such a top-level domain: "at node.js" is no address.
fn is_top_level(word: &str) -> bool {
    word.len() >= 2 && psl::suffix(word.to_ascii_lowercase().as_bytes()).is_some_and(|suffix| suffix.is_known())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_addresses_or_names() {
        for (text, class) in [
            ("jane@example.org", Class::Email),
            ("a@", Class::Email),
            ("@jane", Class::Handle),
            ("by @jane_doe today", Class::Handle),
            ("@jane.doe@example.org", Class::Email),
            ("@", Class::Email),
        ] {
            assert_eq!(of_sign(text), Some(class), "{text}");
        }
        assert_eq!(of_sign("jane"), None);
    }

    #[test]
    fn spelled_addresses_are_found() {
        for text in [
            "jane at example.org",
            "jane (at) example.org",
            "jane [at] example [dot] org",
            "jane-at-example-dot-org",
            "jane.doe at mail.example.co.uk",
            "jane+at+example.org",
            "jane arroba example punto com",
            "jane at example dot co dot uk",
        ] {
            assert!(is_spelled(text), "{text}");
        }
        for text in
            ["meet us at booth 4", "at example.org", "look at node.js", "eat.at.joes", "cat at home. in bed", "a-dot-at-the-end", "at"]
        {
            assert!(!is_spelled(text), "{text}");
        }
    }
}
