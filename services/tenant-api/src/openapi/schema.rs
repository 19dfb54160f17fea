//! From fields and shapes to JSON Schema: what answers hold, and what is common to answers and bodies.

use serde_json::{Map, Value, json};

use crate::resource::{Field, Kind, Read, Shape, Spec, field::IMPLICIT};

/// The schemas that others refer to by name.
#[derive(Default)]
pub struct Schemas(Map<String, Value>);

/// How much is shown of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// As in lists and in other rows.
    Plain,
    /// With everything that is embedded.
    Whole,
}

impl Schemas {
    /// All of them, by name.
    #[must_use]
    pub fn all(mut self) -> Map<String, Value> {
        self.0.insert("Pagination".to_owned(), pagination());
        self.0.insert("Error".to_owned(), error());
        self.0.sort_keys();
        self.0
    }

    /// A reference to a schema, which `make` makes when it is not there yet.
    pub(super) fn refer(&mut self, name: String, make: impl FnOnce(&mut Self) -> Value) -> Value {
        let reference = json!({ "$ref": format!("#/components/schemas/{name}") });
        if !self.0.contains_key(&name) {
            let made = make(self);
            self.0.insert(name, made);
        }
        reference
    }

    /// A shape as answers hold it.
    pub fn shape(&mut self, shape: &'static Shape, extent: Extent) -> Value {
        let whole = extent == Extent::Whole && !shape.embeds.is_empty();
        let name = format!("{}{}", pascal(shape.name), if whole { "Whole" } else { "" });
        self.refer(name, |schemas| {
            let mut shown = shape.row.map_or_else(Vec::new, columns);
            shown.extend(shape.fields.iter().map(Shown::to_all));
            shown.extend(shape.embeds.iter().filter(|_| whole).map(Shown::to_all));
            schemas.shown(&shown)
        })
    }

    /// An object of these fields as answers hold it.
    pub fn fields(&mut self, fields: &'static [Field]) -> Value {
        let shown: Vec<Shown> = fields.iter().map(Shown::to_all).collect();
        self.shown(&shown)
    }

    fn shown(&mut self, shown: &[Shown]) -> Value {
        let mut properties = Map::new();
        for Shown { name, field, .. } in shown {
            properties.insert(name.clone(), nullable(field, self.kind(field.kind)));
        }
        let required = shown.iter().filter(|shown| shown.to_all);
        object(&properties, required.map(|shown| shown.name.as_str()).collect())
    }

    fn kind(&mut self, kind: Kind) -> Value {
        match kind {
            Kind::Decimal(scale) => decimal(scale),
            Kind::Money => decimal(2),
            Kind::Object(shape) => self.shape(shape, Extent::Plain),
            Kind::Array(items) => json!({ "type": "array", "items": self.kind(*items) }),
            kind => form(kind),
        }
    }
}

/// A field of a row as it is shown.
struct Shown {
    name: String,
    field: Field,
    /// Whether everybody who sees the row sees it.
    to_all: bool,
}

impl Shown {
    fn to_all(field: &Field) -> Self {
        Self {
            name: field.name.to_owned(),
            field: *field,
            to_all: field.read == Read::All,
        }
    }
}

/// The columns of a row that anybody may see, with the addresses of the files that they name.
fn columns(spec: &'static Spec) -> Vec<Shown> {
    const VERSION: Field = Field::int("version").required();
    let own = || spec.fields.iter().filter(|field| field.read != Read::None);
    let mut columns = vec![Shown::to_all(&IMPLICIT[0].required())];
    columns.extend(own().map(Shown::to_all));
    columns.extend(spec.versioned.then(|| Shown::to_all(&VERSION)));
    columns.extend(IMPLICIT[1..].iter().map(|field| Shown::to_all(&field.required())));
    columns.extend(
        own()
            .filter(|field| field.refers_to == Some("uploads"))
            .map(|field| Shown {
                name: format!("{}Url", field.name.trim_end_matches("Id")),
                field: Field {
                    kind: Kind::Text,
                    ..*field
                },
                to_all: field.read == Read::All,
            }),
    );
    columns
}

/// An object of exactly these properties.
pub(super) fn object(properties: &Map<String, Value>, required: Vec<&str>) -> Value {
    let mut object = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        object["required"] = required.into();
    }
    object
}

/// `null` beside what a schema allows, when the field may be null.
pub(super) fn nullable(field: &Field, mut schema: Value) -> Value {
    if field.not_null {
        return schema;
    }
    if let Some(values) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        values.push(Value::Null);
    }
    match schema.get("type").cloned() {
        Some(kind) => schema["type"] = json!([kind, "null"]),
        None if schema.get("$ref").is_some() => return json!({ "anyOf": [schema, { "type": "null" }] }),
        None => {}
    }
    schema
}

/// What a kind looks like, without the limits of its field.
pub(super) fn form(kind: Kind) -> Value {
    match kind {
        Kind::Text | Kind::Markdown | Kind::Slug | Kind::Password | Kind::Decimal(_) | Kind::Money => {
            json!({ "type": "string" })
        }
        Kind::Email => json!({ "type": "string", "format": "email" }),
        Kind::Enum(values) => json!({ "type": "string", "enum": values }),
        Kind::Int => json!({ "type": "integer" }),
        Kind::Currency => json!({ "type": "string", "pattern": "^[A-Z]{3}$" }),
        Kind::Bool => json!({ "type": "boolean" }),
        Kind::Timestamp => json!({ "type": "string", "format": "date-time" }),
        Kind::Date => json!({ "type": "string", "format": "date" }),
        Kind::Time => json!({ "type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$" }),
        Kind::Color => json!({ "type": "string", "pattern": "^#[0-9a-fA-F]{6}$" }),
        Kind::Uuid => json!({ "type": "string", "format": "uuid" }),
        Kind::Map | Kind::Object(_) => json!({ "type": "object" }),
        Kind::Array(_) => json!({ "type": "array" }),
        Kind::Json | Kind::Bytes => json!({}),
    }
}

/// A decimal as answers hold it: with all its digits.
fn decimal(scale: u32) -> Value {
    json!({ "type": "string", "pattern": format!("^-?[0-9]+\\.[0-9]{{{scale}}}$") })
}

/// The name of a schema: that of a shape, or a table's in the form of shapes.
pub(super) fn pascal(name: &str) -> String {
    let words = name.split(['_', '-', '.']);
    let word = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    words.map(word).collect()
}

fn pagination() -> Value {
    let number = |note: &str| json!({ "type": "integer", "minimum": 0, "description": note });
    let properties = Map::from_iter([
        ("page".to_owned(), number("From 1.")),
        ("limit".to_owned(), number("Rows a page.")),
        ("total".to_owned(), number("Rows in all.")),
        ("totalPages".to_owned(), number("0 when there are none.")),
    ]);
    object(&properties, vec!["page", "limit", "total", "totalPages"])
}

fn error() -> Value {
    let text = |note: &str| json!({ "type": "string", "description": note });
    let detail = Map::from_iter([
        (
            "field".to_owned(),
            text("Path of the field, such as `items[0].quantity`."),
        ),
        ("message".to_owned(), text("What would be right.")),
    ]);
    let error = Map::from_iter([
        ("code".to_owned(), text("Stable; clients branch on it.")),
        ("message".to_owned(), text("For people.")),
        (
            "details".to_owned(),
            json!({ "type": "array", "items": object(&detail, vec!["field", "message"]) }),
        ),
    ]);
    let envelope = Map::from_iter([
        ("success".to_owned(), json!({ "const": false })),
        ("error".to_owned(), object(&error, vec!["code", "message"])),
    ]);
    object(&envelope, vec!["success", "error"])
}
