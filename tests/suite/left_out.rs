//! Says what a test leaves out, and why, past the harness that swallows the output of tests that pass.

use std::io::Write as _;

/// One line on standard error.
pub(crate) fn left_out(what: &str, why: &str) {
    // A closed standard error is no reason to fail.
    let _ = writeln!(std::io::stderr(), "left out: {what}: {why}");
}
