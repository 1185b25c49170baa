//! The beacon of a site's own app: the batch of Segment's, under the app's key, with what an app says of itself and of what it runs on.

use serde_json::{Value, json};

use super::{APP_KEY, Slots};
use crate::prove::{canaries::Stand, wire::Request};

impl Slots<'_> {
    pub(super) fn app(&mut self) -> Request {
        let mut request = self.segment();
        request.path = request.path.replacen("/v1/b?", "/v1/app?", 1);
        request.headers.retain(|(name, _)| name != "Authorization");
        request.headers.push((String::from("Authorization"), format!("Bearer {APP_KEY}")));
        let mut body: Value = serde_json::from_slice(&request.body).expect("what was just made as JSON");
        body["context"] = json!({
            "app": { "version": self.word("body: context.app.version"), "name": self.word("body: context.app.name") },
            "os": { "name": self.word("body: batch: context.os.name"), "version": self.word("body: context.os.version") },
            "device": { "type": self.word("body: context.device.type"), "advertisingId": self.word("body: context.device.advertisingId") },
        });
        if self.voice.stand != Stand::Unknown {
            body["consent"] = json!(["analytics", "profile", "ads", self.word("body: a purpose that there is not")]);
        }
        request.body = self.json(&body);
        request
    }
}
