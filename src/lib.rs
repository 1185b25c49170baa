//! Firsthand: a server-side first-party tracking proxy.
//!
//! ```text
//!            one request, synchronous until append                               one courier per destination, at its own pace
//! ┌───────┐ ┌──────┐ ┌───────┐ ┌──────┐ ┌─────────┐ ┌──────┐    ┌──────┐ ┌────────┐ ┌──────┐ ┌────┐ ┌─────┐ ┌──────┐
//! │receive│→│decode│→│consent│→│enrich│→│anonymise│→│append│ ⇒  │ read │→│disclose│→│encode│→│send│→│judge│→│settle│
//! └───────┘ └──────┘ └───────┘ └──────┘ └─────────┘ └──────┘    └──────┘ └────────┘ └──────┘ └────┘ └─────┘ └──────┘
//!  server/  protocol/ └──────── privacy/ ────────┘  event_log/  event_log privacy/   destination/ delivery/  └ destination/, delivery/
//! ```
//! Modules are declared in the order of the line. ARCHITECTURE.md has the invariants and a walkthrough.

pub mod console;
pub mod delivery;
pub mod destination;
pub mod event_log;
pub mod privacy;
pub mod protocol;
pub mod server;

pub mod alerts;
pub mod api;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod counters;
pub mod demonstration;
pub mod documents;
pub mod egress;
pub mod hand_over;
pub mod housekeeping;
pub mod inspect;
pub mod pipeline;
pub mod profile;
pub mod prove;
pub mod recleanse;
pub mod records;
pub mod recovery;
pub mod report;
pub mod rights;

pub mod event;
pub mod metrics;
pub mod schema;
pub mod signing;
pub mod state;
pub mod supervise;
pub mod upgrade;
