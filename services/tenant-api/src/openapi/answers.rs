//! Answers of operations: the one that succeeds, and every refusal with its codes.

use std::collections::BTreeMap;

use fault::{Code, codes};
use modules::Gate;
use serde_json::{Map, Value, json};

use super::{
    parameters,
    schema::{Extent, Schemas},
};
use crate::{
    http::{Route, Who, route::Body, session},
    resource::{Field, Returns, Shape, Write},
};

/// The answer of success, by its status.
pub fn success(route: &Route, schemas: &mut Schemas) -> (String, Value) {
    let described = |text: &str, content: Value| json!({ "description": text, "content": content });
    let mut answer = match route.returns {
        Returns::Fields(fields) => described("Done.", json_of(&envelope(schemas.fields(fields), None))),
        Returns::One(shape) => one(shape, schemas),
        Returns::Page(shape) => {
            let rows = array(&schemas.shape(shape, Extent::Plain));
            let pagination = json!({ "$ref": "#/components/schemas/Pagination" });
            described(
                "A page; one past the end is empty.",
                json_of(&envelope(rows, Some(pagination))),
            )
        }
        Returns::Array(shape) => {
            let rows = array(&schemas.shape(shape, Extent::Plain));
            described("All of them.", json_of(&envelope(rows, None)))
        }
        Returns::Id => {
            const ID: &[Field] = &[Field::uuid("id").required()];
            described("It is gone.", json_of(&envelope(schemas.fields(ID), None)))
        }
        Returns::Bytes(types) => {
            let content = types.iter().map(|mime| ((*mime).to_owned(), json!({})));
            described("The file.", Value::Object(content.collect()))
        }
    };
    let headers = headers(route);
    if !headers.is_empty() {
        answer["headers"] = Value::Object(headers);
    }
    (route.status.to_string(), answer)
}

/// The answer with one row or shape.
pub fn one(shape: &'static Shape, schemas: &mut Schemas) -> Value {
    let content = json_of(&envelope(schemas.shape(shape, Extent::Whole), None));
    json!({ "description": "Done.", "content": content })
}

fn array(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn envelope(data: Value, pagination: Option<Value>) -> Value {
    let mut properties = Map::from_iter([
        ("success".to_owned(), json!({ "const": true })),
        ("data".to_owned(), data),
    ]);
    properties.extend(pagination.map(|pagination| ("pagination".to_owned(), pagination)));
    let required = properties.keys().map(String::as_str).collect::<Vec<_>>();
    let required = json!(required);
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn json_of(schema: &Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

fn headers(route: &Route) -> Map<String, Value> {
    let header = |name: &str, note: &str| {
        let header = json!({ "description": note, "schema": { "type": "string" } });
        (name.to_owned(), header)
    };
    let mut headers = Map::new();
    if route.status == 201 && matches!(route.returns, Returns::One(shape) if shape.row.is_some()) {
        headers.extend([header("Location", "Path of the new row.")]);
    }
    if route.idempotent {
        headers.extend([header(
            "Idempotency-Replayed",
            "`true` for an answer that was given before.",
        )]);
    }
    headers
}

/// Refusals by status. Those with the same codes are one entry of `shared`.
pub fn refusals(codes: Vec<Code>, shared: &mut Map<String, Value>) -> Vec<(String, Value)> {
    let mut by_status: BTreeMap<u16, Vec<&'static str>> = BTreeMap::new();
    for code in codes {
        let names = by_status.entry(code.kind.http().as_u16()).or_default();
        if !names.contains(&code.name) {
            names.push(code.name);
        }
    }
    let refusal = |(status, names): (u16, Vec<&'static str>)| {
        let name = format!("{status}.{}", names.join("."));
        let reference = json!({ "$ref": format!("#/components/responses/{name}") });
        shared.entry(name).or_insert_with(|| refused(status, &names));
        (status.to_string(), reference)
    };
    by_status.into_iter().map(refusal).collect()
}

fn refused(status: u16, names: &[&str]) -> Value {
    let code = json!({ "properties": { "error": { "properties": { "code": { "enum": names } } } } });
    let schema = json!({ "allOf": [{ "$ref": "#/components/schemas/Error" }, code] });
    let mut answer = json!({ "description": names.join(", "), "content": json_of(&schema) });
    if matches!(status, 429 | 503) {
        let seconds = json!({ "type": "integer", "minimum": 0 });
        answer["headers"] =
            json!({ "Retry-After": { "description": "Seconds.", "required": true, "schema": seconds } });
    }
    answer
}

/// Everything that a route may refuse with: what follows from what it is, and what it declares.
pub fn of(route: &Route) -> Vec<Code> {
    let mut all = vec![codes::BAD_REQUEST, codes::NOT_FOUND];
    if session::is_sealed(&route.path) {
        all.push(codes::PAYLOAD_TOO_LARGE);
    } else {
        all.extend(of_session());
    }
    if !matches!(modules::gate(&route.path, &[""; 0]), Gate::Open(_)) {
        all.push(codes::FEATURE_NOT_AVAILABLE);
    }
    let is_public = route.who.contains(&Who::Public);
    if !(is_public && route.ignores_bearer) {
        all.push(codes::UNAUTHORIZED);
    }
    let is_guarded = |field: &Field| matches!(field.write, Write::Staff | Write::Admin);
    let body = match route.body {
        Body::Fields(fields) | Body::Changes { fields, .. } => fields,
        Body::None | Body::File => &[],
    };
    if !is_public || route.query.iter().chain(body).any(is_guarded) {
        all.push(codes::FORBIDDEN);
    }
    if !matches!(route.body, Body::None) {
        all.push(codes::UNSUPPORTED_MEDIA_TYPE);
    }
    let is_checked =
        !matches!(route.body, Body::None) || !route.query.is_empty() || parameters::listed(route).is_some();
    if is_checked || route.idempotent {
        all.push(codes::VALIDATION_ERROR);
    }
    all.extend(conflicts(route));
    all.extend(route.errors);
    all.extend([codes::RATE_LIMITED, codes::INTERNAL, codes::UNAVAILABLE]);
    all
}

/// What a request that names a session may be refused with.
pub fn of_session() -> Vec<Code> {
    vec![
        codes::SESSION_REQUIRED,
        codes::SESSION_NOT_FOUND,
        codes::SESSION_EXPIRED,
        codes::PAYLOAD_TOO_LARGE,
        codes::INTERNAL,
        codes::SESSION_NOT_READY,
        codes::UNAVAILABLE,
    ]
}

/// Conflicts that the standard operations have by themselves.
fn conflicts(route: &Route) -> Vec<Code> {
    let mut all = Vec::new();
    if matches!(route.operation, "create" | "update") {
        all.push(codes::CONFLICT);
    }
    if matches!(route.body, Body::Changes { versioned: true, .. }) {
        all.push(codes::VERSION_CONFLICT);
    }
    if route.operation == "delete" {
        all.push(codes::IN_USE);
    }
    if route.idempotent {
        all.push(codes::IDEMPOTENCY_CONFLICT);
    }
    // What follows from a write may be rows of other tables.
    if route.is_write() {
        all.push(codes::ROW_LIMIT_REACHED);
    }
    all
}
