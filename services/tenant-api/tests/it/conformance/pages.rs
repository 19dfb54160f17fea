//! Pages of core that every module adds to: settings, dashboard, search, audit log.

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use testkit::contract::{Contract, snake};

use super::{
    book::Book,
    report::{Report, short},
    sample, values,
};
use crate::harness::App;

const SETTINGS: &str = "/api/v1/settings";

#[tokio::test]
async fn settings_take_what_the_contract_says() -> Result<()> {
    let book = Book::read()?;
    let app = App::start(&book.features()).await?;
    let (admin, visitor) = (app.admin().await?, app.visitor().clone());
    let mut report = Report::default();
    // Back to the defaults, but for what is fixed.
    let stored = app.sql("SELECT key FROM settings").await?;
    let stored = stored.into_iter().filter_map(|row| row[0].clone());
    let none: Map<String, Value> = stored.map(|key| (key, Value::Null)).collect();
    admin.patch(SETTINGS, &json!({ "settings": none })).await?.data(200);
    let all = admin.get(SETTINGS).await?.data(200)["settings"].clone();
    let public = visitor.get(SETTINGS).await?.data(200)["settings"].clone();
    let keys = |shown: &Value| shown.as_object().map_or(0, Map::len);
    let fields: Vec<_> = book
        .contracts()
        .iter()
        .flat_map(|contract| &contract.settings)
        .collect();
    report.expect(keys(&all) == fields.len(), || {
        format!("{} settings, not {}", keys(&all), fields.len())
    });
    for field in fields {
        let (key, path) = (&field.name, format!("settings.{}", field.name));
        let default = field.default.clone().unwrap_or_default();
        report.expect(all.get(key) == Some(&default), || {
            format!("{key} is {:?}, not {default}", all.get(key))
        });
        let seen = public.get(key).is_some();
        report.expect(seen == field.public, || format!("{key} is shown to visitors: {seen}"));
        let change = |value: &Value| json!({ "settings": { key: value } });
        if field.read_only {
            report.invalid(key, &admin.patch(SETTINGS, &change(&json!("EUR"))).await?, &path);
            continue;
        }
        // Null brings the default back, or is a value.
        for (what, wrong) in values::wrong(field).into_iter().filter(|(_, wrong)| !wrong.is_null()) {
            let reply = admin.patch(SETTINGS, &change(&wrong)).await?;
            report.invalid(&format!("{key} is {what}"), &reply, &path);
        }
        for (sent, kept) in values::edges(field) {
            if kept.is_null() || sample::is_ruled_out(&path) {
                continue;
            }
            let reply = admin.patch(SETTINGS, &change(&sent)).await?;
            report.expect(reply.answer.json()["data"]["settings"][key] == kept, || {
                format!("{key} is {}: {}", short(&sent), short(&reply))
            });
        }
        let reply = admin.patch(SETTINGS, &change(&Value::Null)).await?;
        let back = if field.nullable { Value::Null } else { default };
        report.expect(reply.answer.json()["data"]["settings"][key] == back, || {
            format!("{key} is null: {}", short(&reply))
        });
    }
    let reply = admin.patch(SETTINGS, &json!({"settings": {"nope.nope": 1}})).await?;
    report.invalid("an unknown key", &reply, "settings.nope.nope");
    report.finish(150);
    Ok(())
}

#[tokio::test]
async fn the_dashboard_has_the_figures_of_the_contract() -> Result<()> {
    let book = Book::read()?;
    let app = App::start(&book.features()).await?;
    let shown = app.staff().await?.get("/api/v1/admin/dashboard").await?.data(200);
    let block = |contract: &Contract| {
        let dashboard = contract.dashboard.as_ref()?;
        let figures = dashboard
            .figures
            .iter()
            .map(|figure| json!([figure.key, figure.label, figure.kind]));
        let chart = &dashboard.chart;
        Some(json!({
            "module": contract.module,
            "title": contract.title,
            "figures": figures.collect::<Value>(),
            "chart": [chart.key, chart.label, chart.kind, chart.values, chart.points],
        }))
    };
    let promised: Vec<Value> = book.contracts().iter().filter_map(block).collect();
    let told = |block: &Value| {
        let figures = block["figures"].as_array().cloned().unwrap_or_default();
        let figures = figures
            .iter()
            .map(|figure| json!([figure["key"], figure["label"], figure["type"]]));
        let chart = &block["chart"];
        let points = chart["points"].as_array().map_or(0, Vec::len);
        json!({
            "module": block["module"],
            "title": block["title"],
            "figures": figures.collect::<Value>(),
            "chart": [chart["key"], chart["label"], chart["kind"], chart["type"], points],
        })
    };
    let shown: Vec<Value> = shown["modules"].as_array().into_iter().flatten().map(told).collect();
    assert_eq!(shown, promised);
    assert!(promised.len() > 1);
    Ok(())
}

#[tokio::test]
async fn the_search_finds_rows_of_every_resource_of_the_contract() -> Result<()> {
    let book = Book::read()?;
    let app = App::start(&book.features()).await?;
    let admin = app.admin().await?;
    let mut report = Report::default();
    for contract in book.contracts() {
        for searched in &contract.search {
            let (_, resource) = book.resource(contract, &searched.resource);
            let table = resource.table.as_deref().context("a table")?;
            let title = snake(&searched.title);
            let sql = format!("SELECT id, {title} FROM {table} ORDER BY created_at DESC, id DESC LIMIT 1");
            let row = app.sql(&sql).await?.into_iter().next().context("a row")?;
            let (id, title) = (row[0].clone().unwrap_or_default(), row[1].clone().unwrap_or_default());
            let words = title.split_whitespace().take(8).collect::<Vec<_>>().join("+");
            let path = format!("/api/v1/search?limit=20&modules={}&q={words}", contract.module);
            let reply = admin.get(&path).await?;
            let groups = reply.answer.json()["data"]["groups"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let name = format!("{}.{}", contract.module, searched.resource);
            let group = groups
                .iter()
                .find(|group| group["module"] == *contract.module && group["resource"] == *searched.resource);
            let items = group
                .and_then(|group| group["items"].as_array())
                .cloned()
                .unwrap_or_default();
            let hit = items.iter().find(|hit| hit["id"] == *id).cloned().unwrap_or_default();
            report.expect(hit["title"] == *title, || {
                format!("{name} is not found: {}", short(&reply))
            });
            let begin = searched.path.split('{').next().unwrap_or_default();
            let place = hit["path"].as_str().unwrap_or_default().to_owned();
            let is_filled = place.starts_with(begin) && !place.contains('{') && !place.ends_with('/');
            report.expect(is_filled, || format!("{name} leads to {place:?}"));
        }
    }
    report.finish(14);
    Ok(())
}

#[tokio::test]
async fn writes_by_staff_leave_one_row_each_in_the_audit_log() -> Result<()> {
    let book = Book::read()?;
    let app = App::start(&book.features()).await?;
    let admin = app.admin().await?;
    let mut report = Report::default();
    let all = book.endpoints();
    for create in &all {
        let is_exempt = create.resource.feature == "sandbox";
        if create.operation != "create" || !create.parameters().is_empty() {
            continue;
        }
        let body = Value::Object(sample::body(&book, &app, create, 55).await?);
        let made = admin.post(&create.path, &body).await?.data(201);
        let id = made["id"].as_str().unwrap_or_default().to_owned();
        admin
            .post(&create.path, &json!({"nope": 1}))
            .await?
            .error(422, "VALIDATION_ERROR");
        let mut wanted = vec![create.name()];
        for (operation, body) in [("update", Some(json!({}))), ("delete", None)] {
            let Some(endpoint) = all
                .iter()
                .find(|other| other.operation == operation && std::ptr::eq(other.resource, create.resource))
            else {
                continue;
            };
            let path = endpoint.path.replace("{id}", &id);
            let reply = match body {
                Some(body) => admin.patch(&path, &body).await?,
                None => admin.delete(&path).await?,
            };
            report.status(&endpoint.name(), &reply, 200);
            wanted.push(endpoint.name());
        }
        if is_exempt {
            wanted.clear();
        }
        let sql = format!(
            "SELECT action || '|' || actor_name || '|' || entity_type FROM audit_logs WHERE entity_id = '{id}' ORDER BY id"
        );
        let found: Vec<String> = app
            .sql(&sql)
            .await?
            .into_iter()
            .filter_map(|row| row[0].clone())
            .collect();
        let entity = format!("{}.{}", create.contract.module, create.resource.name);
        let wanted: Vec<String> = wanted
            .iter()
            .map(|name| format!("{name}|Ada Preview|{entity}"))
            .collect();
        report.expect(found == wanted, || format!("{entity}: {found:?}, not {wanted:?}"));
    }
    report.finish(20);
    Ok(())
}
