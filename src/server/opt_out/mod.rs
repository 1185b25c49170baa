//! The page on which a visitor objects to measurement, and takes the objection back: one self-contained page per language. Its buttons
//! send the native message `{"o":1}` or `{"o":0}` to the site's own endpoint, like any page could.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use sha2::{Digest as _, Sha256};

use super::{limits::ACCEPTED_LANGUAGES, reply::ReplyBody};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The languages that the page is in. The first is for everyone else.
const TEXTS: [(&str, &[(&str, &str)]); 2] = [
    (
        "en",
        &[
            ("lang", "en"),
            ("title", "Audience measurement on this website"),
            ("what", "This website counts visits to see which of its pages are read. You can object at any time, without giving a reason."),
            (
                "how",
                "Your choice is kept in a cookie of this browser that says nothing but “opted out” and is the same for everyone. \
                 It holds for this browser until you undo it or delete the cookie.",
            ),
            ("out", "Opt out"),
            ("in", "Undo"),
            ("out_done", "You have opted out. Your visits are no longer measured."),
            ("in_done", "Your opt-out has been undone."),
            ("failed", "That did not work. Please try again."),
            ("no_script", "Without JavaScript, use the button on this page."),
            ("signal", "If your browser sends Global Privacy Control or Do Not Track, that is respected without this page."),
        ],
    ),
    (
        "fr",
        &[
            ("lang", "fr"),
            ("title", "Mesure d’audience sur ce site"),
            (
                "what",
                "Ce site compte les visites pour savoir quelles pages sont lues. Vous pouvez vous y opposer à tout moment, sans donner \
                 de raison.",
            ),
            (
                "how",
                "Votre choix est conservé dans un cookie de ce navigateur, qui indique seulement « opposition » et qui est le même pour \
                 tout le monde. Il vaut pour ce navigateur jusqu’à ce que vous l’annuliez ou supprimiez le cookie.",
            ),
            ("out", "M’opposer"),
            ("in", "Annuler"),
            ("out_done", "Votre opposition est enregistrée. Vos visites ne sont plus mesurées."),
            ("in_done", "Votre opposition est annulée."),
            ("failed", "Cela n’a pas fonctionné. Veuillez réessayer."),
            ("no_script", "Sans JavaScript, utilisez le bouton de cette page (en anglais)."),
            ("signal", "Si votre navigateur envoie Global Privacy Control ou Do Not Track, ce choix est respecté sans cette page."),
        ],
    ),
];

/// The page in every language.
pub(super) struct OptOutPage {
    rendered: Vec<(&'static str, Bytes)>,
    policy: HeaderValue,
}

impl OptOutPage {
    /// Renders the page.
    pub(super) fn new() -> Self {
        let rendered = TEXTS.map(|(language, texts)| {
            let page = PAGE.replace("{style}", STYLE).replace("{script}", SCRIPT);
            (language, Bytes::from(texts.iter().fold(page, |page, (token, text)| page.replace(&format!("{{{token}}}"), text))))
        });
        let hash = |text: &str| STANDARD.encode(Sha256::digest(text));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
            hash(STYLE),
            hash(SCRIPT)
        );
        Self { rendered: rendered.to_vec(), policy: HeaderValue::try_from(policy).expect("a policy of ASCII words and base64") }
    }

    /// The page in the language that the visitor prefers.
    pub(super) fn serve(&self, asked: &HeaderMap) -> Response<ReplyBody> {
        let languages = self.rendered.iter().map(|(language, _)| *language);
        let chosen = preferred(asked.get(header::ACCEPT_LANGUAGE), languages).unwrap_or(0);
        let (language, page) = &self.rendered[chosen];
        let mut response = Response::new(ReplyBody::whole(page.clone()));
        let headers: [(HeaderName, &'static str); 6] = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_LANGUAGE, language),
            (header::CACHE_CONTROL, "no-cache"),
            (header::VARY, "Accept-Language"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        response.headers_mut().extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
        response
    }
}

/// Which of our languages an `Accept-Language` header likes best (RFC 9110 §12.5.4); of equals, the one that it names first.
pub(super) fn preferred<'l>(header: Option<&HeaderValue>, ours: impl Iterator<Item = &'l str> + Clone) -> Option<usize> {
    let accepted = header?.to_str().ok()?.split(',').take(ACCEPTED_LANGUAGES);
    let mut best: Option<(f32, usize)> = None;
    for range in accepted {
        let (range, weight) = range.split_once(';').unwrap_or((range, "q=1"));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse::<f32>().ok()).unwrap_or(0.0);
        let language = range.trim().split('-').next().unwrap_or_default();
        let found = ours.clone().position(|our| our.eq_ignore_ascii_case(language));
        if let Some(found) = found
            && weight > best.map_or(0.0, |(weight, _)| weight)
        {
            best = Some((weight, found));
        }
    }
    best.map(|(_, found)| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_visitor_chooses_the_language() {
        let table = [
            ("fr", Some(1)),
            ("fr-CA,fr;q=0.9,en;q=0.8", Some(1)),
            ("en-GB,fr;q=0.9", Some(0)),
            ("de,fr;q=0.5,en;q=0.4", Some(1)),
            ("de,fr;q=0.4,en;q=0.5", Some(0)),
            ("FR", Some(1)),
            ("fr;q=0", None),
            ("de", None),
            ("", None),
            ("fr;q=x", None),
            ("*", None),
        ];
        for (header, expected) in table {
            assert_eq!(preferred(Some(&HeaderValue::from_static(header)), ["en", "fr"].into_iter()), expected, "{header}");
        }
        assert_eq!(preferred(None, ["en", "fr"].into_iter()), None);
    }

    #[test]
    fn every_page_is_whole_and_allowed_by_its_own_policy() {
        let page = OptOutPage::new();
        for (language, html) in &page.rendered {
            let html = std::str::from_utf8(html).expect("text");
            assert!(html.contains(&format!("<html lang=\"{language}\">")));
            for (_, texts) in TEXTS.iter().filter(|(name, _)| name == language) {
                assert!(texts.iter().all(|(_, text)| html.contains(text)), "a text is missing in {language}");
            }
            for (token, _) in TEXTS[0].1 {
                assert!(!html.contains(&format!("{{{token}}}")), "{token} is left in {language}");
            }
            // The policy's hashes are of exactly what stands between the tags.
            for (element, directive) in [("style", "style-src"), ("script", "script-src")] {
                let inside = html.split_once(&format!("<{element}>")).and_then(|(_, rest)| rest.split_once(&format!("</{element}>")));
                let hash = STANDARD.encode(Sha256::digest(inside.expect("the element").0));
                assert!(page.policy.to_str().expect("text").contains(&format!("{directive} 'sha256-{hash}'")));
            }
        }
    }
}
