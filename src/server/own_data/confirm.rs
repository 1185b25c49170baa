//! Confirming an address by a mailed link: it proves the address of the browser that asked for the link, and of no other, once a button in that very browser
//! is pressed. What follows from it is said before.

use std::sync::Arc;

use http::Response;

use super::{OwnData, Wanted, host_asked, later, paragraph, section, words::Words};
use crate::{
    clock::Timestamp,
    documents::{ProfileRules, Site},
    pipeline::Pipeline,
    privacy::{
        consent::{ConsentSignal, evidence::Evidence},
        identifiers::{Identifier, IdentifierKind},
        own_links::Address,
        profiled::PersonHandle,
    },
    profile::audit::Act,
    protocol::inbound::Inbound,
    server::reply::ReplyBody,
};

/// A form's word: without it, whoever sends the form has not seen it.
fn hidden(word: Option<&str>) -> String {
    word.map_or_else(String::new, |word| format!("<input type=\"hidden\" name=\"word\" value=\"{word}\">"))
}

/// Where an address is typed in.
pub(super) fn form(words: &Words, below: &str, word: Option<&str>) -> String {
    format!(
        "{}<form method=\"post\" action=\"{below}confirm\">{}<label for=\"confirmed\">{}</label>\
         <input id=\"confirmed\" name=\"address\" type=\"email\" autocomplete=\"email\" required maxlength=\"254\"><br>\
         <button class=\"quiet\">{}</button></form>",
        paragraph(words.confirm_text) + &paragraph(words.confirm_follows),
        hidden(word),
        words.address,
        words.confirm_send
    )
}

impl OwnData {
    /// Whose browser asks, where they may have an address confirmed: they agree to a profile, nothing of them is held, and the site keeps addresses.
    async fn who_may(
        &self,
        pipeline: &Pipeline,
        (site, rules): (&Site, &ProfileRules),
        inbound: &Inbound,
    ) -> Result<Option<PersonHandle>, ()> {
        let arrival = inbound.arrival(&site.cookies, ConsentSignal::Absent, Evidence::default());
        let person = pipeline.visitors.customer(&arrival, site, inbound.received()).await.map_err(drop)?;
        let keeps_addresses = rules.identifiers.iter().any(|rule| rule.kind == IdentifierKind::Email);
        Ok(person.filter(|person| keeps_addresses && !self.profiles.seals().is_restricted(person)))
    }

    /// What is asked of who has followed a link: it says once more what follows.
    pub(super) async fn ask_whether(
        &self,
        pipeline: &Pipeline,
        (site, rules): (&Site, &ProfileRules),
        inbound: &Inbound,
        (words, below): (&Words, &str),
        token: Option<&str>,
    ) -> Response<ReplyBody> {
        let Some(token) = token else { return self.page(words, below, &section("", &paragraph(words.confirm_over)), Vec::new()) };
        let Ok(person) = self.who_may(pipeline, (site, rules), inbound).await else { return later() };
        let word = person.and_then(|person| self.links.word(person, inbound.received()));
        let form = format!(
            "{}<form method=\"post\" action=\"{below}confirmed\">{}<input type=\"hidden\" name=\"link\" value=\"{token}\"><button>{}</button></form>",
            paragraph(words.confirm_ask) + &paragraph(words.confirm_follows),
            hidden(word.as_deref()),
            words.confirm
        );
        self.page(words, below, &section("", &form), Vec::new())
    }

    /// Whether a form was sent by who has seen it. A script of the site's pages can send one, and see none.
    fn has_seen_the_form(&self, person: PersonHandle, inbound: &Inbound) -> bool {
        inbound.form("word").is_some_and(|word| self.links.is_word(&word, person, inbound.received()))
    }

    /// Has a link mailed. Who asks is told the same, whatever becomes of it.
    pub(super) async fn ask_to_confirm(
        &self,
        pipeline: &Pipeline,
        (site, rules): (&Arc<Site>, &Arc<ProfileRules>),
        inbound: &Inbound,
        (words, below): (&'static Words, &str),
    ) -> Response<ReplyBody> {
        let Ok(person) = self.who_may(pipeline, (site, rules), inbound).await else { return later() };
        if person.is_some_and(|person| !self.has_seen_the_form(person, inbound)) {
            return self.see(pipeline, site, inbound, (rules, words, below)).await;
        }
        if let (Some(mails), Some(person), Some(address)) = (&self.mails, person, inbound.form("address").as_ref().and_then(Address::typed))
        {
            let host = host_asked(site, inbound);
            // Full: who asks hears the same.
            let _ =
                mails.try_send(Wanted { site: Arc::clone(site), host, rules: Arc::clone(rules), address, words, confirms: Some(person) });
        }
        self.page(words, below, &section("", &paragraph(words.confirm_sent)), Vec::new())
    }

    /// The mail's subject and text. Nothing: too many are asked for.
    pub(super) fn confirming_link(
        &self,
        (site, host): (&Site, &str),
        person: PersonHandle,
        (identifier, address): (Identifier, &Address),
        words: &Words,
        now: Timestamp,
    ) -> Option<(String, String)> {
        if !self.links.may_confirm(site.number, identifier, person, now) {
            return None;
        }
        let token = self.links.make_confirming(site.number, (identifier, address), person, now)?;
        let link = format!("https://{host}{}/about/you?confirm={token}", site.prefix);
        let text = words.confirm_mail.replace("{host}", host).replace("{link}", &link);
        Some((format!("{host}: {}", words.confirm_subject), text))
    }

    /// Proves the address of the browser that has asked for the link, if this is it.
    pub(super) async fn confirm(
        &self,
        pipeline: &Pipeline,
        (site, rules): (&Arc<Site>, &Arc<ProfileRules>),
        inbound: &Inbound,
        (words, below): (&'static Words, &str),
    ) -> Response<ReplyBody> {
        let now = inbound.received();
        let Ok(person) = self.who_may(pipeline, (site, rules), inbound).await else { return later() };
        let taken = |person: PersonHandle| {
            let said = inbound.form("link")?;
            // In another browser it is none, and stays what it is in its own.
            Some((person, self.links.take_confirming(&said, site.number, person, now)?))
        };
        let person = person.filter(|person| self.has_seen_the_form(*person, inbound));
        let Some((person, (identifier, address))) = person.and_then(taken) else {
            return self.page(words, below, &section("", &paragraph(words.confirm_over)), Vec::new());
        };
        if self.note(site, Act::Confirmed, [person], now).await.is_err() {
            return later();
        }
        let (profiles, of) = (Arc::clone(&self.profiles), (Arc::clone(site), Arc::clone(rules)));
        match self.supervisor.blocking(move || profiles.confirm((&of.0, &of.1), &person, (identifier, &address), now)).await {
            Ok(true) => self.page(words, below, &section("", &paragraph(words.confirm_done)), Vec::new()),
            Ok(false) => self.page(words, below, &section("", &paragraph(words.confirm_over)), Vec::new()),
            Err(_) => later(),
        }
    }
}
