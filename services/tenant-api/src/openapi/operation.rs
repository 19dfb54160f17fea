//! One operation of the document.

use fault::codes;
use serde_json::{Map, Value, json};

use super::{answers, bodies, parameters, schema::Schemas, tag};
use crate::{
    http::{Route, Who, route::Body, session},
    resource::{Field, Shape},
};

/// Describes a route.
pub fn describe(route: &Route, schemas: &mut Schemas, shared: &mut Map<String, Value>) -> Value {
    let mut described = json!({
        "operationId": id(route),
        "summary": summary(route),
        "description": description(route),
        "tags": [tag(route)],
        "security": security(route),
    });
    let parameters = parameters::of(route, schemas);
    if !parameters.is_empty() {
        described["parameters"] = parameters.into();
    }
    if let Some(body) = body(route, schemas) {
        described["requestBody"] = body;
    }
    let mut answers = Map::from_iter([answers::success(route, schemas)]);
    answers.extend(answers::refusals(answers::of(route), shared));
    described["responses"] = Value::Object(answers);
    described
}

/// `coreUsersList`.
fn id(route: &Route) -> String {
    let name = super::schema::pascal(&format!("{}-{}-{}", route.module, route.resource, route.operation));
    name.chars()
        .enumerate()
        .map(|(i, letter)| if i == 0 { letter.to_ascii_lowercase() } else { letter })
        .collect()
}

fn summary(route: &Route) -> String {
    let many = route.resource.replace('-', " ");
    let one = singular(&many);
    match route.operation {
        "list" => format!("List {many}"),
        "get" => format!("Show {one}"),
        "create" => format!("Create {one}"),
        "update" => format!("Change {one}"),
        "delete" => format!("Delete {one}"),
        action => {
            let action = action.replace('-', " ");
            let first = action.get(..1).unwrap_or_default().to_uppercase();
            format!("{first}{} ({many})", action.get(1..).unwrap_or_default())
        }
    }
}

fn singular(many: &str) -> String {
    match many.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None if many.ends_with("sses") => many.trim_end_matches("es").to_owned(),
        None => many.strip_suffix('s').unwrap_or(many).to_owned(),
    }
}

/// Who may call it, and what else its declaration tells.
fn description(route: &Route) -> String {
    let caller = |who: &Who| match who {
        Who::Public => "any visitor".to_owned(),
        Who::User => "anyone signed in".to_owned(),
        Who::Owner => "the owner".to_owned(),
        Who::Staff => "staff".to_owned(),
        Who::Admin => "admins".to_owned(),
        Who::Module(role) => format!("the role {}.{role}", route.module),
    };
    let callers: Vec<String> = route.who.iter().map(caller).collect();
    let mut text = match route.who {
        [Who::Public] => "For any visitor.".to_owned(),
        // Without sign-in a header carries what proves the role.
        [Who::Public, Who::Module(role)] => format!("For whoever holds the role {}.{role}.", route.module),
        _ => format!("For {}; admins may always.", callers.join(", ")),
    };
    if route.idempotent {
        text.push_str(" With an `Idempotency-Key`, a repeated request gets the first answer again.");
    }
    text
}

/// The session always, and the account where it is needed or makes a difference.
fn security(route: &Route) -> Value {
    if session::is_sealed(&route.path) {
        return json!([]);
    }
    let (session, signed_in) = (json!({ "session": [] }), json!({ "session": [], "account": [] }));
    match route.who.contains(&Who::Public) {
        true if route.ignores_bearer => json!([session]),
        true => json!([session, signed_in]),
        false => json!([signed_in]),
    }
}

fn body(route: &Route, schemas: &mut Schemas) -> Option<Value> {
    let (media, schema) = match route.body {
        Body::None => return None,
        Body::Fields(fields) => ("application/json", schemas.body(fields)),
        Body::Changes { fields, versioned } => ("application/json", schemas.changes(fields, versioned)),
        Body::File => ("multipart/form-data", bodies::file()),
    };
    // No body counts as {}.
    let required = schema.get("required").is_some();
    Some(json!({ "required": required, "content": { media: { "schema": schema } } }))
}

/// The document itself: of everything, or of what a session has.
pub fn document(shared: &mut Map<String, Value>) -> Value {
    let content = json!({ "application/json": { "schema": { "type": "object" } } });
    let mut answers = Map::from_iter([(
        "200".to_owned(),
        json!({ "description": "The document.", "content": content }),
    )]);
    answers.extend(answers::refusals(
        vec![codes::PAYLOAD_TOO_LARGE, codes::INTERNAL],
        shared,
    ));
    json!({
        "operationId": "document",
        "summary": "This document",
        "description": "Of everything that is served; of what a session has, when the request names one that is live.",
        "security": [{}, { "session": [] }],
        "responses": answers,
    })
}

/// Whether the process serves.
pub fn health(schemas: &mut Schemas) -> Value {
    static HEALTH: Shape = Shape::of("Health", &[Field::one_of("status", &["ok"]).required()]);
    json!({
        "operationId": "health",
        "summary": "Whether it serves",
        "security": [],
        "responses": { "200": answers::one(&HEALTH, schemas) },
    })
}

/// The page that shows it.
pub fn page() -> Value {
    let content = json!({ "text/html": { "schema": { "type": "string" } } });
    json!({
        "operationId": "page",
        "summary": "This document as a page",
        "security": [],
        "responses": { "200": { "description": "The page.", "content": content } },
    })
}
