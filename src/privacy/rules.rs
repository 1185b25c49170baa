//! The rules of privacy, by name: what has to be so of everything that rests, leaves or is answered. Each is decided in one place, and that
//! place asks [`holds`]. It always does. With the cargo feature `proof`, which no release can be built with, `tests/proof/` takes one
//! rule out at a time, and shows what would get out without it.

#[cfg(all(feature = "proof", not(debug_assertions)))]
compile_error!("the feature `proof` can switch the rules of privacy off, so nothing that is optimised for use may have it");

macro_rules! rules {
    ($(#[doc = $says:literal] $rule:ident,)+) => {
        /// A rule; its documentation says what has to be so.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Rule {
            $(#[doc = $says] $rule,)+
        }

        #[cfg(feature = "proof")]
        impl Rule {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$rule,)+];

            /// What has to be so.
            #[must_use]
            pub const fn says(self) -> &'static str {
                match self {
                    $(Self::$rule => $says.trim_ascii(),)+
                }
            }
        }
    };
}

rules! {
    // What a visitor said.
    /// An opt-out ends the events that come with it.
    OptOut,
    /// The opt-out cookie outlasts a yes.
    OptOutOutlastsYes,
    /// A yes to nothing is a no.
    Refusal,
    /// Global Privacy Control is an objection, in a header or in a consent string.
    GlobalPrivacyControl,
    /// A yes outranks Global Privacy Control only where the site's document says so, with a reason.
    GpcIsOutrankedByDocument,
    /// Do Not Track is an objection.
    DoNotTrack,
    /// A signal that cannot be read is a no.
    MalformedIsNo,
    /// Of several signals the most restrictive wins.
    MostRestrictiveWins,
    /// Of several grants counts what is in all of them.
    GrantsHaveInCommon,
    /// An objection to single purposes takes them out of a grant.
    ObjectionToPurposes,
    /// A refusal in Matomo's cookies is one on every site.
    MatomoRefusal,
    /// A vendor's destination gets nothing under a TC string that does not consent to the vendor.
    VendorOfTheDestination,
    /// A copy that was held until the choice comes in with a grant only.
    HeldCopyNeedsGrant,
    /// Nothing rests that no destination is entitled to.
    CeilingOfTheEntitled,
    /// An objection comes before a consent on record.
    ObjectionBeforeRecord,
    /// Where a library has words for a choice and says none, a consent on record does not stand in.
    RecordForTheWordless,
    /// A consent on record decides on no single vendor.
    RecordDecidesOnNoVendor,
    /// Of a visitor whom the site's backend names, nothing comes in without their consent on record.
    NamedNeedsConsent,
    /// A ticket that joins an order to a visit is made for those who agreed and do not object.
    TicketNeedsConsent,
    /// A ticket tells of a visit for three days at most.
    TicketEnds,
    /// Where a page asks for nobody to be known again, every cookie that could tell who it is is forgotten.
    AnonymousIsNobody,

    // Who an event is of.
    /// A lasting id and its cookie are for those who consented to one.
    LastingIdNeedsConsent,
    /// The visitor cookie does not outlive the consent.
    CookieEndsWithConsent,
    /// The visitor cookie lives 13 months at most.
    CookieAtMostThirteenMonths,
    /// The visitor cookie is set once and never extended.
    CookieIsNotExtended,
    /// A vendor's cookie is kept alive under its own purpose alone.
    VendorCookieOfItsPurpose,
    /// A vendor's cookie does not outlive the consent.
    VendorCookieEndsWithConsent,
    /// A vendor's cookie lives as long as from its first setting it may, and is never extended beyond.
    VendorCookieIsNotExtended,
    /// An objection takes vendors' cookies away.
    ObjectionClearsVendorCookies,
    /// An objection takes the visitor cookie away.
    ObjectionClearsCookie,
    /// An objection destroys the person's key, and with it what was said before.
    ObjectionDestroysKey,
    /// An objection puts the day's token into the purge set.
    ObjectionPurgesToken,
    /// A consent that has ended lets nothing through.
    ConsentEnds,
    /// What was said of consent is on record before it counts.
    ConsentIsOnRecord,
    /// A changed record of consent breaks the chain.
    RecordsAreHashed,
    /// A record of consent that was replaced with its hash breaks the chain.
    RecordsAreChained,
    /// A record of consent is not erased before its time.
    RecordsAreKept,

    // What rests.
    /// The body of a granted event rests sealed under its person's key.
    GrantedBodiesAreSealed,
    /// Event names that nobody listed are not kept.
    ListedNamesOnly,
    /// Of whoever was erased, no body and no handle stays in the log.
    ErasedLeaveTheLog,
    /// What was erased, withdrawn or objected to since a copy was made does not come back with it.
    RestoreAppliesErasures,
    /// Whoever was erased is not brought back by an import of what they agreed to before.
    ErasedStayOutOfImports,
    /// What is kept of a person in a profile is opened only while they agree to one.
    ProfileWhileTheyAgree,
    /// What rests in the profile store of whoever does not agree any more is removed.
    GoneLeaveTheProfiles,
    /// An account, an address or a number that a browser claims joins no profile.
    ClaimsJoinNothing,

    // What leaves.
    /// A destination with the basis consent gets what was agreed to by those who agreed to its purposes.
    PurposesOfTheDestination,
    /// A copy that was held goes to destinations with the basis consent only.
    HeldCopyNotToExempt,
    /// Never more than at capture was allowed.
    CeilingAtCapture,
    /// Never more than the policy now allows.
    PolicyNow,
    /// Never for more purposes than were agreed to at capture.
    ConsentAtCapture,
    /// Never for more purposes than are agreed to now.
    ConsentNow,
    /// A property that was taken off the policy's list no longer leaves.
    ListedPropertiesNow,
    /// What an objection put into the purge set does not leave.
    PurgeSet,
    /// A policy's deviations count, for what rests and for what leaves.
    Deviations,
    /// A field that is dropped does not leave.
    Drop,
    /// A field that is generalised leaves as a class of many.
    Generalise,
    /// A field that is pseudonymised leaves as another value.
    Pseudonymise,
    /// A click id leaves for advertising that was agreed to alone.
    ClickIdsForAds,
    /// A click id goes to the vendor that issued it alone.
    ClickIdsToTheirIssuer,
    /// What is in a sealed envelope leaves for advertising that was agreed to alone.
    EnvelopeForAds,
    /// What is in a sealed envelope goes to a destination whose row asks for it alone.
    EnvelopeToWhoAsks,
    /// The site's preset bounds every destination.
    SitePresetBounds,
    /// Lasting ids are each destination's own.
    LastingIdsOfOneDestination,
    /// A day's ids are each destination's own.
    DailyIdsOfOneDestination,
    /// Under `strict` an id is one event's, or shared by most visitors.
    StrictIdsTellNobody,
    /// The key that makes the day's tokens ends with the day.
    VisitKeyEndsWithTheDay,
    /// Memory that is freed is wiped.
    FreedMemoryIsWiped,
    /// A vendor's own consent parameters say what the person agreed to.
    VendorConsentDerived,
    /// What is held back leaves when its hour or day is over.
    HeldBackUntilOver,

    // What is on its way.
    /// Before every attempt it is asked again whether an event may still leave.
    AskedAtEveryAttempt,
    /// A person's withdrawal, or narrower yes, acts on what is on its way.
    ConsentOnTheWay,
    /// Changed documents act on what is on its way.
    DocumentsOnTheWay,

    // What documents may say.
    /// A vendor that uses the data for itself has no exemption.
    NoExemptionForReuse,
    /// The exemption does not show what only a consent can allow.
    NoExemptionForConsented,
    /// What a consent allows is shown where that consent is needed.
    TransformOfItsPurpose,
    /// What is collected under the exemption is kept for 25 months at most.
    ExemptMonths,
    /// More leaves than before only where someone says why.
    RelaxingHasReason,
    /// Documents that a file is the master of are changed there alone.
    ManagedInTheirFile,
    /// A deviation has a reason.
    DeviationHasReason,
    /// Without consent a deviation can narrow only.
    UnknownOnlyNarrows,

    // What is answered, and to whom.
    /// Pages of foreign origins may not send.
    OwnOriginsOnly,
    /// No cache keeps an answer that could have a cookie.
    CookiesAreNotCached,
    /// A consent's reference is told to its visitor, not to a script.
    ReferenceForTheVisitor,
    /// An account finds what is its own only where the site's backend has proven it.
    OnlyProvenAccountsFind,
    /// A page is told of its visitor's profile the traits that the document lists, and no others.
    LookupTellsListedTraits,
    /// A page is told nothing of whoever objects, by whatever means.
    LookupNeedsConsent,
    /// A profile of whom what rests is not to be used is shown to nobody, and told to no page.
    RestrictedIsNotShown,
    /// Who asks by an account is handed no event of another account that was used in the same browser.
    OthersEventsStayTheirs,
}

/// Whether a rule is in force. It is: this is `true`, and costs nothing.
#[cfg(not(feature = "proof"))]
#[inline(always)]
#[must_use]
pub const fn holds(_: Rule) -> bool {
    true
}

#[cfg(feature = "proof")]
pub use self::switch::{TakenOut, holds, take_out};

/// The switch, one for the process: one rule can be out at a time.
#[cfg(feature = "proof")]
mod switch {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::Rule;

    const NONE: usize = usize::MAX;
    static OUT: AtomicUsize = AtomicUsize::new(NONE);

    /// Whether a rule is in force.
    #[must_use]
    pub fn holds(rule: Rule) -> bool {
        OUT.load(Ordering::SeqCst) != rule as usize
    }

    /// Takes a rule out until the value returned is dropped.
    #[must_use]
    pub fn take_out(rule: Rule) -> TakenOut {
        OUT.store(rule as usize, Ordering::SeqCst);
        TakenOut(())
    }

    /// A rule is out as long as this lives.
    pub struct TakenOut(());

    impl Drop for TakenOut {
        fn drop(&mut self) {
            OUT.store(NONE, Ordering::SeqCst);
        }
    }
}
