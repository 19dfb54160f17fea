//! The OpenAPI document: well formed, about exactly what is served, and true.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::Value;
use testkit::Api;

use crate::harness::{App, described::validator};

const PATH: &str = "/api/v1/openapi.json";
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn document() -> Value {
    tenant_api::openapi::document(&tenant_api::modules::routes())
}

/// `METHOD path` of each operation of a document, with the operation.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let all = paths.iter().flat_map(|(path, item)| {
        METHODS
            .iter()
            .filter_map(move |method| Some((format!("{} {path}", method.to_uppercase()), item.get(method)?)))
    });
    all.collect()
}

/// Every `$ref` in a value.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn it_has_the_structure_of_openapi() {
    let document = document();
    oas3::from_json(document.to_string()).expect("OpenAPI 3.1");
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for reference in found {
        assert!(
            document.pointer(reference.trim_start_matches('#')).is_some(),
            "{reference}"
        );
    }
    let ids: Vec<&Value> = operations(&document).iter().map(|(_, o)| &o["operationId"]).collect();
    let distinct: BTreeSet<String> = ids.iter().map(ToString::to_string).collect();
    assert_eq!(ids.len(), distinct.len());
    for schema in document["components"]["schemas"].as_object().expect("schemas").values() {
        validator(&document, schema);
    }
}

#[test]
fn it_describes_exactly_the_routes() {
    let document = document();
    let described: BTreeSet<String> = operations(&document).into_iter().map(|(name, _)| name).collect();
    let routes = tenant_api::modules::routes();
    let mut served: BTreeSet<String> = routes.iter().map(|r| format!("{} {}", r.method, r.path)).collect();
    served.extend(["/api/v1/openapi.json", "/api/v1/docs", "/health"].map(|path| format!("GET {path}")));
    assert_eq!(described, served);
}

#[test]
fn every_operation_tells_what_it_takes_and_gives() {
    let document = document();
    for (name, operation) in operations(&document) {
        let path = name.split(' ').nth(1).unwrap_or_default();
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let in_path: BTreeSet<&str> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        let named: BTreeSet<&str> = path
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split('}').next())
            .collect();
        assert_eq!(in_path, named, "{name}");
        assert!(
            operation["summary"].as_str().is_some_and(|text| !text.is_empty()),
            "{name}"
        );
        let (_, success) = operation["responses"]
            .as_object()
            .and_then(|all| all.iter().next())
            .expect("answers");
        let data = &success["content"]["application/json"]["schema"]["properties"]["data"];
        let is_empty = data["type"] == "object" && data["properties"].as_object().is_none_or(serde_json::Map::is_empty);
        assert!(!is_empty, "{name} does not declare what it returns");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_shown_what_it_has() -> Result<()> {
    let app = App::start(&["ecommerce.products"]).await?;
    let all = app.bare().get(PATH).await?;
    assert_eq!((all.status().as_u16(), all.header("cache-control")), (200, "no-store"));
    let paths = |document: &Value, part: &str| {
        let paths = document["paths"].as_object().expect("paths");
        paths.keys().filter(|path| path.starts_with(part)).count()
    };
    let (all, own): (Value, Value) = (all.answer.json(), app.visitor().get(PATH).await?.answer.json());
    assert!(paths(&all, "/api/v1/ecommerce/cart") > 0 && paths(&own, "/api/v1/ecommerce/products") > 0);
    assert_eq!(paths(&own, "/api/v1/ecommerce/cart"), 0);
    assert_eq!(paths(&own, "/api/v1/auth"), paths(&all, "/api/v1/auth"));
    app.bare()
        .post(PATH, &Value::Null)
        .await?
        .error(405, "METHOD_NOT_ALLOWED");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_needs_nothing_from_elsewhere() -> Result<()> {
    let app = App::start(&[]).await?;
    let page = app.bare().get("/api/v1/docs").await?;
    assert_eq!(page.status().as_u16(), 200);
    let policy = page.header("content-security-policy").to_owned();
    assert!(
        policy.starts_with("default-src 'none'") && policy.contains("connect-src 'self'"),
        "{policy}"
    );
    let text = page.answer.text();
    assert!(
        !text.contains("://") && !text.contains("src="),
        "an address of elsewhere"
    );
    Ok(())
}

/// What the harness holds against the document here is every GET route, for everybody.
#[tokio::test(flavor = "multi_thread")]
async fn every_get_route_answers_as_described() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let noah = app.other_user().await?;
    let callers = [
        app.admin().await?,
        app.staff().await?,
        app.user().await?,
        noah,
        app.visitor().clone(),
    ];
    let mut silent = Vec::new();
    for route in tenant_api::modules::routes().iter().filter(|route| !route.is_write()) {
        let mut succeeded = false;
        for path in filled(&route.path, &callers).await? {
            for caller in &callers {
                succeeded |= caller.get(&path).await?.status().is_success();
            }
        }
        if !succeeded {
            silent.push(route.path.clone());
        }
    }
    assert!(silent.is_empty(), "nobody got anything from {silent:?}");
    Ok(())
}

/// A path with each parameter filled by an id of the list before it, some of them to be sure of one that has children.
async fn filled(template: &str, callers: &[Api]) -> Result<Vec<String>> {
    let query = |path: &str| match path {
        "/api/v1/search" => "?q=about".to_owned(),
        _ => String::new(),
    };
    let Some((before, after)) = template.split_once('{') else {
        let mut path = format!("{template}{}", query(template));
        if template.ends_with("/reviews/summary") {
            let products = ids("/api/v1/ecommerce/products", callers).await?;
            path = format!("{template}?productId={}", products[0]);
        }
        return Ok(vec![path]);
    };
    let (name, rest) = after.split_once('}').unwrap_or((after, ""));
    if name == "key" {
        let (files, _) = callers[0].get("/api/v1/uploads").await?.list();
        return Ok(vec![files[0]["url"].as_str().unwrap_or_default().to_owned()]);
    }
    let mut paths = Vec::new();
    for id in ids(before.trim_end_matches('/'), callers).await? {
        paths.extend(Box::pin(filled(&format!("{before}{id}{rest}"), callers)).await?);
    }
    Ok(paths)
}

/// Ids of rows of a list: the first few that each caller sees.
async fn ids(list: &str, callers: &[Api]) -> Result<Vec<String>> {
    let mut ids = BTreeSet::new();
    for caller in callers {
        let reply = caller.get(&format!("{list}?limit=5")).await?;
        if reply.status().is_success() {
            let (rows, _) = reply.list();
            ids.extend(rows.iter().filter_map(|row| row["id"].as_str().map(str::to_owned)));
        }
    }
    Ok(ids.into_iter().collect())
}

#[tokio::test]
async fn the_document_needs_no_session_and_minds_no_wrong_one() -> Result<()> {
    let app = App::start(&[]).await?;
    let whole = app.bare().get(PATH).await?.answer.text();
    for token in ["abc", "aaaaaaaaaaaaaaaaaaaaaaaa"] {
        let reply = app.bare().session(token).get(PATH).await?;
        assert_eq!(
            (reply.status().as_u16(), reply.answer.text()),
            (200, whole.clone()),
            "{token}"
        );
    }
    Ok(())
}
