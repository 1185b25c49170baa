//! Reads what `strace -f -yy` wrote and checks one rule on it: when the first byte of a 2xx goes to a client, every log segment that was
//! written since has been synced, by an `fdatasync` that began after the write and returned 0.

use std::collections::HashMap;

/// The calls that the trace must have.
pub(crate) const CALLS: &str = "trace=write,writev,pwrite64,pwritev,sendto,sendmsg,fsync,fdatasync";
const WRITES: [&str; 4] = ["pwrite64", "pwritev", "write", "writev"];
const SENDS: [&str; 4] = ["write", "writev", "sendto", "sendmsg"];
const SYNCS: [&str; 2] = ["fdatasync", "fsync"];

/// What a trace shows.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Checked {
    /// Answers that followed a write to a log segment and its sync.
    pub(crate) kept: usize,
    /// Answers that went out before a sync, by their line.
    pub(crate) too_early: Vec<usize>,
    /// Answers that went out though nothing was written for them, by their line.
    pub(crate) for_nothing: Vec<usize>,
}

/// One log segment: how many writes began, and how many of them a finished sync covers.
#[derive(Default)]
struct LogSegment {
    written: u64,
    synced: u64,
}

pub(crate) fn check(trace: &str) -> Checked {
    let mut checked = Checked::default();
    let mut segments: HashMap<&str, LogSegment> = HashMap::new();
    let mut syncing: HashMap<&str, (&str, u64)> = HashMap::new();
    let mut written_since_answer = false;
    for (number, line) in (1..).zip(trace.lines()) {
        let Some((process, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        let returned_zero = rest.ends_with("= 0");
        if let Some(resumed) = rest.strip_prefix("<... ") {
            if SYNCS.iter().any(|sync| resumed.starts_with(sync))
                && let Some((file, covers)) = syncing.remove(process)
                && returned_zero
            {
                let segment = segments.entry(file).or_default();
                segment.synced = segment.synced.max(covers);
            }
            continue;
        }
        let Some((call, arguments)) = rest.split_once('(') else { continue };
        if let Some(file) = log_segment(arguments) {
            let segment = segments.entry(file).or_default();
            if WRITES.contains(&call) {
                segment.written += 1;
                written_since_answer = true;
            } else if SYNCS.contains(&call) {
                if rest.ends_with("<unfinished ...>") {
                    syncing.insert(process, (file, segment.written));
                } else if returned_zero {
                    segment.synced = segment.written;
                }
            }
        } else if SENDS.contains(&call) && arguments.contains("<TCP") && arguments.contains("\"HTTP/1.1 2") {
            if segments.values().any(|segment| segment.synced < segment.written) {
                checked.too_early.push(number);
            } else if written_since_answer {
                checked.kept += 1;
            } else {
                checked.for_nothing.push(number);
            }
            written_since_answer = false;
        }
    }
    checked
}

/// The log segment that a call's first argument names: `19</…/log/short-….log>`.
fn log_segment(arguments: &str) -> Option<&str> {
    let (descriptor, rest) = arguments.split_once('<')?;
    let (path, _) = rest.split_once('>')?;
    let named = descriptor.bytes().all(|byte| byte.is_ascii_digit()) && path.contains("/log/") && path.ends_with(".log");
    named.then_some(path)
}

#[test]
fn the_checker_sees_what_is_out_of_order() {
    let write = r#"7 pwrite64(19</d/log/short-0.0.log>, "\313"..., 219, 64) = 219"#;
    let sync = "7 fdatasync(19</d/log/short-0.0.log>) = 0";
    let begin = "7 fdatasync(19</d/log/short-0.0.log> <unfinished ...>";
    let end = "7 <... fdatasync resumed>) = 0";
    let failed = "7 fdatasync(19</d/log/short-0.0.log>) = -1 EIO (Input/output error)";
    let other = "7 fdatasync(20</d/log/long-0.0.log>) = 0";
    let answer = r#"8 writev(24<TCP:[127.0.0.1:1->127.0.0.1:2]>, [{iov_base="HTTP/1.1 204 No Content\r\n"..., iov_len=103}], 1) = 103"#;
    let check = |lines: &[&str]| {
        let Checked { kept, too_early, for_nothing } = check(&lines.join("\n"));
        (kept, too_early.len(), for_nothing.len())
    };
    assert_eq!(check(&[write, sync, answer]), (1, 0, 0));
    assert_eq!(check(&[write, begin, end, answer]), (1, 0, 0));
    assert_eq!(check(&[write, answer, sync]), (0, 1, 0));
    assert_eq!(check(&[write, begin, answer, end]), (0, 1, 0));
    assert_eq!(check(&[begin, write, end, answer]), (0, 1, 0), "a sync that began before the write");
    assert_eq!(check(&[write, failed, answer]), (0, 1, 0));
    assert_eq!(check(&[write, other, answer]), (0, 1, 0), "a sync of another file");
    assert_eq!(check(&[write, sync, answer, answer]), (1, 0, 1));
    assert_eq!(check(&[write, sync, answer, write, sync, answer]), (2, 0, 0));
}
