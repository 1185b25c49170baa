//! The table, and what it is judged by.

use std::{fmt::Write as _, path::PathBuf, process::Command};

use crate::{Failure, Figures};

/// The beacon's slowest hundredth may take so much longer beside a bad receiver.
const AIM_P99: f64 = 1.20;
/// The good receiver gets at least this share of what it gets beside another good one. As an aim it is all of it; rounds of the same product
/// differ by as much as this leaves.
const AIM_THROUGHPUT: f64 = 0.90;

/// What was measured beside one kind of bad receiver.
pub struct Row {
    /// The kind.
    pub name: &'static str,
    /// Rounds of the product whose receivers are well.
    pub well: Vec<Figures>,
    /// The rounds beside them, of the product with the bad one.
    pub beside: Vec<Figures>,
}

impl Row {
    /// Whether what is aimed at is reached.
    pub fn within_the_aims(&self) -> bool {
        self.p99() <= AIM_P99 && self.throughput() >= AIM_THROUGHPUT
    }

    /// The slowest hundredth of all answers, as a multiple of the same where all is well.
    fn p99(&self) -> f64 {
        quantile(&self.beside, 0.99) / quantile(&self.well, 0.99)
    }

    fn p50(&self) -> f64 {
        quantile(&self.beside, 0.5) / quantile(&self.well, 0.5)
    }

    /// The middle of the ratios of rounds that lie beside each other.
    fn throughput(&self) -> f64 {
        let mut ratios: Vec<f64> = self.well.iter().zip(&self.beside).map(|(well, beside)| beside.throughput / well.throughput).collect();
        ratios.sort_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    }
}

fn quantile(rounds: &[Figures], share: f64) -> f64 {
    let mut waits: Vec<f64> = rounds.iter().flat_map(|round| round.waits.iter().copied()).collect();
    waits.sort_by(f64::total_cmp);
    waits[(waits.len() as f64 * share) as usize]
}

/// A row for each kind.
pub fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| the other receiver | beacon p50, ms | × | beacon p99, ms | × | the good one beside it, × | |\n|---|---:|---:|---:|---:|---:|---|\n",
    );
    for row in rows {
        let beside = |share| quantile(&row.beside, share);
        let verdict = if row.within_the_aims() { "within the aims" } else { "MISSED" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {verdict} |",
            row.name,
            beside(0.5),
            row.p50(),
            beside(0.99),
            row.p99(),
            row.throughput()
        );
    }
    text
}

/// Keeps the table, and says where.
pub fn record(rows: &[Row]) -> Result<PathBuf, Failure> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let file = root.join("benches/results/isolation.md");
    let git = Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(&root).output()?;
    let text = format!(
        "# The bench of isolation: latest recorded run\n\n\
         Written by `cargo bench --bench isolation -- --record`: {} pairs of rounds for each kind. × is beside a product in the same run whose\n\
         receivers are both well. Aims: the beacon's p99 at most {AIM_P99:.2}, and the good receiver no slower (rounds differ: at least {AIM_THROUGHPUT:.2}).\n\n\
         - date: {}\n- commit: {}\n- processors: {}\n\n{}",
        rows.first().map_or(0, |row| row.well.len()),
        jiff::Timestamp::now().strftime("%Y-%m-%d"),
        String::from_utf8_lossy(&git.stdout).trim(),
        std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        table(rows)
    );
    std::fs::write(&file, text)?;
    Ok(file)
}
