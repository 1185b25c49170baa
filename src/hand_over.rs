//! How a process hands over to the next one on the same data directory: a Unix socket there, and what is said on it. Nothing of it is
//! written to a disk.
//!
//! ```text
//! next                                before
//!  │ greeting, form of the estate ──────►│ the same user's, and the same form? else it says why not, and goes on serving
//!  │◄────────────────────────── begun ──│ stops accepting, finishes what is under way, closes log and databases
//!  │◄─── listening sockets, the estate ──│ waits; clients wait in the kernel's queue
//!  │ opens everything, accepts           │
//!  │ taken over ────────────────────────►│ ends
//! ```
//! Until the last word the one before still has all of it, and goes on from it where the next one ends or is silent.

use std::{
    fs,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    net::SocketAddr,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{fs::PermissionsExt, net::UnixStream},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixListener,
    time::timeout,
};

use crate::{
    privacy::hand_over::{Estate, VERSION},
    server::{ListeningSocket, Role},
};

/// The socket's name in the data directory.
pub const SOCKET: &str = "hand-over";
/// What the next process begins with; the form of the estate follows.
const GREETING: [u8; 10] = *b"firsthand\0";
/// For the first words on either side, which need no work. A process that says nothing keeps the next from being heard for as long.
const WORDS_PATIENCE: Duration = Duration::from_secs(5);
/// From the greeting's answer to the estate: the shutdown's own patience, 25 s, and as much for closing a log and two databases on a busy disk.
const ESTATE_PATIENCE: Duration = Duration::from_secs(50);
/// From the estate to the last word: a start, with a log to be read. Clients wait for as long at most.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// Listening sockets of one process: one for each role today.
const SOCKETS_MAX: usize = 8;
/// Bytes that describe them: a role and an address each.
const DESCRIPTION_BYTES_MAX: usize = SOCKETS_MAX * 64;

const BEGUN: u8 = 1;
const OTHER_FORM: u8 = 2;
const TAKEN_OVER: u8 = 1;

/// A process's offer to hand over, as long as it runs.
pub struct Offer {
    listener: UnixListener,
    path: PathBuf,
}

impl Offer {
    /// Listens in the data directory, whose lock the caller holds: whatever was left there by another process is of no use.
    ///
    /// # Errors
    /// When the socket cannot be made there.
    pub fn make(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(SOCKET);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // The directory is its owner's alone, so that nobody else reaches it in the moment before.
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        Ok(Self { listener, path })
    }

    /// Waits for a process of the same user that takes over. From then on it waits for [`Next::give`].
    pub async fn next(&self) -> Next {
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                // Out of open files, most likely: not for ever.
                tokio::time::sleep(WORDS_PATIENCE).await;
                continue;
            };
            match timeout(WORDS_PATIENCE, hear(stream)).await {
                Ok(Ok(next)) => return next,
                Ok(Err(_)) | Err(_) => tracing::warn!("a process that is not to take over asked to, and was refused"),
            }
        }
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        // Where it cannot be removed, the next process finds nobody at it.
        let _ = fs::remove_file(&self.path);
    }
}

async fn hear(mut stream: tokio::net::UnixStream) -> io::Result<Next> {
    if stream.peer_cred()?.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let mut greeting = [0; GREETING.len() + 4];
    stream.read_exact(&mut greeting).await?;
    let (word, form) = greeting.split_at(GREETING.len());
    if word != GREETING {
        return Err(io::ErrorKind::InvalidData.into());
    }
    if form != VERSION.to_le_bytes() {
        stream.write_all(&[OTHER_FORM]).await?;
        return Err(io::ErrorKind::Unsupported.into());
    }
    stream.write_all(&[BEGUN]).await?;
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    Ok(Next(stream))
}

/// The process that takes over, waiting.
pub struct Next(UnixStream);

impl Next {
    /// Gives it the sockets and the estate, and waits until it has taken over. Blocks.
    ///
    /// # Errors
    /// When it did not: the caller goes on with what it has.
    pub fn give(mut self, sockets: &[ListeningSocket], estate: &Estate) -> io::Result<()> {
        self.0.set_write_timeout(Some(START_PATIENCE))?;
        self.0.set_read_timeout(Some(START_PATIENCE))?;
        send_sockets(&mut self.0, sockets)?;
        estate.send(&mut self.0)?;
        let mut word = [0];
        self.0.read_exact(&mut word)?;
        if word == [TAKEN_OVER] { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }
}

/// Why nothing can be taken over. The process before goes on serving.
#[derive(Debug, thiserror::Error)]
pub enum NotTakenOver {
    /// It is another version of the program.
    #[error(
        "the process that runs hands over in another form, and goes on serving\n  fix: stop it and start this one; \
         those who have visited today are then counted anew (an epoch break)"
    )]
    OtherForm,
    /// It belongs to somebody else.
    #[error("the process that runs on this data directory belongs to another user\n  fix: start this one as the same user")]
    OtherUser,
    /// It does not answer.
    #[error("the process that runs on this data directory does not hand over: {0}\n  fix: stop it, then start this one")]
    Silent(io::Error),
}

/// The process before, which has begun to close.
pub struct Before(UnixStream);

/// Asks the process that runs on this data directory to hand over. `None`: nobody runs there. Blocks.
///
/// # Errors
/// When it does not; nothing has changed then.
pub fn ask(data_dir: &Path) -> Result<Option<Before>, NotTakenOver> {
    let mut stream = match UnixStream::connect(data_dir.join(SOCKET)) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => return Ok(None),
        Err(error) => return Err(NotTakenOver::Silent(error)),
    };
    let owner = rustix::net::sockopt::socket_peercred(&stream).map_err(|error| NotTakenOver::Silent(error.into()))?.uid;
    if owner != rustix::process::geteuid() {
        return Err(NotTakenOver::OtherUser);
    }
    let mut answer = [0];
    let mut exchange = || -> io::Result<()> {
        stream.set_read_timeout(Some(WORDS_PATIENCE))?;
        stream.set_write_timeout(Some(WORDS_PATIENCE))?;
        stream.write_all(&GREETING)?;
        stream.write_all(&VERSION.to_le_bytes())?;
        stream.read_exact(&mut answer)
    };
    exchange().map_err(NotTakenOver::Silent)?;
    match answer {
        [BEGUN] => Ok(Some(Before(stream))),
        [OTHER_FORM] => Err(NotTakenOver::OtherForm),
        _ => Err(NotTakenOver::Silent(io::ErrorKind::InvalidData.into())),
    }
}

impl Before {
    /// Waits until it has closed everything, and takes what it gives. Blocks.
    ///
    /// # Errors
    /// When it ended or fell silent: what it knew is lost, unless it still runs.
    pub fn receive(&mut self) -> io::Result<(Vec<ListeningSocket>, Estate)> {
        self.0.set_read_timeout(Some(ESTATE_PATIENCE))?;
        let sockets = receive_sockets(&mut self.0)?;
        Ok((sockets, Estate::receive(&mut self.0)?))
    }

    /// Tells it that its work is done here now; it ends.
    ///
    /// # Errors
    /// When it is gone already.
    pub fn taken_over(mut self) -> io::Result<()> {
        self.0.write_all(&[TAKEN_OVER])
    }
}

/// Their description behind its length, with the sockets themselves beside its bytes.
fn send_sockets(to: &mut UnixStream, sockets: &[ListeningSocket]) -> io::Result<()> {
    let lines: Vec<String> = sockets.iter().map(|socket| format!("{} {}", socket.role as u8, socket.asked)).collect();
    let text = lines.join("\n");
    if sockets.len() > SOCKETS_MAX || text.len() > DESCRIPTION_BYTES_MAX || text.is_empty() {
        return Err(io::Error::other("there are more listening sockets than can be handed over, or none"));
    }
    to.write_all(&(text.len() as u32).to_le_bytes())?;
    let descriptors: Vec<_> = sockets.iter().map(|socket| socket.socket.as_fd()).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    if !beside.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("there is no room for the listening sockets"));
    }
    let sent = sendmsg(&*to, &[IoSlice::new(text.as_bytes())], &mut beside, SendFlags::empty())?;
    to.write_all(&text.as_bytes()[sent..])
}

fn receive_sockets(from: &mut UnixStream) -> io::Result<Vec<ListeningSocket>> {
    let broken = || io::Error::new(io::ErrorKind::InvalidData, "the listening sockets are in another form");
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let mut text = vec![0; Some(u32::from_le_bytes(length) as usize).filter(|length| *length <= DESCRIPTION_BYTES_MAX).ok_or_else(broken)?];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(&*from, &mut [IoSliceMut::new(&mut text)], &mut beside, RecvFlags::CMSG_CLOEXEC)?.bytes;
    let mut descriptors: Vec<OwnedFd> = Vec::new();
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(sent) = message {
            descriptors.extend(sent);
        }
    }
    if received == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    from.read_exact(&mut text[received..])?;
    let lines: Vec<&str> = std::str::from_utf8(&text).map_err(|_| broken())?.lines().collect();
    if lines.len() != descriptors.len() {
        return Err(broken());
    }
    let describe = |(line, socket): (&str, OwnedFd)| {
        let (role, asked) = line.split_once(' ')?;
        let role = Role::ALL.into_iter().find(|known| role.parse() == Ok(*known as u8))?;
        let asked: SocketAddr = asked.parse().ok()?;
        rustix::net::sockopt::socket_acceptconn(&socket).ok().filter(|listens| *listens)?;
        Some(ListeningSocket { role, asked, socket })
    };
    lines.into_iter().zip(descriptors).map(|socket| describe(socket).ok_or_else(broken)).collect()
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    fn listening(role: Role) -> (ListeningSocket, SocketAddr) {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = socket.local_addr().unwrap();
        (ListeningSocket { role, asked: (Ipv4Addr::LOCALHOST, 0).into(), socket: socket.into() }, address)
    }

    #[test]
    fn sockets_pass_with_what_they_are_for() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let ((plain, plain_address), (admin, _)) = (listening(Role::Plain), listening(Role::Admin));
        send_sockets(&mut here, &[plain, admin]).unwrap();
        here.write_all(b"next").unwrap();
        let sockets = receive_sockets(&mut there).unwrap();
        assert_eq!(sockets.iter().map(|socket| socket.role).collect::<Vec<_>>(), [Role::Plain, Role::Admin]);
        let waiting = TcpStream::connect(plain_address).unwrap();
        let socket = TcpListener::from(sockets.into_iter().next().unwrap().socket);
        assert_eq!(socket.accept().unwrap().1, waiting.local_addr().unwrap());
        let mut rest = [0; 4];
        there.read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"next", "and nothing of what follows is lost");
    }

    #[test]
    fn what_does_not_listen_is_no_listening_socket() {
        let (mut here, mut there) = UnixStream::pair().unwrap();
        let (mut socket, _) = listening(Role::Plain);
        socket.socket = UnixStream::pair().unwrap().0.into();
        send_sockets(&mut here, &[socket]).unwrap();
        assert_eq!(receive_sockets(&mut there).map(drop).unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(here);
        assert_eq!(receive_sockets(&mut there).map(drop).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn the_socket_is_its_owners_and_another_form_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(ask(directory.path()).unwrap().is_none(), "nobody runs there");
        let offer = Offer::make(directory.path()).unwrap();
        let path = directory.path().join(SOCKET);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let said = tokio::join!(offer.next(), async {
            let mut other = tokio::net::UnixStream::connect(&path).await.unwrap();
            other.write_all(&[&GREETING[..], &(VERSION + 1).to_le_bytes()].concat()).await.unwrap();
            let word = other.read_u8().await.unwrap();
            let mut stranger = tokio::net::UnixStream::connect(&path).await.unwrap();
            stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            let mut nothing = Vec::new();
            // Whether it ends in order or by a reset, nothing is said to it.
            let _ = stranger.read_to_end(&mut nothing).await;
            let mut good = tokio::net::UnixStream::connect(&path).await.unwrap();
            good.write_all(&[&GREETING[..], &VERSION.to_le_bytes()].concat()).await.unwrap();
            (word, nothing, good.read_u8().await.unwrap())
        });
        assert_eq!(said.1, (OTHER_FORM, Vec::new(), BEGUN));
        drop(offer);
        assert!(!path.exists());
    }
}
