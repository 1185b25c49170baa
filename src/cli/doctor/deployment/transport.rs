//! How a page and its paths travel: whether they are reached at all, TLS and its certificate, and the clock of whoever answers.

use http::{HeaderMap, Uri, header};
use jiff::fmt::rfc2822::DateTimeParser;

use super::super::{
    Finding,
    Weight::{Doubtful, Wrong},
};
use crate::{
    clock::Timestamp,
    delivery::carrier::looking::{Seen, Unseen, Untrusted},
    destination::Failure,
    server::certificate_dates::Validity,
};

/// Clocks that are set by the network differ by less than this, in milliseconds; the header says whole seconds, and proxies may keep one for another.
const CLOCKS_ALIKE: i64 = 30_000;
/// What Standard Webhooks allows between a signature and its reader, and what a sender's clock may be ahead here, in milliseconds.
const CLOCKS_APART: i64 = 5 * 60 * 1000;

/// What is found of an answer's way.
pub(super) fn of_answer(at: &Uri, seen: &Seen, findings: &mut Vec<Finding>) {
    let host = at.host().unwrap_or_default();
    match (seen.tls, seen.certificate.as_deref().and_then(Validity::of)) {
        (Some(version), Some(validity)) => findings.push(of_certificate(host, (version, seen.http), validity, seen.answered)),
        (Some(version), None) => {
            findings.push(Finding::right(format!("{host}: {version}, HTTP/{}, a certificate that is trusted", seen.http)));
        }
        (None, _) if is_of_this_machine(host) => {}
        (None, _) => {
            let what = format!("{at}: is not encrypted: anybody on the way reads it, and no browser keeps our cookies there");
            let encrypted = at.to_string().replacen("http://", "https://", 1);
            findings.push(Finding::new(Doubtful, what, format!("serve it at {encrypted}, and redirect there")));
        }
    }
    let middle = Timestamp(i64::midpoint(seen.asked.0, seen.answered.0));
    if let Some(there) = time_of(&seen.headers) {
        findings.push(of_clock(host, there, middle));
    }
}

fn of_certificate(host: &str, (tls, http): (&str, u8), validity: Validity, now: Timestamp) -> Finding {
    let days = match validity.days_left(now) {
        0 => String::from("today"),
        1 => String::from("in one day"),
        days => format!("in {days} days"),
    };
    if validity.ends_soon(now) {
        let what = format!("{host}: its certificate ends {days}: no browser sends anything there after that");
        return Finding::new(Doubtful, what, "see why it is not renewed by itself (certbot, acme.sh, the web server), and let it be");
    }
    Finding::right(format!("{host}: {tls}, HTTP/{http}, a certificate that is trusted and ends {days}"))
}

/// Why nothing came back.
pub(super) fn of_failure(at: &Uri, unseen: Unseen) -> Finding {
    let (why, fix) = said(unseen);
    Finding::new(Wrong, format!("{at}: {why}"), fix)
}

/// Why nothing came back from somewhere, and what to do.
pub(super) const fn said(unseen: Unseen) -> (&'static str, &'static str) {
    match unseen {
        Unseen::NoAddress => ("this machine finds no address for its host", "mend the name, or this machine's name service"),
        Unseen::Failed(Failure::Timeout) => {
            ("no answer came in ten seconds", "see whether a firewall drops what comes for it, and what is slow there")
        }
        Unseen::Failed(Failure::Garbage) => ("what it answers is no HTTP", "see what listens there"),
        Unseen::Failed(Failure::Tls) => ("no TLS could be agreed on", "let it speak TLS 1.2 or 1.3, with a certificate"),
        Unseen::Failed(Failure::Connect | Failure::Disk) => {
            ("nothing takes the connection, or it was cut", "start what is to listen there, and let the firewall pass it")
        }
        Unseen::Untrusted(Untrusted::Ended) => ("its certificate has ended", "renew it, and see why that did not happen by itself"),
        Unseen::Untrusted(Untrusted::NotYet) => {
            ("its certificate is not valid yet", "set the clocks right, this machine's first; else the certificate is too new")
        }
        Unseen::Untrusted(Untrusted::OtherName) => ("its certificate is another name's", "serve one that has this host in it"),
        Unseen::Untrusted(Untrusted::Authority) => (
            "its certificate leads to no authority that is trusted",
            "serve the whole chain (fullchain.pem), from an authority that browsers know; `--roots FILE` trusts your own",
        ),
        Unseen::Untrusted(Untrusted::Other) => ("its certificate cannot be trusted", "let an authority that browsers know issue a new one"),
    }
}

/// When an answer was made, by the clock of whoever made it.
fn time_of(headers: &HeaderMap) -> Option<Timestamp> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let date = DateTimeParser::new().parse_timestamp(text(header::DATE)?).ok()?;
    // What a cache kept is so many seconds older.
    let age: i64 = text(header::AGE).and_then(|age| age.trim().parse().ok()).unwrap_or(0);
    Some(Timestamp(date.as_millisecond().saturating_add(age.saturating_mul(1000))))
}

/// A clock against this machine's.
pub(super) fn of_clock(whose: &str, there: Timestamp, here: Timestamp) -> Finding {
    let ahead = there.0.saturating_sub(here.0);
    let weight = match ahead.unsigned_abs() {
        apart if apart > CLOCKS_APART.unsigned_abs() => Wrong,
        apart if apart > CLOCKS_ALIKE.unsigned_abs() => Doubtful,
        _ => return Finding::right(format!("{whose}: its clock and this machine's agree")),
    };
    let (seconds, side) = (ahead.unsigned_abs() / 1000, if ahead > 0 { "ahead of" } else { "behind" });
    let what = format!("{whose}: its clock is {seconds} seconds {side} this machine's: days, consents and signatures go by it");
    Finding::new(weight, what, "let both follow a time server (chrony, systemd-timesyncd)")
}

/// Whether a host is this machine itself.
pub(in crate::cli::doctor) fn is_of_this_machine(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_kept_answer_is_no_slow_clock() {
        let mut headers = HeaderMap::from_iter([(header::DATE, HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT"))]);
        assert_eq!(time_of(&headers), Some(Timestamp(784_111_777_000)));
        headers.insert(header::AGE, HeaderValue::from_static("3600"));
        assert_eq!(time_of(&headers), Some(Timestamp(784_115_377_000)));
        headers.insert(header::DATE, HeaderValue::from_static("yesterday"));
        assert_eq!(time_of(&headers), None);
    }

    #[test]
    fn clocks_that_differ_are_found_by_how_much() {
        let found = |ahead: i64| {
            let found = of_clock("it", Timestamp(1_000_000 + ahead), Timestamp(1_000_000));
            (found.weight, found.what.split(':').nth(1).unwrap_or_default().to_owned())
        };
        assert_eq!(found(-29_000).1, " its clock and this machine's agree");
        assert_eq!(found(31_000), (Doubtful, String::from(" its clock is 31 seconds ahead of this machine's")));
        assert_eq!(found(-301_000), (Wrong, String::from(" its clock is 301 seconds behind this machine's")));
    }
}
