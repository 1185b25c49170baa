//! A connection to one broker of a Kafka cluster, logged in: a question, then its answer.

use std::{io, time::Duration};

use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{
    Refused,
    scram::{self, Hash},
};
use crate::destination::{
    Failure,
    kafka::{
        production::{Code, Login, Mechanism},
        wire,
    },
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The answer about a topic of a thousand partitions is far below.
const ANSWER_BYTES_MAX: u32 = 4 * 1024 * 1024;
/// What our part of a nonce is made of: 24 bytes, in base64.
const NONCE_BYTES: usize = 24;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection on which nothing is under way. One whose answer did not come is dropped.
pub(super) struct Line {
    stream: Box<dyn Stream>,
    number: i32,
}

impl Line {
    /// Connects, and logs in where that is asked for. `tls`: encrypted, whatever comes.
    pub(super) async fn open(host: &str, port: u16, tls: Option<&TlsConnector>, login: Option<&Login>) -> Result<Self, Refused> {
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect((host, port))).await;
        let stream = connected.map_err(|_| Refused::Failed(Failure::Timeout))?.map_err(|_| Refused::Failed(Failure::Connect))?;
        // A question is written at once, so nothing is gained by waiting for more of it.
        let _ = stream.set_nodelay(true);
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(stream),
            Some(tls) => {
                let name = ServerName::try_from(host.to_owned()).map_err(|_| Refused::Failed(Failure::Tls))?;
                Box::new(tls.connect(name, stream).await.map_err(|error| Refused::Failed(failure_of(&error)))?)
            }
        };
        let mut line = Self { stream, number: 0 };
        if let Some(login) = login {
            line.log_in(login).await?;
        }
        Ok(line)
    }

    /// Asks what `question` makes of a number, and returns the answer without it.
    pub(super) async fn ask(&mut self, question: impl FnOnce(i32) -> Vec<u8>) -> Result<Vec<u8>, Refused> {
        self.number = self.number.wrapping_add(1);
        let number = self.number;
        self.exchange(&question(number), number).await.map_err(|error| Refused::Failed(failure_of(&error)))
    }

    async fn exchange(&mut self, question: &[u8], number: i32) -> io::Result<Vec<u8>> {
        self.stream.write_all(question).await?;
        self.stream.flush().await?;
        let length = self.stream.read_u32().await?;
        if !(4..=ANSWER_BYTES_MAX).contains(&length) || self.stream.read_i32().await? != number {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut answer = vec![0; length as usize - 4];
        self.stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    async fn log_in(&mut self, login: &Login) -> Result<(), Refused> {
        let answer = self.ask(|number| wire::handshake(number, login.mechanism.name())).await?;
        match wire::read_handshake(&answer)? {
            0 => {}
            code => return Err(Refused::Said(Code(code))),
        }
        let (user, password) = (login.user.as_str(), login.password.bytes());
        let hash = match login.mechanism {
            Mechanism::Plain => {
                let said = [b"\0", user.as_bytes(), b"\0", password].concat();
                self.step(&said).await?;
                return Ok(());
            }
            Mechanism::ScramSha256 => Hash::Sha256,
            Mechanism::ScramSha512 => Hash::Sha512,
        };
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| Refused::Failed(Failure::Connect))?;
        let nonce = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, nonce);
        let server = self.step(&scram::first(user, &nonce)).await?;
        let (said, expected) = scram::last(hash, (user, password), &nonce, &server)?;
        let server = self.step(&said).await?;
        Ok(expected.is(&server)?)
    }

    async fn step(&mut self, said: &[u8]) -> Result<Vec<u8>, Refused> {
        let answer = self.ask(|number| wire::authenticate(number, said)).await?;
        match wire::read_authenticated(&answer)? {
            (0, server) => Ok(server),
            (code, _) => Err(Refused::Said(Code(code))),
        }
    }
}

fn failure_of(error: &io::Error) -> Failure {
    if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        Failure::Tls
    } else if error.kind() == io::ErrorKind::InvalidData {
        Failure::Garbage
    } else {
        Failure::Connect
    }
}
