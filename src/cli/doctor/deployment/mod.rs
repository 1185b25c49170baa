//! A live deployment, looked at from outside as a visitor's browser meets it: its page, paths, certificate and clock; and, where the program itself can be asked on
//! its admin listener, whom it believes about a visitor's address. Every source of findings has a file; what goes out is made in `delivery/carrier/looking.rs`.

mod believed;
mod durable;
mod names;
mod page;
mod receivers;
mod running;
pub(super) mod transport;
mod vendors;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use clap::Args;
use http::{HeaderMap, HeaderValue, Method, Uri, header};

use super::{
    super::{CommandError, Place},
    Finding,
    Weight::{Doubtful, Note, Wrong},
};
use crate::{
    delivery::carrier::looking::{Looking, Seen},
    documents::{Documents, Site, names::stop_word_in},
};

/// Redirections that are followed to a page: to https, to `www`, to a language.
const REDIRECTIONS_MAX: usize = 5;
/// What a visitor's browser says that it takes.
const ACCEPTED: HeaderValue = HeaderValue::from_static("text/html,*/*;q=0.8");

#[derive(Debug, Args)]
pub(super) struct LookArguments {
    /// Also look at this deployment from outside: the address of a page that has the script.
    pub(super) url: Option<String>,
    /// The admin listener of the program that runs there. Default: the configuration's.
    #[arg(long, value_name = "ADDRESS", requires = "url")]
    admin: Option<SocketAddr>,
    /// Where the site's names lead to, whatever the name service says: a deployment can be looked at before its names are changed.
    #[arg(long, value_name = "ADDRESS", requires = "url")]
    connect: Option<SocketAddr>,
    /// The address of this machine to look from. Default: the system's choice.
    #[arg(long, value_name = "ADDRESS", requires = "url")]
    from: Option<IpAddr>,
    /// Trust the certificate authorities in this PEM file, too.
    #[arg(long, value_name = "FILE", requires = "url")]
    roots: Option<PathBuf>,
    /// The name server that is asked where names lead to. Default: this machine's, from /etc/resolv.conf.
    #[arg(long, value_name = "ADDRESS", requires = "url")]
    name_server: Option<SocketAddr>,
}

/// What is found at an address; `of_site`: what it is looked at as, where its host is several sites'.
pub(super) fn findings(
    url: &str,
    arguments: &LookArguments,
    place: &Place,
    documents: &Documents,
    of_site: Option<&str>,
) -> Result<Vec<Finding>, CommandError> {
    let uri = url.parse::<Uri>().ok().filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    let asked = uri.ok_or_else(|| format!("{url}: is no address of a page\n  fix: firsthand doctor https://www.shop.example/"))?;
    let config = place.config().ok().flatten();
    let hosts: Vec<String> = documents
        .sites
        .iter()
        .flat_map(|site| site.hosts.iter().chain(&site.page_hosts))
        .cloned()
        .chain(asked.host().map(str::to_owned))
        .collect();
    let instead = arguments.connect.map(|address| (&hosts[..], address));
    let deployment = Deployment {
        looking: Looking::new(arguments.roots.as_deref(), arguments.from, instead)?,
        nearby: Looking::new(None, None, None)?,
        arguments,
        documents,
        admin: arguments.admin.or(config.as_ref().map(|config| config.listen.admin)),
        header: config.and_then(|config| config.proxies.header),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(deployment.look(asked, of_site)))
}

struct Deployment<'a> {
    /// As a visitor does.
    looking: Looking,
    /// As the program does: its admin listener, its receivers.
    nearby: Looking,
    arguments: &'a LookArguments,
    documents: &'a Documents,
    /// The admin listener of the program that runs there.
    admin: Option<SocketAddr>,
    /// The header in which a proxy there says the one client address.
    header: Option<String>,
}

/// Why there is no page to look at.
enum Unmet {
    /// Nothing answers.
    Unreached,
    /// Something else answers.
    NoPage,
}

impl Deployment<'_> {
    async fn look(&self, asked: Uri, of_site: Option<&str>) -> Vec<Finding> {
        let mut findings = Vec::new();
        let seen = self.page(&asked, &mut findings).await;
        // Whoever cannot be reached for the page is not asked for the script.
        let reached = !matches!(seen, Err(Unmet::Unreached));
        let seen = seen.ok();
        let page = seen.as_ref().map_or(&asked, |(at, _)| at);
        let site = self.site(page, of_site).or_else(|| self.site(&asked, of_site));
        if site.is_none() {
            let what = format!("{page}: no site's document here has this host: only the page itself is looked at");
            let fix = "run it where the configuration is, on the machine itself; or add the host to `origins` of the site's document";
            findings.push(Finding::new(Note, what, fix));
        }
        let mut tag = None;
        if let Some((at, seen)) = &seen {
            transport::of_answer(at, seen, &mut findings);
            let html = String::from_utf8_lossy(&seen.body);
            let pieces = page::pieces(&html);
            vendors::findings(&pieces, at, site.map(Arc::as_ref), &mut findings);
            tag = site.and_then(|site| page::tag_of(&pieces, at, site));
        }
        if let Some(site) = site {
            if seen.is_some() && tag.is_none() {
                let what = format!("{page}: its HTML has no script tag of ours");
                let fix =
                    format!("<script src=\"{}/{}\" async></script>; or nothing, where another script loads it", site.prefix, site.script);
                findings.push(Finding::new(Doubtful, what, fix));
            }
            let script = tag.clone().unwrap_or_else(|| at_site(page, site, &format!("/{}", site.script)));
            of_name(&script, site, &mut findings);
            durable::findings(page, &script, self.arguments, &mut findings);
            if (reached || script.authority() != page.authority()) && self.script(&script, &mut findings).await {
                // The script is there, so the program is behind it, whatever is in front.
                let base = script.to_string();
                let base = base.rsplit_once('/').map_or("", |(base, _)| base);
                believed::findings(self, base, &script, &mut findings).await;
                self.gpc(&script, &mut findings).await;
            }
            receivers::findings(self, site, &mut findings).await;
        }
        running::findings(self, &mut findings).await;
        findings
    }

    /// The page, behind its redirections.
    async fn page(&self, asked: &Uri, findings: &mut Vec<Finding>) -> Result<(Uri, Seen), Unmet> {
        let mut at = asked.clone();
        for _ in 0..=REDIRECTIONS_MAX {
            let seen = match self.looking.ask(Method::GET, &at.to_string(), HeaderMap::from_iter([(header::ACCEPT, ACCEPTED)])).await {
                Ok(seen) => seen,
                Err(unseen) => {
                    findings.push(transport::of_failure(&at, unseen));
                    return Err(Unmet::Unreached);
                }
            };
            let location = seen.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
            match location.filter(|_| (300..400).contains(&seen.status)).map(|location| page::resolve(&at, location)) {
                Some(Some(next)) => at = next,
                _ if seen.status == 200 => return Ok((at, seen)),
                _ => {
                    let what = format!("{at}: the page is answered {}", seen.status);
                    findings.push(Finding::new(Wrong, what, "name a page that visitors see"));
                    return Err(Unmet::NoPage);
                }
            }
        }
        let what = format!("{asked}: redirects more than {REDIRECTIONS_MAX} times");
        findings.push(Finding::new(Wrong, what, "name the page that visitors end at"));
        Err(Unmet::NoPage)
    }

    /// Whose page it is.
    fn site(&self, page: &Uri, of_site: Option<&str>) -> Option<&Arc<Site>> {
        let host = page.host()?.to_ascii_lowercase();
        let mut sites = self.documents.sites.iter().filter(|site| of_site.is_none_or(|name| site.name == name));
        sites.find(|site| site.page_hosts.contains(&host) || site.hosts.contains(&host))
    }

    /// Whether the script is served; what is found where it is not.
    async fn script(&self, script: &Uri, findings: &mut Vec<Finding>) -> bool {
        let what = match self.looking.ask(Method::GET, &script.to_string(), HeaderMap::new()).await {
            Err(unseen) => {
                findings.push(transport::of_failure(script, unseen));
                return false;
            }
            Ok(seen) => {
                let kind = seen.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("no type");
                if seen.status == 200 && kind.contains("javascript") {
                    findings.push(Finding::right(format!("{script}: the script is served, {} bytes", seen.body.len())));
                    return true;
                }
                format!("{script}: is answered {} ({kind}), not with the script: the prefix does not lead to the program", seen.status)
            }
        };
        let fix = "`firsthand init ORIGIN --proxy nginx` (caddy, apache, haproxy, cloudflare) prints what the web server in front is told";
        findings.push(Finding::new(Wrong, what, fix));
        false
    }

    /// Whether browsers that ask are told that Global Privacy Control is honoured.
    async fn gpc(&self, script: &Uri, findings: &mut Vec<Finding>) {
        let Some(address) = page::resolve(script, "/.well-known/gpc.json") else { return };
        let seen = self.looking.ask(Method::GET, &address.to_string(), HeaderMap::new()).await;
        if !seen.is_ok_and(|seen| seen.status == 200) {
            let what = format!("{address}: is not answered: browsers are not told that Global Privacy Control is honoured (it is)");
            findings.push(Finding::new(Note, what, "route that path to the program, too, as `firsthand init --proxy` prints it"));
        }
    }
}

/// Where a path below the site's prefix is, seen from a page.
fn at_site(page: &Uri, site: &Site, below: &str) -> Uri {
    let own = page.host().is_some_and(|host| site.hosts.iter().any(|known| known.eq_ignore_ascii_case(host)));
    let path = format!("{}{below}", site.prefix);
    let other = site.hosts.first().filter(|_| !own).map(|host| format!("https://{host}{path}"));
    other.and_then(|address| address.parse().ok()).or_else(|| page::resolve(page, &path)).unwrap_or_else(|| page.clone())
}

/// Whether the address that the page loads the script from has something that lists look for, beside what the documents are checked for.
fn of_name(script: &Uri, site: &Site, findings: &mut Vec<Finding>) {
    let path = script.path().rsplit_once('/').map_or("", |(path, _)| path);
    if path != site.prefix
        && let Some(word) = stop_word_in(&path.to_ascii_lowercase())
    {
        let what = format!("{script}: filter lists look for \"{word}\" in paths");
        findings.push(Finding::new(Doubtful, what, format!("load it from {}/{}, as it is served", site.prefix, site.script)));
    }
}
