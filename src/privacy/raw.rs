//! What a beacon said, before anyone has decided anything: every value that could tell something about a person is sealed.
//! Protocols build these; only the next stages of `crate::privacy` can read them.

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr},
};

use super::{
    consent::{ConsentSignal, evidence::Evidence, matomo::MatomoCookies},
    personal::Personal,
    rules::{Rule, holds},
    ticket::Visit,
    vendor_cookies::VendorCookie,
    visitor::parse_cookie_id,
};
use crate::clock::Timestamp;

/// Fields of a vendor's own that are looked at in one event; gtag.js says some forty beside what has a canonical word.
const VENDOR_FIELDS_MAX: usize = 100;

/// The address of whoever has none.
static NOWHERE: Personal<ClientAddress> = Personal::new(ClientAddress::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));

/// A piece of request text: borrowed from the body where it needed no unescaping.
pub type Text<'a> = Personal<Cow<'a, str>>;

/// One event as its sender said it.
#[derive(Default)]
pub struct RawEvent<'a> {
    /// The event's name in canonical words (`page_view`, GA4's recommended names, else the sender's own).
    pub name: Option<Text<'a>>,
    /// The sender's own id of this event, for recognising a retry.
    pub client_id: Option<Text<'a>>,
    /// When it happened, by our clock: the protocol has taken the sender's clock skew out. `None`: the time of receipt.
    pub time: Option<Timestamp>,
    /// The page's address as the browser has it.
    pub page_url: Option<Text<'a>>,
    /// The page's title.
    pub page_title: Option<Text<'a>>,
    /// The referring address.
    pub referrer: Option<Text<'a>>,
    /// Amount of money, with `currency`.
    pub value: Option<Personal<f64>>,
    /// ISO 4217 code.
    pub currency: Option<Text<'a>>,
    /// The shop's order id.
    pub transaction: Option<Text<'a>>,
    /// Tax within `value`.
    pub tax: Option<Personal<f64>>,
    /// Shipping within `value`.
    pub shipping: Option<Personal<f64>>,
    /// A coupon of the whole order.
    pub coupon: Option<Text<'a>>,
    /// The products that the event is about.
    pub items: Vec<RawItem<'a>>,
    /// The id under which the site knows the person, as claimed by the browser.
    pub user_id: Option<Text<'a>>,
    /// The site's backend's signature of that id.
    pub user_signature: Option<Text<'a>>,
    /// When that signature ends, in seconds since 1970.
    pub user_signature_ends: Option<i64>,
    /// Whether the site's backend says all this itself: the request named the site's API key, without which its events are refused.
    pub vouched: bool,
    /// The ticket of the visit in which it happened, as the site's backend says it.
    pub ticket: Option<Text<'a>>,
    /// Contact data, and ids by which a vendor knows the visitor. Nothing of it rests but as the sealed envelope has it.
    pub contact: Option<Box<RawContact<'a>>>,
    /// The sending library's own id of the browser. It rests nowhere: see `newcomers`.
    pub browser_id: Option<Text<'a>>,
    /// The browser's language, as said in the body.
    pub language: Option<Text<'a>>,
    /// Width of the screen or window in CSS pixels.
    pub screen_width: Option<Personal<u32>>,
    /// The sender's own properties, a flat map, in its order.
    pub properties: Vec<(Text<'a>, Personal<PropertyValue<'a>>)>,
    /// Fields of the protocol's vendor that have no canonical word, under the vendor's names: kept as `<protocol>.<name>` where the policy
    /// lists that, else dropped.
    pub vendor_fields: Vec<(Text<'a>, Personal<PropertyValue<'a>>)>,
    /// How many fields beyond those there were, too many or of no value that could be kept; they are dropped, and counted.
    pub unknown_fields: usize,
    /// A copy that the page held in memory until the visitor chose: for consent-basis destinations only.
    pub held: bool,
}

impl<'a> RawEvent<'a> {
    /// Takes a field that has no canonical word, as long as there is room.
    pub fn keep(&mut self, name: impl Into<Cow<'a, str>>, value: Option<PropertyValue<'a>>) {
        match value {
            Some(value) if self.vendor_fields.len() < VENDOR_FIELDS_MAX => {
                self.vendor_fields.push((Personal::new(name.into()), Personal::new(value)));
            }
            _ => self.unknown_fields += 1,
        }
    }

    /// Whether both say the same visitor, or neither says one.
    #[must_use]
    pub fn is_of_visitor_of(&self, other: &Self) -> bool {
        fn said<'s>(text: &'s Option<Text<'_>>) -> Option<&'s str> {
            text.as_ref().map(|text| text.expose().as_ref())
        }
        said(&self.browser_id) == said(&other.browser_id) && said(&self.ticket) == said(&other.ticket)
    }
}

/// Contact data of whom an event is of, as its sender said them, and what a vendor knows them by. In the clear or as digests.
#[derive(Default)]
pub struct RawContact<'a> {
    /// E-mail address.
    pub email: Option<Text<'a>>,
    /// Phone number.
    pub phone: Option<Text<'a>>,
    /// First name.
    pub first_name: Option<Text<'a>>,
    /// Last name.
    pub last_name: Option<Text<'a>>,
    /// Town.
    pub city: Option<Text<'a>>,
    /// Region or state.
    pub region: Option<Text<'a>>,
    /// Postcode.
    pub postcode: Option<Text<'a>>,
    /// Country.
    pub country: Option<Text<'a>>,
    /// The id of the contact in the site's customer system.
    pub crm: Option<Text<'a>>,
    /// Meta's id of the browser, `fbp`.
    pub browser_id: Option<Text<'a>>,
    /// Meta's id of a click, `fbc`.
    pub click_id: Option<Text<'a>>,
}

/// One product of an event.
#[derive(Default)]
pub struct RawItem<'a> {
    /// The shop's id of it.
    pub id: Option<Text<'a>>,
    /// Its name.
    pub name: Option<Text<'a>>,
    /// Its brand.
    pub brand: Option<Text<'a>>,
    /// Its category.
    pub category: Option<Text<'a>>,
    /// Its size, colour or the like.
    pub variant: Option<Text<'a>>,
    /// The price of one, in the event's currency.
    pub price: Option<Personal<f64>>,
    /// How many.
    pub quantity: Option<Personal<f64>>,
}

/// A flat property's value.
pub enum PropertyValue<'a> {
    /// True or false.
    Flag(bool),
    /// A number.
    Number(f64),
    /// A piece of text.
    Text(Cow<'a, str>),
}

/// What an app says of itself and of what it runs on, each in its own words.
#[derive(Default)]
pub struct AppDevice<'a> {
    /// The app's version: `3.12.0`.
    pub version: Option<Text<'a>>,
    /// The system's name: `iOS`, `Android`.
    pub system: Option<Text<'a>>,
    /// What kind of device: `phone`, `tablet`, `desktop`.
    pub form: Option<Text<'a>>,
    /// Its maker's name of it: `iPad13,1`. It is asked for the kind alone.
    pub model: Option<Text<'a>>,
}

/// What the connection and the headers say of the visitor, shared by all events of one request.
pub struct Arrival<'a> {
    /// The believed client address; `server/client_address.rs` alone decides it.
    pub address: &'a Personal<ClientAddress>,
    /// The `User-Agent` header.
    pub user_agent: Option<Text<'a>>,
    /// What an app says of itself; its user agent is an HTTP library's then, and nobody looks at it.
    pub app: Option<AppDevice<'a>>,
    /// The `Accept-Language` header.
    pub accept_language: Option<Text<'a>>,
    /// The `Sec-CH-UA` header: the brands that a browser says of itself.
    pub brands: Option<Text<'a>>,
    /// Whether the browser fetched ahead of its person (`Sec-Purpose: prefetch`).
    pub prefetched: bool,
    /// This site's own cookies.
    pub own: OwnCookies<'a>,
    /// What Matomo's cookies say.
    pub matomo: MatomoCookies,
    /// `Sec-GPC: 1`.
    pub global_privacy_control: bool,
    /// `DNT: 1`.
    pub do_not_track: bool,
    /// Whether the browser reached us over TLS; only a loopback demonstration is ever without.
    pub secure: bool,
    /// What the body says of the visitor's choice.
    pub signal: ConsentSignal,
    /// What stands behind it.
    pub evidence: Evidence<'a>,
    /// When the request came in.
    pub received: Timestamp,
}

impl<'a> Arrival<'a> {
    /// What a backend's request says of the visitor: nothing. Its address, user agent and cookies are its own.
    #[must_use]
    pub fn of_backend(received: Timestamp) -> Self {
        Self {
            address: &NOWHERE,
            user_agent: None,
            app: None,
            accept_language: None,
            brands: None,
            prefetched: false,
            own: OwnCookies { by_backend: true, ..OwnCookies::default() },
            matomo: MatomoCookies::default(),
            global_privacy_control: false,
            do_not_track: false,
            secure: true,
            signal: ConsentSignal::Absent,
            evidence: Evidence::default(),
            received,
        }
    }

    /// The same; where an app sent it, with what that says of itself.
    #[must_use]
    pub fn by_app(self, app: Option<AppDevice<'a>>) -> Self {
        Self { app, ..self }
    }

    /// The same; and where no cookie came along, as with the one whose value these events say as their library's own id of the visitor. That
    /// value is a secret between a browser and its site, which no script can read: who says it is the site's backend, and says whose events it
    /// sends, or an app that was given it itself. A value that is nobody's cookie tells nothing.
    #[must_use]
    pub fn or_named_by(mut self, events: &[RawEvent<'a>]) -> Self {
        let mut ids = events.iter().map(|event| event.browser_id.as_ref().map(Personal::expose));
        if self.own.visitor.is_empty()
            && let Some(Some(id)) = ids.next()
            && parse_cookie_id(id).is_some()
            && ids.all(|other| other == Some(id))
        {
            self.own.visitor.push(Personal::new(id.clone()));
            self.own.named_by_library = true;
        }
        self
    }
}

impl Arrival<'_> {
    /// The same as from somebody whom nobody has seen before: every cookie that could grant something or tell who it is is forgotten, and
    /// every objection stays.
    #[must_use]
    pub fn anonymously(mut self) -> Self {
        if !holds(Rule::AnonymousIsNobody) {
            return self;
        }
        self.own.visitor.clear();
        self.own.left_over.clear();
        self.own.of_vendors.clear();
        self.matomo = self.matomo.objections();
        self
    }
}

/// The site's own cookies that a request carried. They come in two forms, for one host and for a domain; a browser that knew the site before
/// it changed from one to the other may have both.
#[derive(Default)]
pub struct OwnCookies<'a> {
    /// The values of visitor cookies in the form that is in use; for one host, at most one.
    pub visitor: Vec<Text<'a>>,
    /// Those that say nothing of who it is, but end with a withdrawal: of the other form, or more than one for one host.
    pub left_over: Vec<Text<'a>>,
    /// How many opt-out cookies came along in the form that is in use.
    pub opt_outs: usize,
    /// How many of the other form; they count as much.
    pub left_over_opt_outs: usize,
    /// Vendors' cookies that the site lists; of one that came more than once, two.
    pub of_vendors: Vec<(VendorCookie, Text<'a>)>,
    /// Whether no browser sent them: the site's backend says, with its key, whose they are.
    pub by_backend: bool,
    /// Whether a library named the visitor by the value of their cookie: it runs on a server, and the request's address is that one's. An app may do so, too, and
    /// its address is left out then as well.
    pub named_by_library: bool,
    /// Of which visit it says that they are.
    pub(in crate::privacy) visit: Option<Visit>,
}

impl OwnCookies<'_> {
    /// Whether this browser opted out.
    #[must_use]
    pub const fn opted_out(&self) -> bool {
        self.opt_outs + self.left_over_opt_outs > 0
    }
}

/// The address of the visitor's terminal. It can be made by anyone and read only here, and is never written anywhere.
pub struct ClientAddress(IpAddr);

impl ClientAddress {
    /// Takes an address; an IPv4 address in IPv6 clothing (`::ffff:192.0.2.1`) becomes the IPv4 address that it is.
    #[must_use]
    pub const fn new(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }

    pub(in crate::privacy) const fn ip(&self) -> IpAddr {
        self.0
    }
}
