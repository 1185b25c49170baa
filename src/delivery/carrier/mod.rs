//! Carriers: the only part of delivery that does I/O. One file per way a parcel can travel.

pub mod file;
pub mod http;
pub mod looking;

use self::{file::FileCarrier, http::HttpCarrier};
use crate::{
    clock::Timestamp,
    destination::{Answer, Parcel, Via},
};

/// Takes parcels to where they go. Shared by all couriers; no attempt waits for another destination's.
pub struct Carriers {
    http: HttpCarrier,
    file: FileCarrier,
}

impl Carriers {
    /// These carriers.
    #[must_use]
    pub fn new(http: HttpCarrier, file: FileCarrier) -> Self {
        Self { http, file }
    }

    /// Makes one attempt. `now` is its time: it is signed, and names a file that is closed.
    pub async fn send(&self, parcel: &Parcel, now: Timestamp) -> Answer {
        match &parcel.via {
            Via::Http(call) => self.http.post(call, parcel.body.clone(), now).await,
            Via::File(append) => self.file.append(append, parcel.body.clone(), now).await,
        }
    }
}
