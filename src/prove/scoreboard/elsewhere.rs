//! Rows that no run of this command can measure, and where each is measured: a pretence would be worth less than nothing.

use super::Row;

/// Those rows.
#[must_use]
pub fn rows() -> Vec<Row> {
    vec![
        Row::not(
            "S1",
            "a test of each of the CNIL's seven measures, red when its rule is taken out",
            "7 of 7",
            "needs the source: cargo test --features proof --test proof takes each rule out",
        ),
        Row::not(
            "S3",
            "requests that differ only where nobody may look leave the same",
            "0 of a million pairs",
            "needs the source: tests/run campaign non_interference; tests/run campaign fuzz",
        ),
        Row::not(
            "S15",
            "personal data in addresses and titles is recognised",
            "≥ 99.5 %, phones ≥ 95 %, ≤ 1 % of clean paths",
            "needs the labelled corpus: cargo test --test suite scoreboard",
        ),
        Row::not("S16", "names of parameters that carry ids", "100 %", "needs the lists: cargo test --test suite scoreboard"),
        Row::not(
            "S17",
            "consent strings, also malformed ones, read as by others",
            "100 %",
            "needs the vendors' libraries: cargo test --test suite consent_oracle",
        ),
        Row::not(
            "S18",
            "from an objection to the last event that leaves",
            "≤ 1 s, 0 after",
            "needs a backlog that is under way: tests/run campaign withdrawal",
        ),
        Row::not(
            "S19",
            "a person's copy is whole, and an erasure leaves nothing",
            "100 %, 0 bytes",
            "no person's data is made or erased by this run: cargo test --test suite rights",
        ),
        Row::not("S20", "records past their time", "0", "needs a clock that can be turned: cargo test --test suite scoreboard"),
        Row::not(
            "S22",
            "what a browser asks others for, and keeps before a choice",
            "0, 0",
            "needs a browser: tests/run browser; tests/run matrix",
        ),
        Row::not("S24", "time until somebody who is no developer has an answer", "≤ 5 min, 1 command", "needs that person"),
        Row::not(
            "S25",
            "same program, seed and documents, same evidence; same source, same program",
            "yes, yes",
            "one run says nothing of two: run it again and compare the hash of what is proven. Whether the program can be built again bit by bit is not tried",
        ),
    ]
}
