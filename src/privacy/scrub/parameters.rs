//! Names of query parameters: which may rest at all, and of the others what they are. A parameter that is not in [`kept`] goes, known or not;
//! the table is for telling site owners why a name cannot be one of theirs. Names are facts, collected from vendors' documentation.

use crate::privacy::clean::CampaignField;

/// Who issued a click's or a person's id, and alone could make anything of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Issuer {
    /// Google's advertising and analytics.
    Google,
    /// Meta's.
    Meta,
    /// Microsoft's.
    Microsoft,
    /// TikTok's.
    TikTok,
    /// Any other: affiliate networks, mailing services, smaller advertisers.
    Other,
}

/// What a parameter's name says of its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The id of a click or of a person, of this issuer.
    Click(Issuer),
    /// A campaign.
    Campaign,
    /// Somebody's secret, or what they are called or live.
    Personal,
}

/// The campaign parameters that may rest with consent, exactly so written.
#[must_use]
pub(in crate::privacy) fn kept(name: &str) -> Option<CampaignField> {
    Some(match name {
        "utm_source" => CampaignField::Source,
        "utm_medium" => CampaignField::Medium,
        "utm_campaign" => CampaignField::Name,
        "utm_term" => CampaignField::Term,
        "utm_content" => CampaignField::Content,
        "utm_id" => CampaignField::Id,
        _ => return None,
    })
}

/// What is known of a name, whatever its case and its dashes.
#[must_use]
pub fn meaning(name: &str) -> Option<Meaning> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let click = CLICKS.iter().find(|(_, names)| names.contains(&name.as_str())).map(|(issuer, _)| Meaning::Click(*issuer));
    let campaign = || {
        let known = CAMPAIGNS.contains(&name.as_str()) || CAMPAIGN_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        known.then_some(Meaning::Campaign)
    };
    click.or_else(|| PERSONAL.contains(&name.as_str()).then_some(Meaning::Personal)).or_else(campaign)
}

const CLICKS: [(Issuer, &[&str]); 5] = [
    (Issuer::Google, &["_ga", "_gl", "dclid", "gad_campaignid", "gad_source", "gbraid", "gclid", "gclsrc", "srsltid", "usqp", "wbraid"]),
    (Issuer::Meta, &["fb_action_ids", "fb_action_types", "fb_comment_id", "fb_ref", "fb_source", "fbclid", "igsh", "igshid"]),
    (Issuer::Microsoft, &["li_fat_id", "msclkid"]),
    (Issuer::TikTok, &["ttclid"]),
    (
        Issuer::Other,
        &[
            "__hsfp",
            "__hssc",
            "__hstc",
            "__s",
            "_bhlid",
            "_branch_match_id",
            "_branch_referrer",
            "_clde",
            "_cldee",
            "_hsenc",
            "_kx",
            "_openstat",
            "admitad_uid",
            "at_recipient_id",
            "at_recipient_list",
            "awc",
            "bbeml",
            "bsft_aaid",
            "bsft_clkid",
            "bsft_eid",
            "bsft_ek",
            "bsft_mid",
            "bsft_uid",
            "click_id",
            "clickid",
            "cuid",
            "epik",
            "erid",
            "et_rid",
            "external_click_id",
            "famad_xuid",
            "gps_adid",
            "guce_referrer",
            "guce_referrer_sig",
            "hsctatracking",
            "ir_adid",
            "ir_partnerid",
            "irclickid",
            "irgwc",
            "mc_cid",
            "mc_eid",
            "mc_tc",
            "mindbox_click_id",
            "mindbox_message_key",
            "mkt_tok",
            "ml_subscriber",
            "ml_subscriber_hash",
            "mtm_cid",
            "oft_c",
            "oft_ck",
            "oft_d",
            "oft_id",
            "oft_ids",
            "oft_k",
            "oft_lk",
            "oft_sk",
            "oly_anon_id",
            "oly_enc_id",
            "pk_cid",
            "pk_vid",
            "rb_clickid",
            "rdt_cid",
            "rtkcid",
            "s_cid",
            "sc_customer",
            "sc_eh",
            "sc_uid",
            "sccid",
            "sfmc_activityid",
            "sfmc_id",
            "sms_click",
            "sms_uph",
            "ss_email_id",
            "sscid",
            "syclid",
            "tduid",
            "twclid",
            "unicorn_click_id",
            "vero_conv",
            "vero_id",
            "vgo_ee",
            "wickedid",
            "yclid",
            "ymclid",
            "ymid",
            "ysclid",
        ],
    ),
];

const CAMPAIGN_PREFIXES: [&str; 15] =
    ["adjust_", "at_", "cm_mmc", "dpg_", "ga_", "hsa_", "int_", "itm_", "mtm_", "oft_", "otm_", "piwik_", "pk_", "stm_", "utm_"];
const CAMPAIGNS: [&str; 8] = ["cmpid", "ir_campaignid", "ref", "ref_", "source", "spm", "wt_mc", "xtor"];

/// Names of what is always somebody's. (`name`, `code`, `state`, `q` and the like are as often a thing's: their values go for want of a place on
/// a list, not because of the name.)
const PERSONAL: [&str; 78] = [
    "access_token",
    "accountnum",
    "address",
    "api_key",
    "apikey",
    "aspsessionid",
    "auth",
    "authorization",
    "bearer",
    "bic",
    "birth",
    "birthdate",
    "birthday",
    "card",
    "cc",
    "ccn",
    "cvc",
    "cvv",
    "date_of_birth",
    "dob",
    "e_mail",
    "email",
    "email_address",
    "first_name",
    "firstname",
    "fname",
    "fullname",
    "full_name",
    "gender",
    "iban",
    "id_token",
    "invite",
    "jsessionid",
    "jwt",
    "last_name",
    "lastname",
    "lat",
    "lname",
    "lng",
    "login",
    "lon",
    "mail",
    "mobile",
    "msisdn",
    "nino",
    "nir",
    "nonce",
    "otp",
    "pan",
    "pass",
    "passport",
    "passwd",
    "password",
    "patient",
    "phone",
    "phpsessid",
    "pin",
    "pnr",
    "pwd",
    "refresh_token",
    "reset_token",
    "resetkey",
    "saml",
    "samlresponse",
    "secret",
    "session_token",
    "sessionid",
    "ssn",
    "street",
    "surname",
    "taxid",
    "tel",
    "telephone",
    "token",
    "user_email",
    "user_email_address",
    "user_name",
    "username",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_they_say() {
        for (name, means) in [
            ("gclid", Meaning::Click(Issuer::Google)),
            ("FBCLID", Meaning::Click(Issuer::Meta)),
            ("mindbox-click-id", Meaning::Click(Issuer::Other)),
            ("utm_social-type", Meaning::Campaign),
            ("pk_vid", Meaning::Click(Issuer::Other)),
            ("Password", Meaning::Personal),
        ] {
            assert_eq!(meaning(name), Some(means), "{name}");
        }
        for name in ["plan", "rating", "page", "engagement_ms"] {
            assert_eq!(meaning(name), None, "{name}");
        }
    }

    #[test]
    fn nothing_that_has_a_click_or_a_person_in_its_name_is_kept() {
        let clicks = CLICKS.iter().flat_map(|(_, names)| names.iter());
        for name in clicks.chain(&PERSONAL) {
            assert!(kept(name).is_none(), "{name}");
        }
    }
}
