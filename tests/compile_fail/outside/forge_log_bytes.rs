//! Claims that bytes of its own came from the log.

use firsthand::event_log::LogBytes;

fn main() {
    LogBytes(Vec::new().into());
}
