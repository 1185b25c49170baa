//! A certificate of a test's own, for servers on 127.0.0.1, as OpenSSL makes one.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Certificate and key in that directory; `None` where OpenSSL is not installed. Who trusts the certificate itself trusts it.
pub(crate) fn made(directory: &Path) -> Option<[PathBuf; 2]> {
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| directory.join(name));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output();
    made.is_ok_and(|made| made.status.success()).then_some([certificate, key])
}
