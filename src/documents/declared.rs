//! What the operator declares for the records, since no program can know it: who answers for a site, where its server stands, who receives and
//! under which contract. Nothing in it changes what leaves; `firsthand records` prints it, and what is missing.

use serde::{Deserialize, Serialize};

use super::{
    compile::{DocumentError, fault},
    parse::{DestinationDocument, SiteDocument},
};

/// A name with an address, or a sentence or two about measures.
const TEXT_BYTES_MAX: usize = 1_000;

/// ISO 3166-1 alpha-2, as assigned.
const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC \
    CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL \
    GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI \
    LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE \
    PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ \
    TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW";

/// The European Economic Area: the Union's members, Iceland, Liechtenstein and Norway, and the parts of members that have codes of their own
/// and in which the GDPR applies (Åland and the French overseas departments with Saint-Martin).
const EUROPEAN_ECONOMIC_AREA: &str =
    "AT AX BE BG CY CZ DE DK EE ES FI FR GF GP GR HR HU IE IS IT LI LT LU LV MF MQ MT NL NO PL PT RE RO SE SI SK YT";

/// Who decides why and how a site's data are processed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Controller {
    /// Their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How to reach them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Who decides with them, name and contact; "none".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub joint: Option<String>,
    /// Who represents them in the Union, name and contact; "none".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub representative: Option<String>,
    /// The data protection officer, name and contact; "none".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dpo: Option<String>,
    /// The ground in Article 6 of what happens without consent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub legal_basis: Option<String>,
    /// Technical and organisational measures around the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measures: Option<String>,
}

/// Whoever runs the program on behalf of the controller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Processor {
    /// Their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How to reach them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Who represents them in the Union, name and contact; "none".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub representative: Option<String>,
    /// Their data protection officer, name and contact; "none".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dpo: Option<String>,
    /// The contract with the controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
}

/// Someone who has the data: a receiver, or whoever keeps the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Party {
    /// Their name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where the data are then: ISO 3166-1, two capital letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// For a country outside the European Economic Area: what the transfer rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub safeguard: Option<String>,
    /// The contract with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
}

/// Keys and what is written there, in the order of a record.
pub type Entries<'d> = Vec<(&'static str, Option<&'d str>)>;

impl Controller {
    /// Its keys and values.
    #[must_use]
    pub fn entries(&self) -> Entries<'_> {
        vec![
            ("name", self.name.as_deref()),
            ("contact", self.contact.as_deref()),
            ("joint", self.joint.as_deref()),
            ("representative", self.representative.as_deref()),
            ("dpo", self.dpo.as_deref()),
            ("legal_basis", self.legal_basis.as_deref()),
            ("measures", self.measures.as_deref()),
        ]
    }
}

impl Processor {
    /// Its keys and values.
    #[must_use]
    pub fn entries(&self) -> Entries<'_> {
        vec![
            ("name", self.name.as_deref()),
            ("contact", self.contact.as_deref()),
            ("representative", self.representative.as_deref()),
            ("dpo", self.dpo.as_deref()),
            ("contract", self.contract.as_deref()),
        ]
    }
}

impl Party {
    /// Its keys and values.
    #[must_use]
    pub fn entries(&self) -> Entries<'_> {
        vec![
            ("name", self.name.as_deref()),
            ("country", self.country.as_deref()),
            ("safeguard", self.safeguard.as_deref()),
            ("contract", self.contract.as_deref()),
        ]
    }

    /// Whether the data stay in the European Economic Area; `None`: it is not said where they are.
    #[must_use]
    pub fn stays_in_the_area(&self) -> Option<bool> {
        self.country.as_deref().map(|country| is_listed(country, EUROPEAN_ECONOMIC_AREA))
    }
}

fn is_listed(country: &str, list: &str) -> bool {
    list.split_whitespace().any(|listed| listed == country)
}

/// Checks what a site's document declares.
pub(super) fn check_site(document: &SiteDocument, errors: &mut Vec<DocumentError>) {
    let of = ("site", document.name.as_str());
    if let Some(controller) = &document.controller {
        check_texts(of, "controller", &controller.entries(), errors);
    }
    if let Some(processor) = &document.processor {
        check_texts(of, "processor", &processor.entries(), errors);
    }
    if let Some(hosting) = &document.hosting {
        check_party(of, "hosting", hosting, errors);
    }
}

/// Checks what a destination's document declares.
pub(super) fn check_destination(document: &DestinationDocument, errors: &mut Vec<DocumentError>) {
    if let Some(recipient) = &document.recipient {
        check_party(("destination", document.name.as_str()), "recipient", recipient, errors);
    }
}

fn check_party(of: (&'static str, &str), section: &str, party: &Party, errors: &mut Vec<DocumentError>) {
    check_texts(of, section, &party.entries(), errors);
    let Some(country) = party.country.as_deref().filter(|country| !is_listed(country, COUNTRIES)) else { return };
    let reason = "it is no country's code of two capital letters (ISO 3166-1)";
    let fix = match country {
        "UK" => "country = \"GB\", the United Kingdom's",
        "EU" | "EEA" => "country = \"IE\", or whichever country the data are in",
        _ => "country = \"FR\"",
    };
    fault(errors, of, &format!("{section}.country"), reason, fix);
}

fn check_texts(of: (&'static str, &str), section: &str, entries: &Entries<'_>, errors: &mut Vec<DocumentError>) {
    for (key, text) in entries {
        let Some(text) = text else { continue };
        let wrong = if text.trim().is_empty() {
            "it says nothing"
        } else if text.len() > TEXT_BYTES_MAX {
            "it is longer than 1000 bytes"
        } else if text.chars().any(char::is_control) {
            "it holds a line break or another control character"
        } else {
            continue;
        };
        fault(
            errors,
            of,
            &format!("{section}.{key}"),
            wrong,
            "one line of text; or leave the key out, and the record says that it is missing",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(declared: &str) -> Vec<(String, String)> {
        let text = format!("name = \"shop\"\nhosts = []\norigins = []\nprefix = \"/kesolu\"\npolicy = \"shop\"\n{declared}");
        let mut errors = Vec::new();
        check_site(&toml::from_str(&text).unwrap(), &mut errors);
        errors.into_iter().map(|error| (error.key, error.fix)).collect()
    }

    #[test]
    fn what_cannot_be_printed_is_refused_with_its_key() {
        assert_eq!(faults("[controller]\nname = \"Shop SARL\"\ncontact = \"1 rue de l’Exemple\"\n[hosting]\ncountry = \"FR\""), []);
        for (declared, key) in [
            ("[controller]\nname = \" \"", "controller.name"),
            ("[controller]\ndpo = \"a\\nb\"", "controller.dpo"),
            ("[processor]\ncontract = \"\"", "processor.contract"),
            ("[hosting]\ncountry = \"France\"", "hosting.country"),
            ("[hosting]\ncountry = \"fr\"", "hosting.country"),
        ] {
            let found = faults(declared);
            assert!(found.len() == 1 && found[0].0 == key && !found[0].1.is_empty(), "{declared}: {found:?}");
        }
        assert!(faults("[hosting]\ncountry = \"UK\"")[0].1.contains("GB"));
        assert_eq!(faults(&format!("[controller]\nname = \"{}\"", "x".repeat(TEXT_BYTES_MAX + 1))).len(), 1);
        assert!(toml::from_str::<Controller>("nmae = \"x\"").unwrap_err().to_string().contains("expected one of `name`, `contact`"));
    }

    #[test]
    fn the_area_is_made_of_countries() {
        assert_eq!(COUNTRIES.split_whitespace().count(), 249);
        for country in EUROPEAN_ECONOMIC_AREA.split_whitespace() {
            assert!(is_listed(country, COUNTRIES), "{country}");
        }
        let of = |country: &str| Party { country: Some(country.to_owned()), ..Party::default() }.stays_in_the_area();
        assert_eq!((of("FR"), of("NO"), of("US"), of("GB"), of("CH")), (Some(true), Some(true), Some(false), Some(false), Some(false)));
        assert_eq!(Party::default().stays_in_the_area(), None);
    }
}
