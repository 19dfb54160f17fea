//! One value: from what was sent to what is kept, and from what is kept to what is shown.

use std::{borrow::Cow, collections::HashMap, str::FromStr, sync::LazyLock, sync::RwLock};

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, Utc};
use domain::Currency;
use fault::Detail;
use regex::Regex;
use rust_decimal::{Decimal, RoundingStrategy};
use sea_orm::Value as Sql;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::field::{Field, Kind, Write};

/// The largest amount that fits `numeric(12,2)`.
const LARGEST: Decimal = Decimal::from_parts(3_567_587_327, 232, 0, false, 2);

/// Checks a sent value and brings it into the form that is kept. `null` and empty optional texts become `Null`.
/// Mistakes go to `details` under `path`.
pub fn normalise(field: &Field, sent: Value, path: &str, details: &mut Vec<Detail>) -> Option<Value> {
    if sent.is_null() {
        if field.not_null {
            details.push(Detail::new(path, "must not be null"));
            return None;
        }
        return Some(Value::Null);
    }
    let before = details.len();
    let value = match field.kind {
        Kind::Text
        | Kind::Markdown
        | Kind::Slug
        | Kind::Email
        | Kind::Password
        | Kind::Enum(_)
        | Kind::Currency
        | Kind::Color => text(field, &sent, path, details),
        Kind::Int => int(field, &sent)
            .map_err(|must| details.push(Detail::new(path, must)))
            .ok(),
        Kind::Decimal(scale) => decimal(field, &sent, scale)
            .map_err(|must| details.push(Detail::new(path, must)))
            .ok(),
        Kind::Money => decimal(field, &sent, 2)
            .map_err(|must| details.push(Detail::new(path, must)))
            .ok(),
        Kind::Bool if sent.is_boolean() => Some(sent),
        Kind::Bool => wrong(path, "must be true or false", details),
        Kind::Timestamp => timestamp(&sent).map_or_else(
            || wrong(path, "must be an instant such as 2026-03-01T12:00:00Z", details),
            |at| Some(Value::String(instant(at))),
        ),
        Kind::Date => date(&sent).map_or_else(
            || wrong(path, "must be a day such as 2026-03-01", details),
            |day| Some(json!(day.to_string())),
        ),
        Kind::Time => time(&sent).map_or_else(
            || wrong(path, "must be a time of day such as 09:30", details),
            |at| Some(json!(at.format("%H:%M").to_string())),
        ),
        Kind::Uuid => sent.as_str().and_then(|text| id(text.trim())).map_or_else(
            || wrong(path, "must be an id", details),
            |id| Some(json!(id.to_string())),
        ),
        Kind::Json => Some(sent),
        Kind::Map if sent.is_object() => Some(sent),
        Kind::Map => wrong(path, "must be an object", details),
        Kind::Object(shape) => object(shape.fields, sent, path, details).map(Value::Object),
        Kind::Array(items) => array(field, items, sent, path, details),
        Kind::Bytes => wrong(path, "cannot be sent here", details),
    };
    if details.len() > before { None } else { value }
}

fn wrong<T>(path: &str, must: &str, details: &mut Vec<Detail>) -> Option<T> {
    details.push(Detail::new(path, must));
    None
}

/// Checks an object against its fields: unknown ones are refused, missing required ones named, defaults filled in.
pub fn object(
    fields: &'static [Field],
    sent: Value,
    path: &str,
    details: &mut Vec<Detail>,
) -> Option<Map<String, Value>> {
    let Value::Object(sent) = sent else {
        return wrong(path, "must be an object", details);
    };
    let before = details.len();
    let kept = members(fields, sent, path, details);
    (details.len() == before).then_some(kept)
}

/// As [`object`], but what is right is kept whatever else is wrong.
pub fn members(
    fields: &'static [Field],
    mut sent: Map<String, Value>,
    path: &str,
    details: &mut Vec<Detail>,
) -> Map<String, Value> {
    let mut kept = Map::new();
    // What the server writes is never sent; who tries is told so before this.
    for field in fields.iter().filter(|field| field.write != Write::Server) {
        let path = if path.is_empty() {
            field.name.to_owned()
        } else {
            format!("{path}.{}", field.name)
        };
        match sent.shift_remove(field.name) {
            Some(value) => {
                if let Some(value) = normalise(field, value, &path, details) {
                    kept.insert(field.name.to_owned(), value);
                }
            }
            None if field.required => details.push(Detail::new(path, "is required")),
            None => {
                kept.insert(field.name.to_owned(), default(field));
            }
        }
    }
    for name in sent.keys() {
        let path = if path.is_empty() {
            shown(name).into_owned()
        } else {
            format!("{path}.{}", shown(name))
        };
        details.push(Detail::new(path, "is not a known field"));
    }
    kept
}

/// A name that came from outside, short enough for a message.
pub fn shown(name: &str) -> Cow<'_, str> {
    if name.chars().count() <= 60 {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(name.chars().take(60).collect())
    }
}

fn array(field: &Field, items: &'static Kind, sent: Value, path: &str, details: &mut Vec<Detail>) -> Option<Value> {
    let Value::Array(values) = sent else {
        return wrong(path, "must be an array", details);
    };
    let (min, max) = (bound(field.min).unwrap_or(0), bound(field.max).unwrap_or(1000));
    if !(min..=max).contains(&values.len()) {
        return wrong(path, &format!("must have {min} to {max} items"), details);
    }
    let item = Field {
        kind: *items,
        not_null: true,
        ..Field::any("")
    };
    let kept: Vec<_> = values
        .into_iter()
        .enumerate()
        .filter_map(|(i, value)| normalise(&item, value, &format!("{path}[{i}]"), details))
        .collect();
    Some(Value::Array(kept))
}

fn bound<T: FromStr>(text: Option<&'static str>) -> Option<T> {
    text.and_then(|text| text.parse().ok())
}

/// What stands in for a field that was left out.
#[must_use]
pub fn default(field: &Field) -> Value {
    field.default.map_or(Value::Null, |text| {
        serde_json::from_str(text).unwrap_or_else(|_| json!(text))
    })
}

fn text(field: &Field, sent: &Value, path: &str, details: &mut Vec<Detail>) -> Option<Value> {
    let Some(sent) = sent.as_str() else {
        return wrong(path, "must be a text", details);
    };
    // Blanks at the begin of a line mean something in markdown.
    let is_kept = field.verbatim || matches!(field.kind, Kind::Markdown) && !sent.trim().is_empty();
    let mut text = Cow::Borrowed(if is_kept { sent } else { sent.trim() });
    if text.chars().any(|c| c.is_control() && c != '\t' && c != '\n') {
        return wrong(path, "must not contain control characters", details);
    }
    if field.upper {
        text = Cow::Owned(text.to_uppercase());
    }
    if text.is_empty() {
        if field.not_null {
            return wrong(path, "must not be empty", details);
        }
        return Some(Value::Null);
    }
    let (min, max) = (bound(field.min).unwrap_or(1), bound(field.max).unwrap_or(10_000));
    let length = text.chars().count();
    if length > max {
        return wrong(
            path,
            &format!("must have at most {max} characters, has {length}"),
            details,
        );
    }
    if length < min {
        return wrong(
            path,
            &format!("must have at least {min} characters, has {length}"),
            details,
        );
    }
    match form(field, &text) {
        Ok(text) => Some(Value::String(text)),
        Err(must) => wrong(path, &must, details),
    }
}

/// The form that a kind of text must have.
fn form(field: &Field, text: &str) -> Result<String, String> {
    static SLUG: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[a-z0-9]+(-[a-z0-9]+)*$").ok());
    static COLOR: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^#[0-9a-fA-F]{6}$").ok());
    let matches = |regex: &LazyLock<Option<Regex>>| regex.as_ref().is_some_and(|regex| regex.is_match(text));
    match field.kind {
        Kind::Enum(values) if !values.contains(&text) => Err(format!("must be one of {}", values.join(", "))),
        Kind::Email if !is_email(text) => Err("must be an e-mail address such as name@example.org".into()),
        Kind::Email => Ok(text.to_lowercase()),
        Kind::Password if !text.chars().any(char::is_alphabetic) || !text.chars().any(|c| c.is_ascii_digit()) => {
            Err("must have at least one letter and one digit".into())
        }
        Kind::Slug if !matches(&SLUG) => {
            Err("must be lower-case letters and digits, in words joined by single dashes".into())
        }
        Kind::Color if !matches(&COLOR) => Err("must be a colour such as #4f46e5".into()),
        Kind::Currency => Currency::from_str(text)
            .map(|currency| currency.to_string())
            .map_err(|error| error.to_string()),
        _ => match field.pattern {
            Some(pattern) if !fits(pattern, text) => Err(format!("must match {pattern}")),
            _ => Ok(text.to_owned()),
        },
    }
}

/// Whether the whole text matches a pattern of the contract; patterns are compiled once.
fn fits(pattern: &'static str, text: &str) -> bool {
    static COMPILED: LazyLock<RwLock<HashMap<&'static str, Option<Regex>>>> = LazyLock::new(RwLock::default);
    let known = COMPILED
        .read()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .get(pattern)
        .cloned();
    let regex = known.unwrap_or_else(|| {
        let regex = Regex::new(&format!("^(?:{pattern})$")).ok();
        COMPILED
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .insert(pattern, regex.clone());
        regex
    });
    regex.is_some_and(|regex| regex.is_match(text))
}

/// A plain check of form: one `@`, a local part, a domain with a dot and no odd characters.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let local_ok = (1..=64).contains(&local.len())
        && local
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~.-".contains(&b))
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..");
    let labels: Vec<&str> = domain.split('.').collect();
    let label_ok = |label: &&str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    local_ok && labels.len() >= 2 && labels.iter().all(label_ok)
}

fn int(field: &Field, sent: &Value) -> Result<Value, String> {
    // 2.0 is a whole number in JSON, by whatever type a client counted.
    let whole = |n: f64| (n.fract() == 0.0).then_some(n as i64);
    let number = sent.as_i64().or_else(|| sent.as_f64().and_then(whole));
    let number = number.and_then(|n| i32::try_from(n).ok());
    let (min, max) = (
        bound(field.min).unwrap_or(i32::MIN),
        bound(field.max).unwrap_or(i32::MAX),
    );
    match number {
        Some(n) if (min..=max).contains(&n) => Ok(json!(n)),
        _ if sent.is_i64() || sent.is_u64() => Err(format!("must be from {min} to {max}")),
        _ => Err("must be a whole number".into()),
    }
}

fn decimal(field: &Field, sent: &Value, scale: u32) -> Result<Value, String> {
    let must = || {
        format!(
            "must be a decimal in quotes with at most {scale} digits after the point, such as \"{}\"",
            show_decimal(Decimal::TEN, scale)
        )
    };
    let text = sent.as_str().map(str::trim).ok_or_else(must)?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !is_plain(whole)
        || !is_plain(fraction)
        || (digits.contains('.') && fraction.len() > scale as usize)
        || whole.len() > 12
    {
        return Err(must());
    }
    let value = Decimal::from_str(text).map_err(|_| must())?;
    let (min, max) = (
        bound(field.min).unwrap_or(-LARGEST),
        bound(field.max).unwrap_or(LARGEST),
    );
    if value < min || value > max {
        return Err(format!(
            "must be from {} to {}",
            show_decimal(min, scale),
            show_decimal(max, scale)
        ));
    }
    Ok(Value::String(show_decimal(value, scale)))
}

/// An id in the form in which ids are shown: 32 hexadecimal digits in five groups.
#[must_use]
pub fn id(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|_| text.len() == 36)
}

fn timestamp(sent: &Value) -> Option<DateTime<Utc>> {
    let at = DateTime::parse_from_rfc3339(sent.as_str()?.trim())
        .ok()?
        .with_timezone(&Utc);
    // What PostgreSQL and four-digit years can both hold.
    (at.timestamp() > -62_135_596_800 && at.timestamp() < 253_402_300_800).then_some(at)
}

fn date(sent: &Value) -> Option<NaiveDate> {
    let text = sent.as_str()?.trim();
    (text.len() == 10)
        .then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok())
        .flatten()
        .filter(|day| day.to_string().as_str() >= "0001")
}

fn time(sent: &Value) -> Option<NaiveTime> {
    let text = sent.as_str()?.trim();
    (text.len() == 5)
        .then(|| NaiveTime::parse_from_str(text, "%H:%M").ok())
        .flatten()
}

/// A decimal with exactly `scale` digits after the point, rounded half away from zero.
#[must_use]
pub fn show_decimal(value: Decimal, scale: u32) -> String {
    let mut value = value.round_dp_with_strategy(scale, RoundingStrategy::MidpointAwayFromZero);
    value.rescale(scale);
    // "-0.00" is no amount.
    if value.is_zero() {
        value.set_sign_positive(true);
    }
    value.to_string()
}

/// An amount with its two digits.
#[must_use]
pub fn money(value: Decimal) -> String {
    show_decimal(value, 2)
}

/// Rounds to whole cents, half away from zero.
#[must_use]
pub fn cents(value: Decimal) -> Decimal {
    let mut value = value.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero);
    value.rescale(2);
    value
}

/// An instant in JSON: UTC with milliseconds, as precise as it is stored.
#[must_use]
pub fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A normalised value as a parameter of a statement.
#[must_use]
pub fn sql(field: &Field, value: &Value) -> Sql {
    let text = || value.as_str().map(str::to_owned);
    match field.kind {
        Kind::Text
        | Kind::Markdown
        | Kind::Slug
        | Kind::Email
        | Kind::Password
        | Kind::Enum(_)
        | Kind::Currency
        | Kind::Color => Sql::String(text()),
        Kind::Int => Sql::Int(value.as_i64().and_then(|n| i32::try_from(n).ok())),
        Kind::Decimal(_) | Kind::Money => Sql::Decimal(value.as_str().and_then(|text| Decimal::from_str(text).ok())),
        Kind::Bool => Sql::Bool(value.as_bool()),
        Kind::Timestamp => Sql::ChronoDateTimeUtc(timestamp(value)),
        Kind::Date => Sql::ChronoDate(date(value)),
        Kind::Time => Sql::ChronoTime(time(value)),
        Kind::Uuid => Sql::Uuid(value.as_str().and_then(|text| Uuid::try_parse(text).ok())),
        Kind::Json | Kind::Map | Kind::Object(_) | Kind::Array(_) => {
            Sql::Json((!value.is_null()).then(|| Box::new(value.clone())))
        }
        Kind::Bytes => Sql::Bytes(None),
    }
}

/// SQL for ids of rows that one statement makes: the first half of the UUIDv7 in the parameter `id`, and 60 bits of a
/// hash over it and what tells the rows apart, a text.
#[must_use]
pub fn each_id(id: &str, row: &str) -> String {
    format!("(left({id}, 20) || right(md5({id} || {row}), 15))::uuid")
}

/// Ids as one array parameter, so that a statement's text does not depend on how many there are.
#[must_use]
pub fn uuids(ids: &[Uuid]) -> Sql {
    let ids = ids.iter().map(|id| (*id).into()).collect();
    Sql::Array(sea_orm::sea_query::ArrayType::Uuid, Some(Box::new(ids)))
}

/// A column's value in JSON.
#[must_use]
pub fn show(field: &Field, value: Sql) -> Value {
    match value {
        Sql::Bool(value) => json!(value),
        Sql::Int(value) => json!(value),
        Sql::BigInt(value) => json!(value),
        Sql::String(value) => json!(value),
        Sql::Json(value) => value.map_or(Value::Null, |value| *value),
        Sql::Uuid(value) => json!(value),
        Sql::ChronoDate(value) => json!(value),
        Sql::ChronoTime(value) => json!(value.map(|at| at.format("%H:%M").to_string())),
        Sql::ChronoDateTimeUtc(value) => json!(value.map(instant)),
        Sql::Decimal(value) => {
            let scale = if let Kind::Decimal(scale) = field.kind {
                scale
            } else {
                2
            };
            json!(value.map(|value| show_decimal(value, scale)))
        }
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Shape;

    fn check(field: Field, sent: Value) -> Result<Value, String> {
        let mut details = Vec::new();
        normalise(&field, sent, "f", &mut details)
            .ok_or_else(|| details.iter().map(|d| d.message.clone()).collect::<Vec<_>>().join("; "))
    }

    #[test]
    fn money_is_a_string_of_at_most_two_digits_after_the_point() {
        let price = Field::money("price").min("0");
        assert_eq!(check(price, json!("10")), Ok(json!("10.00")));
        assert_eq!(check(price, json!("10.5")), Ok(json!("10.50")));
        assert_eq!(check(price, json!("9999999999.99")), Ok(json!("9999999999.99")));
        for wrong in [
            json!(10),
            json!("10.555"),
            json!("-1"),
            json!("1e3"),
            json!(""),
            json!("1."),
            json!(".5"),
            json!("10000000000.00"),
            json!("+1"),
        ] {
            assert!(check(price, wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_largest_amount_is_what_the_column_holds() {
        assert_eq!(money(LARGEST), "9999999999.99");
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_point() {
        let count = Field::int("count").min("0").max("99");
        assert_eq!(check(count, json!(66.0)), Ok(json!(66)));
        for wrong in [json!(66.5), json!(-1.0), json!(1e300), json!("66")] {
            assert!(check(count, wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn text_is_trimmed_counted_in_code_points_and_free_of_control_characters() {
        let name = Field::text("name", "3").required();
        assert_eq!(check(name, json!("  äöü ")), Ok(json!("äöü")));
        assert_eq!(check(name, json!("👩‍🚀")), Ok(json!("👩‍🚀")), "three code points");
        assert!(check(name, json!("abcd")).is_err());
        assert!(check(name, json!("a\u{0}b")).is_err());
        assert!(check(name, json!("   ")).is_err());
        assert!(check(name, json!(12)).is_err());
        assert_eq!(check(Field::text("note", "3"), json!("  ")), Ok(Value::Null));
    }

    #[test]
    fn instants_are_converted_to_utc() {
        assert_eq!(
            check(Field::timestamp("at"), json!("2026-03-01T12:00:00+02:00")),
            Ok(json!("2026-03-01T10:00:00.000Z"))
        );
        for wrong in [
            "2026-03-01",
            "2026-03-01T12:00:00",
            "yesterday",
            "2026-02-30T00:00:00Z",
            "99999-01-01T00:00:00Z",
        ] {
            assert!(check(Field::timestamp("at"), json!(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn unknown_and_missing_fields_are_named_with_their_path() {
        static INNER: Shape = Shape::of("Inner", &[Field::text("city", "5").required()]);
        static OUTER: &[Field] = &[Field::object("address", &INNER), Field::int("count").default("1")];
        let mut details = Vec::new();
        assert!(object(OUTER, json!({"address": {"town": 1}, "extra": 2}), "", &mut details).is_none());
        let fields: Vec<_> = details.iter().map(|detail| detail.field.as_str()).collect();
        assert_eq!(fields, ["address.city", "address.town", "extra"]);
        let mut details = Vec::new();
        assert_eq!(
            object(OUTER, json!({}), "", &mut details).map(Value::Object),
            Some(json!({"address": null, "count": 1}))
        );
    }

    #[test]
    fn an_address_needs_a_domain_with_a_dot() {
        for right in ["a@b.co", "first.last+tag@sub.example.org"] {
            assert!(is_email(right), "{right}");
        }
        for wrong in [
            "a", "a@b", "@b.co", "a@@b.co", "a b@c.de", "a@b..co", ".a@b.co", "a@-b.co",
        ] {
            assert!(!is_email(wrong), "{wrong}");
        }
    }

    #[test]
    fn rounding_is_half_away_from_zero() {
        assert_eq!(money(Decimal::new(12345, 3)), "12.35");
        assert_eq!(money(Decimal::new(-12345, 3)), "-12.35");
        assert_eq!(money(Decimal::new(-1, 3)), "0.00");
    }
}
