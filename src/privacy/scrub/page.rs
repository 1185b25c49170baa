//! A page's address without parameters, and its path as a template: `/user/8412/orders?ref=x#top` → `/user/{n}/orders`.

use std::borrow::Cow;

use super::{
    date,
    decode::{has_encoding, is_invisible, percent},
    detect::{Class, class_of},
    routes::Routes,
};

/// Longer paths are cut: a page that differs only beyond this is the same page for our purposes.
pub(super) const SEGMENTS_MAX: usize = 12;
/// A segment longer than this is no name of a page.
const SEGMENT_CHARS_MAX: usize = 80;

/// The parts of an address that may be looked at further.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::privacy) struct Address<'a> {
    /// The host: lower case not yet, no port, no user info.
    pub(in crate::privacy) host: &'a str,
    /// The path, with its leading slash, encoded as it came.
    pub(in crate::privacy) path: &'a str,
    /// The query, without its question mark.
    pub(in crate::privacy) query: &'a str,
}

/// Takes an `http` or `https` address apart. Anything else is none.
pub(in crate::privacy) fn split(url: &str) -> Option<Address<'_>> {
    let url = url.trim();
    let (scheme, rest) = url.split_once("://")?;
    if !(scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")) {
        return None;
    }
    let (rest, _fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let end = rest.find(['/', '\\']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or(authority);
    let host = match host.find(']') {
        Some(end) => &host[..=end],
        None => host.split(':').next().unwrap_or(host),
    };
    Some(Address { host, path: if path.is_empty() { "/" } else { path }, query })
}

/// The path as the site's own route that it has the form of; else as a template of our own.
pub(in crate::privacy) fn template_by(path: &str, routes: &Routes) -> String {
    routes.template(path).map_or_else(|| template(path), str::to_owned)
}

/// The path as a template. Doing it twice changes nothing more.
pub(in crate::privacy) fn template(path: &str) -> String {
    let mut template = String::with_capacity(path.len());
    let mut segments = path.split(['/', '\\']).filter(|segment| !segment.is_empty()).peekable();
    let mut part = Part::None;
    for _ in 0..SEGMENTS_MAX {
        let Some(segment) = segments.next() else { break };
        part = part.then(segment, segments.peek().copied());
        template.push('/');
        match part {
            Part::None => template.push_str(&scrubbed_segment(segment)),
            Part::Year | Part::Month | Part::Day => template.push_str(segment),
        }
    }
    if segments.next().is_some() {
        template.push_str("/…");
    }
    if template.is_empty() || path.ends_with('/') && !template.ends_with('…') {
        template.push('/');
    }
    template
}

/// What a segment is of a date that an article was published on, `/2026/11/27/`. A year without a month is a number like any other.
#[derive(Clone, Copy)]
enum Part {
    None,
    Year,
    Month,
    Day,
}

impl Part {
    /// What the next segment is, and which follows it.
    fn then(self, segment: &str, next: Option<&str>) -> Self {
        let month = |segment| date::is_part_of_date(segment, 12);
        match self {
            Self::Year if month(segment) => Self::Month,
            Self::Month if date::is_part_of_date(segment, 31) => Self::Day,
            _ if date::is_year_of_publication(segment) && next.is_some_and(month) => Self::Year,
            _ => Self::None,
        }
    }
}

fn scrubbed_segment(segment: &str) -> Cow<'_, str> {
    // What most segments are: there is nothing to decode, to take off or to be afraid of, so that the detectors alone are asked.
    if segment.len() <= SEGMENT_CHARS_MAX && segment.bytes().all(is_plain) {
        let class = if segment.bytes().all(|byte| byte.is_ascii_digit()) { Some(Class::Number) } else { class_of(segment) };
        return Cow::Borrowed(class.map_or(segment, |class| class.placeholder()));
    }
    scrubbed_unusual(segment)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

fn scrubbed_unusual(segment: &str) -> Cow<'_, str> {
    if segment == "…" || Class::ALL.iter().any(|class| class.placeholder() == segment) {
        return Cow::Borrowed(segment);
    }
    let decoded = percent(segment);
    // What follows a semicolon are parameters (`;jsessionid=…`).
    let (name, parameters) = decoded.split_once(';').unwrap_or((&decoded, ""));
    let class = if has_encoding(&decoded) {
        Some(Class::Encoded)
    } else if name.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() {
        // Whatever its digits are: a check that passes by chance would give one page two templates, and tell something of the number.
        Some(Class::Number)
    } else {
        // A pair of coordinates may have the semicolon between them.
        let whole = if parameters.is_empty() { None } else { class_of(&decoded).filter(|class| *class == Class::Coordinates) };
        let too_long = || (decoded.chars().count() > SEGMENT_CHARS_MAX).then_some(Class::Token);
        whole
            .or_else(|| class_of(name))
            .or_else(too_long)
            .or_else(|| decoded.contains(['/', '\\', '?', '#', '{', '}']).then_some(Class::Encoded))
    };
    match class {
        Some(class) => Cow::Borrowed(class.placeholder()),
        None if name.is_empty() => Cow::Borrowed(Class::Parameter.placeholder()),
        None if name.chars().any(|letter| {
            letter.is_control() || letter.is_whitespace() && letter != ' ' || letter == '\u{fffd}' || is_invisible(letter)
        }) =>
        {
            Cow::Borrowed(Class::Encoded.placeholder())
        }
        None if parameters.is_empty() && name.len() == segment.len() => Cow::Borrowed(segment),
        None => Cow::Owned(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let whole = split("https://jane:secret@Shop.Example:8443/a/b?x=1#y?z").unwrap();
        assert_eq!(whole, Address { host: "Shop.Example", path: "/a/b", query: "x=1" });
        assert_eq!(split("https://shop.example?email=jane@example.org").unwrap().path, "/", "R3: a query without a path");
        assert_eq!(split("https://shop.example#token=abc").unwrap().host, "shop.example", "R4: a token in the fragment");
        assert_eq!(split("http://[2001:db8::1]:80/").unwrap().host, "[2001:db8::1]");
        for other in ["", "data:text/html,jane", "javascript:alert(1)", "//shop.example/", "shop.example", "file:///home/jane"] {
            assert_eq!(split(other), None, "{other}");
        }
    }

    #[test]
    fn paths_become_templates() {
        let cases = [
            ("/", "/"),
            ("/products/red-shoes", "/products/red-shoes"),
            ("/products/", "/products/"),
            ("/user/8412/orders", "/user/{n}/orders"),
            ("/user/19850312/4111111111111111", "/user/{n}/{n}"),
            ("/u/jane%40example.org", "/u/{email}"),
            ("/u/jane%2540example.org", "/u/{email}"),
            ("/u/jane%25252540example.org", "/u/{encoded}"),
            ("/u/a-very-long-name-of-more-than-eighty-characters-which-nobody-has-but-anybody-may-write@mail.example", "/u/{email}"),
            ("/cart;jsessionid=1A2B3C4D5E6F", "/cart"),
            ("/;jsessionid=x", "/{parameter}"),
            ("/ip/192.0.2.1/x", "/ip/{ip}/x"),
            ("//a//b", "/a/b"),
            ("/reset/0b0e3a4c-8d0f-4a52-9d5e-1f5b4c7a9e21", "/reset/{uuid}"),
            ("/%E4%BA%A7%E5%93%81", "/产品"),
            ("/%ff%fe", "/{encoded}"),
            ("/a%2fb", "/{encoded}"),
            ("/news/2026/11/27/budget", "/news/2026/11/27/budget"),
            ("/archive/2019/05", "/archive/2019/05"),
            ("/archive/2019", "/archive/{n}"),
            ("/archive/2019/page/2", "/archive/{n}/page/{n}"),
            ("/born/1985/03/12", "/born/{n}/{n}/{n}"),
            ("/user/2026/11/27/8412", "/user/2026/11/27/{n}"),
            ("/2026/13/11", "/{n}/{n}/{n}"),
            ("/1/2/3/4/a/b/c/d/e/f/g/h/i/j", "/{n}/{n}/{n}/{n}/a/b/c/d/e/f/g/h/…"),
        ];
        for (path, expected) in cases {
            assert_eq!(template(path), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn plain_segments_are_what_the_longer_way_makes_of_them(segment in "[a-zA-Z0-9._-]{1,90}|[a-z]{1,12}(-[a-z0-9]{1,10}){0,4}|[0-9]{1,20}") {
            prop_assert_eq!(scrubbed_segment(&segment), scrubbed_unusual(&segment));
        }

        #[test]
        fn scrubbing_twice_changes_nothing_more(path in "(/[ -~é%2540]{0,20}){0,15}") {
            let once = template(&path);
            prop_assert_eq!(&template(&once), &once);
        }
    }
}
