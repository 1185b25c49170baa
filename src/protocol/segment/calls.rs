//! One call of Segment's API (`track`, `page`, …) as an event in canonical words.

use std::borrow::Cow;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::value::RawValue;

use crate::{
    clock::Timestamp,
    event::vocabulary::{CAMPAIGN, CampaignWord},
    privacy::{
        personal::Personal,
        raw::{PropertyValue, RawEvent},
    },
    protocol::reading::{
        commerce, contact,
        loose::{Fields, flat},
        names::{self, Subject},
        sender_clock::{corrected, instant},
    },
};

/// Parts of the context that have no canonical words and may be kept as the vendor's own: what is in them is flat.
const OF_THE_CONTEXT: [&str; 4] = ["app", "library", "network", "os"];
/// The property that a screen's name is: <https://support.google.com/analytics/answer/9267744> has GA4's.
const SCREEN_NAME: &str = "screen_name";
/// What a call says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::protocol) enum Call {
    /// Something happened; `event` says what.
    Track,
    /// A page was looked at.
    Page,
    /// A screen of an app was looked at.
    Screen,
    /// Who the visitor is, and what they are like.
    Identify,
    /// Which company the visitor belongs to.
    Group,
    /// Two ids are the same person.
    Alias,
}

impl Call {
    /// The call of that name, or of the first letter that the browser's library shortens it to.
    pub(in crate::protocol) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "track" | "t" => Self::Track,
            "page" | "p" => Self::Page,
            "screen" | "s" => Self::Screen,
            "identify" | "i" => Self::Identify,
            "group" | "g" => Self::Group,
            "alias" | "a" => Self::Alias,
            _ => return None,
        })
    }
}

/// The event that a call is. `context` is what the call says of its circumstances, `batch` what its batch says for all calls in it,
/// `sent` the sender's clock when it sent.
///
/// # Errors
/// A track call without a name of what happened, in our words.
pub(in crate::protocol) fn event<'a>(
    call: Call,
    mut fields: Fields<'a>,
    mut context: Fields<'a>,
    mut batch: Fields<'a>,
    sent: Option<i64>,
    now: Timestamp,
) -> Result<RawEvent<'a>, &'static str> {
    let mut properties = fields.object("properties");
    let mut subject = Subject::Order;
    let name = match call {
        Call::Track => {
            let (name, described) = fields.words("event").map(|said| names::canonical(&said)).unwrap_or((String::new(), subject));
            if name.is_empty() {
                return Err("a track call needs an event");
            }
            subject = described;
            Cow::Owned(name)
        }
        Call::Page => Cow::Borrowed("page_view"),
        Call::Screen => Cow::Borrowed("screen_view"),
        Call::Identify => Cow::Borrowed("identify"),
        Call::Group => Cow::Borrowed("group"),
        Call::Alias => Cow::Borrowed("alias"),
    };
    // A page call repeats the page in its properties; any other call's `url` is something else (a product's).
    let mut of_page = |name: &str| if call == Call::Page { properties.words(name) } else { None };
    let (said_url, said_title, said_referrer) = (of_page("url"), of_page("title"), of_page("referrer"));
    let mut page = either(&mut context, &mut batch, "page").and_then(Fields::of).unwrap_or_default();
    let campaign = either(&mut context, &mut batch, "campaign").and_then(Fields::of).unwrap_or_default();
    let mut screen = either(&mut context, &mut batch, "screen").and_then(Fields::of).unwrap_or_default();
    let language = either(&mut context, &mut batch, "locale").and_then(flat);

    let happened = ["originalTimestamp", "timestamp"].into_iter().find_map(|name| instant(fields.take(name)?));
    let mut event = RawEvent::default();
    commerce::take(&mut event, &mut properties, subject);
    let screen_name = if call == Call::Screen && properties.get(SCREEN_NAME).is_none() { fields.words("name") } else { None };
    let (mut properties, not_flat) = properties.into_properties();
    if let Some(screen) = screen_name {
        properties.push((Personal::new(Cow::Borrowed(SCREEN_NAME)), Personal::new(PropertyValue::Text(screen))));
    }
    // What `identify` and `group` tell of a person is no event's to carry, unless the policy lists it.
    let (traits, traits_of_context) = (fields.object("traits"), context.object("traits"));
    let user_id = fields.text("userId");
    let browser_id = fields.text("anonymousId");
    let client_id = fields.text("messageId");
    event = RawEvent {
        name: Some(Personal::new(name)),
        client_id,
        time: happened.and_then(|happened| corrected(happened, sent, now)),
        page_url: page.words("url").or(said_url).map(|url| Personal::new(with_campaign(url, campaign))),
        page_title: page.words("title").or(said_title).map(Personal::new),
        referrer: page.words("referrer").or(said_referrer).map(Personal::new),
        user_id,
        contact: contact::of_traits(&traits, &traits_of_context),
        browser_id,
        language: language.and_then(|said| match said {
            PropertyValue::Text(language) => Some(Personal::new(language)),
            _ => None,
        }),
        // Widths beyond any screen saturate into the widest class.
        screen_width: screen.number("width").filter(|width| *width > 0.0).map(|width| Personal::new(width as u32)),
        properties,
        unknown_fields: not_flat,
        ..event
    };
    keep(&mut event, "traits", traits);
    keep(&mut event, "traits", traits_of_context);
    for name in OF_THE_CONTEXT {
        keep(&mut event, name, context.object(name));
    }
    Ok(event)
}

/// Keeps the flat fields of an object as the vendor's own: `traits.plan`.
fn keep<'a>(event: &mut RawEvent<'a>, object: &str, fields: Fields<'a>) {
    for (name, value) in fields.rest() {
        event.keep(format!("{object}.{name}"), flat(value));
    }
}

/// The call's own word, else its batch's.
fn either<'a>(context: &mut Fields<'a>, batch: &mut Fields<'a>, name: &str) -> Option<&'a RawValue> {
    context.take(name).or_else(|| batch.take(name))
}

/// A page's address with the campaign that the library said apart from it, where the address itself names none.
fn with_campaign<'a>(url: Cow<'a, str>, mut campaign: Fields<'a>) -> Cow<'a, str> {
    let (address, fragment) = url.split_once('#').map_or((url.as_ref(), None), |(address, fragment)| (address, Some(fragment)));
    let query = address.split_once('?').map_or("", |(_, query)| query);
    if query.split('&').any(|pair| pair.starts_with("utm_")) {
        return url;
    }
    let mut whole = address.to_owned();
    for CampaignWord { segment, parameter, .. } in CAMPAIGN {
        if let Some(said) = campaign.words(segment) {
            whole.push(if whole.contains('?') { '&' } else { '?' });
            whole.push_str(parameter);
            whole.push('=');
            whole.extend(utf8_percent_encode(&said, NON_ALPHANUMERIC));
        }
    }
    if whole.len() == address.len() {
        return url;
    }
    if let Some(fragment) = fragment {
        whole.push('#');
        whole.push_str(fragment);
    }
    Cow::Owned(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields<'_> {
        serde_json::from_str(json).expect("an object")
    }

    #[test]
    fn a_campaign_said_apart_stands_in_the_address() {
        let campaign = r#"{"source":"news letter","name":"a&b","other":"x"}"#;
        let cases = [
            ("https://a.example/x#y", campaign, "https://a.example/x?utm_source=news%20letter&utm_campaign=a%26b#y"),
            ("https://a.example/?q=1", campaign, "https://a.example/?q=1&utm_source=news%20letter&utm_campaign=a%26b"),
            ("https://a.example/?utm_source=ours", campaign, "https://a.example/?utm_source=ours"),
            ("https://a.example/#y", "{}", "https://a.example/#y"),
        ];
        for (url, campaign, expected) in cases {
            assert_eq!(with_campaign(Cow::Borrowed(url), fields(campaign)), expected);
        }
    }
}
