//! The whole program, in this process: what it answers over a socket, and what its couriers send.

use std::{path::Path, time::Duration};

use firsthand::{
    app::{App, Setup},
    config::Config,
    supervise::Supervisor,
};
use tokio::runtime::Runtime;

use crate::{
    Found,
    http_client::{Answer, Connection, Request},
    installation::{SITE, WITHOUT_CROWDS, destination, eventually, file_destination},
    receiver::{Behaviour, Receiver, SECRET, SECRET_VARIABLE},
    unless,
};

const PATIENCE: Duration = Duration::from_secs(30);
/// The destinations that answer at once have what they get by then.
const SOON: Duration = Duration::from_secs(10);
const YES: &str = r#"{"g":["analytics"],"e":[{"k":"page_view"}]}"#;

/// The program, as long as this lives.
pub(crate) struct Program {
    app: Option<App>,
    runtime: Runtime,
    directory: tempfile::TempDir,
}

impl Program {
    pub(crate) fn start(documents: impl FnOnce(&Path) -> String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("firsthand.toml");
        std::fs::write(directory.path().join("documents.toml"), documents(directory.path())).unwrap();
        let machine = "[listen]\nhttp = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n[proxies]\ntrusted = [\"127.0.0.0/8\"]\n\
                       [managed]\nfrom = \"documents.toml\"\n";
        let config = Config::parse(machine, &file).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let app = runtime.block_on(App::start(Setup { config, demonstration: false }, Supervisor::new())).unwrap();
        Self { app: Some(app), runtime, directory }
    }

    /// How many events are in a destination's outbox.
    fn outbox(&self, destination: &str) -> usize {
        let files = std::fs::read_dir(self.directory.path().join("data/outbox").join(destination)).into_iter().flatten();
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap_or_default().lines().count()).sum()
    }

    pub(crate) fn send(&self, request: &Request) -> Answer {
        let address = self.app.as_ref().unwrap().addresses()[0].address;
        Connection::open(address).unwrap().exchange(request).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(app) = self.app.take() {
            self.runtime.block_on(app.stop());
        }
    }
}

fn program() -> Program {
    Program::start(|_| SITE.to_owned() + &file_destination("customers", "consent", "consented-analytics"))
}

pub(crate) fn a_foreign_page() -> Found {
    let program = program();
    assert_eq!(program.send(&Request::beacon(YES)).status, 204, "the control: a page of the site");
    let foreign = program.send(&Request::beacon(YES).instead("Origin", "https://elsewhere.example"));
    unless(foreign.status != 403, "a foreign page's beacon is taken for the site's")
}

pub(crate) fn an_answer_with_a_cookie() -> Found {
    let answer = program().send(&Request::beacon(YES));
    assert!(answer.header("set-cookie").is_some(), "the control: the answer has a cookie");
    unless(answer.header("cache-control") != Some("no-store"), "a cache may keep one visitor's cookie and give it to another")
}

pub(crate) fn a_script_that_reads_the_page() -> Found {
    let program = program();
    let cookie = program.send(&Request::beacon(YES)).header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let page = |by: &str| {
        let asked = Request::get("/keso/about").instead("Host", "www.shop.example").with("Cookie", &cookie).with("Sec-Fetch-Dest", by);
        program.send(&asked).text()
    };
    assert!(page("document").contains("class=\"reference\""), "the control: a visitor who opens the page sees it");
    unless(page("empty").contains("class=\"reference\""), "a script reads an id of the visitor that lasts")
}

pub(crate) fn an_objection_between_two_attempts() -> Found {
    let receiver = Receiver::start(Behaviour::Refuse(503, Some(1)));
    let program = Program::start(|directory| {
        let secret = directory.join("secret");
        std::fs::write(&secret, SECRET).unwrap();
        let settings = receiver.settings().replace(&format!("env:{SECRET_VARIABLE}"), &format!("file:{}", secret.display()));
        SITE.to_owned() + &destination("hook", "webhook", "exempt_measurement", "strict", &settings)
    });
    let from = |address: &str, body: &str| {
        assert_eq!(program.send(&Request::beacon(body).with("X-Forwarded-For", address)).status, 204);
    };
    from("192.0.2.1", r#"{"e":[{"k":"page_view"}]}"#);
    eventually("an attempt that fails", PATIENCE, || receiver.calls(|calls| !calls.is_empty()));
    from("192.0.2.1", r#"{"o":1}"#);
    receiver.behave(Behaviour::Accept);
    // Another visitor's event shows that the destination takes events again.
    from("192.0.2.2", r#"{"e":[{"k":"login"}]}"#);
    let names = || receiver.accepted().iter().map(|event| event["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    eventually("the other visitor's event", SOON, || names().iter().any(|name| name == "login"));
    // Longer than the pause that the receiver asked for.
    std::thread::sleep(Duration::from_millis(1_500));
    unless(names().iter().any(|name| name == "page_view"), "an event that was being tried again when its visitor objected")
}

pub(crate) fn a_day_that_is_not_over() -> Found {
    let program = Program::start(|_| {
        let at_once = file_destination("at-once", "exempt_measurement", "measurement");
        let daily =
            file_destination("daily", "exempt_measurement", "measurement").replace("transform = ", "release = \"daily\"\ntransform = ");
        SITE.replace(WITHOUT_CROWDS, "") + &at_once + &daily
    });
    assert_eq!(program.send(&Request::beacon(r#"{"e":[{"k":"page_view"}]}"#)).status, 204);
    eventually("the event at the destination that waits for nothing", PATIENCE, || program.outbox("at-once") == 1);
    // Both couriers were told at the same moment.
    std::thread::sleep(Duration::from_millis(1_500));
    unless(program.outbox("daily") > 0, "an event of a day that is not over, where too few may be like its visitor")
}
