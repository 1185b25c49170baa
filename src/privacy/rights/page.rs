//! The export as a page for people: what `person.json` says, without scripts or anything from elsewhere, made to be read and printed.

use std::fmt::Write as _;

use serde_json::Value;

const STYLE: &str = "
:root{color-scheme:light}body{font:16px/1.55 system-ui,sans-serif;color:#1b1f24;background:#fff;max-width:56rem;margin:2rem auto;padding:0 1.25rem}
h1{font-size:1.7rem;line-height:1.2;margin:0 0 .25rem}h2{font-size:1.2rem;margin:2.2rem 0 .6rem;border-bottom:1px solid #d5dae0;padding-bottom:.25rem}
h3{font-size:1rem;margin:1.2rem 0 .2rem}p{margin:.4rem 0 .8rem;max-width:46rem}.quiet{color:#56606b}ul{padding-left:1.2rem}li{margin:.25rem 0}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1rem;font-variant-numeric:tabular-nums}th,td{text-align:left;vertical-align:top;padding:.35rem .8rem .35rem 0;border-bottom:1px solid #e6e9ed}
th{font-weight:600;color:#4a5560;white-space:nowrap}code{font:.86em ui-monospace,monospace;overflow-wrap:anywhere}
.events td:first-child{white-space:nowrap}.answer{padding:.8rem 1rem;border-left:.4rem solid #2a5d8f;background:#eef4fa;margin:1rem 0}.answer p:last-child{margin-bottom:0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem .8rem;margin:0}dt{color:#56606b}dd{margin:0;overflow-wrap:anywhere}
@media print{body{margin:0;max-width:none;font-size:10.5pt}h2{break-after:avoid}tr,li{break-inside:avoid}}
@media(max-width:40rem){.events thead{display:none}.events tr{display:block;border-bottom:1px solid #d5dae0;padding:.4rem 0}.events td{display:block;border:0;padding:.1rem 0}}
";
/// So many events are in the page's table; all of them are in the JSON.
const EVENTS_SHOWN_MAX: usize = 2_000;

/// The page.
pub(super) fn page(document: &Value) -> String {
    let mut page = String::with_capacity(32 * 1024);
    let site = text(&document["site"]["name"]);
    put(
        &mut page,
        format_args!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
             <meta name=\"robots\" content=\"noindex\"><title>What rests about you</title><style>{STYLE}</style></head><body>\
             <h1>What rests about you</h1><p class=\"quiet\">Website “{}” ({}) · {}</p><div class=\"answer\">",
            escaped(&site),
            escaped(&listed(&document["site"]["hosts"])),
            escaped(&moment(&document["made_at"])),
        ),
    );
    for sentence in each(&document["answer"]) {
        put(&mut page, format_args!("<p>{}</p>", escaped(&text(sentence))));
    }
    page.push_str("</div>");
    consents(&mut page, document);
    profiles(&mut page, document);
    recipients(&mut page, document);
    events(&mut page, document);
    around(&mut page, document);
    page.push_str("</body></html>\n");
    page
}

fn consents(page: &mut String, document: &Value) {
    let browsers = document["browsers"].as_array().map_or(&[][..], Vec::as_slice);
    if browsers.is_empty() {
        return;
    }
    page.push_str("<h2>What you agreed to</h2>");
    for (number, browser) in browsers.iter().enumerate() {
        if browsers.len() > 1 {
            put(page, format_args!("<h3>Browser {}</h3>", number + 1));
        }
        put(
            page,
            format_args!(
                "<p>Now: <strong>{}</strong>, until {} at the latest. Reference of this consent: <code>{}</code></p>\
                 <table><thead><tr><th>When</th><th>What was said</th><th>To</th><th>Policy</th></tr></thead><tbody>",
                escaped(&listed(&browser["agreed_to_now"])),
                escaped(&moment(&browser["consent_ends"])),
                escaped(&text(&browser["consent_reference"])),
            ),
        );
        for record in each(&browser["consents_on_record"]) {
            put(
                page,
                format_args!(
                    "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}, version {}</td></tr>",
                    escaped(&moment(&record["at"])),
                    escaped(&text(&record["said"])),
                    escaped(&listed(&record["purposes"])),
                    escaped(&text(&record["policy"])),
                    escaped(&text(&record["policy_version"])),
                ),
            );
        }
        page.push_str("</tbody></table>");
    }
}

/// What the website's customer profile says of them: in words what most people ask for; all of it is in the JSON.
fn profiles(page: &mut String, document: &Value) {
    for profile in each(&document["profiles"]) {
        let traits = &profile["traits"];
        page.push_str("<h2>Your customer profile</h2><p>What the website has put together from these events and earlier ones. The file person.json says of each where it is from.</p><dl>");
        let mut fact = |what: &str, is: String| {
            if !is.is_empty() {
                put(page, format_args!("<dt>{}</dt><dd>{}</dd>", escaped(what), escaped(&is)));
            }
        };
        for (what, key) in [("Name", "name"), ("E-mail address", "email"), ("Phone number", "phone")] {
            fact(what, text(&profile["contact"][key]["value"]));
        }
        fact("First seen", moment(&traits["first_seen"]));
        fact("Last seen", moment(&traits["last_seen"]));
        fact("Visits", text(&traits["visits"]));
        for of in each(&traits["revenue"]) {
            fact("Orders", format!("{} for {} {}", text(&of["orders"]), text(&of["revenue"]), text(&of["currency"])));
        }
        for (what, key) in [("Last products", "last_products"), ("Last categories", "last_categories")] {
            fact(what, each(&traits[key]).map(|met| text(&met["name"])).collect::<Vec<_>>().join(", "));
        }
        for (what, key) in [("First campaign", "first_campaign"), ("Last campaign", "last_campaign")] {
            let words = traits[key]["value"].as_object().into_iter().flatten().map(|(_, word)| text(word));
            fact(what, words.collect::<Vec<_>>().join(", "));
        }
        fact("Country", text(&traits["country"]["value"]));
        fact("Language", text(&traits["language"]["value"]));
        for (name, own) in traits["own"].as_object().into_iter().flatten() {
            fact(name, text(&own["value"]));
        }
        page.push_str("</dl>");
        let joined = each(&profile["parts"]).filter(|part| part["proof"].is_object()).count();
        if joined > 0 {
            put(
                page,
                format_args!(
                    "<p>It joins what was done in {joined} browser{}, since the website knows each of them to be of your account.</p>",
                    if joined == 1 { "" } else { "s" }
                ),
            );
        }
    }
}

fn recipients(page: &mut String, document: &Value) {
    let found = document["recipients"].as_array().map_or(&[][..], Vec::as_slice);
    page.push_str("<h2>Who has received it</h2>");
    if found.is_empty() {
        page.push_str("<p>Nobody has received anything that can be linked to you.</p>");
    }
    for recipient in found {
        put(
            page,
            format_args!(
                "<h3>{}</h3><p>{}.{} {} events were sent. Ground: {}; for: {}. Kept there {}.</p>",
                escaped(&text(&recipient["name"])),
                escaped(&text(&recipient["receiver"])),
                if recipient["uses_it_for_itself"] == true { " This company also uses the data for itself." } else { "" },
                escaped(&text(&recipient["events_sent"])),
                escaped(&text(&recipient["ground"])),
                escaped(&listed(&recipient["purposes"])),
                escaped(&text(&recipient["kept_there"])),
            ),
        );
        page.push_str("<dl>");
        for (state, count) in recipient["how_events_ended"].as_object().into_iter().flatten() {
            put(page, format_args!("<dt>{}</dt><dd>{}</dd>", escaped(state_in_words(state)), escaped(&text(count))));
        }
        for (name, key) in [("You are known there as", "visitor"), ("Account there", "account")] {
            let ids: Vec<String> = each(&recipient["ids_there"][key]).map(|id| format!("<code>{}</code>", escaped(&text(id)))).collect();
            if !ids.is_empty() {
                put(page, format_args!("<dt>{name}</dt><dd>{}</dd>", ids.join(", ")));
            }
        }
        page.push_str("</dl>");
    }
    let may: Vec<String> =
        each(&document["who_may_receive"]).map(|one| format!("{} ({})", text(&one["name"]), text(&one["ground"]))).collect();
    if !may.is_empty() {
        put(page, format_args!("<p class=\"quiet\">Who may receive events of this website at present: {}.</p>", escaped(&may.join(", "))));
    }
}

/// How an event ended, in words for whose event it was.
fn state_in_words(state: &str) -> &str {
    match state {
        "accepted" => "received",
        "accepted_unproven" => "sent, and most likely received",
        "dropped_by_receiver" => "sent, and dropped by the receiver",
        "rejected" => "sent, and refused by the receiver",
        "expired" => "too old before it could be sent",
        "withheld" => "not sent: it may not have it",
        "purged" => "not sent: withdrawn before",
        "under_way" => "not sent yet, or on its way",
        other => other,
    }
}

fn events(page: &mut String, document: &Value) {
    let events = document["events"].as_array().map_or(&[][..], Vec::as_slice);
    if events.is_empty() {
        return;
    }
    put(page, format_args!("<h2>What happened</h2><p>{} events, newest first.", events.len()));
    if events.len() > EVENTS_SHOWN_MAX {
        put(page, format_args!(" The newest {EVENTS_SHOWN_MAX} are shown; all of them are in person.json."));
    }
    page.push_str("</p><table class=\"events\"><thead><tr><th>When</th><th>What</th><th>Details</th><th>Went to</th></tr></thead><tbody>");
    for event in events.iter().rev().take(EVENTS_SHOWN_MAX) {
        let body = &event["event"];
        put(page, format_args!("<tr><td>{}</td><td>{}</td><td><dl>", escaped(&moment(&body["time"])), escaped(&text(&body["name"]))));
        details(page, body);
        let went: Vec<String> = each(&event["recipients"])
            .filter(|end| end["sent"] == true || end["ended"] == "under_way")
            .map(|end| text(&end["recipient"]))
            .collect();
        put(
            page,
            format_args!("</dl></td><td>{}</td></tr>", if went.is_empty() { String::from("nobody") } else { escaped(&went.join(", ")) }),
        );
    }
    page.push_str("</tbody></table>");
}

/// Every field of a body but those that have a column.
fn details(page: &mut String, body: &Value) {
    for (name, value) in body.as_object().into_iter().flatten() {
        match (name.as_str(), value) {
            ("name" | "time", _) => {}
            ("granted", Value::Object(granted)) => {
                for (name, value) in granted {
                    detail(page, name, value);
                }
            }
            (name, value) => detail(page, name, value),
        }
    }
}

fn detail(page: &mut String, name: &str, value: &Value) {
    put(page, format_args!("<dt>{}</dt><dd>{}</dd>", escaped(&name.replace('_', " ")), escaped(&in_words(value))));
}

/// A value on one line: `host: www.shop.example, path: /shoes`.
fn in_words(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let words: Vec<_> = fields.iter().map(|(name, value)| format!("{}: {}", name.replace('_', " "), in_words(value))).collect();
            words.join(", ")
        }
        Value::Array(values) => {
            let pair = |value: &Value| match value.as_array().map(Vec::as_slice) {
                Some([Value::String(name), value]) => format!("{name}: {}", in_words(value)),
                _ => in_words(value),
            };
            values.iter().map(pair).collect::<Vec<_>>().join("; ")
        }
        other => text(other),
    }
}

fn around(page: &mut String, document: &Value) {
    page.push_str("<h2>How long it is kept</h2><table>");
    for (what, long) in document["kept"].as_object().into_iter().flatten() {
        put(page, format_args!("<tr><th>{}</th><td>{}</td></tr>", escaped(&capital(&what.replace('_', " "))), escaped(&text(long))));
    }
    put(
        page,
        format_args!(
            "</table><h2>Where it comes from</h2><p>{}.</p><h2>Decisions by machine</h2><p>{}.</p><h2>Your rights</h2><ul>",
            escaped(&capital(&text(&document["source"]))),
            escaped(&capital(&text(&document["automated_decisions"]))),
        ),
    );
    for right in each(&document["rights"]) {
        put(page, format_args!("<li>{}</li>", escaped(&text(right))));
    }
    page.push_str("</ul>");
}

fn put(page: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = page.write_fmt(what);
}

fn each(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(true) => String::from("yes"),
        Value::Bool(false) => String::from("no"),
        other => other.to_string(),
    }
}

fn listed(value: &Value) -> String {
    let words: Vec<String> = each(value).map(text).collect();
    if words.is_empty() { String::from("nothing") } else { words.join(", ") }
}

/// `2026-11-27 22:15 UTC`.
fn moment(value: &Value) -> String {
    let text = text(value);
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(minute)) => format!("{day} {minute} UTC"),
        _ => text,
    }
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_value_stands_in_the_page_and_none_is_markup() {
        let event = json!({ "event": { "name": "page_view", "time": "2026-11-27T22:15:04Z", "page": { "path": "/<b>" },
            "properties": [["plan", "gold"]], "granted": { "cookie_id": "abc", "value": 7.5, "items": [{ "name": "a&b" }] } },
            "recipients": [{ "recipient": "customers", "sent": true, "ended": "accepted" }, { "recipient": "other", "sent": false, "ended": "withheld" }] });
        let page = page(&json!({ "site": { "name": "<script>" }, "answer": ["so"], "events": [event] }));
        for part in [
            "2026-11-27 22:15 UTC",
            "path: /&lt;b&gt;",
            "plan: gold",
            "<dt>cookie id</dt><dd>abc",
            "7.5",
            "name: a&amp;b",
            "<td>customers</td>",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        assert!(!page.contains("<script") && !page.contains("<b>"));
    }
}
