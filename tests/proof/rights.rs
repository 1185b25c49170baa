//! What a person may ask: on the real commands' own functions, with an installation on a disk.

use std::{fs, path::Path, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use firsthand::{
    clock::{self, Timestamp},
    event::{Offset, RetentionClass},
    event_log::{EventLog, DiskFiles, LogOptions, look},
    privacy::{
        keys::{database::KeysDb, epoch::EpochKeys, persistent::PersistentKeys},
        personal::Personal,
        record::{Header, Subject},
        rights::{
            Asked, Found, Rights,
            erase::reapply,
            erasures::Erasures,
            export::Facts,
            recipients::Ids,
        },
    },
    rights::sweep::sweep_at_rest,
    state::StateDb,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use crate::{
    Found as Finding,
    installation::{SITE, file_destination},
    line::{Keep, Line},
    unless,
    visit::{NOW, beacon, cookie_of},
};
