//! What the program that runs says of itself on its admin listener: whether it takes events in, what calls for a person, its keys, its clock.

use http::{HeaderMap, Method};
use serde::Deserialize;

use super::{
    super::{
        Finding,
        Weight::{Doubtful, Wrong},
    },
    Deployment, transport,
};
use crate::clock::Timestamp;

/// What is read of the overview.
#[derive(Deserialize)]
struct Overview {
    at: Timestamp,
    alerts: Vec<Alert>,
}

#[derive(Deserialize)]
struct Alert {
    alert: String,
    about: String,
    says: String,
}

#[derive(Deserialize)]
struct Health {
    ready: bool,
    reasons: Vec<String>,
}

pub(super) async fn findings(deployment: &Deployment<'_>, findings: &mut Vec<Finding>) {
    let Some(admin) = deployment.admin else { return };
    let ask = async |path: &str| {
        let seen = deployment.nearby.ask(Method::GET, &format!("http://{admin}{path}"), HeaderMap::new()).await.ok()?;
        Some((seen.asked, seen.body))
    };
    let whose = format!("the program at {admin}");
    if let Some((_, health)) = ask("/healthz").await
        && let Ok(Health { ready: false, reasons }) = serde_json::from_slice(&health)
    {
        let what = format!("{whose} takes no events in: {}", reasons.join("; "));
        findings.push(Finding::new(Wrong, what, "see its log, and docs/alerts.md"));
    }
    if let Some((asked, overview)) = ask("/overview.json").await
        && let Ok(Overview { at, alerts }) = serde_json::from_slice(&overview)
    {
        findings.push(transport::of_clock(&whose, at, asked));
        findings.extend(alerts.into_iter().map(|Alert { alert, about, says }| {
            let of = if about.is_empty() { String::new() } else { format!(" of \"{about}\"") };
            Finding::new(Doubtful, format!("{whose} says: {alert}{of}"), says)
        }));
    }
    if let Some((_, metrics)) = ask("/metrics").await {
        findings.extend(of_keys(&whose, &String::from_utf8_lossy(&metrics)));
    }
}

/// Whether every key in use is locked into memory.
fn of_keys(whose: &str, metrics: &str) -> Option<Finding> {
    let locked = metrics.lines().find_map(|line| line.strip_prefix("firsthand_keys_locked "))?;
    Some(if locked == "1" {
        Finding::right(format!("{whose}: every key in use is locked into memory"))
    } else {
        let what = format!("{whose}: a key in use is not locked into memory: the system may write it to its swap");
        Finding::new(Doubtful, what, "LimitMEMLOCK=1M in the service's unit, `--ulimit memlock=1048576` for a container")
    })
}

#[cfg(test)]
mod tests {
    use super::{super::super::Weight::Right, *};

    #[test]
    fn keys_are_as_the_program_says() {
        let weight = |metrics: &str| of_keys("it", metrics).map(|finding| finding.weight);
        assert_eq!(weight("# TYPE firsthand_keys_locked gauge\nfirsthand_keys_locked 1\n"), Some(Right));
        assert_eq!(weight("firsthand_keys_locked 0\n"), Some(Doubtful));
        assert_eq!(weight("firsthand_events_total 7\n"), None);
    }
}
