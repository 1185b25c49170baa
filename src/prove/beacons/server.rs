//! The beacon of a site's own backend: the batch of Segment's, under the site's API key, and of a visitor whom it names.

use super::{SERVER_KEY, Slots};
use crate::{protocol, prove::wire::Request};

impl Slots<'_> {
    pub(super) fn server(&mut self) -> Request {
        let mut request = self.segment();
        request.path = request.path.replacen("/v1/b?", "/v1/events?", 1);
        request.headers.retain(|(name, _)| name != "Authorization");
        request.headers.push((String::from("Authorization"), format!("Bearer {SERVER_KEY}")));
        request
    }

    /// The value of the visitor's cookie, where a backend names them by it.
    pub(super) fn named_visitor(&self) -> Option<String> {
        let (_, value) = self.cookie.filter(|_| self.voice.protocol == protocol::server::NAME)?.split_once('=')?;
        Some(value.to_owned())
    }
}
