//! E-mail addresses, written as such or spelled out, and names in social networks.

use super::detect::Class;

/// Words for the sign, in the ten languages; `snabel` may have an `a` of its own behind it.
const SIGNS: [&str; 15] = [
    "at",
    "ät",
    "aet",
    "arroba",
    "arobase",
    "arobas",
    "chiocciola",
    "chiocciolina",
    "klammeraffe",
    "snabel",
    "snabela",
    "malpa",
    "małpa",
    "apenstaartje",
    "apestaartje",
];
/// Words for the dot.
const DOTS: [&str; 7] = ["dot", "punkt", "punto", "point", "ponto", "kropka", "punt"];

/// Top-level domains that stand for others (RFC 2606); no list of suffixes has them.
const RESERVED: [&str; 4] = ["example", "invalid", "localhost", "test"];
/// What a picture's name ends in.
const PICTURES: [&str; 7] = ["png", "jpg", "jpeg", "webp", "avif", "gif", "svg"];
/// What style sheets call their rules (<https://www.w3.org/TR/css/>, the standard at-rules): nobody's name, and every manual of CSS has a page of each.
const STYLE_RULES: [&str; 19] = [
    "charset",
    "color-profile",
    "container",
    "counter-style",
    "font-face",
    "font-feature-values",
    "font-palette-values",
    "import",
    "keyframes",
    "layer",
    "media",
    "namespace",
    "page",
    "position-try",
    "property",
    "scope",
    "starting-style",
    "supports",
    "view-transition",
];

/// What an at sign makes of text: a name in a network where it comes first (`@jane`), else an address. Hardly a page's name has one.
pub(super) fn of_sign(text: &str) -> Option<Class> {
    let mut signs = memchr::memchr_iter(b'@', text.as_bytes());
    if text.strip_prefix('@').is_some_and(|name| STYLE_RULES.contains(&name)) {
        return None;
    }
    if signs.clone().all(|at| is_of_thing(&text[at + 1..]) || is_between_words(text, at)) {
        return None;
    }
    let at = signs.next()?;
    let name = &text[at + 1..];
    let free = text[..at].chars().next_back().is_none_or(|before| before.is_whitespace() || "(/,+".contains(before));
    let plain = !name.is_empty()
        && name.chars().take_while(|letter| !letter.is_whitespace()).all(|letter| letter.is_alphanumeric() || letter == '_');
    Some(if free && plain { Class::Handle } else { Class::Email })
}

/// `logo@2x.png`, a picture for finer screens, and `compiler@3.4.21`, a package's version: no host is called so.
fn is_of_thing(after: &str) -> bool {
    let density = after.strip_prefix(|digit: char| digit.is_ascii_digit()).and_then(|rest| rest.strip_prefix("x."));
    let groups = || after.split('.');
    let number = |group: &str| (1..=4).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_digit());
    density.is_some_and(|extension| PICTURES.contains(&extension)) || (2..=3).contains(&groups().count()) && groups().all(number)
}

/// `2 @ 3.50 each`: a sign with a blank on either side, and no host behind it.
fn is_between_words(text: &str, at: usize) -> bool {
    let (before, after) = (&text[..at], &text[at + 1..]);
    let free = before.ends_with(char::is_whitespace) && after.starts_with(char::is_whitespace);
    let mut words = after.split_whitespace();
    let host = words.next().is_some_and(|word| word.split('.').skip(1).any(|label| label.starts_with(char::is_alphabetic)));
    free && !host && !after.split(|letter: char| !letter.is_alphanumeric()).any(|word| is_one_of(word, &DOTS))
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
            Next::Host if before.eq_ignore_ascii_case("snabel") && word.eq_ignore_ascii_case("a") => Next::Host,
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
        _ => word.len() >= 3 && SIGNS[1..].iter().any(|sign| sign.as_bytes().eq_ignore_ascii_case(word)),
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
    known.iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// Whether there is such a top-level domain: "at node.js" is no address.
fn is_top_level(word: &str) -> bool {
    is_one_of(word, &RESERVED)
        || word.len() >= 2 && psl::suffix(word.to_ascii_lowercase().as_bytes()).is_some_and(|suffix| suffix.is_known())
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
        for text in [
            "jane",
            "logo@2x.png",
            "compiler-sfc@3.4.21",
            "2 @ 3.50 each",
            "free shipping @ checkout",
            "the @ sign",
            "@media",
            "@font-face",
        ] {
            assert_eq!(of_sign(text), None, "{text}");
        }
        for text in [
            "jane @ example.org",
            "jane @ example dot org",
            "jane@2x.example",
            "jane@192.0.2.1",
            "a@b@2x.png",
            "jane @example.org",
            "jane@media",
        ] {
            assert!(of_sign(text).is_some(), "{text}");
        }
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
            "jane_at_example.example",
            "jane punkt doe (ät) example punkt de",
            "jane snabel-a example punkt se",
            "jane-snabela-example-punkt-se",
            "jane małpa example kropka pl",
        ] {
            assert!(is_spelled(text), "{text}");
        }
        for text in [
            "meet us at booth 4",
            "at example.org",
            "look at node.js",
            "eat.at.joes",
            "cat at home. in bed",
            "en-snabel-a-gata-i-stan",
            "a-dot-at-the-end",
            "at",
        ] {
            assert!(!is_spelled(text), "{text}");
        }
    }
}
