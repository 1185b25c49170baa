//! The mail carrier: hands texts over to the owner's SMTP server, one connection each. A server on another machine is spoken to over TLS alone.

use std::time::Duration;

use http::Uri;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{
        Mailbox, Mailboxes,
        header::{self, ContentType, Header, HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};

use crate::{
    config::{AlertMail, MailServer, secret},
    destination::{
        SettingsError,
        settings::{error, is_loopback},
    },
};

/// For one step of the conversation.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);
/// For one attempt with all that belongs to it, as for a call over HTTP.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);
/// TLS from the first byte (RFC 8314).
const SMTPS_PORT: u16 = 465;
/// TLS after a word in the clear.
const SUBMISSION_PORT: u16 = 587;
/// On this very machine.
const SMTP_PORT: u16 = 25;

/// Sends mails from one address to the same people.
pub struct MailCarrier {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    /// To whom, where that is always the same.
    to: Mailboxes,
}

/// A mail of plain text.
pub struct Mail {
    /// What it is about.
    pub subject: String,
    /// What it says.
    pub text: String,
    /// The same for every attempt, and no other mail's: letters, digits and hyphens.
    pub id: String,
}

/// Says that a program wrote it, so that no program answers (RFC 3834).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), String::from("auto-generated"))
    }
}

impl MailCarrier {
    /// With these settings; nothing is sent yet. Reads a file: blocks.
    ///
    /// # Errors
    /// When an address, the server or the password cannot be used.
    pub fn new(mail: &AlertMail) -> Result<Self, SettingsError> {
        let AlertMail { to, from, server, user, password } = mail.clone();
        let to: Mailboxes = to.parse().map_err(|_| no_address("mail.to"))?;
        if to.iter().next().is_none() {
            return Err(no_address("mail.to"));
        }
        Ok(Self { to, ..Self::by(&MailServer { from, server, user, password })? })
    }

    /// To somebody else each time.
    ///
    /// # Errors
    /// As above.
    pub fn by(mail: &MailServer) -> Result<Self, SettingsError> {
        let from: Mailbox = mail.from.parse().map_err(|_| no_address("mail.from"))?;
        let (host, port, tls) = server(&mail.server)?;
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host).port(port).tls(tls).timeout(Some(STEP_TIMEOUT));
        if let Some(reference) = &mail.password {
            let password = secret::resolve(reference).map_err(|wrong| error("mail.password", &wrong.to_string(), None))?;
            let password = String::from_utf8(password.bytes().to_vec())
                .map_err(|_| error("mail.password", "leads to something that is no text", None))?;
            let user = mail.user.clone().unwrap_or_else(|| from.email.to_string());
            transport = transport.credentials(Credentials::new(user, password));
        }
        Ok(Self { transport: transport.build(), from, to: Mailboxes::new() })
    }

    /// Makes one attempt to hand over a mail to one address. Returns whether the server has taken it.
    pub async fn send_to(&self, address: &str, subject: &str, text: &str) -> bool {
        let Ok(to) = address.parse::<Mailbox>() else { return false };
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(subject)
            .message_id(None)
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN)
            .body(text.to_owned());
        let Ok(message) = message else { return false };
        matches!(tokio::time::timeout(TOTAL_TIMEOUT, self.transport.send(message)).await, Ok(Ok(_)))
    }

    /// Makes one attempt. Returns whether the server has taken the mail; the library's words on why not could quote an address.
    pub async fn send(&self, Mail { subject, text, id }: &Mail) -> bool {
        let message = Message::builder()
            .from(self.from.clone())
            .mailbox(header::To::from(self.to.clone()))
            .subject(subject)
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN)
            .body(text.clone());
        let Ok(message) = message else { return false };
        matches!(tokio::time::timeout(TOTAL_TIMEOUT, self.transport.send(message)).await, Ok(Ok(_)))
    }
}

fn no_address(key: &str) -> SettingsError {
    error(key, "is no mail address", Some(String::from("write it as name@example.org")))
}

/// Host, port and how a server is spoken to.
fn server(url: &str) -> Result<(String, u16, Tls), SettingsError> {
    let wrong = |reason: &str| error("mail.server", reason, Some(String::from("write it as smtps://host or smtp://host, and :port")));
    let uri: Uri = url.parse().map_err(|_| wrong("is no URL"))?;
    let authority = uri.authority().ok_or_else(|| wrong("names no host"))?;
    if authority.as_str().contains('@') || uri.query().is_some() || !matches!(uri.path(), "" | "/") {
        return Err(wrong("holds more than host and port"));
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    let tls =
        || TlsParameters::new(host.clone()).map_err(|_| wrong("is no host that a certificate could name, or this machine trusts nobody"));
    let (port, tls) = match uri.scheme_str() {
        Some("smtps") => (SMTPS_PORT, Tls::Wrapper(tls()?)),
        // On this very machine, and nowhere else, in the clear.
        Some("smtp") if is_loopback(&host) => (SMTP_PORT, Tls::None),
        Some("smtp") => (SUBMISSION_PORT, Tls::Required(tls()?)),
        _ => return Err(wrong("is no address of an SMTP server")),
    };
    Ok((host, authority.port_u16().unwrap_or(port), tls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_another_machine_is_spoken_to_over_tls_alone() {
        for (url, expected) in [
            ("smtps://mail.example.org", Ok(("mail.example.org", 465, "wrapped"))),
            ("smtp://mail.example.org", Ok(("mail.example.org", 587, "required"))),
            ("smtp://mail.example.org:25", Ok(("mail.example.org", 25, "required"))),
            ("smtp://127.0.0.1:2525", Ok(("127.0.0.1", 2525, "plain"))),
            ("smtp://localhost", Ok(("localhost", 25, "plain"))),
            ("smtps://localhost", Ok(("localhost", 465, "wrapped"))),
            ("smtp://jane:secret@mail.example.org", Err("holds more than host and port")),
            ("smtp://mail.example.org/x", Err("holds more than host and port")),
            ("https://mail.example.org", Err("is no address of an SMTP server")),
            ("mail.example.org", Err("is no address of an SMTP server")),
        ] {
            let found = server(url);
            let found = found.as_ref().map(|(host, port, tls)| {
                let tls = match tls {
                    Tls::Wrapper(_) => "wrapped",
                    Tls::Required(_) => "required",
                    Tls::None => "plain",
                    Tls::Opportunistic(_) => "opportunistic",
                };
                (host.as_str(), *port, tls)
            });
            assert_eq!(found.map_err(|error| error.reason.as_str()), expected, "{url}");
        }
    }

    #[test]
    fn addresses_are_checked_and_not_repeated() {
        let mail = |to: &str, from: &str| AlertMail {
            to: to.to_owned(),
            from: from.to_owned(),
            server: String::from("smtp://localhost"),
            user: None,
            password: None,
        };
        let key = |to, from| MailCarrier::new(&mail(to, from)).err().map(|error| (error.key.clone(), error.to_string()));
        assert_eq!(key("Jane <jane@example.org>, joe@example.org", "firsthand@example.org"), None);
        for (to, from, expected) in
            [("jane", "f@example.org", "mail.to"), ("", "f@example.org", "mail.to"), ("jane@example.org", "f\r\nBcc: x@y", "mail.from")]
        {
            let (key, said) = key(to, from).unwrap();
            assert!(key == expected && !said.contains("Bcc"), "{said}");
        }
    }
}
