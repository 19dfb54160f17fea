//! Values of a field: right ones, wrong ones, those at its limits, and whether one that is shown is of its type.

use regex::Regex;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use testkit::contract::{Contract, Field};
use uuid::Uuid;

use super::book::Book;

/// The largest amount that is kept.
const LARGEST: &str = "9999999999.99";
/// Texts that are as good as any other.
const ODD: [&str; 5] = [
    "\u{202e}right to left\u{202c} \u{200f}",
    "👩‍🚀 emoji 🎉",
    "'; DROP TABLE users; -- $1",
    "<script>alert(1)</script> <b>&amp;</b>",
    "back\\slash \"quoted\" %25 _ %",
];
/// Control characters that no text holds.
const CONTROL: [&str; 6] = ["a\u{0}b", "a\u{7}b", "a\rb", "a\r\nb", "a\u{1b}[31m", "a\u{7f}b"];
/// What patterns of the contract want; the first that fits is taken.
const PATTERNED: [&str; 4] = ["DE", "N-{n}", "123", "4242424242424242"];

/// A bound as a number.
fn number(bound: &Option<Value>) -> Option<Decimal> {
    match bound.as_ref()? {
        Value::String(text) => text.parse().ok(),
        other => other.to_string().parse().ok(),
    }
}

fn length(bound: &Option<Value>) -> Option<usize> {
    number(bound)?.try_into().ok()
}

fn is_password(field: &Field) -> bool {
    field.name.ends_with("assword")
}

/// A right value, another one for each `n`. References are looked up by the sample.
pub fn right(book: &Book, contract: &Contract, field: &Field, n: usize) -> Value {
    if let Some(default) = field.default.as_ref().filter(|_| field.kind != "ref") {
        return default.clone();
    }
    match field.kind.as_str() {
        "text" if is_password(field) => json!("Preview123!"),
        "text" | "markdown" => match &field.pattern {
            Some(pattern) => json!(patterned(pattern, n)),
            None => json!(stretched(&format!("{} {n}", field.name), field)),
        },
        "slug" => json!(format!("slug-{n}")),
        "email" => json!(format!("person{n}@example.org")),
        "enum" => json!(field.values[0]),
        "int" => json!(number(&field.min).map_or(1, |min| i64::try_from(min).unwrap_or(1).max(1))),
        "decimal" | "money" => json!("10.00"),
        "currency" => json!("EUR"),
        "bool" => json!(true),
        "timestamp" => json!("2040-01-02T03:04:05.000Z"),
        "date" => json!("2040-01-02"),
        "time" => json!("09:30"),
        "color" => json!("#12ab34"),
        "uuid" | "ref" => json!(Uuid::now_v7()),
        "json" | "object" => match &field.shape {
            Some(shape) => Value::Object(object(book, contract, &book.shape(contract, shape), n)),
            None => json!({}),
        },
        "array" => json!([]),
        kind => panic!("no value of type {kind}"),
    }
}

/// An object with the required ones of some fields.
pub fn object(book: &Book, contract: &Contract, fields: &[Field], n: usize) -> Map<String, Value> {
    let required = fields.iter().filter(|field| field.required);
    required
        .map(|field| (field.name.clone(), right(book, contract, field, n)))
        .collect()
}

fn patterned(pattern: &str, n: usize) -> String {
    let regex = Regex::new(pattern).expect("a pattern");
    let filled = PATTERNED.map(|text| text.replace("{n}", &n.to_string()));
    let found = filled.into_iter().find(|text| regex.is_match(text));
    found.unwrap_or_else(|| panic!("no text for {pattern}"))
}

/// A text brought to a length that the field allows.
fn stretched(text: &str, field: &Field) -> String {
    let (min, max) = (length(&field.min).unwrap_or(1), length(&field.max).unwrap_or(10_000));
    let long: String = text
        .chars()
        .chain(std::iter::repeat('x'))
        .take(min.max(text.len()))
        .collect();
    long.chars().take(max).collect()
}

/// A text of exactly so many characters that counts as a password too.
fn of_length(count: usize) -> String {
    "a1".chars().chain(std::iter::repeat('ü')).take(count).collect()
}

/// Wrong values, each with a word on what is wrong.
pub fn wrong(field: &Field) -> Vec<(String, Value)> {
    let mut values: Vec<(&str, Value)> = match field.kind.as_str() {
        "text" | "markdown" | "slug" | "email" | "enum" | "currency" | "color" => {
            vec![
                ("a number", json!(12)),
                ("true", json!(true)),
                ("an array", json!(["a"])),
                ("an object", json!({})),
            ]
        }
        "int" => vec![
            ("a number in quotes", json!("5")),
            ("a fraction", json!(1.5)),
            ("true", json!(true)),
            ("too many bits", json!(2_147_483_648_i64)),
            ("far too many bits", json!(1e300)),
        ],
        "decimal" | "money" => vec![
            ("a JSON number", json!(10)),
            ("a JSON fraction", json!(10.5)),
            ("a word", json!("ten")),
            ("an exponent", json!("1e3")),
            ("an empty text", json!("")),
            ("a comma", json!("1,50")),
            ("infinity", json!("Infinity")),
            ("too many digits after the point", json!("1.005")),
            ("more than is kept", json!("10000000000.00")),
        ],
        "bool" => vec![("a word", json!("true")), ("a number", json!(1))],
        "timestamp" => vec![
            ("a number", json!(1_700_000_000)),
            ("a word", json!("yesterday")),
            ("a day", json!("2040-01-02")),
            ("no zone", json!("2040-01-02T03:04:05")),
            ("a 13th month", json!("2040-13-02T03:04:05Z")),
        ],
        "date" => vec![
            ("a word", json!("today")),
            ("a 30th of February", json!("2040-02-30")),
            ("a number", json!(1)),
        ],
        "time" => vec![
            ("a word", json!("noon")),
            ("25 o'clock", json!("25:00")),
            ("seconds", json!("09:30:00")),
        ],
        "uuid" | "ref" => vec![
            ("no id", json!("not-an-id")),
            ("a number", json!(7)),
            ("an id too long", json!("01890a5d-ac96-774b-bcce-b302099a8057f")),
        ],
        "json" | "object" if field.shape.is_some() || field.kind == "object" => {
            vec![("a text", json!("text")), ("an array", json!([]))]
        }
        "array" => vec![("a text", json!("text")), ("an object", json!({}))],
        _ => vec![],
    };
    values.extend(match field.kind.as_str() {
        "slug" => vec![("capitals and blanks", json!("Bad Slug"))],
        "email" => vec![
            ("no address", json!("nobody")),
            ("two at signs", json!("a@@example.org")),
        ],
        "enum" => vec![("an unknown word", json!("nope")), ("an empty word", json!(" "))],
        "currency" => vec![("no currency", json!("XYZW"))],
        "color" => vec![("no color", json!("red")), ("short", json!("#abc"))],
        _ => vec![],
    });
    let mut values: Vec<(String, Value)> = values
        .into_iter()
        .map(|(what, value)| (what.to_owned(), value))
        .collect();
    // Only an optional word of an enumeration may be left empty.
    if field.kind == "enum" && field.is_nullable() {
        values.retain(|(what, _)| what != "an empty word");
    }
    values.extend(beyond(field));
    if !field.is_nullable() {
        values.push(("null".to_owned(), Value::Null));
    }
    values
}

/// Values one beyond a limit, and texts that no text may be.
fn beyond(field: &Field) -> Vec<(String, Value)> {
    let mut values = Vec::new();
    let is_text = matches!(field.kind.as_str(), "text" | "markdown" | "slug");
    if is_text {
        values.extend(CONTROL.map(|text| (format!("control characters {text:?}"), json!(text))));
        if field.required && !is_password(field) {
            values.push(("blanks".to_owned(), json!("  \t\n ")));
        }
        if field.required {
            values.push(("nothing".to_owned(), json!("")));
        }
        if field.pattern.is_some() {
            values.push(("what no pattern wants".to_owned(), json!("!§ ")));
        }
    }
    let (min, max) = (&field.min, &field.max);
    match field.kind.as_str() {
        "slug" => values.push(("81 characters".to_owned(), json!("s".repeat(81)))),
        "text" | "markdown" => {
            values.extend(length(max).map(|max| ("one character too many".to_owned(), json!(of_length(max + 1)))));
            let short = length(min).filter(|min| *min > 1);
            values.extend(short.map(|min| ("one character too few".to_owned(), json!(of_length(min - 1)))));
        }
        "int" => {
            let whole = |bound: Decimal| i64::try_from(bound).unwrap_or_default();
            values.extend(number(max).map(|max| ("one above".to_owned(), json!(whole(max) + 1))));
            values.extend(number(min).map(|min| ("one below".to_owned(), json!(whole(min) - 1))));
        }
        "decimal" | "money" => {
            let cent = Decimal::new(1, 2);
            values.extend(number(max).map(|max| ("a cent above".to_owned(), json!((max + cent).to_string()))));
            values.extend(number(min).map(|min| ("a cent below".to_owned(), json!((min - cent).to_string()))));
        }
        _ => {}
    }
    values
}

/// Right values at the limits, each with what is shown of it.
pub fn edges(field: &Field) -> Vec<(Value, Value)> {
    let same = |value: Value| (value.clone(), value);
    let (min, max) = (&field.min, &field.max);
    let fits = |text: &&str| length(max).is_none_or(|max| text.chars().count() <= max);
    match field.kind.as_str() {
        "text" if is_password(field) => {
            let lengths = [length(min), length(max)].into_iter().flatten();
            lengths.map(|count| same(json!(of_length(count)))).collect()
        }
        "text" | "markdown" if field.pattern.is_none() => {
            let lengths = [length(min).or(Some(1)), length(max)].into_iter().flatten();
            let mut values: Vec<_> = lengths.map(|count| same(json!(of_length(count)))).collect();
            if length(min).is_none() {
                let odd = ODD.into_iter().chain(["tab\tand\nline"]);
                values.extend(odd.filter(fits).map(|text| same(json!(text))));
            }
            if field.kind == "text" {
                let sent = stretched("trimmed", field);
                values.push((json!(format!(" \t{sent}\n ")), json!(sent)));
            }
            if field.is_nullable() {
                values.push((json!(""), Value::Null));
                values.push((json!("   "), Value::Null));
            }
            values
        }
        "email" => vec![(json!("Mixed.Case@Example.ORG"), json!("mixed.case@example.org"))],
        "enum" => field.values.iter().map(|word| same(json!(word))).collect(),
        "int" => [min, max]
            .into_iter()
            .filter_map(|bound| bound.clone().map(same))
            .collect(),
        "decimal" | "money" => {
            let scale = field.scale.unwrap_or(2);
            let mut values: Vec<_> = [number(min), number(max)]
                .into_iter()
                .flatten()
                .chain([Decimal::new(15, 1), Decimal::TEN])
                .filter(|value| number(max).is_none_or(|max| *value <= max))
                .map(|value| (json!(value.normalize().to_string()), json!(shown(value, scale))))
                .collect();
            if field.kind == "money" && max.is_none() {
                values.push(same(json!(LARGEST)));
            }
            values
        }
        "bool" => vec![same(json!(true)), same(json!(false))],
        "timestamp" => vec![(json!("2040-01-02T05:04:05+02:00"), json!("2040-01-02T03:04:05.000Z"))],
        _ => vec![],
    }
}

fn shown(mut value: Decimal, scale: u32) -> String {
    value.rescale(scale);
    value.to_string()
}

/// What is wrong with a shown value, if anything is.
pub fn misfit(book: &Book, contract: &Contract, field: &Field, value: &Value) -> Option<String> {
    let text = value.as_str().unwrap_or_default();
    let name = &field.name;
    if value.is_null() {
        return (!field.is_nullable()).then(|| format!("{name} is null"));
    }
    let digits = |scale: u32| {
        let point = text.rsplit_once('.').map_or(0, |(_, digits)| digits.len());
        value.is_string() && text.parse::<Decimal>().is_ok() && point == scale as usize
    };
    let is_right = match field.kind.as_str() {
        "text" | "markdown" => value.is_string() && length(&field.max).is_none_or(|max| text.chars().count() <= max),
        "slug" => Regex::new("^[a-z0-9]+(-[a-z0-9]+)*$")
            .expect("a pattern")
            .is_match(text),
        "email" => text.contains('@') && text == text.to_lowercase(),
        "enum" => field.values.iter().any(|word| word == text),
        "int" => value.is_i64(),
        "decimal" => digits(field.scale.unwrap_or(2)),
        "money" => digits(2),
        "currency" => text.len() == 3 && text == text.to_uppercase(),
        "bool" => value.is_boolean(),
        "timestamp" => text.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(text).is_ok(),
        "date" => chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok(),
        "time" => chrono::NaiveTime::parse_from_str(text, "%H:%M").is_ok(),
        "color" => text.starts_with('#') && text.len() == 7,
        "uuid" | "ref" => is_id(text),
        "json" | "object" => {
            let shape = field.shape.as_ref().map(|shape| book.shape(contract, shape));
            return match (shape, value.as_object()) {
                (Some(fields), Some(object)) => misfits(book, contract, &fields, object),
                (None, _) if field.kind == "json" || value.is_object() => None,
                _ => Some(format!("{name} is no object: {value}")),
            };
        }
        "array" => return array(book, contract, field, value),
        kind => panic!("no type {kind}"),
    };
    (!is_right).then(|| format!("{name} is no {}: {value}", field.kind))
}

fn array(book: &Book, contract: &Contract, field: &Field, value: &Value) -> Option<String> {
    let Some(items) = value.as_array() else {
        return Some(format!("{} is no array: {value}", field.name));
    };
    let of = field.items.as_deref().unwrap_or("text");
    let is_shape = of.starts_with(|letter: char| letter.is_ascii_uppercase());
    items.iter().find_map(|item| {
        if !is_shape {
            return (of == "text" && !item.is_string()).then(|| format!("{} holds {item}", field.name));
        }
        let fields = book.shape(contract, of);
        match item.as_object() {
            Some(item) => misfits(book, contract, &fields, item),
            None => Some(format!("{} holds {item}", field.name)),
        }
    })
}

/// What is wrong with an object of exactly these fields, if anything is.
pub fn misfits(book: &Book, contract: &Contract, fields: &[Field], object: &Map<String, Value>) -> Option<String> {
    let missing = fields.iter().find(|field| !object.contains_key(&field.name));
    if let Some(field) = missing {
        return Some(format!("{} is missing", field.name));
    }
    let more = object
        .keys()
        .find(|key| !fields.iter().any(|field| field.name == **key));
    if let Some(more) = more {
        return Some(format!("{more} is not in the contract"));
    }
    fields
        .iter()
        .find_map(|field| misfit(book, contract, field, &object[&field.name]))
}

/// Whether it is a UUIDv7 in lower case.
pub fn is_id(text: &str) -> bool {
    text == text.to_lowercase() && Uuid::try_parse(text).is_ok_and(|id| id.get_version_num() == 7)
}
