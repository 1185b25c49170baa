//! Counters and gauges, and their text form for Prometheus. Labels are names from our own documents and constants; never request data.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The sum so far.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that rises and falls.
#[derive(Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Replaces the value.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Subtracts.
    pub fn subtract(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The text form of metrics, version 0.0.4: <https://prometheus.io/docs/instrumenting/exposition_formats/>.
#[derive(Default)]
pub struct Exposition {
    text: String,
    last_name: &'static str,
}

impl Exposition {
    /// Writes one sample. Samples of one name must follow each other.
    pub fn sample(&mut self, name: &'static str, kind: &str, help: &str, labels: &[(&str, &str)], value: u64) {
        use std::fmt::Write as _;
        if self.last_name != name {
            // Writing to a String cannot fail.
            let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            self.last_name = name;
        }
        let _ = write!(self.text, "{name}");
        for (index, (label, value)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{open}{label}=\"{escaped}\"");
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }

    /// The text.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_help_comes_once() {
        let mut text = Exposition::default();
        text.sample("x_total", "counter", "Things.", &[("site", "a\"b")], 1);
        text.sample("x_total", "counter", "Things.", &[], 2);
        assert_eq!(text.into_text(), "# HELP x_total Things.\n# TYPE x_total counter\nx_total{site=\"a\\\"b\"} 1\nx_total 2\n");
    }
}
