//! The proof that each rule of privacy matters: for every [`Rule`] a case in which something would get out without it. With the rule in force
//! the case finds nothing; with the rule taken out, the same case has to find what got out. A rule without a case does not compile.
//!
//! `cargo test --features proof --test proof` prints the table; a word behind `--` limits it to the rules whose name holds that word. One case
//! at a time, since the switch is the process's; without the usual harness, for that reason and for the table.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "in a test, what fails is told by the test, on its output")]

mod documents;
mod freed;
mod leaves;
mod person;
mod profiles;
mod proven;
mod recorded;
mod rights;
mod said;
mod served;
mod tickets;
mod vendors;
mod visit;

#[expect(dead_code, reason = "the suite's; not all of it is needed here")]
#[path = "../suite/http_client.rs"]
mod http_client;
#[expect(dead_code, reason = "the suite's; not all of it is needed here")]
#[path = "../suite/installation.rs"]
mod installation;
#[expect(dead_code, reason = "the suite's; not all of it is needed here")]
#[path = "../suite/line.rs"]
mod line;
#[path = "../suite/memory_files.rs"]
mod memory_files;
#[expect(dead_code, reason = "the suite's; not all of it is needed here")]
#[path = "../suite/receiver.rs"]
mod receiver;

use std::{panic::catch_unwind, process::ExitCode, time::Instant};

use firsthand::privacy::rules::{Rule, take_out};

#[global_allocator]
static ALLOCATOR: firsthand::privacy::keys::freed::Allocator = firsthand::privacy::keys::freed::ALLOCATOR;

/// What a case finds: nothing, or what got out.
type Found = Result<(), &'static str>;

/// What got out, if something did.
fn unless(got_out: bool, what: &'static str) -> Found {
    if got_out { Err(what) } else { Ok(()) }
}

/// The case of each rule. It panics only where it is broken itself; what a missing rule lets out, it returns.
fn case_of(rule: Rule) -> fn() -> Found {
    match rule {
        Rule::OptOut => said::opt_out,
        Rule::OptOutOutlastsYes => said::opt_out_before_a_yes,
        Rule::Refusal => said::refusal,
        Rule::GlobalPrivacyControl => said::global_privacy_control,
        Rule::DoNotTrack => said::do_not_track,
        Rule::MalformedIsNo => said::malformed,
        Rule::MostRestrictiveWins => said::yes_beside_something_unreadable,
        Rule::GrantsHaveInCommon => said::grants_with_nothing_in_common,
        Rule::ObjectionToPurposes => said::objection_to_a_sale,
        Rule::GpcIsOutrankedByDocument => said::a_yes_against_global_privacy_control,
        Rule::MatomoRefusal => said::a_refusal_to_matomo,
        Rule::VendorOfTheDestination => said::a_vendor_that_was_refused,
        Rule::HeldCopyNeedsGrant => said::held_copy_before_the_choice,
        Rule::CeilingOfTheEntitled => said::a_purpose_that_nobody_has,

        Rule::ObjectionBeforeRecord => recorded::an_objection_beside_a_consent_on_record,
        Rule::RecordForTheWordless => recorded::a_library_that_could_have_said_it,
        Rule::RecordDecidesOnNoVendor => recorded::a_vendor_that_nobody_decided_on,
        Rule::NamedNeedsConsent => recorded::a_backend_that_names_whom_it_should_not,
        Rule::TicketNeedsConsent => tickets::a_browser_that_objects,
        Rule::TicketEnds => tickets::an_old_ticket,
        Rule::AnonymousIsNobody => recorded::a_page_that_asks_for_nobody,

        Rule::LastingIdNeedsConsent => person::no_choice_yet,
        Rule::CookieEndsWithConsent => person::a_minutes_consent,
        Rule::CookieAtMostThirteenMonths => person::a_long_consent,
        Rule::VendorCookieOfItsPurpose => vendors::another_purpose,
        Rule::VendorCookieEndsWithConsent => vendors::a_minutes_consent,
        Rule::VendorCookieIsNotExtended => vendors::an_old_cookie,
        Rule::ObjectionClearsVendorCookies => vendors::a_refusal,
        Rule::CookieIsNotExtended => person::a_second_visit,
        Rule::ObjectionClearsCookie => person::a_refusal_with_a_cookie,
        Rule::ObjectionDestroysKey => person::what_a_person_said_before,
        Rule::ObjectionPurgesToken | Rule::PurgeSet => person::what_a_visitor_without_a_cookie_said_before,
        Rule::ConsentEnds => person::an_ended_consent,
        Rule::GrantedBodiesAreSealed => person::a_granted_body_at_rest,

        Rule::ConsentIsOnRecord => proven::a_grant_on_record,
        Rule::RecordsAreHashed => proven::a_changed_record,
        Rule::RecordsAreChained => proven::a_changed_hash,
        Rule::RecordsAreKept => proven::a_record_erased_early,

        Rule::ErasedLeaveTheLog => rights::an_erased_person_in_the_log,
        Rule::RestoreAppliesErasures => rights::a_copy_from_before_an_erasure,
        Rule::ErasedStayOutOfImports => profiles::a_row_of_who_was_erased,
        Rule::ProfileWhileTheyAgree => profiles::what_is_kept_of_who_agrees_to_less,
        Rule::GoneLeaveTheProfiles => profiles::what_is_kept_of_who_withdrew,
        Rule::ClaimsJoinNothing => profiles::another_ones_account,
        Rule::LookupTellsListedTraits => profiles::a_trait_that_is_not_listed,
        Rule::LookupNeedsConsent => profiles::a_browser_that_objects,
        Rule::RestrictedIsNotShown => profiles::a_profile_that_is_not_to_be_used,
        Rule::OnlyProvenAccountsFind => rights::another_ones_account,
        Rule::OthersEventsStayTheirs => rights::a_shared_browser,

        Rule::ListedNamesOnly => leaves::an_unlisted_name,
        Rule::PurposesOfTheDestination => leaves::what_was_not_agreed_to,
        Rule::HeldCopyNotToExempt => leaves::a_held_copy,
        Rule::CeilingAtCapture => leaves::a_relaxed_preset,
        Rule::PolicyNow => leaves::a_tightened_preset,
        Rule::ConsentAtCapture => leaves::a_wider_yes,
        Rule::ConsentNow => leaves::a_narrower_yes,
        Rule::ListedPropertiesNow => leaves::a_property_taken_off_the_list,
        Rule::Deviations => leaves::a_deviation,
        Rule::Drop => leaves::a_dropped_field,
        Rule::Generalise => leaves::a_generalised_field,
        Rule::Pseudonymise => leaves::a_pseudonymised_field,
        Rule::ClickIdsForAds => leaves::click_ids_without_advertising,
        Rule::ClickIdsToTheirIssuer => leaves::click_ids_of_another_vendor,
        Rule::EnvelopeForAds => leaves::an_envelope_without_advertising,
        Rule::EnvelopeToWhoAsks => leaves::an_envelope_for_a_file,
        Rule::SitePresetBounds => leaves::the_sites_preset,
        Rule::LastingIdsOfOneDestination => leaves::lasting_ids_of_two_destinations,
        Rule::DailyIdsOfOneDestination => leaves::daily_ids_of_two_destinations,
        Rule::StrictIdsTellNobody => leaves::strict_ids,
        Rule::VisitKeyEndsWithTheDay => leaves::ids_of_two_days,
        Rule::FreedMemoryIsWiped => freed::a_freed_buffer,
        Rule::VendorConsentDerived => leaves::a_vendors_consent_parameters,
        Rule::HeldBackUntilOver => served::a_day_that_is_not_over,
        Rule::ConsentOnTheWay => leaves::a_withdrawal_on_the_way,
        Rule::DocumentsOnTheWay => leaves::changed_documents_on_the_way,

        Rule::NoExemptionForReuse => documents::an_exemption_for_a_vendor,
        Rule::NoExemptionForConsented => documents::an_exemption_for_a_consented_transform,
        Rule::TransformOfItsPurpose => documents::a_transform_without_its_purpose,
        Rule::ExemptMonths => documents::kept_for_longer_than_the_exemption_allows,
        Rule::RelaxingHasReason => documents::relaxed_without_a_reason,
        Rule::ManagedInTheirFile => documents::a_change_beside_the_file,
        Rule::DeviationHasReason => documents::a_deviation_without_a_reason,
        Rule::UnknownOnlyNarrows => documents::a_wider_deviation_without_consent,

        Rule::AskedAtEveryAttempt => served::an_objection_between_two_attempts,
        Rule::OwnOriginsOnly => served::a_foreign_page,
        Rule::CookiesAreNotCached => served::an_answer_with_a_cookie,
        Rule::ReferenceForTheVisitor => served::a_script_that_reads_the_page,
    }
}

fn main() -> ExitCode {
    // What cargo passes on to every test binary is of no use here.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let begun = Instant::now();
    let (mut passed, mut failed) = (0, 0);
    for rule in Rule::ALL {
        let name = format!("{rule:?}");
        if !wanted.is_empty() && !wanted.iter().any(|word| name.to_lowercase().contains(&word.to_lowercase())) {
            continue;
        }
        match proof_of(*rule) {
            Ok(got_out) => {
                passed += 1;
                println!("{name:<28} holds: green   taken out: red   {}\n{:28} without it gets out: {got_out}", rule.says(), "");
            }
            Err(fault) => {
                failed += 1;
                println!("{name:<28} NOT PROVEN: {fault}");
            }
        }
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    let seconds = begun.elapsed().as_secs_f32();
    println!("\ntest result: {result}. {passed} passed; {failed} failed; 0 ignored; rules taken out one by one in {seconds:.1}s");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a rule's case with the rule and without it. Says what got out without it.
fn proof_of(rule: Rule) -> Result<&'static str, String> {
    let case = case_of(rule);
    match catch_unwind(case) {
        Ok(Ok(())) => {}
        Ok(Err(got_out)) => return Err(format!("with the rule in force, this got out: {got_out}")),
        Err(_) => return Err(String::from("the case is broken: see above")),
    }
    let out = take_out(rule);
    let found = catch_unwind(case);
    drop(out);
    match found {
        Ok(Err(got_out)) => Ok(got_out),
        Ok(Ok(())) => Err(String::from("without the rule, nothing got out: it is decided elsewhere too, or its case does not test it")),
        Err(_) => Err(String::from("without the rule, the case is broken: see above")),
    }
}
