//! Carriers: the only part of delivery that does I/O. One file per way a parcel can travel.

pub mod file;
pub mod http;
pub mod looking;
pub mod postgres;

use self::{file::FileCarrier, http::HttpCarrier, postgres::PostgresCarrier};
use crate::{
    clock::Timestamp,
    destination::{Answer, Parcel, Via},
};

/// Takes parcels to where they go. Shared by all couriers; no attempt waits for another destination's.
pub struct Carriers {
    http: HttpCarrier,
    file: FileCarrier,
    postgres: PostgresCarrier,
}

impl Carriers {
    /// These carriers.
    #[must_use]
    pub fn new(http: HttpCarrier, file: FileCarrier, postgres: PostgresCarrier) -> Self {
        Self { http, file, postgres }
    }

    /// Makes one attempt. `now` is its time: it is signed, and names a file that is closed.
    pub async fn send(&self, parcel: &Parcel, now: Timestamp) -> Answer {
        match &parcel.via {
            Via::Http(call) => self.http.post(call, parcel.body.clone(), now).await,
            Via::Rows(insert) => self.postgres.insert(insert, parcel.body.clone()).await,
            Via::File(append) => self.file.append(append, parcel.body.clone(), now).await,
        }
    }
}
