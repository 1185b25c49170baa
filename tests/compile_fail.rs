//! What must not compile: attacks on the types that keep personal data in.
//!
//! From outside, `trybuild` compiles each file of `compile_fail/outside/` and compares the compiler's words. From inside, a copy of
//! `src/` gets a hostile module under a stage that has no business with personal data (`compile_fail/inside/GROUP/PLACE.rs` becomes
//! `src/PLACE/hostile.rs`), and the exact set of (file, line, error code) is compared with the lines that say `//~ CODE`. Groups are
//! the compiler's phases, since it stops after the first that fails; the group `control` must compile.
//!
//! Both compile the crate anew, so plain `cargo test` names them as left out; `tests/run` runs them.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// An error where the compiler saw it: file below the copy's root, line, code.
type Found = BTreeSet<(String, usize, String)>;

#[test]
#[ignore = "left out: compiles the crate with trybuild (a few minutes the first time); tests/run runs it"]
fn from_outside() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/outside/*.rs");
}

#[test]
#[ignore = "left out: compiles three copies of the crate; tests/run runs it"]
fn from_a_hostile_module_inside() {
    let groups = directories(&root().join("tests/compile_fail/inside"));
    assert!(groups.iter().any(|group| group.ends_with("control")), "the control group is missing");
    let mut attacks = 0;
    for group in groups {
        let name = group.file_name().expect("a directory has a name").to_string_lossy().into_owned();
        let (copy, expected) = copy_with_hostile_modules(&group);
        assert_eq!(name == "control", expected.is_empty(), "only the control group may expect no error");
        attacks += expected.len();
        let found = check(&copy);
        let missing: Vec<_> = expected.difference(&found).collect();
        let surplus: Vec<_> = found.difference(&expected).collect();
        assert!(
            missing.is_empty() && surplus.is_empty(),
            "group {name}: compiled and must not: {missing:?}; failed otherwise: {surplus:?}"
        );
    }
    assert!(attacks > 0, "no attack was tried");
}

/// Copies the crate, puts the group's files in, and returns the copy and the errors that they announce.
fn copy_with_hostile_modules(group: &Path) -> (PathBuf, Found) {
    let name = group.file_name().expect("a directory has a name").to_string_lossy();
    let copy = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compile_fail").join(&*name);
    if copy.exists() {
        fs::remove_dir_all(&copy).expect("the copy of an earlier run can be removed");
    }
    // With what it embeds from beside it.
    for part in ["src", "js-snippet/dist"] {
        copy_tree(&root().join(part), &copy.join(part));
    }
    fs::copy(root().join("firsthand.example.toml"), copy.join("firsthand.example.toml")).expect("the example is there");
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest is there");
    // Cargo takes packages of one name for the same package, wherever they lie below a workspace: each copy has its own.
    let manifest = without_targets(&manifest).replacen("name = \"firsthand\"", &format!("name = \"firsthand-{name}\""), 1);
    fs::write(copy.join("Cargo.toml"), manifest + "\n[workspace]\n").expect("the copy can be written");
    fs::copy(root().join("Cargo.lock"), copy.join("Cargo.lock")).expect("the lock file is there");

    let mut expected = Found::new();
    for hostile in entries(group) {
        let place = hostile.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let file = format!("src/{place}/hostile.rs");
        let text = fs::read_to_string(&hostile).expect("a hostile module can be read");
        for (number, line) in text.lines().enumerate() {
            if let Some((_, codes)) = line.split_once("//~ ") {
                expected.extend(codes.split_whitespace().map(|code| (file.clone(), number + 1, code.to_owned())));
            }
        }
        fs::write(copy.join(&file), text).expect("the copy can be written");
        let home = copy.join(format!("src/{place}/mod.rs"));
        let declared = fs::read_to_string(&home).expect("the place has a module file") + "\nmod hostile;\n";
        fs::write(home, declared).expect("the copy can be written");
    }
    (copy, expected)
}

/// Compiles a copy's library and returns the errors. Dependencies come from the target directory of this very run.
fn check(copy: &Path) -> Found {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target directory");
    let output = Command::new(env!("CARGO"))
        .args(["check", "--lib", "--offline", "--message-format=json"])
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", target)
        .output()
        .expect("cargo runs");
    let mut found = Found::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let message = &line["message"];
        if line["reason"] != "compiler-message" || message["level"] != "error" {
            continue;
        }
        for span in message["spans"].as_array().into_iter().flatten().filter(|span| span["is_primary"] == true) {
            let file = span["file_name"].as_str().unwrap_or_default().to_owned();
            let number = usize::try_from(span["line_start"].as_u64().unwrap_or_default()).unwrap_or_default();
            found.insert((file, number, message["code"]["code"].as_str().unwrap_or("none").to_owned()));
        }
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() == found.is_empty(), "cargo itself failed:\n{errors}");
    found
}

/// The manifest with the library as its only target.
fn without_targets(manifest: &str) -> String {
    let mut kept = String::new();
    let mut in_target = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_target = ["[[test]]", "[[bench]]", "[[bin]]"].iter().any(|target| line.starts_with(target));
        }
        if !in_target && !line.starts_with("default-run") {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the copy can be written");
    for entry in entries(from) {
        let name = entry.file_name().expect("an entry has a name");
        if entry.is_dir() {
            copy_tree(&entry, &to.join(name));
        } else {
            fs::copy(&entry, to.join(name)).expect("the copy can be written");
        }
    }
}

fn directories(of: &Path) -> Vec<PathBuf> {
    entries(of).into_iter().filter(|entry| entry.is_dir()).collect()
}

fn entries(of: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(of).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default();
    entries.sort();
    entries
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
