//! One record of what a visitor said, and how it is chained: its hash, its link to the one before, and what breaks the chain. Pure.
//!
//! `hash = SHA-256(words ‖ number ‖ record)`, `link = SHA-256(words ‖ link before ‖ hash ‖ day until which the record is kept)`. A record whose
//! day has passed can be erased: its hash stays, so every link can be computed again. One erased before its day breaks the chain.

use std::{borrow::Cow, time::Duration};

use sha2::{Digest as _, Sha256};

use crate::{
    clock::Timestamp,
    documents::site::Policy,
    event::{PolicyVersion, Purposes, SiteNumber},
    privacy::{
        refusal::Refusal,
        rules::{Rule, holds},
    },
};

/// Length of a consent id in bytes.
pub const CONSENT_ID_BYTES: usize = 16;
/// The link before the first.
pub(super) const START: [u8; 32] = [0; 32];
/// Times in a record are rounded down to this: enough to prove a choice, too coarse to find its event in the log by.
const CLOCK_STEP: Duration = Duration::from_secs(60);
/// A record is kept so long after its consent's end: claims about it are barred after three years in most of the Union.
pub const KEPT_AFTER_END: Duration = Duration::from_secs(3 * 366 * 24 * 60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a visitor with a consent said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// Yes, for the first time.
    Granted,
    /// Yes, to other purposes than before.
    Changed,
    /// No more, in the site's own dialogue.
    Refused,
    /// This site's opt-out.
    OptedOut,
    /// The browser sends Global Privacy Control.
    GlobalPrivacyControl,
    /// The browser sends Do Not Track.
    DoNotTrack,
    /// Something that cannot be read, which counts as no.
    Malformed,
}

impl Said {
    const ALL: [Self; 7] =
        [Self::Granted, Self::Changed, Self::Refused, Self::OptedOut, Self::GlobalPrivacyControl, Self::DoNotTrack, Self::Malformed];

    /// The name at rest and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Granted => "granted",
            Self::Changed => "changed",
            Self::Refused => "refused",
            Self::OptedOut => "opted_out",
            Self::GlobalPrivacyControl => "gpc",
            Self::DoNotTrack => "dnt",
            Self::Malformed => "malformed",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|said| said.name() == name)
    }

    /// How an objection ends a consent.
    #[must_use]
    pub const fn withdrawn(refusal: Refusal) -> Self {
        match refusal {
            Refusal::ObjectedOptOut => Self::OptedOut,
            Refusal::ObjectedGpc => Self::GlobalPrivacyControl,
            Refusal::ObjectedDnt => Self::DoNotTrack,
            Refusal::ObjectedMalformed => Self::Malformed,
            _ => Self::Refused,
        }
    }
}

/// One record. Nothing in it says who: no address, no user agent, no token, no handle, no cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentRecord {
    /// Random, one for all records of a consent.
    pub consent: [u8; CONSENT_ID_BYTES],
    /// On which site.
    pub site: SiteNumber,
    /// What was said.
    pub said: Said,
    /// What is agreed to from now on.
    pub purposes: Purposes,
    /// By which protocol.
    pub source: Cow<'static, str>,
    /// The policy in force.
    pub policy: String,
    /// Its version.
    pub policy_version: PolicyVersion,
    /// When, by our clock, to the minute.
    pub at: Timestamp,
    /// When the consent ends or would have ended, to the minute.
    pub expires: Timestamp,
}

impl ConsentRecord {
    /// What was said on a site under its policy, now.
    #[must_use]
    pub fn new(
        consent: [u8; CONSENT_ID_BYTES],
        (site, policy): (SiteNumber, &Policy),
        said: Said,
        purposes: Purposes,
        source: &'static str,
        now: Timestamp,
        expires: Timestamp,
    ) -> Self {
        Self {
            consent,
            site,
            said,
            purposes,
            source: Cow::Borrowed(source),
            policy: policy.name.clone(),
            policy_version: policy.version,
            at: now.rounded(CLOCK_STEP),
            expires: expires.rounded(CLOCK_STEP),
        }
    }

    /// The last day of its keeping, counted from 1970-01-01 in UTC.
    pub(super) fn kept_until(&self) -> i64 {
        day_of(self.expires.plus(KEPT_AFTER_END)) + 1
    }

    /// Whether the link was made of this very record.
    fn is_as_written(&self, link: &Link) -> bool {
        self.hash(link.number) == link.hash && self.kept_until() == link.kept_until
    }

    /// Its hash as the record of that number.
    pub(super) fn hash(&self, number: i64) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix(b"firsthand consent record 1");
        hash.update(number.to_be_bytes());
        hash.update(self.consent);
        hash.update(self.site.0.to_be_bytes());
        // Texts by their length first: no two records have the same bytes.
        for text in [self.said.name(), &self.source, &self.policy] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        hash.update([self.purposes.bits()]);
        hash.update(self.policy_version.0.to_be_bytes());
        hash.update(self.at.0.to_be_bytes());
        hash.update(self.expires.0.to_be_bytes());
        hash.finalize().into()
    }
}

/// The day of a moment, counted from 1970-01-01 in UTC.
pub(super) fn day_of(moment: Timestamp) -> i64 {
    moment.seconds().div_euclid(DAY.as_secs().cast_signed())
}

/// The link that follows `before`.
pub(super) fn link(before: &[u8; 32], hash: &[u8; 32], kept_until: i64) -> [u8; 32] {
    let mut link = Sha256::new_with_prefix(b"firsthand consent link 1");
    link.update(before);
    link.update(hash);
    link.update(kept_until.to_be_bytes());
    link.finalize().into()
}

/// One link as it rests.
pub(super) struct Link {
    pub(super) number: i64,
    pub(super) hash: [u8; 32],
    pub(super) link: [u8; 32],
    pub(super) kept_until: i64,
    /// `None`: erased.
    pub(super) record: Option<ConsentRecord>,
}

/// Where the chain stands: the number of its last record and that one's link. Whoever notes it elsewhere can later see that nothing up
/// to there was cut off or written anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many records there are.
    pub number: i64,
    /// The last link.
    pub link: [u8; 32],
}

/// What is wrong with the chain, and at which record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    /// A row is not there.
    #[error("record {0} is missing")]
    Missing(i64),
    /// A row does not say what it said when it was written.
    #[error("record {0} was changed")]
    Changed(i64),
    /// A row is not the successor of the one before.
    #[error("record {0} does not follow the one before it")]
    Unlinked(i64),
    /// A record was erased before its time.
    #[error("record {0} was erased before its time")]
    ErasedEarly(i64),
    /// The head that was noted is not part of the chain.
    #[error("the noted head, record {0}, is not part of the chain: records were cut off, or the chain was written anew")]
    NotedHead(i64),
}

/// Walks the chain, link by link.
pub(super) struct Walk {
    today: i64,
    noted: Option<Head>,
    pub(super) head: Head,
    pub(super) erased: u64,
}

impl Walk {
    pub(super) fn new(now: Timestamp, noted: Option<Head>) -> Self {
        Self { today: day_of(now), noted, head: Head { number: 0, link: START }, erased: 0 }
    }

    pub(super) fn step(&mut self, next: &Link) -> Result<(), ChainFault> {
        let number = self.head.number + 1;
        if next.number != number {
            return Err(ChainFault::Missing(number));
        }
        match &next.record {
            Some(record) if !record.is_as_written(next) && holds(Rule::RecordsAreHashed) => {
                return Err(ChainFault::Changed(number));
            }
            None if self.today <= next.kept_until && holds(Rule::RecordsAreKept) => return Err(ChainFault::ErasedEarly(number)),
            Some(_) => {}
            None => self.erased += 1,
        }
        if link(&self.head.link, &next.hash, next.kept_until) != next.link && holds(Rule::RecordsAreChained) {
            return Err(ChainFault::Unlinked(number));
        }
        self.head = Head { number, link: next.link };
        if self.noted.is_some_and(|noted| noted.number == number && noted.link != next.link) {
            return Err(ChainFault::NotedHead(number));
        }
        Ok(())
    }

    pub(super) fn end(&self) -> Result<(), ChainFault> {
        match self.noted {
            Some(noted) if noted.number > self.head.number => Err(ChainFault::NotedHead(noted.number)),
            Some(noted) if noted.number == 0 && noted.link != START => Err(ChainFault::NotedHead(0)),
            _ => Ok(()),
        }
    }
}
