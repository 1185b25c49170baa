//! The table, and what it is judged by.

use std::{path::PathBuf, process::Command};

use crate::{
    Failure,
    interval::{Ratio, Verdict, ratio},
    load::Block,
};

/// The beacon's slowest hundredth may take so much longer beside a bad receiver.
const AIM_P99: f64 = 1.20;
/// The good receiver gets at least this share of what it gets beside another good one. As an aim it is all of it; floods of the same product
/// differ by as much as this leaves.
const AIM_THROUGHPUT: f64 = 0.90;
/// A block is the machine's, not the product's, when a thread that only sleeps was later than this, in ms, …
const DISTURBED_MS: f64 = 5.0;
/// … and later than so many times what is usual in the row's blocks.
const DISTURBED_TIMES: f64 = 4.0;
/// So many more disturbed blocks beside a bad receiver may be chance. Beyond that and twice as many it is the product that disturbs the machine:
/// then no block is left out.
const DISTURBED_BY_CHANCE: usize = 3;

/// A block of the product whose receivers are well, and the one beside it.
type Pair<'r> = (&'r Block, &'r Block);

/// What was measured beside one kind of bad receiver.
pub struct Row {
    /// The kind.
    pub name: &'static str,
    /// Blocks of the product whose receivers are well, and of the one with the bad one.
    pub pairs: Vec<(Block, Block)>,
    /// Floods of both.
    pub floods: Vec<(f64, f64)>,
}

/// The head of the table.
pub const HEAD: &str = "| the other receiver | beacons a side | left out: disturbed, beside a sound one / a bad one | p50, ms | × | p99, ms | × (99 % interval) | | the good one, × (99 % interval) | |\n\
                        |---|---:|---|---:|---:|---:|---|---|---|---|\n";

impl Row {
    /// Which pairs hold a block that the machine disturbed, on the one side and on the other.
    fn disturbed(&self) -> (Vec<bool>, Vec<bool>) {
        let usual = quantile(self.pairs.iter().flat_map(|(well, beside)| [well.control, beside.control]), 0.5);
        let disturbed = |block: &Block| block.control > DISTURBED_MS && block.control > DISTURBED_TIMES * usual;
        self.pairs.iter().map(|(well, beside)| (disturbed(well), disturbed(beside))).unzip()
    }

    /// The pairs that are judged, and how many blocks of either side were disturbed. `None`: the product disturbs the machine, so all are judged.
    fn judged(&self) -> (Vec<Pair<'_>>, Option<(usize, usize)>) {
        let (well, beside) = self.disturbed();
        let count = |of: &[bool]| of.iter().filter(|disturbed| **disturbed).count();
        let all = self.pairs.iter().map(|(well, beside)| (well, beside));
        if count(&beside) > 2 * count(&well) + DISTURBED_BY_CHANCE {
            return (all.collect(), None);
        }
        let calm = all.zip(well.iter().zip(&beside)).filter(|(_, (well, beside))| !**well && !**beside);
        (calm.map(|(pair, _)| pair).collect(), Some((count(&well), count(&beside))))
    }

    fn p99(&self) -> Option<Ratio> {
        let (pairs, _) = self.judged();
        let of = |blocks: &mut dyn Iterator<Item = &&Block>| quantile(blocks.flat_map(|block| block.waits.iter().copied()), 0.99);
        (!pairs.is_empty()).then(|| ratio(&pairs, of))
    }

    /// What the interval says of the beacon's answer.
    pub fn p99_verdict(&self) -> Verdict {
        self.p99().map_or(Verdict::TooNoisy, |p99| Verdict::of_most(p99, AIM_P99))
    }

    fn throughput(&self) -> Ratio {
        ratio(&self.floods, |floods| quantile(floods.copied(), 0.5))
    }

    /// What the interval says of the good receiver.
    pub fn throughput_verdict(&self) -> Verdict {
        let Ratio { from, to, .. } = self.throughput();
        Verdict::of(from >= AIM_THROUGHPUT, to < AIM_THROUGHPUT)
    }

    /// The worse of the two.
    pub fn verdict(&self) -> Verdict {
        self.p99_verdict().max(self.throughput_verdict())
    }

    /// Its line of the table.
    pub fn line(&self) -> String {
        let (pairs, disturbed) = self.judged();
        let waits = |share: f64| {
            let of = |side: &mut dyn Iterator<Item = &Block>| quantile(side.flat_map(|block| block.waits.iter().copied()), share);
            (of(&mut pairs.iter().map(|pair| pair.0)), of(&mut pairs.iter().map(|pair| pair.1)))
        };
        if pairs.is_empty() {
            return format!("| {} | 0 | all | | | | | {} | | |\n", self.name, Verdict::TooNoisy.name());
        }
        let disturbed = disturbed.map_or_else(|| String::from("none: the product disturbs"), |(well, beside)| format!("{well} / {beside}"));
        let said = |ratio: Ratio| format!("{:.2} ({:.2} to {:.2})", ratio.measured, ratio.from, ratio.to);
        let ((well50, beside50), (_, beside99)) = (waits(0.5), waits(0.99));
        let (p99, throughput) = (self.p99(), self.throughput());
        format!(
            "| {} | {} | {disturbed} | {beside50:.2} | {:.2} | {beside99:.2} | {} | {} | {} | {} |\n",
            self.name,
            pairs.iter().map(|pair| pair.1.waits.len()).sum::<usize>(),
            beside50 / well50,
            p99.map_or_else(String::new, said),
            self.p99_verdict().name(),
            said(throughput),
            self.throughput_verdict().name()
        )
    }
}

/// Keeps the table, and says where.
pub fn record(rows: &[Row]) -> Result<PathBuf, Failure> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let file = root.join("benches/results/isolation.md");
    let git = Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(&root).output()?;
    let text = format!(
        "# The bench of isolation: latest recorded run\n\n\
         Written by `cargo bench --bench isolation -- --record`. × is beside a product in the same run whose receivers are both well; the two take turns\n\
         every second. Beacons are timed from the moments at which they were to be sent. A row is `within` where its whole interval is (the beacon's\n\
         p99 at most {AIM_P99:.2}; the good receiver no slower, at least {AIM_THROUGHPUT:.2} in floods), `MISSED` where none of it is, else `TOO NOISY`.\n\n\
         - date: {}\n- commit: {}\n- processors: {}\n\n{HEAD}{}",
        jiff::Timestamp::now().strftime("%Y-%m-%d"),
        String::from_utf8_lossy(&git.stdout).trim(),
        std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        rows.iter().map(Row::line).collect::<String>()
    );
    std::fs::write(&file, text)?;
    Ok(file)
}

/// The value below which this share of all lies.
pub fn quantile(waits: impl Iterator<Item = f64>, share: f64) -> f64 {
    let mut waits: Vec<f64> = waits.collect();
    let at = ((waits.len() as f64 * share) as usize).min(waits.len().saturating_sub(1));
    *waits.select_nth_unstable_by(at, f64::total_cmp).1
}
