//! User agents that say themselves that no person is looking: crawlers, monitors, link previews, HTTP libraries, headless browsers. Known
//! by whole names, by parts of names that no browser has, and by an address for questions (`+https://…`), as is the custom of the field.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

/// What a user agent says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared {
    /// Reads pages for an index, an archive, a model or a feed.
    Crawler,
    /// Measures availability, speed or security.
    Monitor,
    /// Fetches a link's preview.
    Preview,
    /// An HTTP library or a command line's tool.
    Library,
    /// A browser without a screen.
    Headless,
}

use Declared::{Crawler, Headless, Library, Monitor, Preview};

/// Longer user agents are not looked at beyond this: real ones have at most a few hundred bytes.
const LOOKED_AT_BYTES: usize = 512;

/// Whole names, in small letters; sorted. A name ends at a space, a slash or a bracket.
const NAMES: &[(&str, Declared)] = &[
    ("acunetix-product", Monitor),
    ("adbeat.com", Crawler),
    ("ahc", Library),
    ("aiohttp", Library),
    ("anthropic-ai", Crawler),
    ("aria2", Library),
    ("axios", Library),
    ("bitbucket-webhooks", Library),
    ("bluesky", Preview),
    ("bun", Library),
    ("catchpoint", Monitor),
    ("ccbot", Crawler),
    ("chrome-lighthouse", Monitor),
    ("cloudflare-ssldetector", Monitor),
    ("coccoc", Crawler),
    ("cohere-ai", Crawler),
    ("collapsify", Crawler),
    ("colly", Library),
    ("cpp-httplib", Library),
    ("curl", Library),
    ("cypress", Headless),
    ("dareboost", Monitor),
    ("dart", Library),
    ("datanyze", Crawler),
    ("dataprovider.com", Crawler),
    ("deno", Library),
    ("embedly", Preview),
    ("facebookcatalog", Preview),
    ("facebookexternalhit", Preview),
    ("faraday", Library),
    ("foregenix", Monitor),
    ("ghost", Monitor),
    ("github-camo", Preview),
    ("go-http-client", Library),
    ("google-adwords-express", Crawler),
    ("google-agent", Crawler),
    ("google-certificates-bridge", Monitor),
    ("google-extended", Crawler),
    ("google-inspectiontool", Crawler),
    ("google-physicalweb", Preview),
    ("google-safety", Monitor),
    ("google-site-verification", Monitor),
    ("googleagent-mariner", Crawler),
    ("googleassociationservice", Crawler),
    ("googleother", Crawler),
    ("got", Library),
    ("gtmetrix", Monitor),
    ("guzzlehttp", Library),
    ("hatenabookmark", Preview),
    ("headlesschrome", Headless),
    ("htmlunit", Headless),
    ("httpie", Library),
    ("httpunit", Headless),
    ("httpx", Library),
    ("httrack", Crawler),
    ("iframely", Preview),
    ("imgproxy", Preview),
    ("indy", Library),
    ("insomnia", Library),
    ("integromat", Library),
    ("ips-agent", Crawler),
    ("java", Library),
    ("jersey", Library),
    ("jsdom", Headless),
    ("k6", Monitor),
    ("l9explore", Monitor),
    ("libwww-perl", Library),
    ("linkcheck", Monitor),
    ("lua-resty-http", Library),
    ("lwp-trivial", Library),
    ("lwp::simple", Library),
    ("manus-user", Crawler),
    ("mediapartners-google", Crawler),
    ("meta-externalads", Crawler),
    ("meta-externalagent", Crawler),
    ("miniature.io", Preview),
    ("netcraft", Monitor),
    ("newrelicsynthetics", Monitor),
    ("newspaper", Library),
    ("nikto", Monitor),
    ("node", Library),
    ("node-superagent", Library),
    ("nodeping", Monitor),
    ("nutch", Crawler),
    ("okhttp", Library),
    ("openvas", Monitor),
    ("outbrain", Crawler),
    ("panopta", Monitor),
    ("pcore-http", Library),
    ("perl", Library),
    ("perplexity-user", Crawler),
    ("php", Library),
    ("phpcrawl", Crawler),
    ("pingdom", Monitor),
    ("postmanruntime", Library),
    ("prerender", Crawler),
    ("printfriendly.com", Preview),
    ("ptst", Monitor),
    ("pycurl", Library),
    ("python", Library),
    ("python-httpx", Library),
    ("python-requests", Library),
    ("python-urllib", Library),
    ("reqwest", Library),
    ("restsharp", Library),
    ("rss-parser", Library),
    ("ruby", Library),
    ("ruxitsynthetic", Monitor),
    ("scrapy", Crawler),
    ("screaming", Crawler),
    ("site24x7", Monitor),
    ("sitesucker", Crawler),
    ("slackbot-linkexpanding", Preview),
    ("splash", Headless),
    ("sqlmap", Monitor),
    ("statuscake", Monitor),
    ("symfony", Library),
    ("theoldreader.com", Crawler),
    ("thousandeyes", Monitor),
    ("trendsmapresolver", Preview),
    ("typhoeus", Library),
    ("undici", Library),
    ("updown.io", Monitor),
    ("uptrends", Monitor),
    ("w3c-checklink", Monitor),
    ("watchtowr", Monitor),
    ("wget", Library),
    ("whatweb", Monitor),
    ("winhttp", Library),
    ("xenu", Monitor),
    ("ylt", Monitor),
    ("zabbix", Monitor),
    ("zapier", Library),
    ("zgrab", Monitor),
    ("zmeu", Monitor),
];

/// Parts of names that no browser has, in small letters; the first one decides.
const PARTS: &[(&str, Declared)] = &[
    ("headless", Headless),
    ("phantomjs", Headless),
    ("slimerjs", Headless),
    ("puppeteer", Headless),
    ("playwright", Headless),
    ("selenium", Headless),
    ("webdriver", Headless),
    ("preview", Preview),
    ("slackbot", Preview),
    ("twitterbot", Preview),
    ("linkedinbot", Preview),
    ("telegrambot", Preview),
    ("discordbot", Preview),
    ("facebot", Preview),
    ("redditbot", Preview),
    ("unfurl", Preview),
    ("onebox", Preview),
    ("favicon", Preview),
    ("screenshot", Preview),
    ("monitor", Monitor),
    ("uptime", Monitor),
    ("synthetic", Monitor),
    ("lighthouse", Monitor),
    ("insights", Monitor),
    ("pagespeed", Monitor),
    ("nagios", Monitor),
    ("checker", Monitor),
    ("validator", Monitor),
    ("scanner", Monitor),
    ("securityheaders", Monitor),
    ("auditor", Monitor),
    ("http-client", Library),
    ("httpclient", Library),
    ("webclient", Library),
    ("webhook", Library),
    ("bot", Crawler),
    ("crawl", Crawler),
    ("spider", Crawler),
    ("scrap", Crawler),
    ("slurp", Crawler),
    ("archiv", Crawler),
    ("fetch", Crawler),
    ("feed", Crawler),
    ("indexer", Crawler),
    ("sitemap", Crawler),
    ("parser", Crawler),
    ("subscriber", Crawler),
    ("optimizer", Crawler),
];

/// Names that hold a part of the table and are none: a maker of phones.
const NO_SUCH_NAME: &str = "cubot";

/// Applications that fetch a link's preview; their own pages come with a browser's user agent.
const PREVIEWING_APPS: [&str; 2] = ["whatsapp", "viber"];

/// How an address for questions begins, in small letters.
const ADDRESSES: [&str; 5] = ["http://", "https://", "+www.", "(www.", " www."];

/// Everything that the tables look for, in one pass: a person's user agent holds none of it, and nearly all are persons'.
static ANYTHING: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let tables = NAMES.iter().chain(PARTS).map(|(text, _)| *text);
    AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(tables.chain(PREVIEWING_APPS).chain(ADDRESSES))
        .expect("the tables are short")
});

/// What the user agent says that it is; none where it is like a person's.
#[must_use]
pub(in crate::privacy::enrich) fn of(user_agent: &str) -> Option<Declared> {
    let agent = &user_agent[..user_agent.floor_char_boundary(LOOKED_AT_BYTES)];
    if ANYTHING.is_match(agent) { of_suspicious(agent) } else { None }
}

/// The same, where something of the tables is in it: perhaps inside of a longer word, that is none of them.
fn of_suspicious(agent: &str) -> Option<Declared> {
    let mut small = [0u8; LOOKED_AT_BYTES];
    let small = &mut small[..agent.len()];
    small.copy_from_slice(agent.as_bytes());
    small.make_ascii_lowercase();
    let agent = std::str::from_utf8(small).ok()?;
    let is_named = |app: &&str| agent.strip_prefix(*app).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if PREVIEWING_APPS.iter().any(is_named) {
        return Some(Preview);
    }
    let words = agent.split([' ', '/', ';', ',', '(', ')', '[', ']', '{', '}', '"', '+']).filter(|word| !word.is_empty());
    words.clone().find_map(whole_name).or_else(|| words.clone().find_map(part)).or_else(|| gives_an_address(agent).then_some(Crawler))
}

fn whole_name(word: &str) -> Option<Declared> {
    NAMES.binary_search_by(|(name, _)| (*name).cmp(word)).ok().map(|at| NAMES[at].1)
}

fn part(word: &str) -> Option<Declared> {
    // A part has at least three letters; versions and the like have none.
    if word.len() < 3 || !word.as_bytes()[0].is_ascii_alphabetic() || word.starts_with(NO_SUCH_NAME) {
        return None;
    }
    PARTS.iter().find(|(part, _)| word.contains(part)).map(|(_, declared)| *declared)
}

/// Whether it says where its owner can be asked: browsers do not.
fn gives_an_address(agent: &str) -> bool {
    ADDRESSES.iter().any(|start| agent.contains(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_small() {
        assert!(NAMES.is_sorted_by(|(one, _), (other, _)| one < other));
        for (name, _) in NAMES.iter().chain(PARTS) {
            assert_eq!(*name, name.to_ascii_lowercase());
            assert!(!name.contains([' ', '/', '(', ')']), "{name}");
        }
    }

    #[test]
    fn programs_say_what_they_are() {
        for (agent, declared) in [
            ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", Crawler),
            (
                "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot) Chrome/142.0.0.0 Safari/537.36",
                Crawler,
            ),
            ("Mozilla/5.0 (compatible; example/1.0; +https://example.org/about)", Crawler),
            ("Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)", Monitor),
            ("Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)", Preview),
            ("facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)", Preview),
            ("WhatsApp/2.23.20.0", Preview),
            ("curl/8.5.0", Library),
            ("python-requests/2.32.3", Library),
            ("Go-http-client/2.0", Library),
            ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36", Headless),
        ] {
            assert_eq!(of(agent), Some(declared), "{agent}");
        }
    }

    #[test]
    fn people_say_nothing_of_the_kind() {
        for agent in [
            "",
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Mozilla/5.0 (Linux; Android 10; CUBOT_X18_Plus) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
            "Mozilla/5.0 (Linux; Android 9; CUBOT NOVA) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 Instagram 300.0.0.0",
        ] {
            assert_eq!(of(agent), None, "{agent}");
        }
        assert_eq!(of(&format!("Mozilla/5.0 ({}é", "x".repeat(LOOKED_AT_BYTES - 14))), None);
    }
}
