//! Documents from files: one TOML file, or every `*.toml` of a directory in the order of their names.

use std::path::{Path, PathBuf};

use super::parse::{Document, DocumentFile};

/// Files in one directory; more are no hand-written set of documents.
const FILES_MAX: usize = 1_000;

/// A file of documents cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("{}: cannot be read: {reason}", file.display())]
    Read {
        /// The file or directory.
        file: PathBuf,
        /// Why.
        reason: std::io::Error,
    },
    /// It is not what documents look like.
    #[error("{}: {reason}", file.display())]
    Parse {
        /// The file.
        file: PathBuf,
        /// The parser's words: line, column, key, what was expected.
        reason: String,
    },
    /// A document is there twice.
    #[error("{}: {kind} \"{name}\" is there twice\n  fix: keep one of them", file.display())]
    Twice {
        /// The file of the second one.
        file: PathBuf,
        /// Which kind.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The directory has too many files.
    #[error("{}: more than {FILES_MAX} files", directory.display())]
    TooMany {
        /// The directory.
        directory: PathBuf,
    },
}

/// Reads all documents of a file or directory.
///
/// # Errors
/// The first thing that is wrong.
pub fn read_documents(path: &Path) -> Result<Vec<Document>, FileError> {
    let unreadable = |reason| FileError::Read { file: path.to_owned(), reason };
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        let entries = std::fs::read_dir(path).map_err(unreadable)?;
        files = entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>().map_err(unreadable)?;
        files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
        files.sort();
    }
    if files.len() > FILES_MAX {
        return Err(FileError::TooMany { directory: path.to_owned() });
    }
    let mut documents: Vec<Document> = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|reason| FileError::Read { file: file.clone(), reason })?;
        let parsed = DocumentFile::parse(&text)
            .map_err(|error| FileError::Parse { file: file.clone(), reason: error.to_string().trim_end().to_owned() })?;
        for document in parsed.into_documents() {
            if documents.iter().any(|other| other.kind() == document.kind() && other.name() == document.name()) {
                return Err(FileError::Twice { file, kind: document.kind(), name: document.name().to_owned() });
            }
            documents.push(document);
        }
    }
    Ok(documents)
}
