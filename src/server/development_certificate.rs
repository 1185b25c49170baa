//! A certificate for this machine alone, so that TLS works from the first run: a certificate authority and, signed by it, a certificate
//! for `localhost`, `127.0.0.1` and `::1`. Whoever wants their browser to trust it imports the authority's certificate.
//!
//! Both are made once and used again; the certificate is made anew when it nears its end, the authority when it would end before a new
//! certificate. Every file begins with a line that says who made it and until when it is valid: a file without that line is somebody
//! else's, and is never written over. The authority is constrained to the names of this machine: whoever steals its key can
//! impersonate nothing but `localhost`.

use std::{
    fs, io,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use rustls::{
    RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    sign::CertifiedKey,
};

use super::tls::CertificateFiles;
use crate::clock::Timestamp;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the authority is valid: importing it again is what a developer should rarely have to do.
const AUTHORITY_VALID: Duration = DAY.saturating_mul(3650);
/// How long the certificate is valid: within what browsers accept from an authority that was imported by hand (825 days).
const CERTIFICATE_VALID: Duration = DAY.saturating_mul(365);
/// A certificate with less than this left is made anew.
const RENEW_BEFORE: Duration = DAY.saturating_mul(30);
/// Certificates are valid from a little before now, for machines whose clock is behind (a virtual machine's, a phone's).
const BACKDATED: Duration = DAY;
/// The first line of every file that is made here: this, and a moment.
const MARK: &str = "# Made by Firsthand for development on this machine; made anew before ";
/// The names that the certificate is for.
const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Why there is no development certificate.
#[derive(Debug, thiserror::Error)]
pub enum DevelopmentCertificateError {
    /// A file or the directory cannot be read or written.
    #[error("{}: {reason}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// The system's reason.
        reason: io::Error,
    },
    /// A file with a name of ours is not ours.
    #[error("{} was not made by Firsthand and is not written over: move it away, or name it in the configuration to use it", file.display())]
    Foreign {
        /// Which.
        file: PathBuf,
    },
    /// The certificate could not be made.
    #[error("the development certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// The development certificate in a directory.
#[derive(Clone, Debug)]
pub struct DevelopmentCertificate {
    /// The certificate and key to serve.
    pub files: CertificateFiles,
    /// The authority's certificate: what a browser or `curl --cacert` is given to trust.
    pub authority: PathBuf,
    /// Whether anything was made by this call.
    pub made: bool,
}

/// Makes the certificate in `directory`, or uses what an earlier call made there. Blocks.
///
/// # Errors
/// When files cannot be read or written, or a file with one of their names is not ours.
pub fn development_certificate(directory: &Path, now: Timestamp) -> Result<DevelopmentCertificate, DevelopmentCertificateError> {
    let file = |name: &str| directory.join(name);
    let authority = CertificateFiles { certificate: file("development-ca.pem"), key: file("development-ca-key.pem") };
    let files = CertificateFiles { certificate: file("localhost.pem"), key: file("localhost-key.pem") };
    let authority_ends = marked_end(&authority.certificate)?;
    for file in [&authority.key, &files.certificate, &files.key] {
        marked_end(file)?;
    }
    let result = |made| DevelopmentCertificate { files: files.clone(), authority: authority.certificate.clone(), made };
    if verifies(&authority.certificate, &files, now.plus(RENEW_BEFORE)) {
        return Ok(result(false));
    }
    fs::create_dir_all(directory).map_err(|reason| DevelopmentCertificateError::File { file: directory.to_owned(), reason })?;
    if authority_ends.is_some_and(|end| end > now.plus(CERTIFICATE_VALID))
        && let Some(issuer) = existing_authority(&authority.key)
    {
        make_certificate(&files, &issuer, now)?;
        // It does not verify when the authority's two files do not belong together: one was replaced, or never written.
        if verifies(&authority.certificate, &files, now.plus(RENEW_BEFORE)) {
            return Ok(result(true));
        }
    }
    make_certificate(&files, &make_authority(&authority, now)?, now)?;
    Ok(result(true))
}

/// Until when a file of ours is valid by its first line; `None`: there is no such file.
fn marked_end(file: &Path) -> Result<Option<Timestamp>, DevelopmentCertificateError> {
    let foreign = || DevelopmentCertificateError::Foreign { file: file.to_owned() };
    match fs::read_to_string(file) {
        Ok(text) => {
            let end = text.lines().next().and_then(|line| line.strip_prefix(MARK)).ok_or_else(foreign)?;
            let end: jiff::Timestamp = end.trim().parse().map_err(|_| foreign())?;
            Ok(Some(Timestamp(end.as_millisecond())))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(foreign()),
        Err(reason) => Err(DevelopmentCertificateError::File { file: file.to_owned(), reason }),
    }
}

/// Whether a client that trusts the authority would, at that time, accept the certificate for every name, and the key is its own.
fn verifies(authority: &Path, files: &CertificateFiles, at: Timestamp) -> bool {
    let at = UnixTime::since_unix_epoch(Duration::from_secs(since_1970(at)));
    let verified = || {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority).ok()?).ok()?;
        let certificate = CertificateDer::from_pem_file(&files.certificate).ok()?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().ok()?;
        for name in NAMES {
            verifier.verify_server_cert(&certificate, &[], &ServerName::try_from(name).ok()?, &[], at).ok()?;
        }
        CertifiedKey::from_der(vec![certificate], PrivateKeyDer::from_pem_file(&files.key).ok()?, &provider).ok()
    };
    verified().is_some()
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Firsthand development CA of this machine");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let this_machine = vec![
        GeneralSubtree::DnsName(String::from("localhost")),
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(IpAddr::V4(Ipv4Addr::LOCALHOST), 8)),
        GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(IpAddr::V6(Ipv6Addr::LOCALHOST), 128)),
    ];
    params.name_constraints = Some(NameConstraints { permitted_subtrees: this_machine, excluded_subtrees: Vec::new() });
    params
}

fn existing_authority(key: &Path) -> Option<Issuer<'static, KeyPair>> {
    let key = KeyPair::from_pem(&fs::read_to_string(key).ok()?).ok()?;
    Some(Issuer::new(authority_params(), key))
}

fn make_authority(files: &CertificateFiles, now: Timestamp) -> Result<Issuer<'static, KeyPair>, DevelopmentCertificateError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = authority_params();
    valid_for(&mut params, now, AUTHORITY_VALID);
    let end = now.plus(AUTHORITY_VALID);
    write(&files.key, &key.serialize_pem(), end, 0o600)?;
    write(&files.certificate, &params.self_signed(&key)?.pem(), end, 0o644)?;
    Ok(Issuer::new(params, key))
}

fn make_certificate(files: &CertificateFiles, authority: &Issuer<'_, KeyPair>, now: Timestamp) -> Result<(), DevelopmentCertificateError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    // A name that is an address becomes an address in the certificate.
    let mut params = CertificateParams::new(NAMES.map(str::to_owned))?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    valid_for(&mut params, now, CERTIFICATE_VALID);
    let end = now.plus(CERTIFICATE_VALID);
    write(&files.key, &key.serialize_pem(), end, 0o600)?;
    write(&files.certificate, &params.signed_by(&key, authority)?.pem(), end, 0o644)
}

fn valid_for(params: &mut CertificateParams, now: Timestamp, span: Duration) {
    let moment = |at: Timestamp| date_time_ymd(1970, 1, 1) + Duration::from_secs(since_1970(at));
    params.not_before = moment(now.minus(BACKDATED));
    params.not_after = moment(now.plus(span));
}

fn since_1970(at: Timestamp) -> u64 {
    u64::try_from(at.seconds()).unwrap_or(0)
}

/// Writes beside the file and renames: at no time is there half a file, or a key that others can read.
fn write(file: &Path, pem: &str, end: Timestamp, mode: u32) -> Result<(), DevelopmentCertificateError> {
    let beside = file.with_extension("pem.new");
    let written = || {
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut new = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        new.write_all(format!("{MARK}{}\n{pem}", end.rfc3339()).as_bytes())?;
        new.sync_all()?;
        fs::rename(&beside, file)
    };
    written().map_err(|reason| DevelopmentCertificateError::File { file: file.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::clock;

    fn files_of(made: &DevelopmentCertificate) -> [String; 2] {
        [&made.files.certificate, &made.authority].map(|file| fs::read_to_string(file).expect("the file is there"))
    }

    #[test]
    fn made_once_used_again_renewed_before_its_end() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let certs = directory.path().join("certs");
        let now = clock::now();
        let first = development_certificate(&certs, now).expect("an empty directory");
        assert!(first.made);
        assert!(verifies(&first.authority, &first.files, now.plus(CERTIFICATE_VALID).minus(DAY)));
        assert!(!verifies(&first.authority, &first.files, now.plus(CERTIFICATE_VALID).plus(DAY)));
        let mode = |file: &Path| fs::metadata(file).expect("the file is there").permissions().mode() & 0o777;
        assert_eq!(mode(&first.files.key), 0o600);
        assert_eq!(mode(&certs.join("development-ca-key.pem")), 0o600);

        let again = development_certificate(&certs, now.plus(DAY)).expect("the same files");
        assert!(!again.made);
        assert_eq!(files_of(&again), files_of(&first));

        let [certificate, authority] = files_of(&first);
        let later = now.plus(CERTIFICATE_VALID).minus(RENEW_BEFORE).plus(DAY);
        let renewed = development_certificate(&certs, later).expect("renewal");
        assert!(renewed.made);
        assert_ne!(files_of(&renewed)[0], certificate);
        assert_eq!(files_of(&renewed)[1], authority, "the authority that was imported stays");
        assert!(verifies(&renewed.authority, &renewed.files, later.plus(RENEW_BEFORE)));

        let much_later = now.plus(AUTHORITY_VALID).minus(DAY);
        let replaced = development_certificate(&certs, much_later).expect("renewal of both");
        assert_ne!(files_of(&replaced)[1], authority);
        assert!(verifies(&replaced.authority, &replaced.files, much_later.plus(RENEW_BEFORE)));
    }

    #[test]
    fn lost_and_mixed_up_files_are_made_anew() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let now = clock::now();
        let made = development_certificate(directory.path(), now).expect("an empty directory");
        for lost in ["localhost.pem", "localhost-key.pem", "development-ca.pem", "development-ca-key.pem"] {
            fs::remove_file(directory.path().join(lost)).expect("the file is there");
            development_certificate(directory.path(), now).expect("made anew");
            // The lost authority's key is missed only when a certificate has to be made.
            assert!(verifies(&made.authority, &made.files, now), "without {lost}");
        }
        fs::copy(&made.files.key, directory.path().join("development-ca-key.pem")).expect("files can be copied");
        fs::remove_file(&made.files.certificate).expect("the file is there");
        development_certificate(directory.path(), now).expect("made anew");
        assert!(verifies(&made.authority, &made.files, now));
    }

    #[test]
    fn foreign_files_are_left_alone() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let foreign = directory.path().join("localhost-key.pem");
        fs::write(&foreign, "-----BEGIN PRIVATE KEY-----\n").expect("the directory can be written to");
        let error = development_certificate(directory.path(), clock::now()).expect_err("the file is foreign");
        assert!(matches!(error, DevelopmentCertificateError::Foreign { .. }));
        assert_eq!(fs::read_dir(directory.path()).expect("the directory is there").count(), 1);
    }

    #[test]
    fn the_authority_speaks_for_this_machine_only() {
        let authority = Issuer::new(authority_params(), KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key"));
        let directory = tempfile::tempdir().expect("a temporary directory");
        let now = clock::now();
        let made = development_certificate(directory.path(), now).expect("an empty directory");
        let stolen = existing_authority(&directory.path().join("development-ca-key.pem")).expect("the key");
        let check = |issuer: &Issuer<'_, KeyPair>, name: &str| {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
            let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
            valid_for(&mut params, now, DAY);
            let certificate = params.signed_by(&key, issuer).expect("a certificate");
            let mut roots = RootCertStore::empty();
            roots.add(CertificateDer::from_pem_file(&made.authority).expect("the authority")).expect("a root");
            let provider = Arc::new(aws_lc_rs::default_provider());
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().expect("a verifier");
            let at = UnixTime::since_unix_epoch(Duration::from_secs(since_1970(now)));
            verifier.verify_server_cert(certificate.der(), &[], &ServerName::try_from(name).expect("a name"), &[], at).is_ok()
        };
        assert!(check(&stolen, "localhost"));
        assert!(check(&stolen, "127.0.0.1"));
        assert!(!check(&stolen, "www.shop.example"));
        assert!(!check(&stolen, "192.0.2.1"));
        assert!(!check(&authority, "localhost"), "another key of the same name");
    }
}
