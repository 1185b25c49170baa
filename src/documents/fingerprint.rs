//! The hash by which people compare documents, wherever it is printed: in an evidence pack, on a record.

use sha2::{Digest as _, Sha256};

use super::parse::Document;

/// SHA-256 of their text at rest, in the order of kinds and names, in hexadecimal.
#[must_use]
pub fn fingerprint(documents: &[Document]) -> String {
    let mut texts: Vec<_> = documents.iter().map(|document| (document.kind(), document.name().to_owned(), document.text())).collect();
    texts.sort();
    let mut hash = Sha256::new();
    for (kind, name, text) in texts {
        for part in [kind, &name, &text] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
