//! What a receiver's figures are worth, given what becomes of each field: which of them stay true, and why the others do not. For the officer
//! who narrows a policy, and for the analyst who reads the report afterwards.

use super::policy::{Field, Treatment, Treatments};

/// A figure that analytics tools show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Page views and other events.
    Events,
    /// Pages by their views.
    Pages,
    /// Different visitors of a day.
    Visitors,
    /// Visits, bounces, pages per visit.
    Visits,
    /// Who comes back on another day; funnels and cohorts over days.
    Returning,
    /// Events by hour.
    Times,
    /// Where visitors come from: other sites.
    Referrers,
    /// Campaigns.
    Campaigns,
    /// Countries and languages.
    Places,
    /// Browsers, systems, screens.
    Devices,
    /// Revenue, tax, shipping.
    Revenue,
    /// Orders and products.
    Orders,
}

/// What it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// True, of the events that the receiver gets.
    True,
    /// True, as coarse as said.
    Coarse(&'static str),
    /// Not to be believed, or not there.
    Untrue(&'static str),
}

impl Figure {
    /// All of them, in the order of pages.
    pub const ALL: [Self; 12] = [
        Self::Events,
        Self::Pages,
        Self::Visitors,
        Self::Visits,
        Self::Returning,
        Self::Times,
        Self::Referrers,
        Self::Campaigns,
        Self::Places,
        Self::Devices,
        Self::Revenue,
        Self::Orders,
    ];

    /// In words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "page views, events",
            Self::Pages => "top pages",
            Self::Visitors => "visitors a day",
            Self::Visits => "visits, bounces",
            Self::Returning => "returning visitors",
            Self::Times => "times of day",
            Self::Referrers => "referring sites",
            Self::Campaigns => "campaigns",
            Self::Places => "countries, languages",
            Self::Devices => "browsers, screens",
            Self::Revenue => "revenue",
            Self::Orders => "orders, products",
        }
    }

    /// What it is worth under this table, for visitors who consented to it or did not.
    #[must_use]
    pub fn worth(self, table: &Treatments, consented: bool) -> Worth {
        use Treatment::{Drop, Generalise, Keep, Pseudonymise};
        use Worth::{Coarse, True, Untrue};
        let lets = |field| table.lets(field);
        match self {
            Self::Events if table.get(Field::Name) == Keep => True,
            Self::Events => Coarse("counted, and all of one name"),
            Self::Pages if lets(Field::Page) && consented => Coarse("by path templates: pages of one template are one page"),
            Self::Pages if lets(Field::Page) => Coarse("by path templates; those that no crowd has seen are one page, `/(other)`"),
            Self::Pages => Untrue("no page leaves"),
            Self::Visitors if !lets(Field::Visitor) => Untrue("every event has another id, or one that most share: our own count has them"),
            Self::Visitors if consented => True,
            Self::Visitors => Coarse("by address and kind of browser: a household with two alike is one"),
            Self::Visits if !lets(Field::Visitor) || !lets(Field::Session) => Untrue("visits are in our own count alone"),
            Self::Visits if consented => True,
            Self::Visits => Coarse("one that goes on after midnight is two"),
            Self::Returning if !lets(Field::Visitor) => Untrue("no id is one visitor's"),
            Self::Returning if consented => Coarse("as long as the consent; one person on two devices is two"),
            Self::Returning => Untrue("an id ends with the day: whoever comes back is new"),
            Self::Times if table.get(Field::Time) == Keep => True,
            Self::Times => Coarse("to 5 minutes"),
            Self::Referrers if table.get(Field::Referrer) == Keep => Coarse("the registered domain only"),
            Self::Referrers if lets(Field::Referrer) => Coarse("search engine, social network or another site"),
            Self::Referrers => Untrue("no referrer leaves"),
            Self::Campaigns if lets(Field::Campaign) && lets(Field::ClickIds) => {
                Coarse("`utm_*` that name nobody, and click ids of its own vendor")
            }
            Self::Campaigns if lets(Field::Campaign) => Coarse("`utm_*` that name nobody; no click id"),
            Self::Campaigns => Untrue("no campaign leaves"),
            Self::Places => match (table.get(Field::Place), table.get(Field::Language)) {
                (Drop, Drop) => Untrue("neither leaves"),
                (Drop, _) => Coarse("the primary language only"),
                (_, Drop) => Coarse("the country only"),
                _ if consented => Coarse("the country, and the primary language"),
                _ => Coarse("the country, and the primary language, where a crowd has them"),
            },
            Self::Devices => match (table.get(Field::Device), table.get(Field::Screen)) {
                (Drop, Drop) => Untrue("neither leaves"),
                (Drop, _) => Coarse("one of six widths"),
                (_, Drop) => Coarse("families and major versions"),
                _ if consented => Coarse("families and major versions, one of six widths"),
                _ => Coarse("families and major versions, one of six widths, where a crowd has them"),
            },
            Self::Revenue => match (table.get(Field::Value), table.get(Field::Currency)) {
                (Keep, Keep) => True,
                (Generalise, Keep) => Coarse("amounts of two digits: sums are off by up to 5 %"),
                _ => Untrue("no amount of money leaves"),
            },
            Self::Orders => match (table.get(Field::OrderId), table.get(Field::Items)) {
                (Keep, Keep) => True,
                (Pseudonymise, Keep) => Coarse("orders have other ids than in the shop"),
                (Drop, Drop) => Untrue("neither leaves"),
                (Drop, _) => Coarse("products, without the order they are of"),
                (_, _) => Coarse("orders, without their products"),
            },
        }
    }
}

impl Worth {
    /// In words, short.
    #[must_use]
    pub fn in_words(self) -> String {
        match self {
            Self::True => String::from("true"),
            Self::Coarse(how) => format!("true, {how}"),
            Self::Untrue(why) => format!("not true: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privacy::transform::Transform;

    /// The page of the documentation that has these tables; `UPDATE_GOLDEN=1` writes it anew.
    const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/figures.md");

    #[test]
    fn the_documentation_says_what_each_presets_figures_are_worth() {
        let mut page = String::from(
            "# What a receiver's figures are worth\n\nEach preset takes something away, and with it some of what an analytics tool can say. All of it holds for the \
             events that\nthe receiver gets: who objected is in none, and who has not chosen is in those alone that need no consent. Visitors and visits are also\n\
             counted by Firsthand itself, before any id is withheld or collapsed, within 2 % (`firsthand_visitors`, `firsthand_visits`, the live page).\n\
             `firsthand policy show` prints the same for your own policy, deviations included. What a crowd is says [crowds.md](crowds.md).\n",
        );
        for transform in Transform::ALL.into_iter().skip(1) {
            let consented = transform.needs_consent();
            let table = Treatments::of(transform.breadth(), consented);
            page.push_str(&format!("\n## `{}`\n\n| figure | worth |\n|---|---|\n", transform.name()));
            for figure in Figure::ALL {
                page.push_str(&format!("| {} | {} |\n", figure.name(), figure.worth(&table, consented).in_words()));
            }
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(PAGE, &page).unwrap();
        }
        assert_eq!(std::fs::read_to_string(PAGE).unwrap_or_default(), page, "docs/figures.md is not what the code says");
    }

    #[test]
    fn what_does_not_leave_makes_no_true_figure() {
        for figure in Figure::ALL.into_iter().filter(|figure| !matches!(figure, Figure::Events | Figure::Times)) {
            assert!(matches!(figure.worth(&Treatments::NOTHING, true), Worth::Untrue(_)), "{figure:?}");
        }
    }
}
