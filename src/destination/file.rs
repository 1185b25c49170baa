//! Destination `file`: newline-delimited JSON in a directory of the machine's own, one line per event, in files that rotate. With the feature
//! `parquet`, files can be Parquet once they are closed.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;

use super::{
    Answer, BatchLimits, Destination, DestinationType, GroupBy, Parcel, Rehearsal, SettingsError, Verdict, Via,
    settings::{Settings, error},
    words::disclosed,
};
use crate::privacy::disclose::Disclosure;

/// The row of the table of destinations.
pub const TYPE: DestinationType = DestinationType {
    name: NAME,
    receiver: "A file on this website’s own server",
    vendor_reuses_data: false,
    issuer: None,
    envelope: None,
    headers: &[],
    form: &[
        ("", disclosed::ONE),
        ("consent", disclosed::CONSENT),
        ("device", disclosed::DEVICE),
        ("page", disclosed::PAGE),
        ("referrer_page", disclosed::PAGE),
        ("campaign", disclosed::CAMPAIGN),
        ("items[]", disclosed::ITEM),
        ("bot", disclosed::BOT),
        ("click_ids", disclosed::LISTED),
        ("properties", disclosed::LISTED),
    ],
    oldest: OLDEST,
    visitor: super::as_disclosed,
    rehearsal: Rehearsal { settings: "directory = \"outbox/{name}\"", secret: "", purchase: "purchase", yes: |_| String::new() },
    open,
};

const NAME: &str = "file";
/// One write and one sync for this many lines: enough that the sync does not set the pace.
const EVENTS_MAX: usize = 500;
/// About `EVENTS_MAX` events of the usual size; bounds what is in memory for one write.
const BYTES_MAX: usize = 512 * 1024;
/// A file takes events of any age; this only bounds how long a full disk may hold them up.
const OLDEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const ROTATE_BYTES_DEFAULT: u32 = 64 * 1024 * 1024;
const ROTATE_BYTES_LEAST: u32 = 1024;
const ROTATE_BYTES_MOST: u32 = 1024 * 1024 * 1024;
const KEEP_DEFAULT: u32 = 10;
const KEEP_MOST: u32 = 10_000;

/// A month: who wants longer ones, wants none.
const ROTATE_MINUTES_MOST: u32 = 31 * 24 * 60;

/// Lines appended to a file that rotates.
#[derive(Clone)]
pub struct FileAppend {
    /// The directory, relative to the data directory or absolute.
    pub directory: PathBuf,
    /// A file is closed and renamed when it has grown to this many bytes.
    pub rotate_bytes: u64,
    /// Or with the first event after so long, where there is a bound.
    pub rotate_after: Option<Duration>,
    /// How many closed files are kept.
    pub keep: usize,
    /// What closed files hold.
    pub format: FileFormat,
}

/// What closed files hold.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum FileFormat {
    /// The lines, as they came.
    #[default]
    Lines,
    /// Parquet.
    #[cfg(feature = "parquet")]
    Columns,
}

struct FileDestination(FileAppend);

fn open(table: &toml::Table) -> Result<Box<dyn Destination>, SettingsError> {
    let settings = Settings::read(table, &["directory", "rotate_bytes", "rotate_minutes", "keep", "format"])?;
    let minutes = settings.whole_number("rotate_minutes", 0..=ROTATE_MINUTES_MOST, 0)?;
    Ok(Box::new(FileDestination(FileAppend {
        directory: PathBuf::from(settings.text("directory", "outbox/clean")?),
        rotate_bytes: settings.whole_number("rotate_bytes", ROTATE_BYTES_LEAST..=ROTATE_BYTES_MOST, ROTATE_BYTES_DEFAULT)?.into(),
        rotate_after: (minutes > 0).then(|| Duration::from_secs(u64::from(minutes) * 60)),
        keep: settings.whole_number("keep", 1..=KEEP_MOST, KEEP_DEFAULT)? as usize,
        format: format(settings.optional_text("format")?)?,
    })))
}

fn format(said: Option<&str>) -> Result<FileFormat, SettingsError> {
    match said {
        None | Some("ndjson") => Ok(FileFormat::Lines),
        #[cfg(feature = "parquet")]
        Some("parquet") => Ok(FileFormat::Columns),
        #[cfg(not(feature = "parquet"))]
        Some("parquet") => {
            Err(error("format", "this build writes no Parquet", Some(String::from("cargo build --release --features parquet"))))
        }
        Some(_) => Err(error("format", "is neither \"ndjson\" nor \"parquet\"", None)),
    }
}

impl Destination for FileDestination {
    fn name(&self) -> &'static str {
        NAME
    }

    fn url(&self) -> Option<&str> {
        None
    }

    fn limits(&self) -> BatchLimits {
        BatchLimits { events: EVENTS_MAX, bytes: BYTES_MAX, oldest: OLDEST, group_by: GroupBy::None }
    }

    fn encode(&self, batch: &[&Disclosure]) -> Vec<Parcel> {
        let mut parcels = Vec::new();
        let (mut lines, mut events) = (Vec::new(), Vec::new());
        for disclosure in batch {
            let start = lines.len();
            serde_json::to_writer(&mut lines, disclosure).expect("a disclosure is made of texts, numbers and flags");
            lines.push(b'\n');
            if !events.is_empty() && (lines.len() > BYTES_MAX || events.len() == EVENTS_MAX) {
                let next = lines.split_off(start);
                parcels.push(self.parcel(std::mem::replace(&mut lines, next), std::mem::take(&mut events)));
            }
            events.push(disclosure.offset());
        }
        if !events.is_empty() {
            parcels.push(self.parcel(lines, events));
        }
        parcels
    }

    fn judge(&self, parcel: &Parcel, answer: &Answer) -> Vec<Verdict> {
        let verdict = match answer {
            Answer::Written => Verdict::Accepted { proven: true },
            _ => Verdict::Retry { after: None },
        };
        vec![verdict; parcel.events.len()]
    }
}

impl FileDestination {
    fn parcel(&self, lines: Vec<u8>, events: Vec<crate::event::Offset>) -> Parcel {
        Parcel { via: Via::File(self.0.clone()), body: Bytes::from(lines), events, unsaid: 0 }
    }
}
