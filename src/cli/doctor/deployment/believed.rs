//! Whom the program believes about a visitor's address. It is not guessed: a word that its admin listener gave is brought through the public address, once as it is
//! and once with a pretence, and the admin listener then says as what it came in, without an address (`server/looks.rs`).

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use http::{HeaderMap, Method, Uri};

use super::{
    super::{
        Finding,
        Weight::{Doubtful, Note, Wrong},
        machine::addresses_of,
    },
    Deployment,
};
use crate::server::client_address::{Range, Source, Whence, pretence};

/// Our own addresses that are told: one for each of the host's.
const OWN_MAX: usize = 8;

pub(super) async fn findings(deployment: &Deployment<'_>, base: &str, script: &Uri, findings: &mut Vec<Finding>) {
    let unasked = |what: String| {
        let fix = "run it on the machine where the program runs, with its configuration; or name its admin listener: --admin 127.0.0.1:8081, through a tunnel";
        Finding::new(Note, format!("{what}: which address is believed to be a visitor's is not known"), fix)
    };
    let Some(admin) = deployment.admin else {
        findings.push(unasked(String::from("there is no configuration here that says where the admin listener is")));
        return;
    };
    let own = own_addresses(deployment, script);
    let Some(seen) = look(deployment, (admin, &own), base, HeaderMap::new()).await else {
        findings.push(unasked(format!("the admin listener at {admin} does not answer")));
        return;
    };
    let Some(seen) = seen else {
        let what = format!(
            "{base}/: what is asked for there does not reach the program whose admin listener is at {admin}: another one answers, or something keeps its answers"
        );
        findings.push(Finding::new(
            Wrong,
            what,
            "route the whole prefix to this program, and let nothing but the script be kept (its Cache-Control says so)",
        ));
        return;
    };
    let ours_is_public = own.iter().any(|address| Range::of(*address) == Range::Public);
    findings.extend(judge(&seen, ours_is_public, script.scheme_str() == Some("https")));
    if seen.own && seen.trusted {
        let what = "our own address is a trusted proxy's: whether a visitor's pretence is believed cannot be told from here";
        findings.push(Finding::new(
            Note,
            what,
            "look from another machine; or trust the proxies' own addresses alone, not a whole network",
        ));
        return;
    }
    let pretended = [None].into_iter().chain(deployment.header.as_deref().map(Some));
    let mut believed = false;
    for header in pretended {
        // One that does not come in was refused on its way.
        if let Some(Some(seen)) = look(deployment, (admin, &own), base, pretence(header)).await {
            believed |= seen.range == Range::Example;
        }
    }
    findings.push(if believed {
        let what = "a visitor who writes another address into the header that proxies use is believed: anybody can be anybody".to_owned();
        let fix = "let the web server in front write that header itself, over whatever came (`firsthand init --proxy` prints how); and trust the networks of your own proxies alone";
        Finding::new(Wrong, what, fix)
    } else {
        Finding::right("an address that a visitor makes up is not believed")
    });
}

/// Brings a word. `None`: the admin listener does not answer; inside, `None`: the word did not come in.
async fn look(
    deployment: &Deployment<'_>,
    (admin, own): (SocketAddr, &BTreeSet<IpAddr>),
    base: &str,
    headers: HeaderMap,
) -> Option<Option<Whence>> {
    let own: Vec<_> = own.iter().map(ToString::to_string).collect();
    let opened = deployment.nearby.ask(Method::POST, &format!("http://{admin}/look?own={}", own.join(",")), HeaderMap::new()).await.ok()?;
    let word = std::str::from_utf8(&opened.body).ok().filter(|_| opened.status == 200)?;
    // Whether it came in, and not what was answered, is what counts.
    let _ = deployment.looking.ask(Method::GET, &format!("{base}/look/{word}"), headers).await;
    let told = deployment.nearby.ask(Method::GET, &format!("http://{admin}/look/{word}"), HeaderMap::new()).await.ok()?;
    serde_json::from_slice(&told.body).ok()
}

/// The addresses from which this machine reaches the host. Nothing is sent.
fn own_addresses(deployment: &Deployment<'_>, script: &Uri) -> BTreeSet<IpAddr> {
    if let Some(from) = deployment.arguments.from {
        return BTreeSet::from([from]);
    }
    let host = script.host().unwrap_or_default();
    let there = match deployment.arguments.connect {
        Some(address) => vec![address.ip()],
        None => addresses_of(host, 443),
    };
    let from = |there: &IpAddr| {
        let here: IpAddr = if there.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((here, 0)).ok()?;
        socket.connect((*there, 443)).ok()?;
        Some(socket.local_addr().ok()?.ip())
    };
    there.iter().take(OWN_MAX).filter_map(from).collect()
}

/// What to make of it. Our own request had no such header, so whatever is in one was written on the way.
fn judge(seen: &Whence, ours_is_public: bool, over_https: bool) -> Vec<Finding> {
    let mut findings = vec![who(seen, ours_is_public)];
    if over_https && !seen.secure && (seen.peer_trusted || seen.source != Source::Peer) {
        let what = "the web server in front does not say that it was reached by https".to_owned();
        findings.push(Finding::new(
            Note,
            what,
            "let it set X-Forwarded-Proto, as `firsthand init --proxy` prints it; cookies are `Secure` all the same",
        ));
    }
    findings
}

fn who(seen: &Whence, ours_is_public: bool) -> Finding {
    let by = match seen.source {
        Source::Peer => String::from("the other end of the connection"),
        Source::Header => String::from("the header of one address"),
        Source::Hop(number) => format!("entry {number} from the right of X-Forwarded-For"),
    };
    let (whose, trust) = match seen.range {
        Range::Loopback => ("on this very machine", "[proxies] trusted = [\"127.0.0.0/8\", \"::1/128\"]"),
        Range::Private => ("in its own network", "[proxies] trusted = [\"10.0.0.0/8\"], or whichever network that proxy is in"),
        Range::Example | Range::Public => {
            ("on the internet", "put the networks of that proxy into [proxies] trusted; a CDN publishes its own")
        }
    };
    let all_one = "every visitor is taken for it: one token, one allowance, one country";
    match seen.source {
        // Also where that proxy is on this machine, and its address one of ours.
        Source::Peer if !seen.peer_trusted && seen.hops > 0 => {
            let what = format!("a proxy {whose} stands in front, names visitors, and is not trusted: {all_one}");
            Finding::new(Wrong, what, trust)
        }
        _ if seen.own => Finding::right(format!("a visitor's address is taken from {by}, and ours came in as it is")),
        Source::Peer if seen.peer_trusted => {
            let said = if seen.hops > 0 { "says something that is no address" } else { "does not say for whom it asks" };
            let fix = "`firsthand init ORIGIN --proxy nginx` (caddy, apache, haproxy, cloudflare) prints what to add to it";
            Finding::new(Wrong, format!("the proxy in front is trusted, and {said}: {all_one}"), fix)
        }
        Source::Hop(number) if number < seen.hops => {
            let what = format!(
                "a second proxy, {whose}, stands further in front and is not trusted (entry {number} of {} from the right): {all_one}",
                seen.hops
            );
            Finding::new(Wrong, what, trust)
        }
        _ if matches!(seen.range, Range::Loopback | Range::Private) => {
            let what = format!("a visitor's address is taken from {by}, and for us that is one {whose}, which is not ours: {all_one}");
            let fix =
                format!("see what stands in front (a container's own proxy rewrites addresses; let it use the host's network); {trust}");
            Finding::new(Wrong, what, fix)
        }
        _ if ours_is_public => {
            let what = format!("a visitor's address is taken from {by}, and for us that is another one than this machine's");
            let fix = format!("nothing, where this machine goes out through another; else {trust}");
            Finding::new(Doubtful, what, fix)
        }
        _ => {
            let what =
                format!("a visitor's address is taken from {by}; ours is translated on its way out, so that the two cannot be compared");
            Finding::new(Note, what, "look again from a machine with a public address of its own")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::super::Weight::Right, *};

    const PLAIN: Whence =
        Whence { source: Source::Peer, hops: 0, peer_trusted: false, trusted: false, own: false, range: Range::Public, secure: true };

    #[test]
    fn every_way_to_be_wrong_about_visitors_has_its_words() {
        let hop = |number| Whence { source: Source::Hop(number), hops: 1, peer_trusted: true, ..PLAIN };
        for (seen, public, weight, part) in [
            (Whence { own: true, ..PLAIN }, true, Right, "the other end of the connection"),
            (Whence { own: true, ..hop(1) }, true, Right, "entry 1 from the right"),
            (Whence { own: true, source: Source::Header, peer_trusted: true, ..PLAIN }, true, Right, "the header of one address"),
            (Whence { hops: 1, range: Range::Loopback, own: true, ..PLAIN }, true, Wrong, "a proxy on this very machine stands in front"),
            (Whence { hops: 2, ..PLAIN }, true, Wrong, "a proxy on the internet stands in front"),
            (Whence { peer_trusted: true, range: Range::Loopback, trusted: true, ..PLAIN }, true, Wrong, "does not say for whom"),
            (Whence { peer_trusted: true, hops: 1, ..PLAIN }, true, Wrong, "no address"),
            (Whence { hops: 2, ..hop(1) }, true, Wrong, "a second proxy, on the internet"),
            (Whence { range: Range::Private, ..hop(1) }, false, Wrong, "one in its own network, which is not ours"),
            (hop(1), true, Doubtful, "another one than this machine's"),
            (hop(1), false, Note, "is translated"),
            (PLAIN, true, Doubtful, "another one"),
        ] {
            let found = who(&seen, public);
            assert!(found.weight == weight && found.what.contains(part), "{seen:?}: {found:?}");
        }
    }

    #[test]
    fn https_that_nobody_mentions_is_noted() {
        let unsaid = Whence { source: Source::Hop(1), hops: 1, peer_trusted: true, own: true, secure: false, ..PLAIN };
        assert_eq!(judge(&unsaid, true, true).len(), 2);
        assert_eq!(judge(&unsaid, true, false).len(), 1);
        assert_eq!(judge(&Whence { secure: true, ..unsaid }, true, true).len(), 1);
    }
}
