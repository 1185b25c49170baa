//! A real NATS server of a test's own, with JetStream in a directory of its own, on a port of loopback. It knows one user who may do what a
//! test says, and one who may do everything and looks after the streams. It is ended by its process id.
//!
//! What a stream has is asked over a socket, in the protocol's own lines: nothing of the program's own library is believed.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{installation::eventually, receiver::thread};

const PATIENCE: Duration = Duration::from_secs(60);
/// What an answer may take; none comes where JetStream is not up yet.
const ANSWER: Duration = Duration::from_secs(2);
pub(crate) const USER: &str = "firsthand";
pub(crate) const PASSWORD: &str = "a-password-of-the-test";
const KEEPER: &str = "keeper";
const STREAM: &str = "EVENTS";

pub(crate) struct RealNats {
    directory: tempfile::TempDir,
    program: PathBuf,
    server: Option<Child>,
    pub(crate) port: u16,
    /// Whether the keeper is let in: not over TLS alone, nor where an operator says who is.
    plain: bool,
}

impl RealNats {
    /// A running one; `None` where it is not installed.
    pub(crate) fn start() -> Option<Self> {
        Self::with_user(&format!("{{ user: {USER}, password: \"{PASSWORD}\" }}"))
    }

    /// The same where the user is this one, in the words of its configuration.
    pub(crate) fn with_user(user: &str) -> Option<Self> {
        Self::configured(user, "", true)
    }

    /// The same over TLS alone, with this certificate and key.
    pub(crate) fn with_tls(certificate: &std::path::Path, key: &std::path::Path) -> Option<Self> {
        let tls = format!("tls {{ cert_file: \"{}\", key_file: \"{}\" }}\n", certificate.display(), key.display());
        Self::configured(&format!("{{ user: {USER}, password: \"{PASSWORD}\" }}"), &tls, false)
    }

    /// The same of an operator, who knows one account and no passwords.
    pub(crate) fn with_operator(operator: &str, account: &str, said_of_account: &str) -> Option<Self> {
        let who = format!("operator: \"{operator}\"\nresolver: MEMORY\nresolver_preload: {{ {account}: \"{said_of_account}\" }}\n");
        let mut nats = Self::installed(false)?;
        fs::write(nats.directory.path().join("nats.conf"), format!("listen: \"127.0.0.1:{}\"\n{who}", nats.port)).unwrap();
        nats.resume();
        Some(nats)
    }

    fn configured(user: &str, more: &str, plain: bool) -> Option<Self> {
        let mut nats = Self::installed(plain)?;
        nats.configure(user, more);
        nats.resume();
        Some(nats)
    }

    fn installed(plain: bool) -> Option<Self> {
        let program = ["/usr/sbin/nats-server", "/usr/bin/nats-server", "/usr/local/bin/nats-server"].map(PathBuf::from);
        let program = program.into_iter().find(|program| program.exists())?;
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Some(Self { directory, program, server: None, port, plain })
    }

    /// Writes its configuration.
    fn configure(&self, user: &str, more: &str) {
        let store = self.directory.path().join("jetstream");
        let configuration = format!(
            "listen: \"127.0.0.1:{}\"\njetstream {{ store_dir: \"{}\" }}\n{more}\
             authorization {{ users: [ {user}, {{ user: {KEEPER}, password: \"{KEEPER}\" }} ] }}\n",
            self.port,
            store.display()
        );
        fs::write(self.directory.path().join("nats.conf"), configuration).unwrap();
    }

    /// Starts it again after [`Self::pause`] or [`Self::kill`].
    pub(crate) fn resume(&mut self) {
        let log = fs::File::options().create(true).append(true).open(self.directory.path().join("log")).unwrap();
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(self.directory.path().join("nats.conf")).stdout(Stdio::null()).stdin(Stdio::null()).stderr(log);
        self.server = Some(command.spawn().unwrap());
        let answers = || if self.plain { self.ask("$JS.API.INFO", &json!(null)).is_some() } else { self.says_hello() };
        eventually("a NATS server that answers", PATIENCE, answers);
    }

    /// Ends it as its owner would; what it holds stays.
    pub(crate) fn pause(&mut self) {
        self.end(Signal::TERM);
    }

    /// Ends it as nobody would wish.
    pub(crate) fn kill(&mut self) {
        self.end(Signal::KILL);
    }

    fn end(&mut self, signal: Signal) {
        if let Some(mut server) = self.server.take() {
            kill_process(Pid::from_child(&server), signal).unwrap();
            server.wait().unwrap();
        }
    }

    /// Makes the stream that takes every event, with these settings more.
    pub(crate) fn make_stream(&self, more: &Value) {
        self.set_stream("CREATE", more);
    }

    /// Gives it other ones.
    pub(crate) fn change_stream(&self, more: &Value) {
        self.set_stream("UPDATE", more);
    }

    fn set_stream(&self, verb: &str, more: &Value) {
        let mut settings = json!({ "name": STREAM, "subjects": ["firsthand.>"], "storage": "file", "retention": "limits" });
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = self.ask(&format!("$JS.API.STREAM.{verb}.{STREAM}"), &settings).expect("JetStream answers");
        assert!(made["error"].is_null(), "{made}");
    }

    /// Takes everything out of the stream.
    pub(crate) fn purge_stream(&self) {
        let purged = self.ask(&format!("$JS.API.STREAM.PURGE.{STREAM}"), &json!({})).expect("JetStream answers");
        assert_eq!(purged["success"], true, "{purged}");
    }

    /// How many messages the stream has.
    pub(crate) fn kept(&self) -> i64 {
        let info = self.ask(&format!("$JS.API.STREAM.INFO.{STREAM}"), &json!({})).expect("JetStream answers");
        info["state"]["messages"].as_i64().unwrap_or_else(|| panic!("{info}"))
    }

    /// A message of the stream: its subject, its headers, what it says.
    pub(crate) fn message(&self, sequence: i64) -> (String, String, Value) {
        let answer = self.ask(&format!("$JS.API.STREAM.MSG.GET.{STREAM}"), &json!({ "seq": sequence })).expect("JetStream answers");
        let message = &answer["message"];
        let text =
            |name: &str| String::from_utf8(BASE64.decode(message[name].as_str().unwrap_or_else(|| panic!("{answer}"))).unwrap()).unwrap();
        (message["subject"].as_str().unwrap().to_owned(), text("hdrs"), serde_json::from_str(&text("data")).unwrap())
    }

    /// Waits for so many messages of a subject, from a subscription that is there when this returns; what they say comes later.
    pub(crate) fn listen(&self, subject: &str, messages: usize) -> std::thread::JoinHandle<Vec<Value>> {
        let mut from = self.logged_in().expect("a connection");
        write!(from.get_mut(), "SUB {subject} 1\r\nPING\r\n").unwrap();
        assert_eq!(line(&mut from), "PONG");
        from.get_mut().set_read_timeout(Some(PATIENCE)).unwrap();
        thread("nats listener", move || {
            let mut heard = Vec::new();
            while heard.len() < messages {
                let said = line(&mut from);
                if said == "PING" {
                    write!(from.get_mut(), "PONG\r\n").unwrap();
                } else {
                    heard.push(serde_json::from_slice(&payload(&mut from, &said)).unwrap());
                }
            }
            heard
        })
    }

    /// One question, as the keeper; `None` where no answer comes.
    fn ask(&self, subject: &str, question: &Value) -> Option<Value> {
        let mut from = self.logged_in()?;
        let question = if question.is_null() { String::new() } else { question.to_string() };
        write!(from.get_mut(), "SUB answer 1\r\nPUB {subject} answer {}\r\n{question}\r\n", question.len()).ok()?;
        let said = line(&mut from);
        said.starts_with("MSG ").then(|| serde_json::from_slice(&payload(&mut from, &said)).ok()).flatten()
    }

    fn logged_in(&self) -> Option<BufReader<TcpStream>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(ANSWER)).unwrap();
        let mut from = BufReader::new(stream);
        assert!(line(&mut from).starts_with("INFO "));
        let hello = json!({ "verbose": false, "user": KEEPER, "pass": KEEPER, "headers": true, "no_responders": false });
        write!(from.get_mut(), "CONNECT {hello}\r\nPING\r\n").ok()?;
        (line(&mut from) == "PONG").then_some(from)
    }

    fn says_hello(&self) -> bool {
        let Ok(stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        stream.set_read_timeout(Some(ANSWER)).unwrap();
        line(&mut BufReader::new(stream)).starts_with("INFO ")
    }
}

impl Drop for RealNats {
    fn drop(&mut self) {
        self.end(Signal::TERM);
    }
}

/// A line without its end; empty where none came.
fn line(from: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    let _ = from.read_line(&mut line);
    line.trim_end().to_owned()
}

/// What stands behind the line of a message, without its headers.
fn payload(from: &mut BufReader<TcpStream>, said: &str) -> Vec<u8> {
    let words: Vec<&str> = said.split(' ').collect();
    let length = |word: &str| word.parse::<usize>().unwrap_or_else(|_| panic!("{said}"));
    let whole = length(words[words.len() - 1]);
    let headers = if words[0] == "HMSG" { length(words[words.len() - 2]) } else { 0 };
    let mut bytes = vec![0; whole + 2];
    from.read_exact(&mut bytes).unwrap();
    bytes[headers..whole].to_vec()
}
