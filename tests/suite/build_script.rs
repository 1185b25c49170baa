//! Which commit a release says that it was built from: the checked-out one, the archive's, the packager's, or none; never another repository's.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::left_out::left_out;

fn git(directory: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=a test", "-c", "user.email=test@shop.example", "-c", "init.defaultBranch=main"]);
    let output = command.args(arguments).current_dir(directory).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What the script tells cargo about the commit in this directory.
fn said(script: &Path, directory: &Path, profile: &str, packager: Option<&str>) -> Option<String> {
    let mut command = Command::new(script);
    command.current_dir(directory).env("PROFILE", profile).env_remove("FIRSTHAND_COMMIT");
    command.envs(packager.map(|commit| ("FIRSTHAND_COMMIT", commit)));
    let output = command.output().expect("the script runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().find_map(|line| line.strip_prefix("cargo:rustc-env=FIRSTHAND_COMMIT=").map(str::to_owned))
}

#[test]
fn a_release_says_its_commit_and_never_another_ones() {
    let room = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = room.path().join("script");
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| String::from("rustc"));
    let compiled = Command::new(rustc).args(["--edition", "2024", "-o"]).arg(&script).arg(root.join("build.rs")).status();
    if !compiled.is_ok_and(|status| status.success()) || git(room.path(), &["--version"]).is_none() {
        left_out("the commit in a release", "rustc or git is not there");
        return;
    }
    let repository = room.path().join("repository");
    fs::create_dir_all(repository.join("src")).unwrap();
    for file in ["build.rs", ".commit", ".gitattributes"] {
        fs::copy(root.join(file), repository.join(file)).unwrap();
    }
    fs::write(repository.join("src/main.rs"), "fn main() {}").unwrap();
    git(&repository, &["init"]).unwrap();
    git(&repository, &["add", "-A"]).unwrap();
    git(&repository, &["commit", "-m", "one"]).unwrap();
    let commit = git(&repository, &["rev-parse", "HEAD"]).unwrap();
    assert_eq!(said(&script, &repository, "release", None), Some(commit.clone()));
    assert_eq!(said(&script, &repository, "debug", None), None, "a debug build is not compiled anew for it");

    let archive = room.path().join("archive.tar");
    git(&repository, &["archive", "-o", archive.to_str().unwrap(), "HEAD"]).unwrap();
    let unpack = |to: PathBuf| {
        fs::create_dir_all(&to).unwrap();
        assert!(Command::new("tar").arg("xf").arg(&archive).arg("-C").arg(&to).status().unwrap().success());
        to
    };
    let outside = unpack(room.path().join("unpacked"));
    assert_eq!(said(&script, &outside, "release", None), Some(commit.clone()), "without git, from the archive");
    fs::remove_file(outside.join(".commit")).unwrap();
    assert_eq!(said(&script, &outside, "release", None), None);
    let other = "0123456789abcdef0123456789abcdef01234567";
    assert_eq!(said(&script, &outside, "release", Some(other)).as_deref(), Some(other), "a packager knows");
    assert_eq!(said(&script, &outside, "release", Some("v1.0; rm -rf /")), None, "and says a commit");

    fs::write(repository.join("src/main.rs"), "fn main() { }").unwrap();
    assert_eq!(said(&script, &repository, "release", None), Some(format!("{commit}-modified")));
    // Sources without a commit of their own, below somebody else's repository.
    let below = repository.join("vendor/firsthand");
    fs::create_dir_all(&below).unwrap();
    fs::copy(root.join("build.rs"), below.join("build.rs")).unwrap();
    assert_eq!(said(&script, &below, "release", None), None);
}
