//! Webhooks that are signed with a key of our own: OpenSSL, which knows nothing of this program, checks what the program sent with the public key that it printed.

use std::{fs, path::Path, process::Command, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use crate::{
    http_client::Request,
    installation::{Installation, SITE, destination, eventually},
    left_out::left_out,
    receiver::{Behaviour, Receiver},
};

const PATIENCE: Duration = Duration::from_secs(60);
/// What stands before the 32 bytes of an Ed25519 public key in DER (RFC 8410).
const PUBLIC_DER: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key as its owner makes one.
fn made() -> Option<String> {
    let made = Command::new("openssl").args(["genpkey", "-algorithm", "ed25519", "-outform", "DER"]).output().ok()?;
    made.status.success().then(|| format!("whsk_{}", BASE64.encode(&made.stdout[made.stdout.len() - 32..])))
}

/// The keys that `doctor` prints, in its order.
fn printed(installation: &Installation) -> Vec<String> {
    let said = String::from_utf8(installation.run(&["doctor"]).stdout).unwrap();
    said.split(|sign: char| sign.is_whitespace()).filter(|word| word.starts_with("whpk_")).map(str::to_owned).collect()
}

/// The value of a header of a call, and what stands behind the head.
fn header(call: &[u8], name: &str) -> String {
    let text = String::from_utf8_lossy(call);
    let line = text.lines().find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:"))).unwrap_or_else(|| panic!("{text}"));
    line.split_once(':').unwrap().1.trim().to_owned()
}

fn body(call: &[u8]) -> &[u8] {
    &call[call.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4..]
}

/// Whether OpenSSL finds a signature of this public key, over what the specification says is signed.
fn is_signed(directory: &Path, call: &[u8], changed: bool, public: &str, signature: &str) -> bool {
    let file = |name: &str, bytes: &[u8]| {
        fs::write(directory.join(name), bytes).unwrap();
        directory.join(name)
    };
    let public = BASE64.decode(public.strip_prefix("whpk_").unwrap()).unwrap();
    let public = file("public.der", &[&PUBLIC_DER[..], &public].concat());
    let head = format!("{}.{}.", header(call, "webhook-id"), header(call, "webhook-timestamp"));
    let mut signed = [head.as_bytes(), body(call)].concat();
    if changed {
        *signed.last_mut().unwrap() ^= 1;
    }
    let (signed, signature) =
        (file("signed", &signed), file("signature", &BASE64.decode(signature.strip_prefix("v1a,").unwrap()).unwrap()));
    let mut verify = Command::new("openssl");
    verify.args(["pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey"]).arg(public).arg("-rawin");
    verify.arg("-in").arg(signed).arg("-sigfile").arg(signature).output().unwrap().status.success()
}

#[test]
fn openssl_verifies_what_is_signed_with_an_own_key_also_while_keys_change() {
    let (Some(old), Some(new)) = (made(), made()) else {
        return left_out("webhooks signed with an own key", "openssl is not installed here");
    };
    let crm = Receiver::start(Behaviour::Accept);
    let installation = Installation::without_documents();
    let url = crm.settings().split('"').nth(1).unwrap().to_owned();
    let reference = |name: &str, key: &str| format!("\"file:{}\"", installation.write(name, key).display());
    let (old, new, shared) = (reference("old", &old), reference("new", &new), reference("shared", crate::receiver::SECRET));
    let apply = |keys: &str| {
        let settings = format!("settings = {{ url = \"{url}\", {keys} }}");
        installation.apply(&[SITE, &destination("crm", "webhook", "exempt_measurement", "measurement", &settings)].concat());
    };
    let directory = tempfile::tempdir().unwrap();
    let server_sends = |expected: &[&str]| -> Vec<(Vec<u8>, Vec<String>)> {
        let before = crm.calls(<[_]>::len);
        let server = installation.start();
        let beacon = Request::beacon(r#"{"e":[{"k":"page_view"}]}"#).with("X-Forwarded-For", "192.0.2.1");
        assert_eq!(server.send(&beacon).status, 204);
        eventually("a message", PATIENCE, || crm.calls(<[_]>::len) > before);
        assert!(server.stop().success());
        crm.calls(|calls| {
            calls[before..]
                .iter()
                .map(|call| {
                    let signatures: Vec<String> = header(&call.bytes, "webhook-signature").split(' ').map(str::to_owned).collect();
                    let kinds: Vec<&str> = signatures.iter().map(|signature| signature.split(',').next().unwrap()).collect();
                    assert_eq!(kinds, expected);
                    (call.bytes.clone(), signatures)
                })
                .collect()
        })
    };

    apply(&format!("signature = \"ed25519\", secret = {old}"));
    let keys = printed(&installation);
    assert_eq!(keys.len(), 1);
    for (call, signatures) in server_sends(&["v1a"]) {
        assert!(is_signed(directory.path(), &call, false, &keys[0], &signatures[0]));
        assert!(!is_signed(directory.path(), &call, true, &keys[0], &signatures[0]), "of a message that somebody changed");
    }

    apply(&format!("signature = \"ed25519\", secret = {new}, secret_previous = {old}"));
    let both = printed(&installation);
    assert_eq!((both.len(), &both[1]), (2, &keys[0]));
    for (call, signatures) in server_sends(&["v1a", "v1a"]) {
        assert!(is_signed(directory.path(), &call, false, &both[0], &signatures[0]));
        assert!(is_signed(directory.path(), &call, false, &both[1], &signatures[1]), "who has the old key still can");
        assert!(!is_signed(directory.path(), &call, false, &both[1], &signatures[0]));
    }

    // From a key that both know to one of our own.
    apply(&format!("signature = \"ed25519\", secret = {new}, secret_previous = {shared}"));
    for (call, signatures) in server_sends(&["v1a", "v1"]) {
        assert!(is_signed(directory.path(), &call, false, &both[0], &signatures[0]));
    }
}
