//! Alerts by mail, taken by a real SMTP server over TLS from who logs in: one mail when something begins and one when it is over, also where the
//! server is away at first.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use crate::{
    certificate,
    http_client::Request,
    installation::{Installation, SITE, destination, eventually, file_destination},
    left_out::left_out,
    receiver::{Behaviour, Receiver},
};

/// The figures are judged every ten seconds, some of them after a minute, and told again after twenty and forty.
const PATIENCE: Duration = Duration::from_secs(150);
pub(crate) const FROM: &str = "firsthand@shop.example";
pub(crate) const PASSWORD: &str = "a-password-of-the-test";
/// Debian's own, which has its packages.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

/// A running server. Dropping it ends it.
pub(crate) struct MailServer(Child);

impl MailServer {
    pub(crate) fn start(port: u16, maildir: &Path, [certificate, key]: &[std::path::PathBuf; 2]) -> Self {
        let mut command = Command::new(PYTHON);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/receivers/smtp/server.py")).arg(port.to_string()).arg(maildir);
        command.args([FROM, PASSWORD]).args([certificate, key]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "listening\n");
        Self(child)
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// What was taken: subject and whole mail, oldest first.
fn mails(maildir: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(maildir.join("new")).into_iter().flatten().flatten().map(|file| file.path()).collect();
    files.sort_by_key(|file| fs::metadata(file).and_then(|metadata| metadata.modified()).unwrap());
    let read = files.into_iter().map(|file| fs::read_to_string(file).unwrap().replace("\r\n", "\n"));
    read.map(|mail| (mail.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap_or_default().to_owned(), mail)).collect()
}

fn times(maildir: &Path, subject: &str) -> usize {
    mails(maildir).iter().filter(|(of_one, _)| of_one == subject).count()
}

#[test]
fn what_calls_for_a_person_is_mailed_once_when_it_begins_and_once_when_it_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let has_server = Command::new(PYTHON).args(["-c", "import aiosmtpd"]).output().is_ok_and(|output| output.status.success());
    let Some(pair) = certificate::made(directory.path()).filter(|_| has_server) else {
        return left_out("alerts by mail", "aiosmtpd (python3-aiosmtpd) or openssl is not installed here");
    };
    let maildir = directory.path().join("mail");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (gone, picky) = (Receiver::start(Behaviour::Refuse(410, None)), Receiver::start(Behaviour::Refuse(400, None)));
    let installation = Installation::new(
        &[
            SITE,
            &destination("crm", "webhook", "exempt_measurement", "measurement", &gone.settings()),
            &destination("picky", "webhook", "exempt_measurement", "measurement", &picky.settings()),
        ]
        .concat(),
    );
    let machine = fs::read_to_string(installation.path().join("firsthand.toml")).unwrap();
    let password = installation.write("password", PASSWORD);
    let mail = format!(
        "mail = {{ to = \"Jane <jane@shop.example>, joe@shop.example\", from = \"{FROM}\", server = \"smtps://127.0.0.1:{port}\", password = \"file:{}\" }}",
        password.display()
    );
    let limits = "silent_minutes = 1\nbacklog_minutes = 1\nparked_per_hour = 1";
    installation.write("firsthand.toml", &format!("{machine}\n[alerts]\n{mail}\n{limits}\n"));
    let mut command = installation.command(&["run"]);
    command.env("SSL_CERT_FILE", &pair[0]);
    let server = installation.start_as(command);
    let beacon =
        Request::beacon(r#"{"e":[{"k":"page_view","p":"https://www.shop.example/secret-page"}]}"#).with("X-Forwarded-For", "192.0.2.1");
    assert_eq!(server.send(&beacon).status, 204);

    // Nobody takes mails yet.
    let log = || fs::read_to_string(installation.path().join("stderr")).unwrap();
    eventually("an attempt to tell", PATIENCE, || log().contains("a message about an alert was not taken"));
    // What was refused before the first look is no growth.
    assert_eq!(server.send(&beacon).status, 204);
    let taking = MailServer::start(port, &maildir, &pair);
    for subject in
        ["crm: nothing is delivered", "picky: many events are refused", "crm: events wait for too long", "shop: no events come in"]
    {
        eventually(subject, PATIENCE, || times(&maildir, &format!("[firsthand] {subject}")) == 1);
    }
    let documents = [SITE, &file_destination("crm", "exempt_measurement", "measurement")].concat();
    installation.apply(&documents);
    assert_eq!(server.send(&beacon).status, 204);
    for subject in ["crm: nothing is delivered", "crm: events wait for too long", "shop: no events come in"] {
        eventually(subject, PATIENCE, || times(&maildir, &format!("[firsthand] over: {subject}")) == 1);
    }
    // Two more looks change nothing.
    std::thread::sleep(Duration::from_secs(25));
    let mails = mails(&maildir);
    for (subject, mail) in &mails {
        let again = mails.iter().filter(|(of_one, _)| of_one == subject).count();
        assert_eq!(again, 1, "{subject}");
        assert!(!mail.contains("192.0.2.1") && !mail.contains("secret-page") && !mail.contains(PASSWORD), "{mail}");
        for header in [
            &format!("From: {FROM}"),
            "To: Jane <jane@shop.example>, joe@shop.example",
            "Auto-Submitted: auto-generated",
            "Message-ID: <alert-",
        ] {
            assert!(mail.contains(header), "{header} in {mail}");
        }
    }
    if let Some(keep) = std::env::var_os("FIRSTHAND_KEEP_MAILS") {
        fs::write(keep, mails.iter().map(|(_, mail)| mail.as_str()).collect::<Vec<_>>().join("\n=====\n")).unwrap();
    }
    drop(server);
    drop(taking);
}

#[test]
fn mails_that_could_not_be_sent_are_a_refusal_to_start() {
    for (mail, said) in [
        ("{ to = \"jane\", from = \"f@shop.example\", server = \"smtp://localhost\" }", "settings.mail.to: is no mail address"),
        (
            "{ to = \"j@shop.example\", from = \"f@shop.example\", server = \"https://mail.example\" }",
            "settings.mail.server: is no address",
        ),
        (
            "{ to = \"j@shop.example\", from = \"f@shop.example\", server = \"smtps://mail.example\", password = \"hunter2\" }",
            "settings.mail.password: a secret is given by reference",
        ),
    ] {
        let installation = Installation::new(SITE);
        let machine = fs::read_to_string(installation.path().join("firsthand.toml")).unwrap();
        installation.write("firsthand.toml", &format!("{machine}\n[alerts]\nmail = {mail}\n"));
        let output = installation.run(&["run"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(said) && !error.contains("hunter2"), "{error}");
    }
}
