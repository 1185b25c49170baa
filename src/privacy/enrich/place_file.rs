//! The place database's file: read again when another one has been put in its place, and told of when it is old. One that cannot be used leaves
//! the one before in force.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use super::place::{PlaceDatabase, PlaceError};
use crate::clock::Timestamp;

/// Address blocks change hands: the vendors publish new files weekly, and one of this age answers wrongly for a few addresses in a hundred.
pub const OLD: Duration = Duration::from_secs(60 * 24 * 60 * 60);

/// A file, and which state of it was read last.
pub struct PlaceFile {
    path: PathBuf,
    read: Mutex<Option<(SystemTime, u64)>>,
}

impl PlaceFile {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// When it cannot be read, or is no MaxMind DB.
    pub fn open(path: &Path) -> Result<(Self, PlaceDatabase), PlaceError> {
        let state = state_of(path).map_err(PlaceError::Read)?;
        let database = PlaceDatabase::open(path)?;
        Ok((Self { path: path.to_owned(), read: Mutex::new(Some(state)) }, database))
    }

    /// What is in the file's place, where that is another one than was read last. Blocks. A file that cannot be used is said once, and looked
    /// at again when it changes.
    pub fn renewed(&self) -> Option<PlaceDatabase> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        // One that is missing is being replaced.
        let state = state_of(&self.path).ok()?;
        if read.replace(state) == Some(state) {
            return None;
        }
        match PlaceDatabase::open(&self.path) {
            Ok(database) => {
                tracing::info!("a new place database is in use");
                Some(database)
            }
            Err(error) => {
                tracing::warn!(%error, "the new place database cannot be used; the one before stays");
                None
            }
        }
    }
}

/// By what a changed file is known.
fn state_of(path: &Path) -> std::io::Result<(SystemTime, u64)> {
    let file = std::fs::metadata(path)?;
    Ok((file.modified()?, file.len()))
}

/// Whether a database of that date is old. One without a date says nothing.
#[must_use]
pub fn is_old(built: Option<Timestamp>, now: Timestamp) -> bool {
    built.is_some_and(|built| now.since(built) >= OLD)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{demonstration::PLACE_DATABASE, privacy::raw::ClientAddress};

    fn country(database: &PlaceDatabase) -> String {
        database.country(&ClientAddress::new([192, 0, 2, 1].into())).code().to_owned()
    }

    #[test]
    fn a_new_file_is_taken_up_and_a_broken_one_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("place.mmdb");
        fs::write(&path, PLACE_DATABASE).unwrap();
        let (file, first) = PlaceFile::open(&path).unwrap();
        assert_eq!(country(&first), "FR");
        assert!(file.renewed().is_none(), "nothing has changed");
        fs::write(&path, &PLACE_DATABASE[..PLACE_DATABASE.len() / 2]).unwrap();
        assert!(file.renewed().is_none(), "a broken one is not used");
        fs::remove_file(&path).unwrap();
        assert!(file.renewed().is_none());
        fs::write(&path, PLACE_DATABASE).unwrap();
        assert_eq!(file.renewed().map(|database| country(&database)), Some(String::from("FR")));
        assert!(PlaceFile::open(&directory.path().join("none")).is_err());
    }

    #[test]
    fn age_is_told_from_the_files_own_date() {
        let (built, day) = (PlaceDatabase::from_bytes(PLACE_DATABASE.to_vec()).unwrap().built().unwrap(), Duration::from_secs(86_400));
        assert!(!is_old(Some(built), built.plus(59 * day)) && is_old(Some(built), built.plus(60 * day)));
        assert!(!is_old(None, built.plus(600 * day)), "one without a date");
    }
}
