//! Routes: the forms of a site's own pages, as its owner wrote them in the policy: `/product/:slug`. A path of that form leaves as
//! `/product/{slug}`, whatever stands in the segment; no detector has to recognise it, and no crowd has to have seen the page first, since the
//! form was learnt from no visitor.

use super::{
    decode::percent,
    detect::{Class, class_of},
    page::SEGMENTS_MAX,
};

/// Routes of one policy: each is compared with the path of every page view.
pub const ROUTES_MAX: usize = 500;
/// What stands for one segment or more at the end of a path.
const REST: &str = "…";
/// The longest name or literal.
const SEGMENT_BYTES_MAX: usize = 80;

/// A policy's routes, in its order: the first of which a path has the form decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routes(Vec<Route>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Route {
    segments: Vec<Segment>,
    /// Whether one more segment or several follow.
    rest: bool,
    /// As its owner wrote it.
    written: String,
    template: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Named,
}

/// Why a text is no route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteError {
    /// No slash in front.
    #[error("a route begins with a slash")]
    NoSlash,
    /// Two slashes in a row, or one at the end.
    #[error("a segment of it is empty: no slash at its end, and none twice")]
    EmptySegment,
    /// More segments than of any path are looked at.
    #[error("it has more than {SEGMENTS_MAX} segments")]
    TooManySegments,
    /// A star that is not the whole of the last segment.
    #[error("a star stands alone, as its last segment")]
    Star,
    /// No small letter first, or anything but small letters, digits and underscores in it.
    #[error("a name behind a colon is small letters, digits and underscores, a letter first")]
    Name,
    /// Something that no browser sends as it is, or very long.
    #[error("a segment is letters, digits and \"-\", \"_\", \".\", \"~\", at most {SEGMENT_BYTES_MAX} bytes")]
    Literal,
    /// A detector knows it.
    #[error("a segment of it looks like somebody's e-mail address, number or token")]
    Personal,
}

impl Routes {
    /// Reads them.
    ///
    /// # Errors
    /// The first that is none, by its place.
    pub fn parse(routes: &[String]) -> Result<Self, (usize, RouteError)> {
        routes.iter().enumerate().map(|(at, route)| Route::parse(route).map_err(|error| (at, error))).collect::<Result<_, _>>().map(Self)
    }

    /// The template of the first route whose form the path has.
    pub(in crate::privacy) fn template(&self, path: &str) -> Option<&str> {
        if self.0.is_empty() {
            return None;
        }
        let mut segments = [""; SEGMENTS_MAX + 1];
        let mut count = 0;
        for segment in path.split(['/', '\\']).filter(|segment| !segment.is_empty()) {
            // Beyond the longest route only a rest can stand, and it has begun by then.
            let Some(place) = segments.get_mut(count) else { break };
            *place = segment;
            count += 1;
        }
        self.0.iter().find(|route| route.fits(&segments[..count])).map(|route| route.template.as_str())
    }

    /// As their owner wrote them, in their order.
    pub fn written(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|route| route.written.as_str())
    }

    /// Whether it is one of their templates: that may be said of whomever.
    #[must_use]
    pub fn say(&self, template: &str) -> bool {
        self.0.iter().any(|route| route.template == template)
    }
}

impl Route {
    fn parse(text: &str) -> Result<Self, RouteError> {
        let path = text.strip_prefix('/').ok_or(RouteError::NoSlash)?;
        let mut route = Self { segments: Vec::new(), rest: false, written: text.to_owned(), template: String::new() };
        let pieces: Vec<&str> = if path.is_empty() { Vec::new() } else { path.split('/').collect() };
        if pieces.len() > SEGMENTS_MAX {
            return Err(RouteError::TooManySegments);
        }
        for (at, piece) in pieces.iter().enumerate() {
            route.template.push('/');
            match (piece.strip_prefix(':'), *piece) {
                (None, "") => return Err(RouteError::EmptySegment),
                (None, "*") if at + 1 == pieces.len() => {
                    route.rest = true;
                    route.template.push_str(REST);
                }
                (None, literal) => {
                    route.segments.push(Segment::Literal(checked(literal)?.to_owned()));
                    route.template.push_str(literal);
                }
                (Some(name), _) => {
                    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
                    if !plain || !name.starts_with(|first: char| first.is_ascii_lowercase()) || name.len() > SEGMENT_BYTES_MAX {
                        return Err(RouteError::Name);
                    }
                    route.segments.push(Segment::Named);
                    route.template.extend(["{", name, "}"]);
                }
            }
        }
        if route.template.is_empty() {
            route.template.push('/');
        }
        Ok(route)
    }

    fn fits(&self, segments: &[&str]) -> bool {
        let enough = if self.rest { segments.len() > self.segments.len() } else { segments.len() == self.segments.len() };
        enough
            && self.segments.iter().zip(segments).all(|(wanted, said)| match wanted {
                Segment::Literal(literal) => literal == said || percent(said) == *literal,
                Segment::Named => true,
            })
    }
}

/// A literal as it may stand in a template. A number is no one's: `/404`, `/2026`.
fn checked(literal: &str) -> Result<&str, RouteError> {
    if literal.contains('*') {
        return Err(RouteError::Star);
    }
    if literal.len() > SEGMENT_BYTES_MAX || !literal.chars().all(|letter| letter.is_alphanumeric() || "-_.~".contains(letter)) {
        return Err(RouteError::Literal);
    }
    match class_of(literal) {
        None | Some(Class::Number) => Ok(literal),
        Some(_) => Err(RouteError::Personal),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn routes(all: &[&str]) -> Routes {
        Routes::parse(&all.iter().map(|route| (*route).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_first_route_of_a_paths_form_is_its_template() {
        let routes =
            routes(&["/", "/pricing", "/product/new", "/product/:slug", "/blog/:year/:title", "/account/*", "/produits/été", "/404"]);
        for (path, template) in [
            ("/", Some("/")),
            ("/pricing", Some("/pricing")),
            ("/pricing/", Some("/pricing")),
            ("//pricing", Some("/pricing")),
            ("/Pricing", None),
            ("/product", None),
            ("/product/new", Some("/product/new")),
            ("/product/red-shoes", Some("/product/{slug}")),
            ("/product/jane%40example.org", Some("/product/{slug}")),
            ("/product/red/shoes", None),
            ("/blog/2026/jane-doe-is-engaged", Some("/blog/{year}/{title}")),
            ("/account", None),
            ("/account/orders", Some("/account/…")),
            ("/account/orders/8412/a/b/c/d/e/f/g/h/i/j/k/l", Some("/account/…")),
            ("/produits/%C3%A9t%C3%A9", Some("/produits/été")),
            ("/404", Some("/404")),
        ] {
            assert_eq!(routes.template(path), template, "{path}");
        }
        assert!(routes.say("/product/{slug}") && routes.say("/pricing") && !routes.say("/product/red-shoes"));
    }

    #[test]
    fn what_is_no_route_is_refused() {
        for (route, error) in [
            ("", RouteError::NoSlash),
            ("pricing", RouteError::NoSlash),
            ("/pricing/", RouteError::EmptySegment),
            ("/a//b", RouteError::EmptySegment),
            ("/a/*/b", RouteError::Star),
            ("/a*", RouteError::Star),
            ("/:", RouteError::Name),
            ("/:Slug", RouteError::Name),
            ("/:1", RouteError::Name),
            ("/a b", RouteError::Literal),
            ("/%41", RouteError::Literal),
            ("/{n}", RouteError::Literal),
            ("/a?b", RouteError::Literal),
            ("/u/0b0e3a4c-8d0f-4a52-9d5e-1f5b4c7a9e21", RouteError::Personal),
            ("/1/2/3/4/5/6/7/8/9/10/11/12/13", RouteError::TooManySegments),
        ] {
            assert_eq!(Routes::parse(&[String::from("/"), route.to_owned()]), Err((1, error)), "{route}");
        }
    }

    proptest! {
        #[test]
        fn a_template_has_the_form_of_its_own_route(path in "(/[a-c%@0-9]{0,3}){0,6}") {
            let routes = routes(&["/a", "/a/:x", "/:x/b", "/b/*", "/:x/:y/:z", "/c/*"]);
            if let Some(template) = routes.template(&path) {
                prop_assert_eq!(routes.template(template), Some(template));
            }
        }
    }
}
