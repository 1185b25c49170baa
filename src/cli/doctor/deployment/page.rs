//! A page's HTML, as far as one has to read it to know what a browser loads for it: addresses in tags, and scripts that stand in it.

use std::borrow::Cow;

use http::Uri;

use crate::documents::Site;

/// Part of a page.
pub(super) enum Piece<'h> {
    /// A browser goes to this address.
    Address(Cow<'h, str>),
    /// A script of the page's own.
    Script(&'h str),
}

/// What a browser goes to, by tag and attribute. A link that a person follows is not among them.
const ADDRESSES: [(&str, &str); 6] =
    [("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src"), ("amp-pixel", "src"), ("amp-analytics", "config")];

/// The pieces of a page, in its order. Comments and styles are none.
pub(super) fn pieces(html: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let name_end = rest.find(|character: char| !character.is_ascii_alphanumeric() && character != '-').unwrap_or(rest.len());
        let name = rest[..name_end].to_ascii_lowercase();
        if name.is_empty() {
            continue;
        }
        let (attributes, after) = attributes(&rest[name_end..]);
        rest = after;
        let wanted = ADDRESSES.iter().find(|(tag, _)| *tag == name).map(|(_, attribute)| *attribute);
        let address = attributes.into_iter().find(|(attribute, _)| Some(attribute.as_str()) == wanted).map(|(_, value)| value);
        if name == "script" || name == "style" {
            let end = end_of(rest, &name);
            if name == "script" && address.is_none() {
                pieces.push(Piece::Script(&rest[..end]));
            }
            rest = &rest[end..];
        }
        pieces.extend(
            address.map(|value| Piece::Address(if value.contains("&amp;") { value.replace("&amp;", "&").into() } else { value.into() })),
        );
    }
    pieces
}

/// A tag's attributes, names in small letters, and what follows the tag.
fn attributes(mut rest: &str) -> (Vec<(String, &str)>, &str) {
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start_matches(|character: char| character.is_ascii_whitespace() || character == '/');
        let end = rest.find(|character: char| character.is_ascii_whitespace() || "=>/".contains(character)).unwrap_or(rest.len());
        let name = rest[..end].to_ascii_lowercase();
        rest = rest[end..].trim_start();
        if let Some(value) = rest.strip_prefix('=') {
            let value = value.trim_start();
            let (value, after) = match value.chars().next() {
                Some(quote @ ('"' | '\'')) => value[1..].split_once(quote).unwrap_or((&value[1..], "")),
                _ => {
                    value.split_at(value.find(|character: char| character.is_ascii_whitespace() || character == '>').unwrap_or(value.len()))
                }
            };
            attributes.push((name, value));
            rest = after;
        } else if let Some(after) = rest.strip_prefix('>') {
            return (attributes, after);
        } else if name.is_empty() {
            // A stray sign, or the end of a page that was cut.
            let mut characters = rest.chars();
            if characters.next().is_none() {
                return (attributes, "");
            }
            rest = characters.as_str();
        }
    }
}

/// Where `</script` or `</style` begins.
fn end_of(text: &str, name: &str) -> usize {
    let ends =
        |at: &usize| text.as_bytes().get(at + 2..at + 2 + name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()));
    text.match_indices("</").map(|(at, _)| at).find(ends).unwrap_or(text.len())
}

/// The address of our own script's tag, where the page has one.
pub(super) fn tag_of(pieces: &[Piece<'_>], page: &Uri, site: &Site) -> Option<Uri> {
    let end = format!("/{}", site.script);
    let addresses = pieces.iter().filter_map(|piece| match piece {
        Piece::Address(address) => resolve(page, address),
        Piece::Script(_) => None,
    });
    let ours: Vec<_> = addresses.filter(|address| address.path().ends_with(&end)).collect();
    let below = format!("{}{end}", site.prefix);
    ours.iter().find(|address| address.path() == below).or(ours.first()).cloned()
}

/// An address as a page at `base` writes it.
pub(super) fn resolve(base: &Uri, written: &str) -> Option<Uri> {
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let written = written.trim().split('#').next()?;
    if written.starts_with("https://") || written.starts_with("http://") {
        return written.parse().ok();
    }
    let address = if let Some(rest) = written.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if written.starts_with('/') {
        format!("{scheme}://{authority}{written}")
    } else {
        let directory = base.path().rsplit_once('/').map_or("", |(directory, _)| directory);
        format!("{scheme}://{authority}{directory}/{written}")
    };
    address.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(html: &str) -> Vec<String> {
        let shown = pieces(html).into_iter().map(|piece| match piece {
            Piece::Address(address) => format!("-> {address}"),
            Piece::Script(script) => script.to_owned(),
        });
        shown.collect()
    }

    #[test]
    fn what_a_browser_loads_is_found_and_nothing_else() {
        let html = r#"<!DOCTYPE html><HTML><head><!-- <script src="/old.js"></script> --><style>a > b { background: "<script>" }</style>
            <link rel=preconnect href=https://one.example><SCRIPT async SRC='https://two.example/a?b=1&amp;c=2'></SCRIPT>
            <script>if (1 < 2) load("https://three.example")</script ><script type="module" src = "/four.js" /></script>
            <a href="https://five.example">five</a><noscript><img width="1" src="https://six.example/p"></noscript>
            <iframe title="a > b" src="//seven.example"></iframe> 1 < 2 <"#;
        let expected = [
            "-> https://one.example",
            "-> https://two.example/a?b=1&c=2",
            "if (1 < 2) load(\"https://three.example\")",
            "-> /four.js",
            "-> https://six.example/p",
            "-> //seven.example",
        ];
        assert_eq!(shown(html), expected);
    }

    #[test]
    fn a_page_that_is_cut_anywhere_is_read_to_its_end() {
        let html = r#"<script src="é/a.js" async></script><img alt='é' src=b><script>var é = "</sc" + "ript>"</script><!-- é --><p a = é>"#;
        for end in (0..=html.len()).filter(|end| html.is_char_boundary(*end)) {
            pieces(&html[..end]);
        }
        assert_eq!(shown(html).len(), 3);
    }

    #[test]
    fn addresses_are_resolved_as_browsers_do() {
        let page: Uri = "https://www.shop.example:8443/a/b?c".parse().unwrap();
        for (written, expected) in [
            ("https://x.example/y", "https://x.example/y"),
            ("//x.example/y", "https://x.example/y"),
            ("/kesolu/core.js#x", "https://www.shop.example:8443/kesolu/core.js"),
            ("core.js", "https://www.shop.example:8443/a/core.js"),
        ] {
            assert_eq!(resolve(&page, written).unwrap().to_string(), expected);
        }
    }
}
