//! Carriers: the only part of delivery that does I/O. One file per way a parcel can travel.

pub mod file;
pub mod http;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod looking;
pub mod mail;
pub mod nats;
pub mod postgres;

use self::{file::FileCarrier, http::HttpCarrier, nats::NatsCarrier, postgres::PostgresCarrier};
use crate::{
    clock::Timestamp,
    destination::{Answer, Parcel, Via},
};

/// Takes parcels to where they go. Shared by all couriers; no attempt waits for another destination's.
pub struct Carriers {
    http: HttpCarrier,
    file: FileCarrier,
    postgres: PostgresCarrier,
    nats: NatsCarrier,
    #[cfg(feature = "kafka")]
    kafka: kafka::KafkaCarrier,
}

impl Carriers {
    /// These carriers, and those that need nothing.
    #[must_use]
    pub fn new(http: HttpCarrier, file: FileCarrier, postgres: PostgresCarrier) -> Self {
        Self {
            http,
            file,
            postgres,
            nats: NatsCarrier::new(),
            #[cfg(feature = "kafka")]
            kafka: kafka::KafkaCarrier::new(),
        }
    }

    /// Makes one attempt. `now` is its time: it is signed, and names a file that is closed.
    pub async fn send(&self, parcel: &Parcel, now: Timestamp) -> Answer {
        match &parcel.via {
            Via::Http(call) => self.http.post(call, parcel.body.clone(), now).await,
            Via::Rows(insert) => self.postgres.insert(insert, parcel.body.clone()).await,
            Via::Publish(publication) => self.nats.publish(publication, parcel.body.clone()).await,
            #[cfg(feature = "kafka")]
            Via::Produce(production) => self.kafka.produce(production, parcel.body.clone()).await,
            Via::File(append) => self.file.append(append, parcel.body.clone(), now).await,
        }
    }
}
