//! Crowds at rest: per site and day, which cells and words had how many distinct visitors. No visitor is in it, and no cell of fewer than
//! a crowd.

use rusqlite::{Connection, OptionalExtension as _};

use super::{
    census::{DayCrowds, WordKind},
    held::Key,
    rules::CROWD_MIN,
    vocabulary::WINDOW_DAYS,
    whole::Decision,
};
use crate::event::{Epoch, SiteNumber};

/// The kind under which tuples rest, beside those of [`WordKind`].
const TUPLE: &str = "tuple";

/// Writes a day, in place of what is known of it; but not where a run of this program before a restart counted more visitors of that day.
/// The two are not added up: somebody may be in both.
pub(super) fn write(connection: &mut Connection, site: SiteNumber, epoch: Epoch, day: &DayCrowds) -> rusqlite::Result<()> {
    // A day without a crowd is a day of which nothing rests, not even how few came.
    if day.visitors < u64::from(CROWD_MIN) {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    let known: Option<i64> = transaction
        .query_row("SELECT visitors FROM crowd_days WHERE site = ?1 AND epoch = ?2", (site.0, epoch.0), |row| row.get(0))
        .optional()?;
    if known.is_some_and(|known| known.unsigned_abs() > day.visitors) {
        return Ok(());
    }
    transaction
        .execute("INSERT OR REPLACE INTO crowd_days (site, epoch, visitors) VALUES (?1, ?2, ?3)", (site.0, epoch.0, day.visitors as i64))?;
    transaction.execute("DELETE FROM crowds WHERE site = ?1 AND epoch = ?2", (site.0, epoch.0))?;
    {
        let mut insert =
            transaction.prepare_cached("INSERT INTO crowds (site, epoch, kind, cell, visitors) VALUES (?1, ?2, ?3, ?4, ?5)")?;
        for (cell, visitors) in &day.cells {
            let cell = serde_json::to_string(cell).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
            insert.execute((site.0, epoch.0, TUPLE, cell, *visitors as i64))?;
        }
        for kind in WordKind::ALL {
            for (word, visitors) in &day.words[kind as usize] {
                insert.execute((site.0, epoch.0, kind.name(), &**word, *visitors as i64))?;
            }
        }
    }
    transaction.commit()
}

/// The days before `epoch` that its vocabulary is made of; those of which nothing rests are left out.
pub(super) fn window(connection: &mut Connection, site: SiteNumber, epoch: Epoch) -> rusqlite::Result<Vec<DayCrowds>> {
    let mut days = Vec::new();
    for day in epoch.0.saturating_sub(WINDOW_DAYS)..epoch.0 {
        days.extend(read(connection, site, Epoch(day))?);
    }
    Ok(days)
}

fn read(connection: &Connection, site: SiteNumber, epoch: Epoch) -> rusqlite::Result<Option<DayCrowds>> {
    let mut find = connection.prepare_cached("SELECT visitors FROM crowd_days WHERE site = ?1 AND epoch = ?2")?;
    let visitors: Option<i64> = find.query_row((site.0, epoch.0), |row| row.get(0)).optional()?;
    let Some(visitors) = visitors else { return Ok(None) };
    let mut day = DayCrowds { visitors: visitors.unsigned_abs(), ..DayCrowds::default() };
    let mut select = connection.prepare_cached("SELECT kind, cell, visitors FROM crowds WHERE site = ?1 AND epoch = ?2")?;
    let mut rows = select.query((site.0, epoch.0))?;
    while let Some(row) = rows.next()? {
        let (kind, cell, visitors) = (row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?.unsigned_abs());
        if kind == TUPLE {
            // A cell in words that this program does not know stands for nobody.
            if let Ok(cell) = serde_json::from_str(&cell) {
                *day.cells.entry(cell).or_default() += visitors;
            }
        } else if let Some(kind) = WordKind::ALL.into_iter().find(|known| known.name() == kind) {
            day.words[kind as usize].insert(cell.into(), visitors);
        }
    }
    Ok(Some(day))
}

/// Forgets the days that no vocabulary is made of any more, `oldest` being the first day whose events rest.
pub(super) fn forget_before(connection: &mut Connection, site: SiteNumber, oldest: Epoch) -> rusqlite::Result<()> {
    let first = oldest.0.saturating_sub(WINDOW_DAYS);
    connection.execute("DELETE FROM crowds WHERE site = ?1 AND epoch < ?2", (site.0, first))?;
    connection.execute("DELETE FROM crowd_days WHERE site = ?1 AND epoch < ?2", (site.0, first)).map(drop)
}

/// Writes what may be said of a period, unless that is written.
pub(super) fn write_decision(connection: &Connection, key: &Key, epoch: Epoch, decision: &Decision) -> rusqlite::Result<()> {
    let text = serde_json::to_string(decision).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    let (site, destination, release, index) = key;
    let insert =
        "INSERT OR IGNORE INTO crowd_decisions (site, destination, release, period, epoch, decision) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    connection.execute(insert, (site.0, destination.0, release.name(), index, epoch.0, text)).map(drop)
}

/// What is written about a period.
pub(super) fn read_decision(connection: &Connection, (site, destination, release, index): &Key) -> rusqlite::Result<Option<Decision>> {
    let select = "SELECT decision FROM crowd_decisions WHERE site = ?1 AND destination = ?2 AND release = ?3 AND period = ?4";
    let text: Option<String> = connection.query_row(select, (site.0, destination.0, release.name(), index), |row| row.get(0)).optional()?;
    // One in words that this program does not know lets nothing be said.
    Ok(text.map(|text| serde_json::from_str(&text).unwrap_or_default()))
}

/// Forgets decisions about days of which no event rests.
pub(super) fn forget_decisions_before(connection: &mut Connection, site: SiteNumber, oldest: Epoch) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM crowd_decisions WHERE site = ?1 AND epoch < ?2", (site.0, oldest.0)).map(drop)
}
