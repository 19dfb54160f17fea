//! The OpenAPI document of the application, made from the data that serves its requests: routes, fields and shapes.

mod answers;
mod bodies;
mod operation;
mod parameters;
pub mod schema;

use serde_json::{Map, Value, json};

use crate::http::Route;
use schema::Schemas;

/// Where the document is.
pub const PATH: &str = "/api/v1/openapi.json";
/// Where the page is that shows it.
pub const PAGE: &str = "/api/v1/docs";

/// Where it is told that the process serves.
pub const HEALTH: &str = "/health";

const ABOUT: &str = "The application of one preview session. Every call names its session in `X-Preview-Session`. \
    Answers are `{\"success\":true,\"data\":…}`, lists with `pagination`; refusals are `{\"success\":false,\"error\":…}` \
    with a stable `code`. Amounts are decimal strings with two digits, ids are UUIDs, instants are RFC 3339 in UTC; \
    absent values are `null`. Every answer carries `X-Request-Id`. Unknown query parameters are passed over. \
    Besides what each operation lists, a path answers a method that it does not have with 405 `METHOD_NOT_ALLOWED`.";

/// Describes routes.
#[must_use]
pub fn document<'a>(routes: impl IntoIterator<Item = &'a Route>) -> Value {
    let routes: Vec<&Route> = routes.into_iter().collect();
    let mut schemas = Schemas::default();
    let mut answers = Map::new();
    let mut paths = Map::new();
    for route in &routes {
        let described = operation::describe(route, &mut schemas, &mut answers);
        let path = paths.entry(route.path.clone()).or_insert_with(|| json!({}));
        path[route.method.as_str().to_lowercase()] = described;
    }
    paths.insert(PATH.to_owned(), json!({ "get": operation::document(&mut answers) }));
    paths.insert(PAGE.to_owned(), json!({ "get": operation::page() }));
    paths.insert(HEALTH.to_owned(), json!({ "get": operation::health(&mut schemas) }));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Live Preview: application",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "tags": tags(&routes),
        "x-tagGroups": groups(&routes),
        "paths": paths,
        "components": {
            "schemas": schemas.all(),
            "responses": answers,
            "securitySchemes": {
                "session": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Preview-Session",
                    "description": "The session's token.",
                },
                "account": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "The access token of a sign-in. Browsers send it as the cookie `accessToken` instead.",
                },
            },
        },
    })
}

/// What belongs together: the operations of a resource.
fn tag(route: &Route) -> String {
    format!("{}.{}", route.module, route.resource)
}

fn tags(routes: &[&Route]) -> Vec<Value> {
    let mut names: Vec<String> = routes.iter().map(|route| tag(route)).collect();
    names.dedup();
    names.iter().map(|name| json!({ "name": name })).collect()
}

/// The resources of each module, under its title.
fn groups(routes: &[&Route]) -> Vec<Value> {
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for route in routes {
        match groups.last_mut() {
            Some((module, tags)) if *module == route.module => tags.push(tag(route)),
            _ => groups.push((route.module, vec![tag(route)])),
        }
    }
    let title = |id: &str| modules::module(id).map_or(id.to_owned(), |module| module.title.to_owned());
    let group = |(module, mut tags): (&str, Vec<String>)| {
        tags.dedup();
        json!({ "name": title(module), "tags": tags })
    };
    groups.into_iter().map(group).collect()
}
