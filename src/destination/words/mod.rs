//! What several destinations say alike: addresses, times and numbers, the device as a user agent, parcels filled up to their bounds; and what
//! an answer means by its status alone. All of it is pure.

pub(in crate::destination) mod address;
pub(in crate::destination) mod agent;
pub(in crate::destination) mod answers;
pub(in crate::destination) mod device;
pub(in crate::destination) mod digest;
pub(in crate::destination) mod disclosed;
pub(in crate::destination) mod figures;
pub(in crate::destination) mod flat;
pub(in crate::destination) mod likeness;
pub(in crate::destination) mod parcels;
pub(in crate::destination) mod products;
