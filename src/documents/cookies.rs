//! What a site's document says of cookies, checked: a browser would silently refuse a cookie for a wrong domain.

use super::{
    compile::{DocumentError, fault},
    parse::SiteDocument,
};
use crate::protocol::cookies::{is_public_suffix, is_registrable};

/// Checks the keys about cookies.
pub(super) fn check(document: &SiteDocument, errors: &mut Vec<DocumentError>) {
    let of = ("site", document.name.as_str());
    if !document.vendor_cookies.is_empty() && !document.cookie_domain.as_deref().is_some_and(is_registrable) {
        let reason = "vendors' scripts set their cookies for the domain that was registered; one for another would be a second one";
        fault(errors, of, "vendor_cookies", reason, "cookie_domain = \"shop.example\", the domain that was registered");
    }
    let Some(domain) = document.cookie_domain.as_deref() else { return };
    let mut wrong = |reason: String, fix: &str| fault(errors, of, "cookie_domain", reason, fix);
    if let Err(reason) = is_domain(domain) {
        return wrong(
            format!("\"{domain}\" {reason}"),
            "cookie_domain = \"shop.example\", or leave it out: then cookies are for the host alone",
        );
    }
    for host in document.hosts.iter().filter(|host| !is_within(host, domain)) {
        wrong(format!("the site is reached at {host}, which is not below {domain}"), "a domain above every host, or no cookie_domain");
    }
    for origin in &document.origins {
        match origin.strip_prefix("https://").map(|host| host.split(':').next().unwrap_or_default()) {
            None => wrong(format!("the origin {origin} is not https, and such a cookie goes over https alone"), "https:// in `origins`"),
            Some(host) if !is_within(host, domain) => {
                wrong(format!("the origin {origin} is not below {domain}"), "a domain above every origin, or no cookie_domain");
            }
            Some(_) => {}
        }
    }
}

fn is_domain(domain: &str) -> Result<(), &'static str> {
    let label = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        plain && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    let last = domain.rsplit('.').next().unwrap_or_default();
    if domain.len() > 253 || !domain.split('.').all(label) || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("is no domain in small letters, without a dot in front");
    }
    if is_public_suffix(domain) {
        return Err("belongs to more owners than one (https://publicsuffix.org)");
    }
    Ok(())
}

fn is_within(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|below| below.is_empty() || below.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(domain: &str, hosts: &[&str], origins: &[&str]) -> Vec<String> {
        let text = format!(
            "name = \"shop\"\nhosts = {hosts:?}\norigins = {origins:?}\nprefix = \"/kesolu\"\npolicy = \"shop\"\ncookie_domain = \"{domain}\"\n"
        );
        let mut errors = Vec::new();
        check(&toml::from_str(&text).unwrap(), &mut errors);
        errors.into_iter().map(|error| error.reason).collect()
    }

    #[test]
    fn vendors_cookies_need_the_registered_domain() {
        let faults = |cookie_domain: &str| {
            let text = format!(
                "name = \"shop\"\nhosts = [\"a.b.shop.co.uk\"]\norigins = []\nprefix = \"/kesolu\"\npolicy = \"shop\"\nvendor_cookies = [\"_ga\"]\n{cookie_domain}"
            );
            let mut errors = Vec::new();
            check(&toml::from_str(&text).unwrap(), &mut errors);
            errors.into_iter().map(|error| error.key).collect::<Vec<_>>()
        };
        assert_eq!(faults("cookie_domain = \"shop.co.uk\""), [""; 0]);
        for wrong in ["", "cookie_domain = \"b.shop.co.uk\""] {
            assert_eq!(faults(wrong), ["vendor_cookies"], "{wrong}");
        }
    }

    #[test]
    fn a_cookies_domain_is_above_every_host_and_origin_and_someones_own() {
        let (host, origin) = ("t.shop.co.uk", "https://www.shop.co.uk");
        assert_eq!(faults("shop.co.uk", &[host], &[origin, "https://shop.co.uk:8443"]), [""; 0]);
        for (domain, hosts, origins, said) in [
            ("co.uk", &[host][..], &[origin][..], "more owners than one"),
            ("uk", &[host], &[origin], "more owners than one"),
            ("github.io", &["shop.github.io"], &[], "more owners than one"),
            ("", &[host], &[origin], "no domain"),
            (".shop.co.uk", &[host], &[origin], "no domain"),
            ("Shop.co.uk", &[host], &[origin], "no domain"),
            ("shop.co.uk; x", &[host], &[origin], "no domain"),
            ("0.0.1", &["127.0.0.1"], &[], "no domain"),
            ("t.shop.co.uk", &[host], &[origin], "the origin https://www.shop.co.uk is not below"),
            ("shop.co.uk", &[host, "127.0.0.1"], &[origin], "reached at 127.0.0.1"),
            ("shop.co.uk", &["otershop.co.uk"], &[], "reached at otershop.co.uk"),
            ("shop.co.uk", &[host], &["http://www.shop.co.uk"], "is not https"),
        ] {
            let faults = faults(domain, hosts, origins);
            assert!(faults.len() == 1 && faults[0].contains(said), "{domain}: {faults:?}");
        }
    }
}
