//! TLS of the listeners: versions, protocols, and a certificate that is exchanged while connections go on.

use std::{
    fmt, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject as _},
    },
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::net::TcpStream;
use tokio_rustls::{Accept, TlsAcceptor};

use super::{certificate_dates::Validity, limits::CERTIFICATE_POLL};
use crate::supervise::Supervisor;

/// A certificate chain and its key, as two PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Why a certificate cannot be used. Names files and what is wrong with them, never what is in them.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("{}: {reason}", file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// A file holds something else than it should.
    #[error("{}: {reason}", file.display())]
    Malformed {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// The key is not the certificate's.
    #[error("{} is not the key of the first certificate in {} (if both were just replaced, this passes by itself)", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// TLS cannot be set up on this machine.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// TLS with a certificate that can be exchanged. Clones of the `Arc` serve any number of listeners.
pub struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
}

impl Tls {
    /// Reads the certificate and sets TLS 1.3 and 1.2 up, with HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// When the files do not hold a certificate and its key.
    pub fn open(files: CertificateFiles) -> Result<Arc<Self>, CertificateError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certificate = Arc::new(Certificate::open(files, Arc::clone(&provider))?);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(CertificateError::Setup)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&certificate) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Resumption by tickets keeps nothing per client here. Their key lives in memory only and changes every six hours.
        config.ticketer = aws_lc_rs::Ticketer::new().map_err(CertificateError::Setup)?;
        Ok(Arc::new(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate }))
    }

    /// Reads the files again if they have changed; connections that are open go on with the certificate that they have. A bad file is
    /// refused once, and the old certificate stays. Returns whether there is a new one. Blocks.
    ///
    /// # Errors
    /// When the files changed and do not hold a certificate and its key.
    pub fn reload_if_changed(&self) -> Result<bool, CertificateError> {
        self.certificate.reload_if_changed()
    }

    /// When the certificate in force is valid; nothing where its dates cannot be read.
    #[must_use]
    pub fn validity(&self) -> Option<Validity> {
        self.certificate.current.load().end_entity_cert().ok().and_then(|certificate| Validity::of(certificate))
    }

    /// Looks at the files every few seconds until the stop signal.
    pub async fn watch_files(self: Arc<Self>, supervisor: Supervisor) {
        let stop = supervisor.stop_signal();
        while stop.run_until_cancelled(tokio::time::sleep(CERTIFICATE_POLL)).await.is_some() {
            let tls = Arc::clone(&self);
            match supervisor.blocking(move || tls.reload_if_changed()).await {
                Ok(true) => tracing::info!("the certificate's files changed: new connections get the new one"),
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "the changed certificate cannot be used; the old one is still served"),
            }
        }
    }

    pub(super) fn accept(&self, stream: TcpStream) -> Accept<TcpStream> {
        self.acceptor.accept(stream)
    }
}

/// The certificate in force, and what its files looked like when they were last read.
struct Certificate {
    files: CertificateFiles,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<CertifiedKey>,
    seen: Mutex<Option<Stamp>>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl Certificate {
    fn open(files: CertificateFiles, provider: Arc<CryptoProvider>) -> Result<Self, CertificateError> {
        // The stamp is taken before the read: a change in between is then seen as one at the next look.
        let seen = Stamp::of(&files);
        let current = read(&files, &provider)?;
        Ok(Self { files, provider, current: ArcSwap::from_pointee(current), seen: Mutex::new(seen) })
    }

    fn reload_if_changed(&self) -> Result<bool, CertificateError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(&self.files);
        // Files that are away for a moment are being exchanged.
        if stamp.is_none() || stamp == *seen {
            return Ok(false);
        }
        *seen = stamp;
        self.current.store(Arc::new(read(&self.files, &self.provider)?));
        Ok(true)
    }
}

/// By what a changed pair of files is recognised: modification time, size and file number of each, symbolic links followed.
#[derive(PartialEq, Eq)]
struct Stamp([(SystemTime, u64, u64); 2]);

impl Stamp {
    fn of(files: &CertificateFiles) -> Option<Self> {
        let stamp = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len(), metadata.ino()))
        };
        Some(Self([stamp(&files.certificate)?, stamp(&files.key)?]))
    }
}

fn read(files: &CertificateFiles, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
    let unusable = |file: &Path, error: pem::Error, missing: &'static str| match error {
        pem::Error::Io(reason) => CertificateError::Unreadable { file: file.to_owned(), reason },
        pem::Error::NoItemsFound => CertificateError::Malformed { file: file.to_owned(), reason: missing },
        _ => CertificateError::Malformed { file: file.to_owned(), reason: "this is no well-formed PEM file" },
    };
    let no_certificate = "there is no certificate in it (looking for \"-----BEGIN CERTIFICATE-----\")";
    let no_key = "there is no private key in it (looking for \"-----BEGIN PRIVATE KEY-----\"; an encrypted key cannot be used)";
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unusable(&files.certificate, error, no_certificate))?;
    if chain.is_empty() {
        return Err(CertificateError::Malformed { file: files.certificate.clone(), reason: no_certificate });
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| unusable(&files.key, error, no_key))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => CertificateError::Mismatch { certificate: files.certificate.clone(), key: files.key.clone() },
        rustls::Error::InvalidCertificate(_) => {
            CertificateError::Malformed { file: files.certificate.clone(), reason: "the first certificate cannot be read" }
        }
        _ => CertificateError::Malformed { file: files.key.clone(), reason: "the key is of a kind that TLS cannot use" },
    })
}
