//! `doctor URL`: the real program behind a real nginx with TLS, looked at from outside; as it should be, and broken in each of the ways that a deployment is.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener, UdpSocket},
    path::Path,
    sync::{Arc, atomic::AtomicBool, atomic::Ordering},
    thread::JoinHandle,
    time::{Duration, UNIX_EPOCH},
};

use firsthand::clock;
use rcgen::{CertificateParams, KeyPair};

use crate::{
    installation::{Installation, Running, destination},
    left_out::left_out,
    proxies::{NGINX, RunningProxy},
    receiver::{Behaviour, Receiver, SECRET_VARIABLE, thread},
};

/// A visitor's address, which is not the proxy's.
const FROM: &str = "127.0.0.9";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// What the page is, but for what a vendor left on it.
const PAGE: &str = "<!doctype html><html><head><script src=\"{prefix}/core.js\" async></script></head><body>A shop</body></html>";

/// What is different from a deployment in which all is right.
struct Broken {
    /// Whom the configuration trusts.
    trusted: &'static str,
    /// What nginx is told, from and to.
    nginx: (&'static str, &'static str),
    /// What stands on the page beside our tag.
    page: &'static str,
    /// Until when the certificate is valid, from now.
    certificate: Duration,
    /// The host of pages and beacons, and where its name leads to.
    host: &'static str,
    leads_to: &'static [Leads],
    /// The program's clock, from now.
    ahead: Duration,
    /// Whether there is a receiver where the destination says.
    receiver: bool,
}

#[derive(Clone, Copy)]
enum Leads {
    To([u8; 4]),
    By(&'static str),
}

const RIGHT: Broken = Broken {
    trusted: "127.0.0.1/32",
    nginx: ("", ""),
    page: "",
    certificate: Duration::from_secs(60 * 24 * 60 * 60),
    host: "www.shop.example",
    leads_to: &[Leads::To([192, 0, 2, 7])],
    ahead: Duration::ZERO,
    receiver: true,
};

/// What `doctor` says of such a deployment, and whether it ends well.
fn said_of(broken: &Broken) -> Option<(String, bool)> {
    if !Path::new(NGINX.program).exists() {
        left_out("doctor at a deployment", &format!("{} is not installed", NGINX.program));
        return None;
    }
    let machine = Installation::empty();
    let made = machine.run(&["init", &format!("https://{}", broken.host), ".", "--proxy", "nginx"]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let toml = fs::read_to_string(machine.path().join("firsthand.toml")).unwrap();
    let trusted = format!("trusted = [\"{}\"]", broken.trusted);
    machine.write("firsthand.toml", &toml.replace("trusted = [\"127.0.0.0/8\", \"::1/128\"]", &trusted));
    let receiver = broken.receiver.then(|| Receiver::start(Behaviour::Accept));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nowhere = format!("settings = {{ url = \"http://{nobody}/in\", secret = \"env:{SECRET_VARIABLE}\" }}");
    let settings = receiver.as_ref().map_or(nowhere, Receiver::settings);
    let crm = destination("crm", "webhook", "consent", "consented-analytics", &settings).replace("\"shop\"", "\"site\"");
    let site = fs::read_to_string(machine.path().join("sites/site.toml")).unwrap();
    machine.write("sites/site.toml", &(site.clone() + &crm));
    let prefix = site.lines().find_map(|line| line.strip_prefix("prefix = \"")?.strip_suffix('"')).unwrap().to_owned();

    let clock = clock::now().plus(broken.ahead).0.to_string();
    let mut arguments = vec!["run", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];
    if !broken.ahead.is_zero() {
        arguments.extend(["--clock", &clock]);
    }
    let server = machine.start_as(machine.command(&arguments));
    let html = PAGE.replace("{prefix}", &prefix).replace("<body>", &format!("{}<body>", broken.page));
    let snippet = fs::read_to_string(machine.path().join("proxy-nginx.conf")).unwrap();
    let snippet = snippet.replace("127.0.0.1:8080", &server.http().to_string()).replace(broken.nginx.0, broken.nginx.1)
        + &format!("\nlocation = / {{ default_type text/html; return 200 '{html}'; }}\n");
    let (leaf, key) = certificate(broken);
    let proxy = RunningProxy::start_as(&NGINX, &machine, &snippet, (&leaf, &key));
    let names = NameServer::start(broken.host, broken.leads_to);
    let said = look(&machine, &server, &format!("https://{}/", broken.host), ([127, 0, 0, 1], proxy.port).into(), names.address);
    drop(proxy);
    // A rehearsal's program stops by the same signal.
    assert!(server.stop().success());
    Some(said)
}

fn certificate(broken: &Broken) -> (String, String) {
    let mut params = CertificateParams::new([String::from(broken.host)]).unwrap();
    let now = UNIX_EPOCH + Duration::from_millis(clock::now().0.unsigned_abs());
    params.not_before = (now - 30 * DAY).into();
    params.not_after = (now + broken.certificate - Duration::from_secs(3600)).into();
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn look(machine: &Installation, server: &Running, url: &str, at: SocketAddr, names: SocketAddr) -> (String, bool) {
    let [admin, at, names] = [server.admin(), at, names].map(|address| address.to_string());
    let output =
        machine.run(&["doctor", url, "--admin", &admin, "--connect", &at, "--name-server", &names, "--roots", "leaf.pem", "--from", FROM]);
    assert!(output.status.code().is_some_and(|code| code < 2), "{}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8(output.stdout).unwrap(), output.status.success())
}

/// What is found, with its weight; that it was not found of the deployment in which all is right says another test.
#[track_caller]
fn expect(broken: &Broken, weight: &str, parts: &[&str]) {
    let Some((said, well)) = said_of(broken) else { return };
    let finding = said.split_inclusive("\n").collect::<Vec<_>>();
    let found = finding.iter().any(|line| line.starts_with(&format!("{weight}:")) && parts.iter().all(|part| line.contains(part)));
    assert!(found, "there is no {weight} with {parts:?} in:\n{said}");
    assert_eq!(well, !said.contains("wrong: "), "the exit code says whether something is wrong:\n{said}");
}

#[test]
fn a_deployment_in_which_all_is_right() {
    let Some((said, well)) = said_of(&RIGHT) else { return };
    assert!(well && !said.contains("wrong: ") && !said.contains("doubtful: "), "{said}");
    for part in [
        "www.shop.example: TLS 1.",
        ", HTTP/2, a certificate that is trusted and ends in 59 days",
        "www.shop.example: its clock and this machine's agree",
        "its HTML leads to none of the",
        "core.js: the script is served",
        "Safari keeps the cookie for as long as",
        "taken from entry 1 from the right of X-Forwarded-For, and ours came in as it is",
        "an address that a visitor makes up is not believed",
        "answers (destination \"crm\")",
        "locked into memory",
    ] {
        assert!(said.contains(part), "{part} is not in:\n{said}");
    }
    assert!(!said.contains(FROM) && !said.contains("192.0.2.1"), "no address that is believed is shown:\n{said}");
}

#[test]
fn a_proxy_that_is_not_trusted() {
    expect(
        &Broken { trusted: "10.0.0.0/8", ..RIGHT },
        "wrong",
        &["a proxy on this very machine stands in front, names visitors, and is not trusted"],
    );
}

#[test]
fn a_proxy_that_believes_what_visitors_write() {
    let nginx = ("$proxy_add_x_forwarded_for", "$http_x_forwarded_for");
    // Trusting nobody beside it, what came in is what was written: nothing, and then whatever a visitor likes.
    expect(&Broken { nginx, ..RIGHT }, "wrong", &["anybody can be anybody"]);
}

#[test]
fn a_prefix_that_leads_elsewhere() {
    expect(
        &Broken { nginx: ("proxy_pass http", "return 404; # http"), ..RIGHT },
        "wrong",
        &["core.js: is answered 404", "does not lead to the program"],
    );
}

#[test]
fn a_vendors_tag_that_was_left_on_the_page() {
    let page = "<script async src=\"https://www.googletagmanager.com/gtag/js?id=G-1\"></script>";
    expect(&Broken { page, ..RIGHT }, "doubtful", &["meets googletagmanager.com (Google", "past all that is decided here"]);
}

#[test]
fn a_certificate_that_ends() {
    expect(&Broken { certificate: 4 * DAY, ..RIGHT }, "doubtful", &["its certificate ends in 3 days"]);
}

#[test]
fn a_certificate_that_has_ended() {
    expect(&Broken { certificate: Duration::ZERO, ..RIGHT }, "wrong", &["its certificate has ended"]);
}

#[test]
fn a_program_whose_clock_is_ahead() {
    expect(&Broken { ahead: Duration::from_secs(600), ..RIGHT }, "wrong", &["its clock is", "seconds ahead of this machine's"]);
}

#[test]
fn a_host_that_filter_lists_know_and_safari_takes_for_another_party() {
    // Pages and beacons on one host that leads to two networks.
    let leads_to = &[Leads::To([192, 0, 2, 7]), Leads::To([198, 51, 100, 7])];
    let broken = Broken { host: "matomo.shop.example", leads_to, ..RIGHT };
    expect(&broken, "doubtful", &["filter lists know hosts whose name begins with \"matomo\""]);
    expect(&broken, "doubtful", &["leads to 192.0.2.7 and to 198.51.100.7", "the cookie ends after 7 days"]);
}

#[test]
fn names_are_looked_through() {
    let leads_to = &[Leads::By("edge.tracker.example"), Leads::To([192, 0, 2, 7])];
    // The page itself leads there, too, so nothing of it is another party's; that it was asked is what is seen here.
    let Some((said, _)) = said_of(&Broken { leads_to, ..RIGHT }) else { return };
    assert!(said.contains("Safari keeps the cookie for as long as"), "{said}");
    let Some((said, _)) = said_of(&Broken { leads_to: &[], ..RIGHT }) else { return };
    assert!(said.contains("leads nowhere yet"), "{said}");
}

#[test]
fn a_receiver_that_is_not_there() {
    expect(&Broken { receiver: false, ..RIGHT }, "wrong", &["nothing takes the connection", "the events of destination \"crm\" wait"]);
}

/// A page from a web server whose clock is an hour slow, where nothing of ours is known.
#[test]
fn a_page_of_nobodys_from_a_slow_clock() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread("slow clock", move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        let hour_ago = jiff::Timestamp::from_millisecond(clock::now().minus(Duration::from_secs(3600)).0).unwrap();
        let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&hour_ago).unwrap();
        write!(stream, "HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Type: text/html\r\nContent-Length: 4\r\nConnection: close\r\n\r\nshop")
            .unwrap();
    });
    let machine = Installation::empty();
    let output = machine.run(&["doctor", &format!("http://{address}/")]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("wrong:    127.0.0.1: its clock is 36") && said.contains("behind this machine's"), "{said}");
    assert!(said.contains("no site's document here has this host"), "{said}");
    assert_eq!(output.status.code(), Some(1));
    server.join().unwrap();
    let refused = machine.run(&["doctor", "www.shop.example"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("fix: firsthand doctor https://www.shop.example/"));
}

/// A name server that knows one name. Dropping it ends it.
struct NameServer {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    fn start(host: &'static str, leads: &'static [Leads]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let (address, ended) = (socket.local_addr().unwrap(), Arc::new(AtomicBool::new(false)));
        let stop = Arc::clone(&ended);
        let thread = thread("name server", move || {
            let mut question = [0; 512];
            while !stop.load(Ordering::SeqCst) {
                let Ok((length, from)) = socket.recv_from(&mut question) else { continue };
                socket.send_to(&answer(&question[..length], host, leads), from).unwrap();
            }
        });
        Self { address, ended, thread: Some(thread) }
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// A question's answer: no addresses of the sixth version.
fn answer(question: &[u8], host: &str, leads: &[Leads]) -> Vec<u8> {
    let written = |name: &str| {
        let mut bytes: Vec<u8> =
            name.split('.').flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat()).collect();
        bytes.push(0);
        bytes
    };
    assert!(question[12..].starts_with(&written(host)), "another name is asked for");
    let kind = question[question.len() - 3];
    let mut bytes = question.to_vec();
    bytes[2] |= 0x80;
    let (mut owner, mut count) = (written(host), 0);
    for lead in leads {
        let (of, value) = match lead {
            Leads::By(name) => (5, written(name)),
            Leads::To(address) if kind == 1 => (1, address.to_vec()),
            Leads::To(_) => continue,
        };
        bytes.extend(&owner);
        bytes.extend([0, of, 0, 1, 0, 0, 0, 60, 0, u8::try_from(value.len()).unwrap()]);
        bytes.extend(&value);
        if of == 5 {
            owner = value;
        }
        count += 1;
    }
    bytes[7] = count;
    bytes
}
