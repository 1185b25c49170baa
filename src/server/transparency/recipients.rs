//! The receivers of a site's events, as the page shows them: from the compiled documents, so from what is enforced.

use std::fmt::Write as _;

use super::{escaped, listed};
use crate::{
    documents::{Basis, Bots, Destination, Documents, Leaving, Site, profile::KIND},
    privacy::{contact_values::ContactField, identifiers::IdentifierKind, policy::Field},
};

/// A purpose, in words for a visitor.
pub(super) fn purpose(name: &'static str) -> &'static str {
    match name {
        "analytics" => "audience analysis with a lasting id",
        "profile" => "a customer profile of the website’s own",
        "ads" => "advertising",
        other => other,
    }
}

/// A field, in words for a visitor.
const fn label(field: Field) -> &'static str {
    match field {
        Field::Name => "What happened",
        Field::Time => "When",
        Field::Page => "Page",
        Field::Referrer => "Where you came from",
        Field::Campaign => "Campaign",
        Field::ClickIds => "Click on an advertisement",
        Field::Visitor => "Visitor id",
        Field::Session => "Visit id",
        Field::UserId => "Account",
        Field::Device => "Browser and device",
        Field::Place => "Place",
        Field::Language => "Language",
        Field::Screen => "Screen",
        Field::Value => "Amount",
        Field::Currency => "Currency",
        Field::Tax => "Tax",
        Field::Shipping => "Shipping",
        Field::Coupon => "Coupon",
        Field::OrderId => "Order id",
        Field::Items => "Products",
        Field::Properties => "Further details",
        Field::Bot => "Whether a program sent it",
        Field::Address => "Internet address",
        Field::UserAgent => "What the browser says of itself",
        Field::Contact => "Contact details, as digests",
        Field::VendorIds => "This company’s own ids of you",
    }
}

/// What a customer is known by, in words for a visitor.
const fn identifier(kind: IdentifierKind) -> &'static str {
    match kind {
        IdentifierKind::Account => "your account",
        IdentifierKind::Crm => "your number in the website’s customer system",
        IdentifierKind::Email => "your e-mail address",
        IdentifierKind::Phone => "your phone number",
    }
}

/// The same of how they are written to.
const fn contact(field: ContactField) -> &'static str {
    match field {
        ContactField::Email => "your e-mail address",
        ContactField::Phone => "your phone number",
        ContactField::Name => "your name",
    }
}

/// Whether somebody receives events of visitors who have not chosen.
pub(super) fn someone_before_the_choice(site: &Site) -> bool {
    site.ceilings.unknown.is_some()
}

/// One card for each receiver.
pub(super) fn recipients(site: &Site, documents: &Documents) -> String {
    let mut cards = String::new();
    for destination in documents.receiving(site.number) {
        card(&mut cards, documents, site, destination);
    }
    if cards.is_empty() {
        cards.push_str("<p>Nobody receives anything.</p>");
    }
    cards
}

fn card(out: &mut String, documents: &Documents, site: &Site, destination: &Destination) {
    let allowed = site.allowed(destination.number);
    let nothing = allowed.breadth.is_nothing();
    let _ = write!(out, "<article><h3>{}</h3><p>{}.", escaped(&destination.name), destination.receiver());
    if destination.vendor_reuses_data() {
        out.push_str(" This company also uses the data for itself.");
    }
    if destination.paused {
        out.push_str(" Paused at present.");
    }
    out.push_str("</p><dl class=\"facts\">");
    let mut fact = |what: &str, is: &str| {
        let _ = write!(out, "<div><dt>{what}</dt><dd>{is}</dd></div>");
    };
    match destination.basis {
        Basis::ExemptMeasurement => {
            fact("Ground", "Audience measurement for this website’s own account");
            let (before, after) = if nothing { ("Nothing", "Nothing") } else { ("What is listed here", "The same") };
            fact("Before you choose", before);
            fact("After a yes", after);
        }
        Basis::Consent(purposes) => {
            let purposes: Vec<_> = purposes.names().map(purpose).collect();
            fact("Ground", &format!("Your consent to {}", listed(&purposes)));
            if let Some(vendor) = destination.tcf_vendor {
                let words =
                    format!("If the consent dialogue asks about single companies: only after a yes to this one (IAB vendor {vendor})");
                fact("This company", &words);
            }
            fact("Before you choose", "Nothing");
            fact("After a yes", if nothing { "Nothing" } else { "What is listed here" });
        }
    }
    fact("After a no or an opt-out", "Nothing");
    if destination.bots == Bots::People {
        fact("What looks like a program’s", "Nothing");
    }
    if destination.kind == KIND
        && let Some(rules) = documents.profile_of(site.number)
    {
        let known_by: Vec<_> = rules.identifiers.iter().map(|rule| identifier(rule.kind)).collect();
        fact("What you are known by", &format!("{}, under keys, as far as you or the website’s own systems say them", listed(&known_by)));
        if !rules.keeps.is_empty() {
            let kept: Vec<_> = rules.keeps.iter().map(|field| contact(*field)).collect();
            fact(
                "How you are written to",
                &format!("{}, as you told the website, under a key of your own that ends with your consent", listed(&kept)),
            );
        }
    }
    let kept = destination.kept_months.map(|months| format!("{months} months at most, as the settings of this website say"));
    fact("Kept there", kept.as_deref().unwrap_or("As long as the receiver’s own rules say"));
    out.push_str("</dl>");
    if !nothing {
        table(out, site, destination, &site.leaving(destination));
    }
    out.push_str("</article>");
}

fn table(out: &mut String, site: &Site, destination: &Destination, leaving: &Leaving) {
    out.push_str("<table><thead><tr><th scope=\"col\">What</th><th scope=\"col\">What becomes of it</th></tr></thead><tbody>");
    for field in Field::ALL.into_iter().filter(|field| leaving.has(*field, site)) {
        let mut effect = coded(leaving.effect(field));
        let names: Vec<_> = leaving.names(field, site).iter().map(|name| format!("<code>{}</code>", escaped(name))).collect();
        if !names.is_empty() {
            let lead = if field == Field::Name { "; own names: " } else { ": " };
            let _ = write!(effect, "{lead}{}", names.join(", "));
        }
        let _ = write!(out, "<tr><th scope=\"row\">{}</th><td>{effect}</td></tr>", label(field));
    }
    out.push_str("</tbody></table>");
    let stays = |field: &Field| !leaving.has(*field, site) && destination.could_have(*field);
    let stays: Vec<_> = Field::ALL.into_iter().filter(stays).map(|field| label(field).to_lowercase()).collect();
    if !stays.is_empty() {
        let stays: Vec<&str> = stays.iter().map(String::as_str).collect();
        let _ = write!(out, "<p class=\"stays\">Does not leave: {}.</p>", listed(&stays));
    }
}

/// Words in backticks become code.
fn coded(words: &str) -> String {
    let parts = escaped(words).split('`').map(str::to_owned).collect::<Vec<_>>();
    let parts = parts.iter().enumerate();
    parts.map(|(index, part)| if index % 2 == 1 { format!("<code>{part}</code>") } else { part.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::{
        clock::Timestamp,
        documents::{
            parse::DocumentFile,
            store::{Author, DocumentStore},
        },
        event::Purposes,
        privacy::visitor::{BrowserState, ConsentInForce},
        state::{IN_MEMORY, StateDb},
    };

    const DOCUMENTS: &str = r#"
        [[policy]]
        name = "shop"
        properties = { plan = "word" }
        [[policy.deviation]]
        field = "order_id"
        treatment = "drop"
        destinations = ["crm"]
        reason = "secret reason"
        [[site]]
        name = "shop"
        hosts = ["www.shop.example"]
        origins = ["https://www.shop.example"]
        prefix = "/kesolu"
        time_zone = "Europe/Paris"
        policy = "shop"
        [[destination]]
        name = "count"
        type = "file"
        sites = ["shop"]
        basis = "exempt_measurement"
        transform = "measurement"
        settings = { directory = "outbox/count" }
        [[destination]]
        name = "crm"
        type = "file"
        sites = ["shop"]
        basis = "consent"
        purposes = ["analytics", "profile"]
        transform = "consented-profile"
        settings = { directory = "outbox/crm" }
    "#;

    fn compiled(text: &str) -> Documents {
        let store = DocumentStore::new(Arc::new(StateDb::open(Path::new(IN_MEMORY)).unwrap()));
        let author = Author { name: "test", reason: "a test", at: Timestamp(1_790_000_000_000) };
        store.apply(DocumentFile::parse(text).unwrap().into_documents(), false, false, &author).unwrap();
        store.compiled().unwrap()
    }

    const NOBODY: BrowserState =
        BrowserState { opted_out: false, global_privacy_control: false, do_not_track: false, consent: None, consent_outranks_gpc: false };

    fn page(text: &str, standing: &BrowserState) -> String {
        let documents = compiled(text);
        let kept = [std::time::Duration::from_secs(72 * 3600), std::time::Duration::from_secs(30 * 86_400)];
        super::super::render(&documents.sites[0], &documents, kept, standing, true, Timestamp(1_790_000_000_000))
    }

    fn part<'t>(text: &'t str, from: &str, to: &str) -> &'t str {
        text.split_once(from).and_then(|(_, rest)| rest.split_once(to)).expect("the part is there").0
    }

    #[test]
    fn what_a_profile_is_known_by_and_keeps_in_the_clear_is_said() {
        let of = |more: &str| {
            let site = format!("policy = \"shop\"\n{more}\n[[destination]]\nname = \"count\"");
            let text = DOCUMENTS.replacen("policy = \"shop\"\n        [[destination]]\n        name = \"count\"", &site, 1);
            page(&text, &NOBODY)
        };
        let card = |page: &str| part(page, "<h3>profile:shop</h3>", "</article>").to_owned();
        let plain = card(&of("[site.profile]"));
        assert!(plain.contains("<dt>What you are known by</dt><dd>your account, under keys") && !plain.contains("How you are written to"));
        let all = card(&of("[site.profile]\nkeep_contacts = [\"name\", \"email\"]\n[site.profile.identifiers]\nemail = { joins = true }"));
        assert!(all.contains("<dd>your account and your e-mail address, under keys"), "{all}");
        assert!(all.contains("<dt>How you are written to</dt><dd>your e-mail address and your name, as you told the website"), "{all}");
    }

    #[test]
    fn every_field_that_leaves_is_named_with_what_becomes_of_it_and_nothing_else_is() {
        let page = page(DOCUMENTS, &NOBODY);
        let documents = compiled(DOCUMENTS);
        for destination in &documents.destinations {
            let card = part(&page, &format!("<h3>{}</h3>", destination.name), "</article>");
            let consented = destination.name == "crm";
            let allowed = documents.sites[0].allowed(destination.number);
            let table = if consented { allowed.granted } else { allowed.unknown };
            for field in Field::ALL {
                let row = format!("<th scope=\"row\">{}</th><td>{}", label(field), coded(field.effect(table.get(field), consented)));
                assert_eq!(card.contains(&row), table.lets(field), "{} {field:?}", destination.name);
            }
            assert!(card.contains("<code>plan</code>"));
        }
        let crm = part(&page, "<h3>crm</h3>", "</article>");
        assert!(crm.contains("Your consent to audience analysis with a lasting id and a customer profile"));
        assert!(
            crm.contains("<dt>Before you choose</dt><dd>Nothing</dd>")
                && crm.contains("Does not leave: click on an advertisement and order id.")
        );
        let count = part(&page, "<h3>count</h3>", "</article>");
        assert!(count.contains("<dt>Before you choose</dt><dd>What is listed here</dd>") && count.contains("an id that lives one day"));
        assert!(count.contains("<dt>Kept there</dt><dd>25 months at most") && crm.contains("<dt>Kept there</dt><dd>As long as"));
        assert!(!page.contains("secret reason"), "reasons are the site's own");
        assert!(page.contains("Policy “shop”, version 1. This website’s settings were last changed on 2026-09-21."));
    }

    #[test]
    fn a_changed_document_is_a_changed_page() {
        let vendor = DOCUMENTS.replace("transform = \"consented-profile\"", "transform = \"consented-profile\"\ntcf_vendor = 2");
        assert!(part(&page(&vendor, &NOBODY), "<h3>crm</h3>", "</article>").contains("only after a yes to this one (IAB vendor 2)"));
        let narrower = DOCUMENTS.replace("transform = \"measurement\"", "transform = \"strict\"");
        let narrower = page(&narrower, &NOBODY);
        assert!(part(&narrower, "<h3>count</h3>", "</article>").contains("an id of this one event"));
        let (none, _) = DOCUMENTS.split_once("[[policy.deviation]]").unwrap();
        let (_, site) = DOCUMENTS.split_once("[[site]]").unwrap();
        let none = page(&format!("{none}[[site]]{}", site.split_once("[[destination]]").unwrap().0), &NOBODY);
        assert!(none.contains("Nobody receives anything.") && none.contains("Nothing is recorded of your visits."));
        assert!(none.contains("None is set") && !none.contains("__Host-fp") && !none.contains("Record of your consent"));
    }

    #[test]
    fn a_site_where_a_yes_outranks_gpc_says_so_and_why() {
        let relaxed = DOCUMENTS.replace("policy = \"shop\"\n", "policy = \"shop\"\ngpc_site_override = { reason = \"asked <twice>\" }\n");
        let gpc = BrowserState { global_privacy_control: true, consent_outranks_gpc: true, ..NOBODY };
        let objecting = page(&relaxed, &gpc);
        assert!(
            objecting.contains("until you say yes on this very website")
                && objecting.contains("The website’s reason: “asked &lt;twice&gt;”")
        );
        assert!(!page(DOCUMENTS, &NOBODY).contains("A yes here, and Global Privacy Control"));
        let consent = ConsentInForce { purposes: Purposes::ANALYTICS, expires: Timestamp(1_800_000_000_000), reference: None };
        let agreed = page(&relaxed, &BrowserState { consent: Some(consent), ..gpc });
        assert!(agreed.contains("counts for more.") && agreed.contains("You agreed</strong>"));
    }

    #[test]
    fn the_page_says_how_long_and_shows_where_this_browser_stands() {
        let consent = || {
            let reference = Some(String::from("3f9a1c02-00010203-04050607-08090aff"));
            Some(ConsentInForce { purposes: Purposes::ANALYTICS, expires: Timestamp(1_800_000_000_000), reference })
        };
        let nobody = page(DOCUMENTS, &NOBODY);
        for text in ["72 hours on this server", "30 days on this server", "at most 395 days", "400 days", "3 years beyond"] {
            assert!(nobody.contains(text), "{text}");
        }
        assert!(nobody.contains("You have not agreed to anything") && nobody.contains("Audience measurement without consent takes place"));
        let table = [
            (NOBODY, "about/out", vec!["You have not agreed"], vec!["You have opted out", "quote this reference"]),
            (BrowserState { opted_out: true, ..NOBODY }, "about/in", vec!["You have opted out"], vec!["You have not agreed"]),
            (
                BrowserState { global_privacy_control: true, ..NOBODY },
                "about/out",
                vec!["Global Privacy Control.</strong>"],
                vec!["You have not agreed"],
            ),
            (BrowserState { do_not_track: true, ..NOBODY }, "about/out", vec!["Do Not Track.</strong>"], vec!["You have not agreed"]),
            (
                BrowserState { consent: consent(), ..NOBODY },
                "about/out",
                vec!["You agreed</strong> to audience analysis", "2027-01-15", "08090aff", "Withdraw"],
                vec!["not agreed"],
            ),
            (
                BrowserState { consent: consent(), global_privacy_control: true, ..NOBODY },
                "about/out",
                vec!["Global Privacy Control.</strong>"],
                vec!["You agreed"],
            ),
        ];
        for (standing, action, there, absent) in table {
            let page = page(DOCUMENTS, &standing);
            assert!(page.contains(&format!("<form method=\"post\" action=\"{action}\">")) && page.matches("<form").count() == 1);
            there.iter().for_each(|text| assert!(page.contains(text), "{text}"));
            absent.iter().for_each(|text| assert!(!page.contains(text), "{text}"));
            assert!(!part(&page, "</style>", "</html>").contains('{'), "every place is filled");
            assert!(!page.contains("<script") && !page.contains(" src=") && !page.contains("http"), "nothing foreign, nothing that runs");
        }
    }
}
