//! The page on which customers see and erase what rests about them, on the real program: a cookie alone opens what its browser produced and nothing else, a link
//! is mailed to a known address alone and works once, and who asks cannot tell whether an address is known.

use std::{
    fs,
    io::Write as _,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use firsthand::protocol::server::fingerprint;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::{
    certificate,
    http_client::{Answer, Request},
    installation::{Installation, Running, SITE, eventually, file_destination},
    left_out::left_out,
    mailed_alerts::{FROM, MailServer, PASSWORD, PYTHON},
};

const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &str = "thirty-two bytes are a good secret";
const KEY: &str = "fhk_of_the_shop";
const JANE: &str = "jane@mail.example";

fn documents(secret: &Path) -> String {
    let site = format!(
        "{SITE}identify_secret = \"file:{}\"\nkeys = {{ server = [\"{}\"] }}\n[site.profile]\nlookup = [\"orders\"]\nkeep_contacts = [\"email\"]\n[site.profile.identifiers]\naccount = {{ joins = true }}\n\
         email = {{ joins = true }}\n",
        secret.display(),
        fingerprint(KEY)
    );
    site + &file_destination("customers", "consent", "consented-analytics")
}

/// A browser that says yes and buys something; the cookie that it gets.
fn visits(server: &Running, number: u8) -> String {
    let event = json!({ "k": "purchase", "i": format!("buys-{number}"), "x": format!("A-{number}"), "v": f64::from(number), "m": "EUR",
        "p": format!("https://www.shop.example/page-of-{}", ["nobody", "one", "two", "three"][usize::from(number)]) });
    let body = json!({ "g": ["analytics", "profile"], "e": [event] });
    let answer = server.send(&Request::beacon(body.to_string()).with("X-Forwarded-For", &format!("192.0.2.{number}")));
    assert_eq!(answer.status, 204);
    answer.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a cookie").to_owned()
}

/// The backend says that this browser is of this address.
fn told(server: &Running, number: u8, cookie: &str, address: &str) {
    let value = cookie.split_once('=').unwrap().1;
    let call = json!({ "type": "identify", "messageId": format!("told-{number}"), "anonymousId": value, "traits": { "email": address } });
    let mut request = Request::beacon(call.to_string()).with("Authorization", &format!("Bearer {KEY}"));
    request.path = String::from("/keso/v1/events");
    assert_eq!(server.send(&request).status, 200);
}

fn see(server: &Running, headers: &[(&str, &str)], query: &str) -> Answer {
    let request = Request::get(&format!("/keso/about/you{query}")).instead("Host", "www.shop.example");
    server.send(&headers.iter().fold(request, |request, (name, value)| request.with(name, value)))
}

fn opened(server: &Running, cookie: &str) -> String {
    see(server, &[("Cookie", cookie), ("Sec-Fetch-Dest", "document")], "").text()
}

fn press(server: &Running, button: &str, form: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::beacon(form).instead("Content-Type", "application/x-www-form-urlencoded").with("Sec-Fetch-Dest", "document");
    request.path = format!("/keso/about/you/{button}");
    server.send(&headers.iter().fold(request, |request, (name, value)| request.with(name, value)))
}

/// The word of a page's form, by which it is told that somebody has seen it.
fn word(page: &str) -> String {
    page.split_once("name=\"word\" value=\"").map(|(_, word)| word.split('"').next().unwrap().to_owned()).unwrap_or_default()
}

/// Sends what the buttons do with it.
fn press_as_seen(server: &Running, button: &str, form: &str, cookie: &str) -> String {
    let form = format!("{form}&word={}", word(&opened(server, cookie)));
    press(server, button, &form, &[("Cookie", cookie)]).text()
}

/// What an account does in a browser in which it has signed in.
fn signs_in(server: &Running, cookie: &str, account: &str, page: &str) {
    let ends = firsthand::clock::now().0 / 1000 + 600;
    let mut state = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    state.update(format!("{account}\n{}\n{ends}", cookie.split_once('=').unwrap().1).as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(state.finalize().into_bytes());
    let event = json!({ "k": "page_view", "i": format!("{account}-{page}"), "p": format!("https://www.shop.example/page-of-{page}"), "a": account, "as": signature, "ae": ends });
    let body = json!({ "g": ["analytics", "profile"], "e": [event] });
    assert_eq!(server.send(&Request::beacon(body.to_string()).with("Cookie", cookie)).status, 204);
}

/// How many orders the profile of that id has.
fn orders(installation: &Installation) -> Vec<u64> {
    let listed = installation.run(&["profile", "list", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap_or_default();
    let mut orders: Vec<u64> = listed.as_array().into_iter().flatten().filter_map(|view| view["traits"]["orders"].as_u64()).collect();
    orders.sort_unstable();
    orders
}

#[test]
fn a_cookie_shows_and_erases_what_its_browser_produced_and_nothing_else() {
    let outside = Installation::empty();
    let installation = Installation::new(&documents(&outside.write("secret", SECRET)));
    let server = installation.start();
    let (one, two) = (visits(&server, 1), visits(&server, 2));
    told(&server, 1, &one, JANE);
    told(&server, 2, &two, JANE);
    eventually("one profile of both", PATIENCE, || orders(&installation) == [2]);
    // The address joins them for the shop; a page is told of its own browser, where anybody may have typed the address in.
    let lookup = Request { path: String::from("/keso/state"), ..Request::beacon("") }.with("Cookie", &one);
    assert_eq!(server.send(&lookup).text(), r#"{"traits":{"orders":1}}"#);
    let page = opened(&server, &one);
    assert!(page.contains("/page-of-one") && page.contains("1 for 1.00 EUR"), "{page}");
    assert!(!page.contains("/page-of-two") && !page.contains(one.split_once('=').unwrap().1) && !page.contains("mail.example"), "{page}");
    assert!(page.contains("action=\"you/erase\"") && !page.contains("<script"));
    // In the visitor's language; nothing for a script, a frame, a stranger, or somebody else's cookie.
    let french = see(&server, &[("Cookie", &one), ("Sec-Fetch-Dest", "document"), ("Accept-Language", "fr-FR")], "");
    assert!(french.text().contains("Depuis ce navigateur") && french.text().contains("/page-of-one"));
    for destination in [Some("empty"), Some("iframe"), None] {
        let mut headers = vec![("Cookie", one.as_str())];
        headers.extend(destination.map(|destination| ("Sec-Fetch-Dest", destination)));
        let page = see(&server, &headers, "");
        assert!(!page.text().contains("/page-of-") && page.text().contains("Open this page itself"), "{destination:?}");
    }
    for stranger in ["", "__Host-w=AAECAwQFBgcICQoLDA0ODw", "__Host-w=x"] {
        let page = opened(&server, stranger);
        assert!(!page.contains("/page-of-") && page.contains("Nothing rests about you"), "{stranger}");
    }
    let head = see(&server, &[("Cookie", &one), ("Sec-Fetch-Dest", "document")], "");
    assert!(
        head.header("content-security-policy")
            .is_some_and(|policy| policy.contains("frame-ancestors 'none'") && policy.contains("form-action 'self'"))
    );
    assert_eq!(head.header("cache-control"), Some("no-store"));

    // Who agrees to something else has no profile, and can erase the visits that rest all the same.
    let other = server.send(&Request::beacon(r#"{"g":["analytics"],"e":[{"k":"page_view"}]}"#));
    let other = other.header("set-cookie").and_then(|cookie| cookie.split(';').next()).unwrap().to_owned();
    let page = opened(&server, &other);
    assert!(page.contains("has no customer profile") && page.contains("action=\"you/erase\"") && !page.contains("/page-of-"), "{page}");
    assert!(press(&server, "erase", "", &[("Cookie", &other)]).text().contains("It is erased"));
    assert!(opened(&server, &other).contains("Nothing rests about you"));

    // A page of another origin, and a script of its own, erase nothing.
    assert_eq!(press(&server, "erase", "", &[("Cookie", &one), ("Origin", "https://elsewhere.example")]).status, 403);
    let mut fetched = Request::beacon("").with("Cookie", &one).with("Sec-Fetch-Dest", "empty");
    fetched.path = String::from("/keso/about/you/erase");
    assert!(server.send(&fetched).text().contains("Open this page itself"));
    assert!(press(&server, "erase", "", &[("Cookie", "__Host-w=AAECAwQFBgcICQoLDA0ODw")]).text().contains("It is erased"));
    assert_eq!(orders(&installation), [2]);

    let erased = press(&server, "erase", "", &[("Cookie", &one)]);
    assert!(erased.text().contains("It is erased") && erased.header("set-cookie").is_some_and(|cookie| cookie.starts_with("__Host-w=;")));
    eventually("what the other browser brought stays", PATIENCE, || orders(&installation) == [1]);
    assert!(opened(&server, &one).contains("Nothing rests about you"));
    assert!(opened(&server, &two).contains("/page-of-two"));
    assert_eq!(installation.number("keys.db", "SELECT count(*) FROM persons"), 1);
    eventually("the log is swept", PATIENCE, || {
        installation.number("erasures.db", "SELECT count(*) FROM erasures WHERE kind = 'erased' AND state = 'done'") == 2
    });
    assert!(server.stop().success());
}

#[test]
fn what_is_held_at_somebodys_request_is_shown_and_not_erased() {
    let outside = Installation::empty();
    let installation = Installation::new(&documents(&outside.write("secret", SECRET)));
    let server = installation.start();
    let one = visits(&server, 1);
    told(&server, 1, &one, JANE);
    eventually("a profile", PATIENCE, || orders(&installation) == [1]);
    let mut command = installation.command(&["person", "restrict", "--by", "email"]);
    let mut restricting = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    restricting.stdin.take().unwrap().write_all(JANE.as_bytes()).unwrap();
    assert!(String::from_utf8_lossy(&restricting.wait_with_output().unwrap().stdout).starts_with("Restricted"));
    eventually("the page says so", PATIENCE, || opened(&server, &one).contains("You have asked the website to keep this"));
    let page = opened(&server, &one);
    assert!(page.contains("/page-of-one") && !page.contains("you/erase"), "{page}");
    assert!(press(&server, "erase", "", &[("Cookie", &one)]).text().contains("You have asked the website to keep this"));
    assert_eq!(installation.number("keys.db", "SELECT count(*) FROM persons"), 1);
    assert!(server.stop().success());
}

#[test]
fn a_browser_of_several_accounts_shows_what_was_done_under_none() {
    let outside = Installation::empty();
    let installation = Installation::new(&documents(&outside.write("secret", SECRET)));
    let server = installation.start();
    let cookie = visits(&server, 1);
    for (account, page) in [("anna", "two"), ("bert", "three")] {
        signs_in(&server, &cookie, account, page);
    }
    eventually("three parts", PATIENCE, || installation.number("profiles.db", "SELECT count(*) FROM strands") == 3);
    let page = opened(&server, &cookie);
    assert!(page.contains("/page-of-one") && !page.contains("/page-of-two") && !page.contains("/page-of-three"), "{page}");
    assert!(server.stop().success());
}

/// A shop whose server can mail.
struct Mailing {
    installation: Installation,
    server: Running,
    maildir: PathBuf,
    _mail_server: MailServer,
    _outside: Installation,
}

fn mailing() -> Option<Mailing> {
    let outside = Installation::empty();
    let has_server =
        std::process::Command::new(PYTHON).args(["-c", "import aiosmtpd"]).output().is_ok_and(|output| output.status.success());
    let pair = certificate::made(outside.path()).filter(|_| has_server)?;
    let maildir = outside.path().join("maildir");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mail_server = MailServer::start(port, &maildir, &pair);
    let installation = Installation::new(&documents(&outside.write("secret", SECRET)));
    let machine = fs::read_to_string(installation.path().join("firsthand.toml")).unwrap();
    let password = outside.write("password", PASSWORD);
    installation.write(
        "firsthand.toml",
        &format!(
            "{machine}\n[own_data]\nmail = {{ from = \"{FROM}\", server = \"smtps://127.0.0.1:{port}\", password = \"file:{}\" }}\n",
            password.display()
        ),
    );
    let mut command = installation.command(&["run"]);
    command.env("SSL_CERT_FILE", &pair[0]);
    let server = installation.start_as(command);
    Some(Mailing { installation, server, maildir, _mail_server: mail_server, _outside: outside })
}

fn mails(maildir: &Path) -> Vec<String> {
    let directory = fs::read_dir(maildir.join("new"));
    directory.into_iter().flatten().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect()
}

/// A mail without its line breaks.
fn plain(mail: &str) -> String {
    mail.replace("=\r\n", "").replace("=\n", "").replace("=3D", "=")
}

fn token(mail: &str, behind: &str) -> String {
    mail.split_once(behind).unwrap().1.chars().take_while(|sign| sign.is_ascii_alphanumeric() || "-_".contains(*sign)).collect()
}

#[test]
fn an_address_is_confirmed_in_the_browser_that_asked_and_in_no_other() {
    let Some(Mailing { installation, server, maildir, _outside, _mail_server }) = mailing() else {
        return left_out("the confirmed address", "aiosmtpd (python3-aiosmtpd) or openssl is not installed here");
    };
    let (one, two) = (visits(&server, 1), visits(&server, 2));
    told(&server, 2, &two, JANE);
    let analytics = server.send(&Request::beacon(r#"{"g":["analytics"],"e":[{"k":"page_view"}]}"#));
    let analytics = analytics.header("set-cookie").and_then(|cookie| cookie.split(';').next()).unwrap().to_owned();
    eventually("two profiles", PATIENCE, || orders(&installation) == [1, 1]);
    let page = opened(&server, &one);
    assert!(page.contains("action=\"you/confirm\"") && page.contains("may join it with what it knows of them"), "it is said before");
    assert!(page.contains("Whoever reads the mail of that address can then see and erase it"));
    assert!(!opened(&server, &analytics).contains("you/confirm"));

    // Who has no consented cookie is told the same and mailed nothing; a page of another origin asks in vain.
    let ask = |headers: &[(&str, &str)]| press(&server, "confirm", "address=jane%40mail.example", headers);
    let asks = |cookie: &str| press_as_seen(&server, "confirm", "address=jane%40mail.example", cookie);
    let answer = ask(&[]).text();
    assert_eq!(
        (ask(&[("Cookie", &analytics)]).text(), ask(&[("Cookie", "__Host-w=AAECAwQFBgcICQoLDA0ODw")]).text()),
        (answer.clone(), answer.clone())
    );
    assert_eq!(ask(&[("Cookie", &one), ("Origin", "https://elsewhere.example")]).status, 403);
    assert_eq!(ask(&[("Cookie", &one), ("Sec-GPC", "1")]).text(), answer);
    // A script of the shop's can send the form, and has not seen it; nor has who sees their own.
    let another = format!("address=jane%40mail.example&word={}", word(&opened(&server, &two)));
    for form in ["address=jane%40mail.example", "address=jane%40mail.example&word=x", another.as_str()] {
        let page = press(&server, "confirm", form, &[("Cookie", &one)]).text();
        assert!(page != answer && page.contains("action=\"confirm\""), "{form}: {page}");
    }
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(mails(&maildir).len(), 0);
    assert_eq!(asks(&one), answer);
    eventually("a mail", PATIENCE, || mails(&maildir).len() == 1);
    let text = plain(&mails(&maildir)[0]);
    assert!(text.contains("jane@mail.example") && text.contains("https://www.shop.example/keso/about/you?confirm="), "{text}");
    let token = token(&text, "?confirm=");
    assert_eq!(asks(&two), answer, "known or not, once in ten minutes");

    // To follow it does nothing; in another browser it proves nothing for either; forged it is none; and it opens and erases nothing.
    let document = [("Sec-Fetch-Dest", "document"), ("Cookie", one.as_str())];
    let followed = see(&server, &document, &format!("?confirm={token}")).text();
    assert!(
        followed.contains("action=\"you/confirmed\"")
            && word(&followed) == word(&opened(&server, &one))
            && followed.contains("may join it"),
        "{followed}"
    );
    assert!(!see(&server, &document, "?confirm=%22%3E%3Cscript%3E").text().contains("script"));
    let confirm = |link: &str, cookie: &str| press_as_seen(&server, "confirmed", &format!("link={link}"), cookie);
    assert!(
        press(&server, "confirmed", &format!("link={token}"), &[("Cookie", &one)]).text().contains("Nothing was confirmed"),
        "by a script"
    );
    for cookie in [two.as_str(), analytics.as_str(), "", "__Host-w=AAECAwQFBgcICQoLDA0ODw"] {
        assert!(confirm(&token, cookie).contains("Nothing was confirmed"), "{cookie}");
    }
    for forged in ["", "x", &token.chars().rev().collect::<String>(), &format!("{token}x")] {
        assert!(confirm(forged, &one).contains("Nothing was confirmed"), "{forged}");
    }
    for button in ["open", "erase"] {
        assert!(press(&server, button, &format!("link={token}"), &[("Cookie", &one)]).text().contains("not of use any more"));
    }
    let foreign = [("Cookie", one.as_str()), ("Origin", "https://elsewhere.example")];
    assert_eq!(press(&server, "confirmed", &format!("link={token}"), &foreign).status, 403);
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(orders(&installation), [1, 1]);

    assert!(confirm(&token, &one).contains("It is confirmed"));
    assert_eq!(orders(&installation), [2], "one customer's, as the document says of addresses");
    assert!(confirm(&token, &one).contains("Nothing was confirmed"), "once");
    let shown = || {
        let mut command = installation.command(&["profile", "show", "--by", "email", "--json"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(JANE.as_bytes()).unwrap();
        serde_json::from_slice::<Value>(&child.wait_with_output().unwrap().stdout).unwrap_or_default()
    };
    let proofs = |view: &Value| {
        view["parts"].as_array().into_iter().flatten().flat_map(|part| part["known_by"].as_array().unwrap().clone()).collect::<Vec<_>>()
    };
    let sources = |view: &Value| -> Vec<String> {
        let mut sources: Vec<_> = proofs(view).iter().map(|known| known["source"].as_str().unwrap_or_default().to_owned()).collect();
        sources.sort();
        sources
    };
    assert_eq!(sources(&shown()), ["mailed link", "server"], "{}", shown());
    // It outlasts what comes next, and all being made again.
    let again = json!({ "g": ["analytics", "profile"], "e": [{ "k": "page_view", "i": "later" }] });
    assert_eq!(server.send(&Request::beacon(again.to_string()).with("Cookie", &one)).status, 204);
    assert!(installation.run(&["profile", "rebuild"]).status.success());
    eventually("it is made again", PATIENCE, || installation.number("profiles.db", "SELECT again FROM progress") == 0);
    eventually("what came later", PATIENCE, || {
        shown()["timeline"].as_array().is_some_and(|events| events.iter().any(|event| event["name"] == "page_view"))
    });
    assert_eq!((orders(&installation), sources(&shown())), (vec![2], vec![String::from("mailed link"), String::from("server")]));
    // Where the site keeps addresses, it is shown to them; not to a page of the shop's, nor in a list.
    assert!(opened(&server, &one).contains("jane@mail.example") && !opened(&server, &two).contains("jane@mail.example"));
    assert!(!shown().to_string().contains("jane@mail"));
    let by_them = "SELECT count(*) FROM profile_audit JOIN profile_audit_marks USING (number) WHERE by = 'person' AND act = 'confirmed'";
    assert_eq!(installation.number("state.db", by_them), 1);
    // What the browser erases by its cookie is still what it produced alone.
    assert!(press(&server, "erase", "", &[("Cookie", &one)]).text().contains("It is erased"));
    eventually("the other browser's", PATIENCE, || orders(&installation) == [1]);
    assert!(server.stop().success());
}

#[test]
fn who_has_confirmed_an_address_in_a_browser_has_not_the_account_that_others_use_in_it() {
    let Some(Mailing { installation, server, maildir, _outside, _mail_server }) = mailing() else {
        return left_out("the shared browser", "aiosmtpd (python3-aiosmtpd) or openssl is not installed here");
    };
    // Ada's account, in a browser that Ben uses, too, and in one of hers.
    let (shared, hers) = (visits(&server, 1), visits(&server, 3));
    signs_in(&server, &shared, "ada", "two");
    signs_in(&server, &hers, "ada", "two");
    eventually("one profile of all", PATIENCE, || orders(&installation) == [2]);
    assert!(press_as_seen(&server, "confirm", "address=ben%40mail.example", &shared).contains("is on its way"));
    eventually("a mail", PATIENCE, || mails(&maildir).len() == 1);
    let link = token(&plain(&mails(&maildir)[0]), "?confirm=");
    assert!(press_as_seen(&server, "confirmed", &format!("link={link}"), &shared).contains("It is confirmed"));

    press(&server, "mail", "address=ben%40mail.example", &[]);
    eventually("a second mail", PATIENCE, || mails(&maildir).len() == 2);
    let mails = mails(&maildir);
    let link = mails.iter().map(|mail| plain(mail)).find(|mail| mail.contains("?link=")).map(|mail| token(&mail, "?link=")).unwrap();
    let page = press(&server, "open", &format!("link={link}"), &[]).text();
    assert!(page.contains("/page-of-one"), "what was done under no account: {page}");
    for ada in ["/page-of-two", "/page-of-three", "A-3"] {
        assert!(!page.contains(ada), "{ada}: {page}");
    }
    assert!(!page.contains("action=\"erase\""), "the browser is another's, too: {page}");
    assert!(server.stop().success());
}

#[test]
fn a_link_is_mailed_to_a_known_address_alone_and_opens_once() {
    let Some(Mailing { installation, server, maildir, _outside, _mail_server }) = mailing() else {
        return left_out("the mailed link", "aiosmtpd (python3-aiosmtpd) or openssl is not installed here");
    };
    let (one, two) = (visits(&server, 1), visits(&server, 2));
    told(&server, 1, &one, JANE);
    told(&server, 2, &two, JANE);
    // Another browser claims the address: it is no proof.
    let claims = json!({ "g": ["profile"], "e": [{ "k": "page_view", "i": "claims", "c": { "em": "claimed@mail.example" } }] });
    assert_eq!(server.send(&Request::beacon(claims.to_string())).status, 204);
    eventually("one profile of both", PATIENCE, || orders(&installation) == [0, 2]);
    assert!(opened(&server, &one).contains("Mail me a link"));

    // The answer is the same, byte for byte, and takes no longer.
    let ask = |address: &str| {
        let begun = Instant::now();
        let answer = press(&server, "mail", &format!("address={}", address.replace('@', "%40")), &[]);
        (answer.text(), begun.elapsed())
    };
    let (known, _) = ask(&JANE.to_uppercase());
    for unknown in ["nobody@mail.example", "claimed@mail.example", "no address", "jane@mail.example\r\nBcc: all@mail.example"] {
        assert_eq!(ask(unknown).0, known, "{unknown}");
    }
    let mails = || mails(&maildir);
    eventually("a mail", PATIENCE, || mails().len() == 1);
    let mut spent: [Vec<Duration>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..20 {
        spent[0].push(ask(JANE).1);
        spent[1].push(ask("nobody@mail.example").1);
    }
    spent.iter_mut().for_each(|spent| spent.sort_unstable());
    let [known, unknown] = spent.map(|spent| spent[10].as_secs_f64());
    assert!((known - unknown).abs() < 0.02, "{known} {unknown}");
    std::thread::sleep(Duration::from_millis(500));
    let mail = mails();
    assert_eq!(mail.len(), 1, "one in ten minutes, and none to others");
    let text = plain(&mail[0]);
    assert!(text.contains("jane@mail.example") && text.contains("https://www.shop.example/keso/about/you?link="), "{text}");
    let token = token(&text, "?link=");

    // A program that follows links opens nothing.
    let document = [("Sec-Fetch-Dest", "document")];
    let followed = see(&server, &document, &format!("?link={token}")).text();
    assert!(followed.contains("Show what belongs to my address") && !followed.contains("/page-of-"));
    assert!(see(&server, &document, "?link=%22%3E%3Cscript%3E").text().contains("not of use any more"));
    for wrong in ["", "x", &token.chars().rev().collect::<String>(), &format!("{token}x")] {
        let page = press(&server, "open", &format!("link={wrong}"), &[]).text();
        assert!(page.contains("not of use any more") && !page.contains("/page-of-"), "{wrong}");
    }
    assert!(press(&server, "erase", &format!("link={token}"), &[]).text().contains("not of use any more"), "it shows, and erases nothing");
    let page = press(&server, "open", &format!("link={token}"), &[]).text();
    assert!(page.contains("/page-of-one") && page.contains("/page-of-two"), "{page}");
    assert!(press(&server, "open", &format!("link={token}"), &[]).text().contains("not of use any more"), "once");
    let erasing = page.split_once("name=\"link\" value=\"").unwrap().1.split('"').next().unwrap().to_owned();
    assert_ne!(erasing, token);
    assert!(press(&server, "erase", &format!("link={erasing}"), &[]).text().contains("It is erased"));
    eventually("nothing of it is left", PATIENCE, || orders(&installation) == [0]);
    assert!(press(&server, "erase", &format!("link={erasing}"), &[]).text().contains("not of use any more"));
    assert_eq!(installation.number("keys.db", "SELECT count(*) FROM persons"), 1);
    for cookie in [&one, &two] {
        assert!(opened(&server, cookie).contains("Nothing rests about you"));
    }
    assert!(server.stop().success());
}
