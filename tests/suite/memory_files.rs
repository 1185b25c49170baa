//! The files of an event log in memory, for tests in which nothing needs to survive.

pub(crate) use firsthand::event_log::MemoryFiles;
