//! The Kafka carrier: finds out who leads a topic's partitions, puts each record into its key's, and has the leaders keep them. Connections are kept
//! while they are used. Nothing is tried twice here: each attempt has its end, and the lane that makes it decides what is next.
//!
//! Another machine is spoken to over TLS alone, and its certificate has to be one that this machine trusts.

mod line;
mod scram;

use std::{
    collections::{BTreeMap, HashMap},
    future::poll_fn,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt as _;
use tokio_rustls::TlsConnector;

use self::{line::Line, scram::NotProven};
use crate::destination::{
    Answer, Failure,
    kafka::{
        production::{Cluster, Code, Production},
        wire::{self, Malformed, Metadata, Said},
    },
};

/// For one attempt with all that belongs to it, as for a call over HTTP.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);
/// For one leader, of this: what it was asked to wait for its replicas ([`wire::produce`]), and the way. They are asked at the same time.
const LEADER_TIMEOUT: Duration = Duration::from_secs(12);
/// Idle connections kept to one broker: as many as there are attempts under way at a time.
const IDLE_CONNECTIONS_MAX: usize = crate::delivery::LANES_OF_SMALL_PARCELS;
/// One that was idle for longer is not used again: a broker closes what is quiet for ten minutes (`connections.max.idle.ms`).
const IDLE: Duration = Duration::from_secs(60);
/// Who leads what is asked again after this, so that partitions that are added are found. Whoever leads no longer says so at once.
const LEADERS_KNOWN_FOR: Duration = Duration::from_secs(5 * 60);

/// Has records kept.
pub struct KafkaCarrier {
    tls: Option<TlsConnector>,
    /// One for each destination that has sent something. Those of destinations that are no more are dropped.
    slots: Mutex<Vec<Slot>>,
}

/// What is known of a destination's cluster.
struct Slot {
    cluster: Arc<Cluster>,
    idle: HashMap<(String, u16), Vec<(Line, Instant)>>,
    leaders: Option<(Arc<Leaders>, Instant)>,
}

/// The partitions of the topic in their order, and where the leader of each is; nothing where nobody is.
struct Leaders(Vec<(i32, Option<(String, u16)>)>);

/// Why an attempt failed. It carries no words of the broker: they could quote a secret.
enum Refused {
    Failed(Failure),
    Said(Code),
}

impl From<Malformed> for Refused {
    fn from(_: Malformed) -> Self {
        Self::Failed(Failure::Garbage)
    }
}

impl From<NotProven> for Refused {
    fn from(_: NotProven) -> Self {
        Self::Said(Code::NOT_LET_IN)
    }
}

impl KafkaCarrier {
    /// A carrier that trusts what this machine trusts. Where it trusts nobody, only brokers on this machine can be reached.
    #[must_use]
    pub fn new() -> Self {
        let tls = ClientConfig::with_platform_verifier().ok().map(|tls| TlsConnector::from(Arc::new(tls)));
        Self { tls, slots: Mutex::default() }
    }

    /// Makes one attempt. What is answered has a code for each record.
    pub async fn produce(&self, production: &Production, body: Bytes) -> Answer {
        match tokio::time::timeout(TOTAL_TIMEOUT, self.attempt(production, &body)).await {
            Err(_) => Answer::Failed(Failure::Timeout),
            Ok(Err(Refused::Failed(failure))) => Answer::Failed(failure),
            Ok(Err(Refused::Said(code))) => Answer::Produced(vec![code; production.records.len()]),
            Ok(Ok(codes)) => Answer::Produced(codes),
        }
    }

    async fn attempt(&self, production: &Production, body: &[u8]) -> Result<Vec<Code>, Refused> {
        let lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').take(production.records.len()).collect();
        let leaders = self.leaders(production).await?;
        let (by_leader, mut codes) = assigned(production, &leaders);
        let mut failed = None;
        let asked = by_leader.into_iter().map(|(leader, partitions)| {
            let lines = &lines;
            async move {
                let batches = partitions.iter().map(|(partition, records)| {
                    let said = records.iter().map(|at| {
                        let record = &production.records[*at];
                        let value = lines.get(*at).copied().unwrap_or_default();
                        Said { key: record.key.as_bytes(), value, id: record.event_id.as_bytes(), time: record.time }
                    });
                    (*partition, wire::batch(&said.collect::<Vec<_>>()))
                });
                let batches: Vec<_> = batches.collect();
                let kept = tokio::time::timeout(LEADER_TIMEOUT, self.keep(production, &leader, &batches)).await;
                (partitions, kept.unwrap_or(Err(Refused::Failed(Failure::Timeout))))
            }
        });
        // One that is silent takes nothing from what the others have kept.
        for (partitions, kept) in all(asked).await {
            match kept {
                Ok(kept) => {
                    for (partition, code) in kept {
                        partitions.get(&partition).into_iter().flatten().for_each(|at| codes[*at] = Code(code));
                    }
                }
                Err(Refused::Said(code)) => partitions.values().flatten().for_each(|at| codes[*at] = code),
                Err(Refused::Failed(failure)) => failed = Some(failure),
            }
        }
        if failed.is_some() || codes.iter().any(|code| matches!(*code, Code::NO_TOPIC | Code::NO_LEADER | Code::NOT_THE_LEADER)) {
            self.with_slot(&production.cluster, |slot| slot.leaders = None);
        }
        match failed {
            // Others may have kept theirs: those are not to be sent again.
            Some(failure) if codes.iter().all(|code| *code == Code::UNKNOWN) => Err(Refused::Failed(failure)),
            _ => Ok(codes),
        }
    }

    /// Has one leader keep batches of its partitions.
    async fn keep(&self, production: &Production, leader: &(String, u16), batches: &[(i32, Vec<u8>)]) -> Result<Vec<(i32, i16)>, Refused> {
        let cluster = &production.cluster;
        let mut line = match self.take_idle(cluster, leader) {
            Some(line) => line,
            None => self.open(cluster, leader).await?,
        };
        let answer = line.ask(|number| wire::produce(number, &production.topic, batches)).await?;
        let kept = wire::read_produced(&answer)?;
        self.put_back(cluster, leader, line);
        Ok(kept)
    }

    /// Who leads the topic's partitions, as it was last said.
    async fn leaders(&self, production: &Production) -> Result<Arc<Leaders>, Refused> {
        let cluster = &production.cluster;
        let known = self.with_slot(cluster, |slot| slot.leaders.clone());
        if let Some((leaders, _)) = known.filter(|(_, since)| since.elapsed() < LEADERS_KNOWN_FOR) {
            return Ok(leaders);
        }
        let mut refused = Refused::Failed(Failure::Connect);
        for broker in &cluster.brokers {
            match self.ask_for_leaders(production, broker).await {
                Ok(leaders) => {
                    let leaders = Arc::new(leaders);
                    self.with_slot(cluster, |slot| slot.leaders = Some((Arc::clone(&leaders), Instant::now())));
                    return Ok(leaders);
                }
                // Another broker would say the same.
                Err(Refused::Said(code)) => return Err(Refused::Said(code)),
                Err(failed) => refused = failed,
            }
        }
        Err(refused)
    }

    async fn ask_for_leaders(&self, production: &Production, broker: &(String, u16)) -> Result<Leaders, Refused> {
        let mut line = match self.take_idle(&production.cluster, broker) {
            Some(line) => line,
            None => self.open(&production.cluster, broker).await?,
        };
        let answer = line.ask(|number| wire::metadata(number, &production.topic)).await?;
        let Metadata { brokers, error, mut partitions } = wire::read_metadata(&answer)?;
        self.put_back(&production.cluster, broker, line);
        if error != 0 && partitions.is_empty() {
            return Err(Refused::Said(Code(error)));
        }
        if partitions.is_empty() {
            return Err(Refused::Said(Code::NO_TOPIC));
        }
        partitions.sort_unstable();
        let place = |leader| brokers.iter().find(|(number, ..)| *number == leader).map(|(_, host, port)| (host.clone(), *port));
        Ok(Leaders(partitions.into_iter().map(|(partition, leader)| (partition, place(leader))).collect()))
    }

    async fn open(&self, cluster: &Cluster, (host, port): &(String, u16)) -> Result<Line, Refused> {
        let tls = match &self.tls {
            Some(tls) if cluster.encrypted => Some(tls),
            None if cluster.encrypted => return Err(Refused::Failed(Failure::Tls)),
            _ => None,
        };
        // A broker on this machine may say that the leader is elsewhere; in the clear nothing goes there.
        if tls.is_none() && !crate::destination::settings::is_loopback(host) {
            return Err(Refused::Failed(Failure::Tls));
        }
        Line::open(host, *port, tls, cluster.login.as_ref()).await
    }

    fn take_idle(&self, cluster: &Arc<Cluster>, broker: &(String, u16)) -> Option<Line> {
        self.with_slot(cluster, |slot| {
            let idle = slot.idle.get_mut(broker)?;
            std::iter::from_fn(|| idle.pop()).find(|(_, since)| since.elapsed() < IDLE).map(|(line, _)| line)
        })
    }

    fn put_back(&self, cluster: &Arc<Cluster>, broker: &(String, u16), line: Line) {
        self.with_slot(cluster, |slot| {
            slot.idle.retain(|_, lines| {
                lines.retain(|(_, since)| since.elapsed() < IDLE);
                !lines.is_empty()
            });
            let idle = slot.idle.entry(broker.clone()).or_default();
            if idle.len() < IDLE_CONNECTIONS_MAX {
                idle.push((line, Instant::now()));
            }
        });
    }

    fn with_slot<T>(&self, cluster: &Arc<Cluster>, work: impl FnOnce(&mut Slot) -> T) -> T {
        let mut slots = self.slots();
        // The last one who knows it is this table.
        slots.retain(|slot| Arc::strong_count(&slot.cluster) > 1);
        let at = slots.iter().position(|slot| Arc::ptr_eq(&slot.cluster, cluster)).unwrap_or_else(|| {
            slots.push(Slot { cluster: Arc::clone(cluster), idle: HashMap::new(), leaders: None });
            slots.len() - 1
        });
        work(&mut slots[at])
    }

    /// A panic while it is held leaves a table that is whole.
    fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for KafkaCarrier {
    fn default() -> Self {
        Self::new()
    }
}

/// Places of records in a parcel, by partition, by leader.
type ByLeader = BTreeMap<(String, u16), BTreeMap<i32, Vec<usize>>>;

/// What becomes of all of them, at the same time and in their order.
async fn all<F: Future>(of: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut under_way: Vec<_> = of.map(|future| (Box::pin(future), None)).collect();
    poll_fn(|cx| {
        for (future, done) in under_way.iter_mut().filter(|(_, done)| done.is_none()) {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                *done = Some(output);
            }
        }
        if under_way.iter().all(|(_, done)| done.is_some()) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    under_way.into_iter().filter_map(|(_, done)| done).collect()
}

/// Which records are for whom; and a code for each, which says of those that are for nobody that it is so.
fn assigned(production: &Production, leaders: &Leaders) -> (ByLeader, Vec<Code>) {
    let mut codes = vec![Code::UNKNOWN; production.records.len()];
    let mut by_leader = ByLeader::new();
    for (at, record) in production.records.iter().enumerate() {
        match &leaders.0[wire::partition_of(record.key.as_bytes(), leaders.0.len())] {
            (_, None) => codes[at] = Code::NO_LEADER,
            (partition, Some(leader)) => by_leader.entry(leader.clone()).or_default().entry(*partition).or_default().push(at),
        }
    }
    (by_leader, codes)
}
