//! The log's file layer: the few calls on files that the log makes, so that a test can stand a failing disk under it.

use std::{io, sync::Arc};

/// A directory of log files. Names are plain file names, never paths.
pub trait LogFiles: Send + Sync {
    /// The names of everything in the directory.
    ///
    /// # Errors
    /// What the operating system says; so for every call here.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes an empty file, or empties a leftover of that name.
    ///
    /// # Errors
    /// What the operating system says.
    fn create(&self, name: &str) -> io::Result<Arc<dyn LogFile>>;

    /// Opens an existing file anew, for reading and writing.
    ///
    /// # Errors
    /// What the operating system says.
    fn open(&self, name: &str) -> io::Result<Arc<dyn LogFile>>;

    /// Removes a file. Open handles of it stay readable.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes every creation and removal before it durable.
    ///
    /// # Errors
    /// What the operating system says.
    fn sync_directory(&self) -> io::Result<()>;
}

/// One open file.
pub trait LogFile: Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    /// What the operating system says; so for every call here.
    fn size(&self) -> io::Result<u64>;

    /// Reads from `position` until `buffer` is full or the file ends. Returns how many bytes it read.
    ///
    /// # Errors
    /// What the operating system says.
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `position`. After an error any part of them may have been written.
    ///
    /// # Errors
    /// What the operating system says.
    fn write_at(&self, position: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts the file off, or grows it by zeros.
    ///
    /// # Errors
    /// What the operating system says.
    fn set_len(&self, bytes: u64) -> io::Result<()>;

    /// Makes every write and length before it durable (`fdatasync`).
    ///
    /// # Errors
    /// What the operating system says. After one, what was written since the last success may or may not rest on the disk, and a
    /// second call that succeeds proves nothing about it.
    fn sync_data(&self) -> io::Result<()>;

    /// Asks the operating system to forget its cached copy, so that the next read comes from the disk. Advice: it may not follow.
    ///
    /// # Errors
    /// What the operating system says.
    fn forget_cached(&self) -> io::Result<()>;
}
