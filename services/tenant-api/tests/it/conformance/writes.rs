//! Writes to rows that there are: versions, clearing, ids that name nothing here.

use anyhow::Result;
use http::Method;
use serde_json::{Map, Value, json};
use testkit::{Api, contract::Field};

use super::{
    book::{Book, Endpoint, Takes},
    report::{Report, short},
    sample, values,
};
use crate::harness::{App, Session};

/// A row that an admin may change: made for it where there is a create, else one that there is.
async fn row(book: &Book, session: &Session, admin: &Api, update: &Endpoint<'_>) -> Result<Option<String>> {
    let all = book.endpoints();
    let create = all.iter().find(|other| {
        other.operation == "create" && other.parameters().is_empty() && std::ptr::eq(other.resource, update.resource)
    });
    let Some(create) = create else {
        return update.somewhere(book, session, "admin@preview.local").await;
    };
    let body = sample::body(book, session, create, 77).await?;
    let made = admin.post(&create.path, &Value::Object(body)).await?;
    let id = made.data(201)["id"].as_str().unwrap_or_default().to_owned();
    Ok(Some(update.path.replace("{id}", &id)))
}

#[tokio::test]
async fn a_change_keeps_what_it_leaves_out_clears_null_and_counts_versions() -> Result<()> {
    let book = Book::read()?;
    let app = App::start(&book.features()).await?;
    let admin = app.admin().await?;
    let mut report = Report::default();
    for endpoint in book.endpoints() {
        if endpoint.operation != "update" {
            continue;
        }
        let Some(path) = row(&book, &app, &admin, &endpoint).await? else {
            report.expect(false, || format!("{}: there is no row", endpoint.name()));
            continue;
        };
        let name = endpoint.name();
        let before = admin.patch(&path, &json!({})).await?;
        report.status(&format!("{name}: {{}}"), &before, 200);
        let no_body = admin.raw(Method::PATCH, &path, "", "").await?;
        let (before, again) = (
            before.answer.json()["data"].clone(),
            no_body.answer.json()["data"].clone(),
        );
        report.expect(before == again && before.is_object(), || {
            format!("{name}: {{}} changed something: {before} {again}")
        });
        if endpoint.resource.versioned {
            versions(
                &name,
                &admin,
                &path,
                &before,
                endpoint.body(),
                &book,
                &endpoint,
                &mut report,
            )
            .await?;
        }
        for field in endpoint.body() {
            let reply = admin.patch(&path, &json!({ &field.name: null })).await?;
            if field.is_nullable() {
                let kept = &reply.answer.json()["data"][&field.name];
                report.expect(reply.status() == 200 && kept.is_null(), || {
                    format!("{name}: {} is not cleared: {}", field.name, short(&reply))
                });
            } else {
                report.invalid(&format!("{name}: {} is null", field.name), &reply, &field.name);
            }
        }
    }
    report.finish(100);
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "one call")]
async fn versions(
    name: &str,
    admin: &Api,
    path: &str,
    before: &Value,
    fields: &[Field],
    book: &Book,
    endpoint: &Endpoint<'_>,
    report: &mut Report,
) -> Result<()> {
    let is_text = |field: &&Field| field.kind == "text" && before[&field.name].is_string();
    let text = fields.iter().find(is_text);
    let Some(field) = text.or(fields.iter().find(|field| field.kind == "enum")) else {
        report.expect(false, || format!("{name}: nothing to change"));
        return Ok(());
    };
    let now = before["version"].as_i64().unwrap_or_default();
    let value = match field.values.last() {
        Some(word) => json!(word),
        None => values::right(book, endpoint.contract, field, 991),
    };
    for stale in [now - 1, now + 1, 0] {
        let body = json!({ &field.name: value, "version": stale });
        let reply = admin.patch(path, &body).await?;
        report.refusal(
            &format!("{name}: version {stale} of {now}"),
            &reply,
            409,
            "VERSION_CONFLICT",
        );
    }
    for (what, wrong) in [
        ("a text", json!("1")),
        ("a fraction", json!(1.5)),
        ("null", Value::Null),
    ] {
        let reply = admin.patch(path, &json!({ "version": wrong })).await?;
        report.invalid(&format!("{name}: the version is {what}"), &reply, "version");
    }
    let kept = admin.patch(path, &json!({})).await?.answer.json()["data"].clone();
    report.expect(kept == *before, || format!("{name}: a stale version changed something"));
    let changed = admin
        .patch(path, &json!({ &field.name: value, "version": now }))
        .await?;
    report.expect(changed.answer.json()["data"]["version"] == now + 1, || {
        format!("{name}: not version {}: {}", now + 1, short(&changed))
    });
    let last = admin.patch(path, &json!({ &field.name: value })).await?;
    report.expect(last.answer.json()["data"]["version"] == now + 2, || {
        format!("{name}: the last write does not win: {}", short(&last))
    });
    Ok(())
}

#[tokio::test]
async fn actions_refuse_a_stale_version() -> Result<()> {
    let book = Book::read()?;
    let app = App::start(&book.features()).await?;
    let admin = app.admin().await?;
    let mut report = Report::default();
    for endpoint in book.endpoints() {
        let takes_version = endpoint.body().iter().any(|field| field.name == "version");
        if !endpoint.is_action || !takes_version {
            continue;
        }
        let Some(path) = endpoint.somewhere(&book, &app, "admin@preview.local").await? else {
            continue;
        };
        let mut body = sample::body(&book, &app, &endpoint, 1).await?;
        for stale in [0, 999_999] {
            body.insert("version".to_owned(), json!(stale));
            let reply = admin
                .raw(
                    endpoint.method.clone(),
                    &path,
                    "application/json",
                    Value::Object(body.clone()).to_string(),
                )
                .await?;
            report.refusal(
                &format!("{}: version {stale}", endpoint.name()),
                &reply,
                409,
                "VERSION_CONFLICT",
            );
        }
    }
    report.finish(14);
    Ok(())
}

/// Ids that name nothing here: unknown ones, no ids at all, those of another session.
#[tokio::test]
async fn what_is_not_there_is_not_found() -> Result<()> {
    let book = Book::read()?;
    let app = App::start(&book.features()).await?;
    let (admin, other) = (app.admin().await?, app.session(&book.features()).await?);
    let mut report = Report::default();
    for endpoint in book.endpoints() {
        let names = endpoint.parameters();
        if names.is_empty() || endpoint.returns.binary.is_some() {
            continue;
        }
        let body = match &endpoint.takes {
            Takes::Json(_) if endpoint.operation == "update" => Map::new(),
            Takes::Json(_) => sample::body(&book, &app, &endpoint, 1).await?,
            Takes::Nothing | Takes::Form => Map::new(),
        };
        let here = endpoint.somewhere(&book, &app, "admin@preview.local").await?;
        let there = endpoint.somewhere(&book, &other, "admin@preview.local").await?;
        for bad in [
            "00000000-0000-7000-8000-000000000000",
            "not-an-id",
            "1",
            "%27%20OR%201=1--",
            "..%2f",
            "%00",
            "%ff",
        ] {
            for name in &names {
                // The other parameters lead to a row that there is.
                let mut path = endpoint.path.replace(&format!("{{{name}}}"), bad);
                for other in names.iter().filter(|other| other != &name) {
                    path = filled(&path, &endpoint.path, here.as_deref(), other);
                }
                let reply = send(&admin, &endpoint, &path, &body).await?;
                report.refusal(
                    &format!("{} with {name} {bad}", endpoint.name()),
                    &reply,
                    404,
                    "NOT_FOUND",
                );
            }
        }
        if let Some(path) = elsewhere(&app, &endpoint, here.as_deref()).await? {
            let reply = send(&admin, &endpoint, &path, &body).await?;
            report.refusal(
                &format!("{} below another parent", endpoint.name()),
                &reply,
                404,
                "NOT_FOUND",
            );
        }
        if let Some(path) = there {
            let reply = send(&admin, &endpoint, &path, &body).await?;
            report.refusal(
                &format!("{} of another session", endpoint.name()),
                &reply,
                404,
                "NOT_FOUND",
            );
        }
    }
    report.finish(400);
    Ok(())
}

/// The path to a row that there is, below a parent that there is and that is not the row's.
async fn elsewhere(session: &Session, endpoint: &Endpoint<'_>, here: Option<&str>) -> Result<Option<String>> {
    let names = endpoint.parameters();
    let (Some(here), [parent, "id"]) = (here, names.as_slice()) else {
        return Ok(None);
    };
    let field = endpoint.resource.fields.iter().find(|field| field.name == *parent);
    let Some(table) = field.and_then(|field| field.target.as_deref()) else {
        return Ok(None);
    };
    let own = filled(&format!("{{{parent}}}"), &endpoint.path, Some(here), parent);
    let other = session
        .value(&format!("SELECT id FROM {table} WHERE id <> '{own}' LIMIT 1"))
        .await?;
    Ok(Some(here.replace(&own, &other)))
}

/// A parameter of `path` as it stands in a path that leads somewhere.
fn filled(path: &str, pattern: &str, somewhere: Option<&str>, name: &str) -> String {
    let hole = format!("{{{name}}}");
    let place = pattern.split('/').position(|segment| segment == hole);
    let value = place.and_then(|place| somewhere?.split('/').nth(place).map(str::to_owned));
    path.replace(&hole, &value.unwrap_or_else(|| uuid::Uuid::now_v7().to_string()))
}

async fn send(api: &Api, endpoint: &Endpoint<'_>, path: &str, body: &Map<String, Value>) -> Result<testkit::Reply> {
    let body = match endpoint.takes {
        Takes::Json(_) => Value::Object(body.clone()).to_string(),
        Takes::Nothing | Takes::Form => String::new(),
    };
    api.raw(endpoint.method.clone(), path, "application/json", body).await
}
