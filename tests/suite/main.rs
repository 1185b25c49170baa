//! The suites that go through the crate's public face.
#![allow(missing_docs)]

mod faulty_files;
