//! The listening sockets: bound here, or taken over from the process before; and kept open, where a process after this one is to have them.
//! While nobody accepts, clients wait in the kernel's queue.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, OwnedFd},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::net::TcpListener;

/// What a listening socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Plain HTTP.
    Plain,
    /// HTTPS.
    Encrypted,
    /// Health, metrics and the live view.
    Admin,
    /// The profile API, for other machines.
    Api,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Encrypted, Self::Admin, Self::Api];
}

/// A listening socket on its way from one process to the next.
pub struct ListeningSocket {
    /// What it is for.
    pub role: Role,
    /// The address that the configuration asked for; with port 0 the socket has another.
    pub asked: SocketAddr,
    /// The socket.
    pub socket: OwnedFd,
}

/// A process's listening sockets.
#[derive(Default)]
pub struct Sockets {
    taken_over: Mutex<Vec<ListeningSocket>>,
    kept: Mutex<Vec<ListeningSocket>>,
    handing_over: AtomicBool,
}

impl Sockets {
    /// Those of the process before. What nobody asks for is closed when they are dropped.
    #[must_use]
    pub fn taken_over(sockets: Vec<ListeningSocket>) -> Self {
        Self { taken_over: Mutex::new(sockets), ..Self::default() }
    }

    /// The socket for this purpose that the process before had, or a new one.
    ///
    /// # Errors
    /// When the address is taken or not ours.
    pub(super) async fn listen(&self, role: Role, asked: SocketAddr) -> io::Result<TcpListener> {
        let before = {
            let mut taken_over = lock(&self.taken_over);
            let same = taken_over.iter().position(|socket| socket.role == role && socket.asked == asked);
            same.map(|index| taken_over.swap_remove(index))
        };
        let listener = match before {
            Some(before) => {
                let socket = std::net::TcpListener::from(before.socket);
                socket.set_nonblocking(true)?;
                TcpListener::from_std(socket)?
            }
            None => TcpListener::bind(asked).await?,
        };
        let socket = listener.as_fd().try_clone_to_owned()?;
        lock(&self.kept).push(ListeningSocket { role, asked, socket });
        Ok(listener)
    }

    /// From now on the sockets stay open when their listeners end.
    pub fn keep_open(&self) {
        self.handing_over.store(true, Ordering::Release);
    }

    /// Whether they are to stay open.
    pub(super) fn stay_open(&self) -> bool {
        self.handing_over.load(Ordering::Acquire)
    }

    /// Closes this end of them, unless they are to stay open: a socket is closed when its listener is, too.
    pub(super) fn let_go(&self) {
        if !self.stay_open() {
            lock(&self.kept).clear();
        }
    }

    /// Takes them out, for the next process.
    #[must_use]
    pub fn take(&self) -> Vec<ListeningSocket> {
        std::mem::take(&mut lock(&self.kept))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

    #[tokio::test]
    async fn a_socket_is_found_again_by_what_it_was_asked_for() {
        let before = Sockets::default();
        let (plain, admin) = (before.listen(Role::Plain, ANY).await.unwrap(), before.listen(Role::Admin, ANY).await.unwrap());
        let (plain_address, admin_address) = (plain.local_addr().unwrap(), admin.local_addr().unwrap());
        before.keep_open();
        before.let_go();
        drop((plain, admin));
        // Nobody accepts: it waits.
        let waiting = std::net::TcpStream::connect(plain_address).unwrap();
        let after = Sockets::taken_over(before.take());
        let admin = after.listen(Role::Admin, ANY).await.unwrap();
        assert_eq!(admin.local_addr().unwrap(), admin_address);
        let plain = after.listen(Role::Plain, ANY).await.unwrap();
        assert_eq!(plain.accept().await.unwrap().1, waiting.local_addr().unwrap());
        let another = after.listen(Role::Plain, ANY).await.unwrap();
        assert_ne!(another.local_addr().unwrap(), plain_address, "it is taken once");
        after.let_go();
        drop(plain);
        assert!(std::net::TcpStream::connect(plain_address).is_err(), "without a process after it, a socket ends with its listener");
    }
}
