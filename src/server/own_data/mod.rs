//! The page on which customers see and erase what rests about them, without a script. The cookie alone shows and erases what its browser produced;
//! what a proven e-mail address joins needs a link that is mailed to it. Another link proves that an address is of the browser that asks for it. What is answered to who types an address in is the same whether it is known.
//!
//! Only a visitor who has opened the page sees anything: not a script of the site's pages, nor a frame.

mod confirm;
mod shown;
mod words;

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use self::{
    shown::{escaped, shown},
    words::{ALL, Words},
};
use super::{
    opt_out::preferred,
    reply::{ReplyBody, respond},
};
use crate::{
    clock::{self, Timestamp},
    documents::{ProfileRules, Site},
    pipeline::Pipeline,
    privacy::{
        consent::{ConsentSignal, evidence::Evidence},
        identifiers::{Identifier, IdentifierKind},
        keys::persistent::PersistentKeys,
        own_links::{Address, May, OwnLinks},
        profiled::PersonHandle,
        visitor::{OWN_PAGE, SetCookie},
    },
    profile::{
        Profiles,
        audit::{Act, ProfileAudit, Who},
        own::OwnProfile,
        store::ProfileError,
    },
    protocol::{Reply, inbound::Inbound},
    supervise::Supervisor,
};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = concat!(include_str!("../transparency/style.css"), include_str!("style.css"));
/// Links that wait to be mailed; more are not, and who asks hears the same.
const WAITING_MAX: usize = 64;
/// What one request costs of a client's allowance, in events: it reads and opens a hundred of them.
pub(super) const COST_IN_EVENTS: u32 = 10;

/// What a request for the page wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// To see it, by its cookie; or to be asked what a link is for.
    See,
    /// To have a link mailed.
    Mail,
    /// To see what a link opens.
    Open,
    /// To erase.
    Erase,
    /// To have a link mailed that confirms an address.
    AskToConfirm,
    /// To confirm it.
    Confirm,
}

/// A mail with a link.
pub struct MailedLink {
    /// Whom to.
    pub address: Address,
    /// What it is about.
    pub subject: String,
    /// What it says.
    pub text: String,
}

struct Wanted {
    site: Arc<Site>,
    /// Where it leads: a cookie is one host's.
    host: String,
    rules: Arc<ProfileRules>,
    address: Address,
    words: &'static Words,
    /// Whose browser asks to have the address confirmed as its.
    confirms: Option<PersonHandle>,
}

/// Makes the page.
pub struct OwnData {
    profiles: Arc<Profiles>,
    persistent: Arc<PersistentKeys>,
    audit: ProfileAudit,
    supervisor: Supervisor,
    links: OwnLinks,
    /// Where links wait to be mailed, if any can be.
    mails: Option<mpsc::Sender<Wanted>>,
    policy: HeaderValue,
}

impl OwnData {
    /// Puts the parts together. `send` mails one link, and says whether it was taken; without it no link can be had.
    pub fn start<S, F>(
        (profiles, audit): (Arc<Profiles>, ProfileAudit),
        persistent: Arc<PersistentKeys>,
        supervisor: Supervisor,
        send: Option<S>,
    ) -> Arc<Self>
    where
        S: Fn(MailedLink) -> F + Send + Sync + 'static,
        F: Future<Output = bool> + Send,
    {
        let (mails, waiting) = mpsc::channel(WAITING_MAX);
        let hash = STANDARD.encode(Sha256::digest(STYLE));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'"
        );
        let policy = HeaderValue::try_from(policy).expect("a policy of ASCII words and base64");
        let mails = send.is_some().then_some(mails);
        let page =
            Arc::new(Self { profiles, persistent, audit, supervisor: supervisor.clone(), links: OwnLinks::default(), mails, policy });
        if let Some(send) = send {
            let of = Arc::clone(&page);
            supervisor.spawn("mailed links", async move { of.mail(waiting, send).await });
        }
        page
    }

    /// Mails what is wanted, one after the other: who asks has been answered long before.
    async fn mail<S, F>(self: Arc<Self>, mut waiting: mpsc::Receiver<Wanted>, send: S)
    where
        S: Fn(MailedLink) -> F + Send + Sync + 'static,
        F: Future<Output = bool> + Send,
    {
        let stop = self.supervisor.stop_signal();
        loop {
            let wanted = tokio::select! {
                () = stop.cancelled() => return,
                wanted = waiting.recv() => wanted,
            };
            let Some(wanted) = wanted else { return };
            let page = Arc::clone(&self);
            let made = self.supervisor.blocking(move || page.link(wanted, clock::now())).await;
            match made {
                Ok(Some(link)) => {
                    if !send(link).await {
                        tracing::warn!("a link that somebody asked for could not be mailed");
                    }
                }
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "a link that somebody asked for could not be made"),
            }
        }
    }

    /// A link for who has a known address.
    fn link(
        &self,
        Wanted { site, host, rules, address, words, confirms }: Wanted,
        now: Timestamp,
    ) -> Result<Option<MailedLink>, ProfileError> {
        let Some(identifier) = address.identifier(&self.persistent, &rules.destination)? else { return Ok(None) };
        if let Some(person) = confirms {
            return Ok(self
                .confirming_link((&site, &host), person, (identifier, &address), words, now)
                .map(|(subject, text)| MailedLink { address, subject, text }));
        }
        if self.profiles.of_address(&rules, &identifier, now)?.is_none() || !self.links.may_mail(site.number, identifier, now) {
            return Ok(None);
        }
        let Some(token) = self.links.make(site.number, identifier, May::See, now) else { return Ok(None) };
        let link = format!("https://{host}{}/about/you?link={token}", site.prefix);
        let text = words.mail.replace("{host}", &host).replace("{link}", &link);
        Ok(Some(MailedLink { address, subject: format!("{host}: {}", words.subject), text }))
    }

    /// Does what is wished, and answers.
    pub(super) async fn answer(
        &self,
        pipeline: &Pipeline,
        site: &Arc<Site>,
        inbound: &Inbound,
        asked: Option<&HeaderValue>,
        step: Step,
    ) -> Response<ReplyBody> {
        let rules = pipeline.documents.load().profile_of(site.number).cloned();
        let Some(rules) = rules else {
            return respond(Reply::text(StatusCode::NOT_FOUND, "There is nothing at this address.\n"));
        };
        let languages = ALL.iter().map(|words| words.lang);
        let words = &ALL[preferred(asked, languages).unwrap_or(0)];
        // From where relative addresses lead to the others.
        let below = if step == Step::See { "you/" } else { "" };
        let now = inbound.received();
        if !inbound.is_opened_page() {
            return self.page(words, below, &section("", &paragraph(words.not_opened)), Vec::new());
        }
        match step {
            Step::See => match (inbound.asked_by_query("link"), inbound.asked_by_query("confirm")) {
                (Some(said), _) => self.page(words, below, &opening(OwnLinks::form(&said), words, below), Vec::new()),
                (None, Some(said)) => self.ask_whether(pipeline, (site, &rules), inbound, (words, below), OwnLinks::form(&said)).await,
                (None, None) => self.see(pipeline, site, inbound, (&rules, words, below)).await,
            },
            Step::Mail => {
                if let (Some(mails), Some(address)) = (&self.mails, inbound.form("address").as_ref().and_then(Address::typed)) {
                    let host = host_asked(site, inbound);
                    // Full: who asks hears the same.
                    let _ = mails.try_send(Wanted { site: Arc::clone(site), host, rules, address, words, confirms: None });
                }
                self.page(words, below, &section("", &paragraph(words.sent)), Vec::new())
            }
            Step::AskToConfirm => self.ask_to_confirm(pipeline, (site, &rules), inbound, (words, below)).await,
            Step::Confirm => self.confirm(pipeline, (site, &rules), inbound, (words, below)).await,
            Step::Open => {
                let identifier = inbound.form("link").and_then(|said| self.links.take(&said, site.number, May::See, now));
                match self.opened(identifier, &rules, now).await {
                    Ok(Some((identifier, own))) => {
                        if self.note(site, Act::Seen, own.everyone.iter().copied(), now).await.is_err() {
                            return later();
                        }
                        let mut content = shown(&own.view, words);
                        if own.restricted {
                            content += &paragraph(words.held);
                        } else {
                            if own.shared {
                                content += &paragraph(words.shared);
                            }
                            let token = || self.links.make(site.number, identifier, May::Erase, now);
                            if let Some(token) = (!own.people.is_empty()).then(token).flatten() {
                                content += &erasing(words.erase_all_text, words.erase, below, Some(&token));
                            }
                        }
                        self.page(words, below, &section(words.of_address, &content), Vec::new())
                    }
                    Ok(None) => self.page(words, below, &section("", &paragraph(words.over)), Vec::new()),
                    Err(_) => later(),
                }
            }
            Step::Erase => match inbound.form("link") {
                Some(said) => {
                    let identifier = self.links.take(&said, site.number, May::Erase, now);
                    match self.opened(identifier, &rules, now).await {
                        Ok(Some((_, own))) if own.restricted => self.page(words, below, &section("", &paragraph(words.held)), Vec::new()),
                        // Somebody else has begun to use the browser since: nothing of it would go, and so nothing is said to be gone.
                        Ok(Some((_, own))) if own.people.is_empty() => {
                            self.page(words, below, &section("", &paragraph(words.shared)), Vec::new())
                        }
                        Ok(Some((_, own))) => {
                            let shared = if own.shared { paragraph(words.shared) } else { String::new() };
                            if self.note(site, Act::Erased, own.people.iter().copied(), now).await.is_err() {
                                return later();
                            }
                            let (people, known_by) = (own.people.into_iter().collect(), own.known_by.into_iter().collect());
                            match pipeline.visitors.erase(people, known_by, (site, OWN_PAGE), now).await {
                                Ok(()) => self.page(words, below, &section("", &(paragraph(words.erased) + &shared)), Vec::new()),
                                Err(_) => later(),
                            }
                        }
                        Ok(None) => self.page(words, below, &section("", &paragraph(words.over)), Vec::new()),
                        Err(_) => later(),
                    }
                }
                None => {
                    let arrival = inbound.arrival(&site.cookies, ConsentSignal::Absent, Evidence::default());
                    let Ok(person) = pipeline.visitors.own_person(&arrival, site, now).await else { return later() };
                    if person.is_some_and(|person| self.profiles.seals().is_restricted(&person)) {
                        return self.page(words, below, &section("", &paragraph(words.held)), Vec::new());
                    }
                    if self.note(site, Act::Erased, person, now).await.is_err() {
                        return later();
                    }
                    match pipeline.visitors.erase_own(&arrival, site, now).await {
                        Ok(cookies) => self.page(words, below, &section("", &paragraph(words.erased)), cookies),
                        Err(_) => later(),
                    }
                }
            },
        }
    }

    /// What this browser produced.
    async fn see(
        &self,
        pipeline: &Pipeline,
        site: &Site,
        inbound: &Inbound,
        (rules, words, below): (&Arc<ProfileRules>, &Words, &str),
    ) -> Response<ReplyBody> {
        let now = inbound.received();
        let arrival = inbound.arrival(&site.cookies, ConsentSignal::Absent, Evidence::default());
        let Ok(person) = pipeline.visitors.own_person(&arrival, site, now).await else { return later() };
        let view = match person {
            Some(person) if self.profiles.are_there() => {
                let (profiles, rules) = (Arc::clone(&self.profiles), Arc::clone(rules));
                match self.supervisor.blocking(move || profiles.of_browser(&rules, &person, now)).await {
                    Ok(view) => view,
                    Err(_) => return later(),
                }
            }
            _ => None,
        };
        if let Some(person) = person.filter(|_| view.is_some())
            && self.note_own_look(site, person, now).await.is_err()
        {
            return later();
        }
        let held = person.is_some_and(|person| self.profiles.seals().is_restricted(&person));
        let has_profile = view.is_some();
        let own = match view {
            Some(view) if held => shown(&view, words) + &paragraph(words.held),
            None if held => paragraph(words.held),
            Some(view) => shown(&view, words) + &erasing(words.erase_text, words.erase, below, None),
            None if person.is_some() => paragraph(words.without_profile) + &erasing(words.erase_text, words.erase, below, None),
            None => paragraph(words.nothing),
        };
        let mut content = section(words.this_browser, &own);
        let knows_addresses = rules.identifiers.iter().any(|rule| rule.kind == IdentifierKind::Email);
        if self.mails.is_some() && knows_addresses {
            let form = format!(
                "{}<form method=\"post\" action=\"{below}mail\"><label for=\"address\">{}</label>\
                 <input id=\"address\" name=\"address\" type=\"email\" autocomplete=\"email\" required maxlength=\"254\"><br>\
                 <button class=\"quiet\">{}</button></form>",
                paragraph(words.by_mail_text),
                words.address,
                words.send
            );
            content += &section(words.by_mail, &form);
            // What has no profile has nothing that an address could be proven of.
            if let Some(person) = person.filter(|_| has_profile && !held) {
                let word = self.links.word(person, now);
                content += &section(words.confirm_heading, &confirm::form(words, below, word.as_deref()));
            }
        }
        self.page(words, below, &content, Vec::new())
    }

    /// Writes down what is about to be shown to whose it is, or erased by them. Nobody's is not written down.
    async fn note(
        &self,
        site: &Site,
        act: Act,
        people: impl IntoIterator<Item = PersonHandle>,
        now: Timestamp,
    ) -> Result<(), ProfileError> {
        let (profiles, audit, number) = (Arc::clone(&self.profiles), self.audit.clone(), site.number);
        let people: Vec<PersonHandle> = people.into_iter().collect();
        if people.is_empty() {
            return Ok(());
        }
        self.supervisor
            .blocking(move || {
                let marks = profiles.marks_of(people, now)?;
                audit.note(number, (&Who::Person, act), &marks, 1, now)?;
                Ok(())
            })
            .await
    }

    /// Writes down that a browser is shown its own.
    async fn note_own_look(&self, site: &Site, person: PersonHandle, now: Timestamp) -> Result<(), ProfileError> {
        let (profiles, audit, number) = (Arc::clone(&self.profiles), self.audit.clone(), site.number);
        self.supervisor
            .blocking(move || {
                for mark in profiles.marks_of([person], now)? {
                    audit.note_own_look(number, mark, now)?;
                }
                Ok(())
            })
            .await
    }

    /// What a link that was taken opens.
    async fn opened(
        &self,
        identifier: Option<Identifier>,
        rules: &Arc<ProfileRules>,
        now: Timestamp,
    ) -> Result<Option<(Identifier, OwnProfile)>, ProfileError> {
        let Some(identifier) = identifier else { return Ok(None) };
        let (profiles, rules) = (Arc::clone(&self.profiles), Arc::clone(rules));
        let own = self.supervisor.blocking(move || profiles.of_address(&rules, &identifier, now)).await?;
        Ok(own.map(|own| (identifier, own)))
    }

    fn page(&self, words: &Words, below: &str, content: &str, cookies: Vec<SetCookie>) -> Response<ReplyBody> {
        let page = PAGE
            .replace("{style}", STYLE)
            .replace("{lang}", words.lang)
            .replace("{title}", words.title)
            .replace("{lead}", words.lead)
            .replace("{about_text}", words.about)
            // From `about/you` and from below it.
            .replace("{about}", if below.is_empty() { "../../about" } else { "../about" })
            .replace("{content}", content);
        let mut response = Response::new(ReplyBody::whole(Bytes::from(page)));
        let headers: [(HeaderName, &'static str); 8] = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_LANGUAGE, words.lang),
            (header::CACHE_CONTROL, "no-store"),
            (header::VARY, "Accept-Language, Cookie, Sec-Fetch-Dest"),
            // Not `no-referrer`: with that, browsers say `Origin: null` with the form.
            (header::REFERRER_POLICY, "same-origin"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            // A page's script that opens this one cannot look into it.
            (HeaderName::from_static("cross-origin-opener-policy"), "noopener-allow-popups"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        ];
        response.headers_mut().extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, self.policy.clone());
        cookies.into_iter().for_each(|cookie| cookie.append_to(response.headers_mut()));
        response
    }
}

/// By which of the site's hosts the page was asked for.
fn host_asked(site: &Site, inbound: &Inbound) -> String {
    let asked = site.hosts.iter().find(|host| inbound.is_for(host));
    asked.or(site.hosts.first()).cloned().unwrap_or_default()
}

fn later() -> Response<ReplyBody> {
    let mut reply = Reply::text(StatusCode::SERVICE_UNAVAILABLE, "That cannot be done now. Please try again in a moment.\n");
    reply.headers.push((header::RETRY_AFTER, "10".into()));
    respond(reply)
}

fn paragraph(text: &str) -> String {
    format!("<p>{}</p>", escaped(text))
}

fn section(heading: &str, content: &str) -> String {
    let heading = if heading.is_empty() { String::new() } else { format!("<h2>{heading}</h2>") };
    format!("<section class=\"browser\">{heading}{content}</section>")
}

/// What a link is for, before it is taken: a program that looks at mails follows links, and presses no button.
fn opening(token: Option<&str>, words: &Words, below: &str) -> String {
    let Some(token) = token else { return section("", &paragraph(words.over)) };
    let form = format!(
        "{}<form method=\"post\" action=\"{below}open\"><input type=\"hidden\" name=\"link\" value=\"{token}\"><button>{}</button></form>",
        paragraph(words.follow),
        words.open
    );
    section("", &form)
}

fn erasing(text: &str, label: &str, below: &str, token: Option<&str>) -> String {
    let hidden = token.map_or_else(String::new, |token| format!("<input type=\"hidden\" name=\"link\" value=\"{token}\">"));
    format!("<p class=\"stays\">{text}</p><form method=\"post\" action=\"{below}erase\">{hidden}<button>{label}</button></form>")
}
