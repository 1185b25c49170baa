//! The most memory that this process has ever had, as the system says, and how much of it the harness's own tables are.

use std::collections::{HashMap, HashSet};

/// In MiB; `None` where the system does not say.
pub(super) fn peak_mib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib / 1024)
}

/// What a table takes: its places, of which at most seven in eight are taken, and a byte for each.
pub(super) fn table_bytes<K, V>(table: &HashMap<K, V>) -> usize {
    places(table.capacity()) * (size_of::<(K, V)>() + 1)
}

pub(super) fn set_bytes<K>(set: &HashSet<K>) -> usize {
    places(set.capacity()) * (size_of::<K>() + 1)
}

const fn places(capacity: usize) -> usize {
    if capacity == 0 { 0 } else { (capacity * 8 / 7).next_power_of_two() }
}
