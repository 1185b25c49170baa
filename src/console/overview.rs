//! What the console shows in numbers. Counts and our own names; nothing of a visitor.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    clock::Timestamp,
    documents::Basis,
    event::Purposes,
    privacy::{refusal::Refusal, transform::Transform},
};

/// Whether the program can take events, for `/healthz`.
#[derive(Debug, Serialize)]
pub struct Health {
    /// It can.
    pub ready: bool,
    /// Why it cannot, in constant words.
    pub reasons: Vec<&'static str>,
}

/// The numbers of the console, for `/overview.json`.
#[derive(Debug, Serialize)]
pub struct Overview {
    /// When they were read.
    pub at: Timestamp,
    /// Every site.
    pub sites: Vec<SiteOverview>,
    /// Every destination.
    pub destinations: Vec<DestinationOverview>,
    /// The event log.
    pub log: LogOverview,
    /// How far what is stored has been brought to the documents in force.
    pub recleanse: RecleanseOverview,
    /// Days of what left that are closed and signed.
    pub egress: EgressOverview,
    /// How far customer profiles are, where a site has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profiles: Option<ProfilesOverview>,
    /// What calls for a person now.
    pub alerts: Vec<AlertOverview>,
}

/// The reading of the event log for customer profiles.
#[derive(Debug, Serialize)]
pub struct ProfilesOverview {
    /// Whether it goes on.
    pub state: CourierState,
    /// Records of the log that are still to be read.
    pub lag: u64,
    /// Events that were taken in since the start.
    pub taken: u64,
    /// Parts of profiles that were removed since the start.
    pub removed: u64,
}

/// Something that calls for a person.
#[derive(Debug, Serialize)]
pub struct AlertOverview {
    /// What.
    pub alert: &'static str,
    /// Of which site or destination; empty: of the program.
    pub about: String,
    /// What it means, and where to look.
    pub says: &'static str,
    /// Since when.
    pub since: Timestamp,
}

impl AlertOverview {
    /// One of them.
    #[must_use]
    pub const fn new(alert: &'static str, about: String, says: &'static str, since: Timestamp) -> Self {
        Self { alert, about, says, since }
    }
}

/// The ledger of what left, as far as it is closed.
#[derive(Debug, Default, Serialize)]
pub struct EgressOverview {
    /// Entries of its chain.
    pub entries: i64,
    /// The last day that is closed.
    pub last: Option<String>,
}

/// What was handed over to a destination's receiver today, in UTC; every attempt counts.
#[derive(Debug, Default, Serialize)]
pub struct LeftOverview {
    /// Parcels.
    pub parcels: u64,
    /// Events in them.
    pub events: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Different fields.
    pub fields: usize,
    /// Different sets of fields.
    pub schemas: usize,
}

/// The recleanse under way, or the last one.
#[derive(Debug, Serialize)]
pub struct RecleanseOverview {
    /// Whether it is under way.
    pub running: bool,
    /// Why it was begun, in constant words.
    pub because: &'static str,
    /// The revision of the documents that the records are brought to.
    pub revision: i64,
    /// Since when.
    pub began: Timestamp,
    /// Until when, where it is over.
    pub ended: Option<Timestamp>,
    /// Log segments to do, as far as they are known.
    pub segments: u64,
    /// Those of them that are done.
    pub segments_done: u64,
    /// Records that narrower ones took the place of.
    pub replaced: u64,
}

/// One site's day so far.
#[derive(Debug, Serialize)]
pub struct SiteOverview {
    /// Its name.
    pub name: String,
    /// Events that became records today.
    pub stored: u64,
    /// What did not, by reason.
    pub refused: Vec<RefusedCount>,
    /// Vendors' calls that its pages made today and no shim covers.
    pub uncovered: Vec<UncoveredCount>,
    /// Of visits with consent of the last four weeks: in how many vendors' own tags did not run.
    pub missed: Vec<MissedOverview>,
    /// How often the day's key was lost today: visitors before and after count as different ones.
    pub epoch_breaks: u64,
    /// Different visitors today, by our own count.
    pub visitors: u64,
    /// Visits today, by our own count.
    pub visits: u64,
    /// What is a crowd's today, and how what left stands.
    pub crowds: CrowdOverview,
}

/// Visits of one family of browsers in which a vendor's own tag did not run, of those that told.
#[derive(Debug, Serialize)]
pub struct MissedOverview {
    /// The vendor.
    pub tag: &'static str,
    /// The family.
    pub browser: &'static str,
    /// Visits that told.
    pub visits: u64,
    /// Those of them in which it did not run.
    pub missed: u64,
    /// Their share.
    pub share: f64,
    /// The lower end of its 95 % interval,
    pub low: f64,
    /// and the upper one.
    pub high: f64,
}

/// A site's crowds today.
#[derive(Debug, Default, Serialize)]
pub struct CrowdOverview {
    /// So many distinct visitors are one; 1: none is asked for.
    pub visitors: u32,
    /// Tuples of device, place, language and screen that may be said today.
    pub tuples: usize,
    /// Pages that may be named today, beside the front page.
    pub pages: usize,
    /// Countries that may be named today.
    pub places: usize,
    /// At least so many visitors of the seven days before were in each of them.
    pub fewest_in_place: Option<u64>,
    /// There is none yet: devices, places and pages are withheld.
    pub none_yet: bool,
    /// What left today, by destination.
    pub released: BTreeMap<String, ReleasedOverview>,
}

/// What left today to one destination, of visitors who need a crowd.
#[derive(Debug, Serialize)]
pub struct ReleasedOverview {
    /// Disclosures made.
    pub events: u64,
    /// Those of them whose tuple a crowd had today.
    pub in_crowds: u64,
    /// In how many each thing was withheld for want of a crowd.
    pub suppressed: BTreeMap<&'static str, u64>,
}

/// How many were refused for one reason.
#[derive(Debug, Serialize)]
pub struct RefusedCount {
    /// The reason.
    pub reason: Refusal,
    /// The same, said to a person.
    pub because: &'static str,
    /// How many.
    pub count: u64,
}

impl RefusedCount {
    /// The count of one reason.
    #[must_use]
    pub const fn new(reason: Refusal, count: u64) -> Self {
        Self { reason, because: reason.explanation(), count }
    }
}

/// How often pages made one call that no shim covers.
#[derive(Debug, Serialize)]
pub struct UncoveredCount {
    /// The vendor's shim.
    pub shim: &'static str,
    /// The call, by its name in the list.
    pub call: &'static str,
    /// How often.
    pub count: u64,
}

/// One destination and its courier.
#[derive(Debug, Serialize)]
pub struct DestinationOverview {
    /// Its name.
    pub name: String,
    /// Its type: `webhook`, `file`, …
    pub kind: &'static str,
    /// On what ground it gets events: `exempt_measurement` or `consent`.
    pub basis: &'static str,
    /// The purposes that the consent must cover; none for `exempt_measurement`.
    pub purposes: Purposes,
    /// How much of an event it may see.
    pub transform: &'static str,
    /// What its courier does.
    pub state: CourierState,
    /// Records that wait for it.
    pub lag: u64,
    /// Events in parcels under way.
    pub in_flight: u64,
    /// Events by their ledger state.
    pub ledger: BTreeMap<&'static str, u64>,
    /// What left to it today.
    pub left: LeftOverview,
    /// What its receiver answered last: `204`, `timeout`, `no stream`. Nothing since the start, where it is not there.
    pub last_answer: Option<String>,
    /// Fields that the receiver has no words for, since the start.
    pub unsaid: u64,
    /// Parcels that the receiver's validator was asked about, since the start.
    pub trials: u64,
    /// Those of them that it found a fault in.
    pub trials_faulty: u64,
    /// The last fault that it found, by its code.
    pub last_finding: Option<&'static str>,
}

impl DestinationOverview {
    /// A destination of which nothing is counted yet.
    #[must_use]
    pub const fn new(name: String, kind: &'static str, basis: Basis, transform: Transform) -> Self {
        let (basis, purposes) = match basis {
            Basis::ExemptMeasurement => ("exempt_measurement", Purposes::NONE),
            Basis::Consent(purposes) => ("consent", purposes),
        };
        Self {
            name,
            kind,
            basis,
            purposes,
            transform: transform.name(),
            state: CourierState::Running,
            lag: 0,
            in_flight: 0,
            ledger: BTreeMap::new(),
            left: LeftOverview { parcels: 0, events: 0, bytes: 0, fields: 0, schemas: 0 },
            last_answer: None,
            unsaid: 0,
            trials: 0,
            trials_faulty: 0,
            last_finding: None,
        }
    }
}

/// What a courier does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CourierState {
    /// It sends.
    Running,
    /// Its events wait until their hour or day is over and decided on; `lag` counts them.
    HoldingBack,
    /// The receiver asked for time, or an attempt failed: it waits before the next.
    Waiting,
    /// Too many attempts failed: it tries one now and then.
    BreakerOpen,
    /// Its document says that it rests.
    Paused,
}

/// The event log in numbers.
#[derive(Debug, Serialize)]
pub struct LogOverview {
    /// Records written since the start.
    pub records: u64,
    /// Records per sync to the disk, on average since the start.
    pub events_per_sync: f64,
    /// Whether it takes more.
    pub state: LogState,
}

/// Whether the log takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogState {
    /// It does.
    Open,
    /// The disk is full; it goes on by itself when there is room.
    Full,
    /// A sync failed: nothing is acknowledged until the log is reopened and verified.
    Failed,
}
