//! The blocks of the admin dashboard: figures and one chart from each module.

use chrono::{DateTime, Days, NaiveDate, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use futures::future::BoxFuture;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::{
    http::{Call, Result},
    resource::{
        Field, Kind, Shape,
        value::{money, show_decimal},
    },
    settings::Settings,
};

/// What a module adds to the dashboard.
pub type Dashboard = fn(Call) -> BoxFuture<'static, Result<Block>>;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Digits.
    Int,
    /// Two digits after the point, in the session's currency.
    Money,
    /// One digit after the point.
    Percent,
    /// Two digits after the point.
    Decimal,
}

impl Form {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Money => "money",
            Self::Percent => "percent",
            Self::Decimal => "decimal",
        }
    }

    fn write(self, value: Decimal) -> String {
        match self {
            Self::Int => show_decimal(value, 0),
            Self::Money | Self::Decimal => money(value),
            Self::Percent => show_decimal(value, 1),
        }
    }
}

/// One number.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// For programs.
    pub key: &'static str,
    /// For people.
    pub label: &'static str,
    /// How it is written.
    pub form: Form,
    /// The number.
    pub value: Decimal,
}

/// One chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// For programs.
    pub key: &'static str,
    /// For people.
    pub label: &'static str,
    /// `line`, `bar` or `donut`.
    pub kind: &'static str,
    /// How its values are written.
    pub form: Form,
    /// Labels and values, in order.
    pub points: Vec<(String, Decimal)>,
}

/// A module's block.
#[derive(Clone, Debug)]
pub struct Block {
    /// Its numbers.
    pub figures: Vec<Figure>,
    /// Its chart.
    pub chart: Chart,
}

const FORMS: &[&str] = &["int", "money", "percent", "decimal"];

/// A block in JSON.
pub const BLOCK: Shape = Shape::of(
    "DashboardBlock",
    &[
        Field::text("module", "20").required(),
        Field::text("title", "60").required(),
        Field::array("figures", &Kind::Object(&FIGURE)).required(),
        Field::object("chart", &CHART).required(),
    ],
);

const FIGURE: Shape = Shape::of(
    "Figure",
    &[
        Field::text("key", "60").required(),
        Field::text("label", "60").required(),
        Field::one_of("type", FORMS).required(),
        Field::text("value", "40").required(),
    ],
);

const CHART: Shape = Shape::of(
    "Chart",
    &[
        Field::text("key", "60").required(),
        Field::text("label", "60").required(),
        Field::one_of("kind", &["line", "bar", "donut"]).required(),
        Field::one_of("type", FORMS).required(),
        Field::array("points", &Kind::Object(&POINT)).required(),
    ],
);

const POINT: Shape = Shape::of(
    "ChartPoint",
    &[
        Field::text("label", "60").required(),
        Field::text("value", "40").required(),
    ],
);

impl Block {
    /// As a [`BLOCK`].
    #[must_use]
    pub fn show(&self, module: &str, title: &str) -> Value {
        let figures = self.figures.iter().map(|figure| {
            json!({
                "key": figure.key,
                "label": figure.label,
                "type": figure.form.as_str(),
                "value": figure.form.write(figure.value),
            })
        });
        let Chart {
            key,
            label,
            kind,
            form,
            points,
        } = &self.chart;
        let points = points
            .iter()
            .map(|(label, value)| json!({"label": label, "value": form.write(*value)}));
        json!({
            "module": module,
            "title": title,
            "figures": figures.collect::<Value>(),
            "chart": {
                "key": key,
                "label": label,
                "kind": kind,
                "type": form.as_str(),
                "points": points.collect::<Value>(),
            },
        })
    }
}

/// The last days, today included, in the session's time zone.
#[derive(Clone, Debug)]
pub struct LastDays {
    zone: Tz,
    days: Vec<NaiveDate>,
}

impl LastDays {
    /// So many days up to now, oldest first.
    ///
    /// # Errors
    /// When the settings cannot be read.
    pub async fn load(call: &Call, count: u64) -> Result<Self> {
        let zone = zone(call).await?;
        Ok(Self::until(zone, call.now(), count))
    }

    fn until(zone: Tz, now: DateTime<Utc>, count: u64) -> Self {
        let today = now.with_timezone(&zone).date_naive();
        let days = (0..count)
            .rev()
            .filter_map(|back| today.checked_sub_days(Days::new(back)));
        Self {
            zone,
            days: days.collect(),
        }
    }

    /// An instant at or before the first day's begin: ask the database for rows from here on.
    #[must_use]
    pub fn since(&self) -> DateTime<Utc> {
        let midnight = self
            .days
            .first()
            .and_then(|day| day.and_hms_opt(0, 0, 0))
            .unwrap_or_default();
        let begin = self
            .zone
            .from_local_datetime(&midnight)
            .earliest()
            .map(|at| at.with_timezone(&Utc));
        // Where a clock change skips midnight, a day's worth of rows too many does no harm: they have no point.
        begin.unwrap_or_else(|| Utc.from_utc_datetime(&midnight) - TimeDelta::days(1))
    }

    /// Sums values by day; days without any are 0.
    #[must_use]
    pub fn sum(&self, values: impl IntoIterator<Item = (DateTime<Utc>, Decimal)>) -> Vec<(String, Decimal)> {
        let mut sums = vec![Decimal::ZERO; self.days.len()];
        for (at, value) in values {
            let day = at.with_timezone(&self.zone).date_naive();
            if let Ok(place) = self.days.binary_search(&day) {
                sums[place] += value;
            }
        }
        self.days.iter().map(NaiveDate::to_string).zip(sums).collect()
    }
}

/// Setting `app.timezone`; UTC where it is no zone.
///
/// # Errors
/// When the settings cannot be read.
pub async fn zone(call: &Call) -> Result<Tz> {
    let settings = Settings::load(call).await?;
    Ok(settings.text("app.timezone").parse().unwrap_or(Tz::UTC))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("an instant")
    }

    #[test]
    fn days_follow_the_zone() {
        let days = LastDays::until(Tz::Asia__Tokyo, at("2026-03-01T16:00:00Z"), 3);
        assert_eq!(days.since(), at("2026-02-27T15:00:00Z"));
        let sums = days.sum([
            (at("2026-02-27T14:59:59Z"), Decimal::ONE),
            (at("2026-02-27T15:00:00Z"), Decimal::ONE),
            (at("2026-03-01T15:30:00Z"), Decimal::TEN),
        ]);
        let shown: Vec<String> = sums.iter().map(|(day, sum)| format!("{day} {sum}")).collect();
        assert_eq!(shown, ["2026-02-28 1", "2026-03-01 0", "2026-03-02 10"]);
    }

    #[test]
    fn every_form_has_its_digits() {
        let third = Decimal::ONE / Decimal::from(3);
        let written = [Form::Int, Form::Money, Form::Percent, Form::Decimal].map(|form| form.write(third));
        assert_eq!(written, ["0", "0.33", "0.3", "0.33"]);
    }
}
