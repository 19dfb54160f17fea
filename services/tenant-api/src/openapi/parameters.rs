//! Parameters of operations: path, query, headers.

use serde_json::{Value, json};

use super::schema::Schemas;
use crate::{
    http::{Route, Who},
    resource::{
        Field, Kind, Returns, Spec,
        select::{LAST_PAGE, Q, takes_null},
    },
};

/// All parameters of a route. The session and the account are told as its security.
pub fn of(route: &Route, schemas: &mut Schemas) -> Vec<Value> {
    let has_slug = route.operation == "get" && row(route).is_some_and(|spec| spec.slug().is_some());
    let mut parameters: Vec<Value> = route.parameters().iter().map(|name| path(name, has_slug)).collect();
    if let Some(spec) = listed(route) {
        parameters.extend(list(route, spec, schemas));
    }
    parameters.extend(route.query.iter().map(|field| field_of(field, schemas)));
    parameters.extend(
        route
            .headers
            .iter()
            .map(|name| header(name, &json!({ "type": "string" }))),
    );
    if route.idempotent {
        let key = json!({ "type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[!-~]+$" });
        parameters.push(header("Idempotency-Key", &key));
    }
    parameters
}

/// The collection whose rows a route shows.
fn row(route: &Route) -> Option<&'static Spec> {
    match route.returns {
        Returns::One(shape) | Returns::Page(shape) | Returns::Array(shape) => shape.row,
        Returns::Fields(_) | Returns::Id | Returns::Bytes(_) => None,
    }
}

/// The collection that a route lists in the standard way.
pub fn listed(route: &Route) -> Option<&'static Spec> {
    row(route).filter(|_| route.operation == "list")
}

/// A malformed id names nothing; `get` takes slugs too where rows have them.
fn path(name: &str, has_slug: bool) -> Value {
    let schema = match name {
        "key" => json!({ "type": "string", "minLength": 1 }),
        "id" if has_slug => json!({ "type": "string", "minLength": 1, "description": "Id or slug." }),
        _ => json!({ "type": "string", "format": "uuid" }),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

fn header(name: &str, schema: &Value) -> Value {
    json!({ "name": name, "in": "header", "required": false, "schema": schema })
}

fn query(name: &str, schema: &Value) -> Value {
    json!({ "name": name, "in": "query", "required": false, "schema": schema })
}

fn field_of(field: &Field, schemas: &mut Schemas) -> Value {
    if field.refers_to.is_some() {
        return filter(field, schemas);
    }
    let schema = schemas.field(&field.filled());
    json!({ "name": field.name, "in": "query", "required": field.required, "schema": schema })
}

/// What every list takes, and what this one takes besides (contract README section 6).
fn list(route: &Route, spec: &'static Spec, schemas: &mut Schemas) -> Vec<Value> {
    let page = json!({ "type": "integer", "minimum": 1, "maximum": LAST_PAGE, "default": 1 });
    let limit = json!({ "type": "integer", "minimum": 1, "maximum": 100, "default": 20 });
    let mut parameters = vec![query("page", &page), query("limit", &limit), query("sort", &sort(spec))];
    if !spec.list.search.is_empty() {
        let note = format!("Words to find in {}; at most 8.", spec.list.search.join(", "));
        let mut q = schemas.field(&Q.filled());
        q["description"] = note.into();
        parameters.push(query("q", &q));
    }
    if Who::has_mine(route.who) {
        parameters.push(query("mine", &json!({ "type": "boolean", "default": false })));
    }
    let fields = |names: &'static [&'static str]| names.iter().filter_map(|name| spec.field(name));
    for field in fields(spec.list.filters) {
        parameters.push(filter(&field, schemas));
    }
    for field in fields(spec.list.ranges) {
        let bound = Field {
            min: None,
            max: None,
            default: None,
            ..field.filled()
        };
        for end in ["From", "To"] {
            parameters.push(query(&format!("{}{end}", field.name), &schemas.field(&bound)));
        }
    }
    parameters
}

fn sort(spec: &Spec) -> Value {
    let default = spec.list.default_sort;
    let mut fields = spec.list.sort.to_vec();
    let first = default.trim_start_matches('-');
    if !fields.contains(&first) {
        fields.push(first);
    }
    let orders = fields
        .iter()
        .flat_map(|field| [(*field).to_owned(), format!("-{field}")]);
    json!({ "type": "string", "enum": orders.collect::<Vec<_>>(), "default": default })
}

/// A filter: of enumerations several values, of what may be empty `null` too.
fn filter(field: &Field, schemas: &mut Schemas) -> Value {
    let value = Field {
        default: None,
        write: crate::resource::Write::All,
        ..field.filled().asked()
    };
    let mut schema = schemas.field(&value);
    if takes_null(field) {
        schema = json!({ "anyOf": [schema, { "const": "null" }] });
    }
    if !matches!(field.kind, Kind::Enum(_)) {
        return query(field.name, &schema);
    }
    let several = json!({ "type": "array", "items": schema, "minItems": 1 });
    let mut parameter = query(field.name, &several);
    parameter["style"] = "form".into();
    parameter["explode"] = false.into();
    parameter
}
