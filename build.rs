//! Puts the commit that a release is built from into it, for the evidence of `prove`: from `FIRSTHAND_COMMIT`, which a packager may set; from
//! `.commit`, which git fills in a source archive; from git, with `-modified` where a file differs. The same sources give the same word. A debug
//! build has none: it would be compiled anew after every commit.

use std::{env, fs, path::Path, process::Command};

fn main() {
    println!("cargo:rerun-if-env-changed=FIRSTHAND_COMMIT");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=.commit");
    let said = env::var("FIRSTHAND_COMMIT").ok();
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let found = said.or_else(of_archive).or_else(|| if release { of_git() } else { None });
    if let Some(commit) = found.filter(|commit| is_commit(commit)) {
        println!("cargo:rustc-env=FIRSTHAND_COMMIT={commit}");
    }
}

/// What `git archive` wrote in the place of its own placeholder.
fn of_archive() -> Option<String> {
    let text = fs::read_to_string(".commit").ok()?;
    Some(text.trim().to_owned()).filter(|commit| is_commit(commit))
}

/// What is checked out here; nothing where these sources only lie somewhere below another repository.
fn of_git() -> Option<String> {
    let top = git(&["rev-parse", "--show-toplevel"])?;
    let here = fs::canonicalize(".").ok()?;
    if fs::canonicalize(top).ok()? != here {
        return None;
    }
    for changes in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", changes])?;
        if Path::new(&path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    for sources in ["src", "Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={sources}");
    }
    let commit = git(&["rev-parse", "HEAD"])?;
    let modified = git(&["status", "--porcelain", "--untracked-files=no", "--", "src", "Cargo.toml", "Cargo.lock", "build.rs"])?;
    Some(if modified.is_empty() { commit } else { format!("{commit}-modified") })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// 40 or 64 hexadecimal digits, and perhaps that something was modified.
fn is_commit(word: &str) -> bool {
    let digits = word.strip_suffix("-modified").unwrap_or(word);
    matches!(digits.len(), 40 | 64) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}
