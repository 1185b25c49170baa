//! Cells with too few visitors are made coarser, step by step, until they have enough together. Each visitor stands in one cell, so that
//! what is left over of a coarse cell, once its finer ones are taken out, is counted exactly.

use std::collections::HashMap;

use super::tuple::{STEPS, Step, Tuple};

/// How many visitors stand in each cell.
pub(super) type Cells = HashMap<Tuple, u64>;

/// Moves what is in cells of fewer than `enough` to coarser cells, in the officer's order, and returns the cells that have enough in the
/// end. The rest is nobody's. A cell that is `settled` stays where it is, since what is in it was shown as it is.
///
/// The answer depends on the counts alone: what is moved is summed up, and sums know no order.
pub(super) fn gather(mut cells: Cells, order: &[Step; STEPS], enough: u64, settled: impl Fn(&Tuple) -> bool) -> Cells {
    for step in order {
        fold(&mut cells, *step, enough, &settled);
    }
    cells.retain(|_, visitors| *visitors >= enough);
    cells
}

/// Makes room: the smallest cells become coarser, those of one visitor first, until at most `room` cells are left. Nobody is lost: what
/// finds no company stands in the coarsest cell.
pub(super) fn make_room(cells: &mut Cells, order: &[Step; STEPS], room: usize) {
    let mut enough = 2;
    while cells.len() > room {
        for step in order {
            fold(cells, *step, enough, &|_| false);
        }
        enough *= 2;
    }
}

fn fold(cells: &mut Cells, step: Step, enough: u64, settled: &impl Fn(&Tuple) -> bool) {
    let small: Vec<Tuple> = cells.iter().filter(|(cell, visitors)| **visitors < enough && !settled(cell)).map(|(cell, _)| *cell).collect();
    for cell in small {
        if let Some(visitors) = cells.remove(&cell) {
            *cells.entry(cell.without(step)).or_default() += visitors;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::{
        crowd::referrer::ReferrerClass,
        enrich::device::{Browser, DeviceClass, Form, System},
    };

    fn cell(browser: Browser, major: u16, form: Form) -> Tuple {
        Tuple { device: DeviceClass { browser, major, system: System::Other, form }, referrer: ReferrerClass::None, ..Tuple::NOTHING }
    }

    #[test]
    fn a_coarse_cell_is_what_its_fine_ones_leave_over() {
        let fine = cell(Browser::Chrome, 142, Form::Desktop);
        let cells = |rare: u64| Cells::from([(fine, 1_000), (cell(Browser::Chrome, 9, Form::Desktop), rare)]);
        let lonely = gather(cells(3), &Step::ALL, 20, |_| false);
        assert_eq!(lonely, Cells::from([(fine, 1_000)]), "three in a cell beside a thousand are still three");
        let many = gather(cells(20), &Step::ALL, 20, |_| false);
        assert_eq!(many.len(), 2);
    }

    #[test]
    fn the_officers_order_decides_what_is_given_up() {
        let cells = Cells::from([(cell(Browser::Chrome, 1, Form::Mobile), 12), (cell(Browser::Chrome, 2, Form::Desktop), 12)]);
        let versions_first = gather(cells.clone(), &Step::ALL, 20, |_| false);
        assert_eq!(versions_first, Cells::from([(Tuple::NOTHING, 24)]), "the browser goes before the form does");
        let mut order = Step::ALL;
        order.rotate_right(1);
        assert_eq!(order[0], Step::Device);
        let device_first = gather(cells, &order, 20, |_| false);
        assert_eq!(device_first, Cells::from([(cell(Browser::Chrome, 0, Form::Other), 24)]));
    }

    #[test]
    fn room_is_made_of_the_smallest_and_nobody_is_lost() {
        let mut cells = Cells::new();
        for major in 1..=399 {
            cells.insert(cell(Browser::Firefox, major, Form::Desktop), 1);
        }
        let common = cell(Browser::Chrome, 142, Form::Desktop);
        cells.insert(common, 500);
        make_room(&mut cells, &Step::ALL, 100);
        assert!(cells.len() <= 100);
        assert_eq!(cells.get(&common), Some(&500), "a flood of rare cells leaves the common ones alone");
        assert_eq!(cells.get(&cell(Browser::Firefox, 0, Form::Desktop)), Some(&399));
        assert_eq!(cells.values().sum::<u64>(), 899);
    }
}
