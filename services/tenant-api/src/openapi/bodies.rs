//! From fields to JSON Schema: what bodies and parameters may hold, with all limits.

use serde_json::{Map, Value, json};

use super::schema::{Schemas, form, nullable, object, pascal};
use crate::resource::{Field, Kind, Write, value};

/// Characters that no text may hold.
const CONTROLS: &str = r"\x00-\x08\x0B-\x1F\x7F-\x9F";

impl Schemas {
    /// The body of a new row, or of an action.
    pub fn body(&mut self, fields: &'static [Field]) -> Value {
        let sent = || fields.iter().filter(|field| field.write != Write::Server);
        let properties = sent().map(|field| (field.name.to_owned(), self.field(field))).collect();
        let required = sent().filter(|field| field.required);
        object(&properties, required.map(|field| field.name).collect())
    }

    /// The body of a change.
    pub fn changes(&mut self, fields: &'static [Field], versioned: bool) -> Value {
        const VERSION: Field = Field::int("version").filled();
        let is_fixed = |field: &&Field| matches!(field.write, Write::Server | Write::Create);
        let version = versioned.then_some(&VERSION);
        let sent = fields.iter().filter(|field| !is_fixed(field)).chain(version);
        let kept = |field: &Field| Field {
            default: None,
            ..*field
        };
        let properties = sent.map(|field| (field.name.to_owned(), self.field(&kept(field))));
        object(&properties.collect(), Vec::new())
    }

    /// A field with its limits.
    pub fn field(&mut self, field: &Field) -> Value {
        let mut schema = nullable(field, self.limited(field));
        if field.default.is_some() {
            schema["default"] = value::default(field);
        }
        let note = note(field);
        if !note.is_empty() {
            schema["description"] = note.into();
        }
        schema
    }

    fn limited(&mut self, field: &Field) -> Value {
        match field.kind {
            Kind::Text | Kind::Markdown | Kind::Slug | Kind::Password | Kind::Email => text(field),
            Kind::Int => {
                let (min, max) = (whole(field.min), whole(field.max));
                let (min, max) = (min.unwrap_or(i32::MIN.into()), max.unwrap_or(i32::MAX.into()));
                json!({ "type": "integer", "minimum": min, "maximum": max })
            }
            Kind::Decimal(scale) => amount(field, scale),
            Kind::Money => amount(field, 2),
            Kind::Object(shape) => self.refer(format!("{}Input", pascal(shape.name)), |schemas| {
                schemas.body(shape.fields)
            }),
            Kind::Array(items) => {
                let item = Field {
                    kind: *items,
                    ..Field::any("").filled()
                };
                let (min, max) = (whole(field.min).unwrap_or(0), whole(field.max).unwrap_or(1000));
                json!({ "type": "array", "items": self.limited(&item), "minItems": min, "maxItems": max })
            }
            kind => form(kind),
        }
    }
}

fn whole(text: Option<&str>) -> Option<i64> {
    text.and_then(|text| text.parse().ok())
}

/// A text: its length and its form. What is only white space counts as empty.
fn text(field: &Field) -> Value {
    let mut schema = form(field.kind);
    schema["maxLength"] = whole(field.max).unwrap_or(10_000).into();
    if field.not_null {
        schema["minLength"] = whole(field.min).unwrap_or(1).into();
    }
    let pattern = match (field.kind, field.pattern) {
        (Kind::Email, _) => return schema,
        (Kind::Slug, _) => "^[a-z0-9]+(-[a-z0-9]+)*$".to_owned(),
        (Kind::Password, _) => {
            format!("^[^{CONTROLS}]*([A-Za-z][^{CONTROLS}]*[0-9]|[0-9][^{CONTROLS}]*[A-Za-z])[^{CONTROLS}]*$")
        }
        (_, Some(pattern)) if field.upper => format!("^({})$", pattern.replace("A-Z", "A-Za-z")),
        (_, Some(pattern)) => format!("^({pattern})$"),
        (_, None) => printable(field),
    };
    schema["pattern"] = pattern.into();
    schema
}

/// A text without control characters; one that must not be empty has that many characters between white space.
fn printable(field: &Field) -> String {
    match whole(field.min) {
        _ if !field.not_null || field.verbatim => format!("^[^{CONTROLS}]*$"),
        Some(min @ 2..) => format!(
            "^[^{CONTROLS}]*[^{CONTROLS}\\s][^{CONTROLS}]{{{},}}[^{CONTROLS}\\s][^{CONTROLS}]*$",
            min - 2
        ),
        _ => format!("^[^{CONTROLS}]*[^{CONTROLS}\\s][^{CONTROLS}]*$"),
    }
}

/// A decimal as bodies hold it: no exponent, and as many digits as its limits leave room for.
fn amount(field: &Field, scale: u32) -> Value {
    let max = field.max.unwrap_or("9999999999.99");
    let digits = max.split('.').next().unwrap_or(max).len();
    let fraction = format!("(\\.[0-9]{{1,{scale}}})?");
    let (sign, above_zero) = match field.min {
        None => ("-?", ""),
        Some("0") => ("", ""),
        Some(_) => ("", "(?!0+(\\.0+)?$)"),
    };
    // A limit such as 100 is the only number of its length.
    let is_round = max.trim_end_matches('0') == "1";
    let number = if is_round && digits > 1 {
        format!("({max}(\\.0{{1,{scale}}})?|[0-9]{{1,{}}}{fraction})", digits - 1)
    } else {
        format!("[0-9]{{1,{digits}}}{fraction}")
    };
    json!({ "type": "string", "pattern": format!("^{above_zero}{sign}{number}$") })
}

/// What a schema cannot say of a field.
fn note(field: &Field) -> String {
    let limits = match (field.kind, field.min, field.max) {
        (Kind::Money | Kind::Decimal(_), Some(min), Some(max)) => format!("From {min} to {max}."),
        (Kind::Money | Kind::Decimal(_), Some(min), None) => format!("At least {min}."),
        _ => String::new(),
    };
    let refers = field
        .refers_to
        .map(|table| format!("Id of one of the {}.", table.rsplit('_').next().unwrap_or(table)));
    let writer = match field.write {
        Write::Staff => "Set by staff and admins only.",
        Write::Admin => "Set by admins only.",
        Write::All | Write::Create | Write::Server => "",
    };
    let parts = [limits, refers.unwrap_or_default(), writer.to_owned()];
    let said: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    said.join(" ")
}

/// Properties of a form with a file.
pub(super) fn file() -> Value {
    let file = json!({ "type": "string", "minLength": 1, "contentMediaType": "application/octet-stream" });
    let alt = nullable(&Field::any(""), json!({ "type": "string", "maxLength": 200 }));
    object(
        &Map::from_iter([("file".to_owned(), file), ("altText".to_owned(), alt)]),
        vec!["file"],
    )
}
