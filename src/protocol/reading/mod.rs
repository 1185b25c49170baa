//! What several protocols read with: JSON and forms as loosely as vendors write them, what they pack those into, their names of events, and their
//! clocks. All of it is pure and bounded.

pub(in crate::protocol) mod commerce;
pub(in crate::protocol) mod contact;
pub(in crate::protocol) mod flat;
pub(in crate::protocol) mod loose;
pub(in crate::protocol) mod names;
pub(in crate::protocol) mod parameters;
pub(in crate::protocol) mod sender_clock;
pub(in crate::protocol) mod unpack;
