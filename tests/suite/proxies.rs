//! The web servers in front, for real: what `init --proxy` writes is put into nginx, Caddy, Apache and HAProxy, each with TLS and HTTP/2 on
//! loopback in front of the program, and asked from several addresses of this machine.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{
    installation::{Installation, eventually, terminate},
    left_out::left_out,
};

/// A web server, how it is configured around the snippet, and how it runs in the foreground.
pub(crate) struct Front {
    name: &'static str,
    pub(crate) program: &'static str,
    snippet: &'static str,
    configuration: fn(&Snippet<'_>) -> String,
    arguments: &'static [&'static str],
}

/// What a configuration is made of: the snippet, this directory, this port.
struct Snippet<'a> {
    text: &'a str,
    directory: &'a str,
    port: u16,
}

pub(crate) const NGINX: Front = Front {
    name: "nginx",
    program: "/usr/sbin/nginx",
    snippet: "proxy-nginx.conf",
    configuration: |Snippet { text, directory, port }| {
        let (beside, inside) = text.split_once("# Into the server block").expect("nginx's snippet has two parts");
        let temporary: String =
            ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|what| format!("{what}_temp_path {directory}/{what};\n")).concat();
        format!(
            "user root;\ndaemon off;\nworker_processes 1;\npid {directory}/pid;\nerror_log {directory}/error.log;\nevents {{ worker_connections 64; }}\n\
             http {{\naccess_log {directory}/access.log;\n{temporary}{beside}\nserver {{\nlisten 127.0.0.1:{port} ssl http2;\nserver_name localhost;\n\
             ssl_certificate {directory}/leaf.pem;\nssl_certificate_key {directory}/key.pem;\n# {inside}}}\n}}\n"
        )
    },
    arguments: &["-e", "error.log", "-c"],
};

const CADDY: Front = Front {
    name: "Caddy",
    program: "/usr/bin/caddy",
    snippet: "proxy-Caddyfile",
    configuration: |Snippet { text, directory, port }| {
        format!(
            "{{\nadmin off\nauto_https off\n}}\nhttps://localhost:{port} {{\nbind 127.0.0.1\ntls {directory}/leaf.pem {directory}/key.pem\n\
             log {{\noutput file {directory}/access.log\n}}\n{text}}}\n"
        )
    },
    arguments: &["run", "--adapter", "caddyfile", "--config"],
};

const APACHE: Front = Front {
    name: "Apache",
    program: "/usr/sbin/apache2",
    snippet: "proxy-apache.conf",
    configuration: |Snippet { text, directory, port }| {
        let modules: String = ["mpm_event", "authz_core", "proxy", "proxy_http", "headers", "setenvif", "socache_shmcb", "ssl", "http2"]
            .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
            .concat();
        format!(
            "{modules}ServerRoot {directory}\nDefaultRuntimeDir {directory}\nPidFile {directory}/pid\nErrorLog {directory}/error.log\nServerName localhost\n\
             User www-data\nGroup www-data\nListen 127.0.0.1:{port}\nProtocols h2 http/1.1\n<VirtualHost 127.0.0.1:{port}>\nSSLEngine on\n\
             SSLCertificateFile {directory}/leaf.pem\nSSLCertificateKeyFile {directory}/key.pem\n\
             CustomLog {directory}/access.log \"%r\" env=!firsthand\n{text}</VirtualHost>\n"
        )
    },
    arguments: &["-D", "FOREGROUND", "-f"],
};

const HAPROXY: Front = Front {
    name: "HAProxy",
    program: "/usr/sbin/haproxy",
    snippet: "proxy-haproxy.cfg",
    configuration: |Snippet { text, directory, port }| {
        let (inside, beside) = text.split_once("# Beside it:").expect("HAProxy's snippet has two parts");
        format!(
            "global\nlog stdout format raw local0\ndefaults\nmode http\ntimeout connect 5s\ntimeout client 30s\ntimeout server 30s\nfrontend pages\n\
             bind 127.0.0.1:{port} ssl crt {directory}/both.pem alpn h2,http/1.1\nlog global\noption httplog\n{inside}{beside}"
        )
    },
    arguments: &["-db", "-f"],
};

#[test]
fn nginx_in_front() {
    in_front(&NGINX);
}

#[test]
fn caddy_in_front() {
    in_front(&CADDY);
}

#[test]
fn apache_in_front() {
    in_front(&APACHE);
}

#[test]
fn haproxy_in_front() {
    in_front(&HAPROXY);
}

fn in_front(front: &Front) {
    for needed in [front.program, "/usr/bin/curl"] {
        if !Path::new(needed).exists() {
            return left_out(front.name, &format!("{needed} is not installed"));
        }
    }
    let machine = Installation::empty();
    let kind = front.name.to_ascii_lowercase();
    let made = machine.run(&["init", "https://localhost", ".", "--proxy", &kind]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let written = fs::read_to_string(machine.path().join(front.snippet)).unwrap();
    // A second time it prints what it has written, for the site that is there.
    let again = machine.run(&["init", "https://localhost", ".", "--proxy", &kind]);
    assert_eq!(String::from_utf8_lossy(&again.stdout), written);

    // The proxy alone is trusted, and a client has four events at once and one a second.
    let toml = fs::read_to_string(machine.path().join("firsthand.toml")).unwrap();
    let narrow = toml
        .replace("trusted = [\"127.0.0.0/8\", \"::1/128\"]", "trusted = [\"127.0.0.1/32\"]")
        .replace("client_events_per_second = 50 ", "client_events_per_second = 1 ");
    assert!(narrow.contains("127.0.0.1/32") && narrow.contains("client_events_per_second = 1 "), "init writes another configuration");
    machine.write("firsthand.toml", &narrow);
    let site = fs::read_to_string(machine.path().join("sites/site.toml")).unwrap();
    let prefix = site.lines().find_map(|line| line.strip_prefix("prefix = \"")?.strip_suffix('"')).unwrap().to_owned();

    let server = machine.start_as(machine.command(&["run", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]));
    let snippet = written.replace("127.0.0.1:8080", &server.http().to_string());
    let proxy = RunningProxy::start(front, &machine, &snippet);
    let beacon = format!("{prefix}/e?secret-id=7");
    let event = r#"{"e":[{"k":"page_view"}]}"#;

    // The script and the support file, over HTTP/2 and TLS that is verified.
    assert_eq!(proxy.ask("127.0.0.10", &format!("{prefix}/core.js"), &[]).0, "200 2", "{}", front.name);
    let (status, told) = proxy.ask("127.0.0.10", "/.well-known/gpc.json", &[]);
    assert!(status == "200 2" && told.contains("\"gpc\": true"), "{}: {status} {told}", front.name);

    // An event, and the cookie of one who agreed: `Secure` on this host only where the proxy has said that it was reached by TLS.
    assert_eq!(proxy.ask("127.0.0.11", &beacon, &["-d", event]).0, "204 2", "{}", front.name);
    let (status, head) = proxy.ask("127.0.0.11", &beacon, &["-d", r#"{"g":["analytics"],"e":[{"k":"page_view"}]}"#]);
    let cookie = head.lines().find(|line| line.to_ascii_lowercase().starts_with("set-cookie:")).unwrap_or_default();
    assert!(status == "204 2" && cookie.contains("Secure"), "{}: {status} {head}", front.name);

    // What a body may be.
    let padding = |length: usize| machine.write("body.json", &format!("{event}{}", " ".repeat(length))).display().to_string();
    let large = |length| proxy.ask("127.0.0.12", &beacon, &["--data-binary", &format!("@{}", padding(length))]).0;
    assert_eq!(large(60_000), "204 2", "{}", front.name);
    assert_eq!(large(70_000), "413 2", "{}", front.name);

    // One client stays one, whoever it says that it is forwarded for; and another has an allowance of its own.
    let mut refused = 0;
    for number in 0..20 {
        let spoofed = format!("X-Forwarded-For: 198.51.100.{number}");
        let status = proxy.ask("127.0.0.20", &beacon, &["-H", &spoofed, "-d", event]).0;
        assert!(["204 2", "429 2"].contains(&status.as_str()), "{}: {status}", front.name);
        refused += u32::from(status == "429 2");
    }
    assert!(refused > 5, "{}: a spoofed address is believed ({refused} of 20 refused)", front.name);
    while proxy.ask("127.0.0.20", &beacon, &["-d", event]).0 != "429 2" {}
    assert_eq!(proxy.ask("127.0.0.21", &beacon, &["-d", event]).0, "204 2", "{}: the client is the proxy", front.name);

    // What is asked for elsewhere is in the proxy's log, what is asked for here is not.
    proxy.ask("127.0.0.13", "/elsewhere?control", &[]);
    eventually("the proxy's log", Duration::from_secs(10), || proxy.log().contains("/elsewhere?control"));
    assert!(!proxy.log().contains("secret-id"), "{}: {}", front.name, proxy.log());

    drop(proxy);
    assert!(server.stop().success());
}

/// A proxy that runs. Dropping it ends it, by its own id.
pub(crate) struct RunningProxy<'a> {
    child: Child,
    directory: &'a Path,
    pub(crate) port: u16,
}

impl<'a> RunningProxy<'a> {
    fn start(front: &Front, machine: &'a Installation, snippet: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([String::from("localhost")]).unwrap();
        Self::start_as(front, machine, snippet, (&made.cert.pem(), &made.signing_key.serialize_pem()))
    }

    /// The same with this certificate and its key.
    pub(crate) fn start_as(front: &Front, machine: &'a Installation, snippet: &str, (leaf, key): (&str, &str)) -> Self {
        let directory = machine.path();
        machine.write("leaf.pem", leaf);
        machine.write("key.pem", key);
        machine.write("both.pem", &format!("{leaf}{key}"));
        // The kernel's choice; nobody else is given it so soon.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let shown = directory.display().to_string();
        let file = machine.write("front.conf", &(front.configuration)(&Snippet { text: snippet, directory: &shown, port }));
        let output = |name: &str| Stdio::from(fs::File::create(directory.join(name)).unwrap());
        let child = Command::new(front.program)
            .args(front.arguments)
            .arg(&file)
            .current_dir(directory)
            .env("HOME", directory)
            .env("XDG_DATA_HOME", directory)
            .env("XDG_CONFIG_HOME", directory)
            .stdin(Stdio::null())
            .stdout(output("front.out"))
            .stderr(output("front.err"))
            .spawn()
            .unwrap();
        let mut running = Self { child, directory, port };
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = running.child.try_wait().unwrap().is_some();
            assert!(
                !ended && Instant::now() < deadline,
                "{} did not start: {}",
                front.name,
                running.read("front.err") + &running.read("error.log")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        running
    }

    /// One request from this address of the machine: status and HTTP version, and the answer's head and body.
    fn ask(&self, from: &str, path: &str, more: &[&str]) -> (String, String) {
        let output = Command::new("/usr/bin/curl")
            .args(["-sS", "--max-time", "20", "--http2", "--interface", from, "--cacert", "leaf.pem", "-D", "-"])
            .args(["-H", "Content-Type: text/plain", "-w", "\n%{http_code} %{http_version}"])
            .args(more)
            .arg(format!("https://localhost:{}{path}", self.port))
            .args(["--resolve", &format!("localhost:{}:127.0.0.1", self.port)])
            .current_dir(self.directory)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (answer, status) = text.rsplit_once('\n').unwrap_or_default();
        assert!(!status.starts_with("000"), "{path}: {}", String::from_utf8_lossy(&output.stderr));
        (status.to_owned(), answer.to_owned())
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.directory.join(name)).unwrap_or_default()
    }

    /// Its access log, in a file or on standard output.
    fn log(&self) -> String {
        self.read("access.log") + &self.read("front.out")
    }
}

impl Drop for RunningProxy<'_> {
    fn drop(&mut self) {
        // Asked, not killed: a master ends its workers then.
        terminate(self.child.id());
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.child.try_wait().is_ok_and(|status| status.is_none()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
