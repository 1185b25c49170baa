//! The table that a run prints, and the summary that `--record` keeps.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Failure,
    interval::Ratio,
    measure::{Comparison, Round, Spread, cost},
    policy::PolicyCost,
    profiles::ProfilesCost,
    rows::Judgement,
};

/// What was measured in one row.
pub struct Row {
    /// What it says at its left.
    pub name: &'static str,
    /// The rounds.
    pub comparison: Comparison,
    /// Memory of the measured process after the rounds.
    pub resident_mib: f64,
    /// Events that one sync made durable; none for a yardstick.
    pub events_per_sync: Option<f64>,
}

/// The rows of a run, and the policy's own cost where it was measured.
pub struct Report {
    rows: Vec<Row>,
    policy: Option<PolicyCost>,
    profiles: Option<ProfilesCost>,
}

const HEADINGS: [&str; 8] =
    ["row", "× yardstick (99 % interval)", "µs CPU/request", "yardstick's µs", "p50 / p99 ms", "requests/s", "events/sync", "RSS MiB"];

impl Report {
    /// No rows yet.
    pub fn new() -> Self {
        Self { rows: Vec::new(), policy: None, profiles: None }
    }

    /// Adds a row.
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Says what the policy costs.
    pub fn add_policy(&mut self, cost: PolicyCost) {
        self.policy = Some(cost);
    }

    /// Says what profiles cost the line.
    pub fn add_profiles(&mut self, cost: ProfilesCost) {
        self.profiles = Some(cost);
    }

    /// Whether that, where it was measured, is within its limit.
    pub fn profiles_are_within_the_limit(&self) -> bool {
        self.profiles.as_ref().is_none_or(ProfilesCost::is_within)
    }

    /// Prints the table.
    pub fn print(&self) {
        println!("\n{}\n\n{}", machine(), self.table());
        self.policy.iter().for_each(|cost| println!("{cost}"));
        self.profiles.iter().for_each(|cost| println!("{cost}"));
    }

    /// Writes the summary and says where.
    pub fn record(&self, judgement: &Judgement) -> Result<PathBuf, Failure> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results/latest.md");
        let now = jiff::Timestamp::now().strftime("%Y-%m-%d");
        let text = format!(
            "# The bench of the line: latest recorded run\n\n\
             Written by `cargo bench --bench line -- --record`. What holds is the ratio to the yardstick of the same run; absolute\n\
             figures do not carry over to another machine.\n\n\
             - date: {now}\n- commit: {}\n- machine: {}\n- {judgement}\n{}\n{}",
            commit(),
            machine(),
            self.policy
                .iter()
                .map(|cost| format!("- {cost}\n"))
                .chain(self.profiles.iter().map(|cost| format!("- {cost}\n")))
                .collect::<String>(),
            self.table()
        );
        std::fs::create_dir_all(file.parent().ok_or("a file without a directory")?)?;
        std::fs::write(&file, text)?;
        Ok(file)
    }

    fn table(&self) -> String {
        let mut lines = vec![HEADINGS.map(str::to_owned)];
        lines.extend(self.rows.iter().map(cells));
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
        let mut text = String::new();
        for (number, line) in lines.iter().enumerate() {
            for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
                // Writing to a String cannot fail.
                let _ = if column == 0 { write!(text, "| {cell:<width$} ") } else { write!(text, "| {cell:>width$} ") };
            }
            text.push_str("|\n");
            if number == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let _ = write!(text, "|{}{}", "-".repeat(width + 1), if column == 0 { "-" } else { ":" });
                }
                text.push_str("|\n");
            }
        }
        text
    }
}

fn cells(row: &Row) -> [String; 8] {
    let spread = |figures: Spread| format!("{:.2} [{:.2}–{:.2}]", figures.median, figures.least, figures.most);
    let Ratio { measured, from, to } = row.comparison.ratio();
    let middle = |figure: fn(&Round) -> f64| Spread::of(row.comparison.measured.iter().map(figure)).median;
    [
        row.name.to_owned(),
        format!("{measured:.2} ({from:.2}–{to:.2})"),
        spread(cost(&row.comparison.measured)),
        spread(cost(&row.comparison.yardstick)),
        format!("{:.2} / {:.2}", middle(|round| round.tally.p50_ms), middle(|round| round.tally.p99_ms)),
        format!("{:.0}", middle(|round| round.tally.accepted as f64 / round.tally.seconds)),
        row.events_per_sync.map_or_else(|| String::from("–"), |events| format!("{events:.1}")),
        format!("{:.1}", row.resident_mib),
    ]
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return String::from("unknown") };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|files| !files.is_empty());
    if changed { format!("{commit}, with uncommitted changes") } else { commit }
}

fn machine() -> String {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let processor = read("/proc/cpuinfo");
    let processor = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{processor}, {cores} cores for this process, Linux {}", read("/proc/sys/kernel/osrelease").trim())
}
