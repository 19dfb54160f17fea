//! What routes declare of their answers, compared with the contract's YAML.

use std::{collections::BTreeSet, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;
use tenant_api::{
    http::Route,
    resource::{Field, Kind, Returns, Shape},
};

fn contract(module: &str) -> Result<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/contract");
    let text = std::fs::read_to_string(folder.join(format!("{module}.yaml")))?;
    Ok(serde_saphyr::from_str(&text)?)
}

fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn names<'a>(fields: impl IntoIterator<Item = &'a Value>) -> BTreeSet<&'a str> {
    fields.into_iter().map(|field| text(field, "name")).collect()
}

fn own(fields: &[Field]) -> BTreeSet<&'static str> {
    fields.iter().map(|field| field.name).collect()
}

/// The contract's actions with the route of each.
fn actions(module: &str) -> Result<Vec<(Value, Route)>> {
    let contract = contract(module)?;
    let routes = tenant_api::modules::routes();
    let mut found = Vec::new();
    for action in items(&contract, "resources").iter().flat_map(|r| items(r, "actions")) {
        let path = format!("{}{}", text(&contract, "prefix"), text(action, "path"));
        let route = routes
            .iter()
            .find(|route| route.path == path && route.method == text(action, "method"));
        found.push((action.clone(), route.with_context(|| path.clone())?.clone()));
    }
    Ok(found)
}

fn is_of(shape: &Shape, name: &Value) -> bool {
    *name == shape.row.map_or(shape.name, |spec| spec.name)
}

#[test]
fn actions_return_what_the_contract_says() -> Result<()> {
    for (action, route) in [actions("core")?, actions("ecommerce")?].concat() {
        let said = &action["returns"];
        let agrees = match route.returns {
            Returns::One(shape) => is_of(shape, &said["resource"]) || is_of(shape, &said["shape"]),
            Returns::Page(shape) => is_of(shape, &said["list"]),
            Returns::Array(shape) => is_of(shape, &said["array"]),
            Returns::Fields(fields) => own(fields) == names(items(said, "fields")),
            Returns::Id => said.get("id").is_some(),
            Returns::Bytes(_) => said.get("binary").is_some(),
        };
        assert!(
            agrees,
            "{} {}: {said}, not {:?}",
            route.method, route.path, route.returns
        );
        assert_eq!(
            action["status"].as_u64().unwrap_or(200),
            u64::from(route.status),
            "{}",
            route.path
        );
    }
    Ok(())
}

#[test]
fn actions_refuse_with_the_codes_of_the_contract() -> Result<()> {
    let document = tenant_api::openapi::document(&tenant_api::modules::routes());
    for (action, route) in [actions("core")?, actions("ecommerce")?].concat() {
        let operation = &document["paths"][&route.path][route.method.as_str().to_lowercase()];
        let answers = operation["responses"].as_object().context("answers")?;
        // The name of a shared answer is its status and its codes.
        let codes: BTreeSet<&str> = answers
            .values()
            .flat_map(|answer| text(answer, "$ref").split(['/', '.']))
            .collect();
        for code in items(&action, "errors").iter().filter_map(Value::as_str) {
            assert!(
                codes.contains(code),
                "{} {} does not declare {code}",
                route.method,
                route.path
            );
        }
    }
    Ok(())
}

#[test]
fn rows_show_what_the_contract_computes_and_embeds() -> Result<()> {
    for module in ["core", "ecommerce"] {
        let contract = contract(module)?;
        for resource in items(&contract, "resources") {
            let name = text(resource, "name");
            let routes = tenant_api::modules::routes();
            let shape = routes
                .iter()
                .filter(|route| route.module == module && route.resource == name && route.operation == "list")
                .find_map(|route| match route.returns {
                    Returns::Page(shape) => Some(shape),
                    _ => None,
                });
            if let Some(shape) = shape {
                let said = names(items(resource, "computed").iter().chain(items(resource, "embeds")));
                let shown: BTreeSet<&str> = own(shape.fields).union(&own(shape.embeds)).copied().collect();
                assert_eq!(shown, said, "{module}.{name}");
            }
        }
    }
    Ok(())
}

/// The shapes of a field, those within them included.
fn shapes(fields: &'static [Field], found: &mut Vec<&'static Shape>) {
    for field in fields {
        let kind = if let Kind::Array(items) = field.kind {
            *items
        } else {
            field.kind
        };
        let Kind::Object(shape) = kind else { continue };
        if shape.row.is_none() && !found.iter().any(|known| known.name == shape.name) {
            found.push(shape);
            shapes(shape.fields, found);
        }
    }
}

#[test]
fn shapes_have_the_fields_of_the_contract() -> Result<()> {
    let mut found = Vec::new();
    for route in tenant_api::modules::routes() {
        match route.returns {
            Returns::One(shape) | Returns::Page(shape) | Returns::Array(shape) => {
                if shape.row.is_none() {
                    found.push(shape);
                }
                shapes(shape.fields, &mut found);
                shapes(shape.embeds, &mut found);
            }
            Returns::Fields(fields) => shapes(fields, &mut found),
            Returns::Id | Returns::Bytes(_) => {}
        }
    }
    let mut compared = 0;
    for contract in [contract("core")?, contract("ecommerce")?] {
        for (name, said) in contract["shapes"].as_object().context("shapes")? {
            let Some(shape) = found.iter().find(|shape| shape.name == name) else {
                continue;
            };
            let said = said.as_array().context("fields")?;
            assert_eq!(own(shape.fields), names(said), "{name}");
            for field in said.iter().filter(|field| field["required"] == true) {
                let own = shape.fields.iter().find(|own| own.name == text(field, "name"));
                assert!(own.is_some_and(|own| own.not_null), "{name}.{}", text(field, "name"));
            }
            compared += 1;
        }
    }
    assert!(compared >= 15, "only {compared} shapes were compared");
    Ok(())
}
