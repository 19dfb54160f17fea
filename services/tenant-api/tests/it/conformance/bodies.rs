//! Bodies, field by field: required and unknown ones, limits, types, defaults, what the server writes.

use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use serde_json::{Map, Value, json};
use testkit::{Api, Reply, contract::Field};

use super::{
    book::{Book, Endpoint, Takes, somebody},
    report::{Report, details, short},
    rows::{self, Reader},
    sample, values,
};
use crate::harness::{App, Session};

/// Bodies that were made.
static COUNT: AtomicUsize = AtomicUsize::new(1);

/// Asks one route about its body.
struct Question<'a> {
    book: &'a Book,
    session: &'a Session,
    api: Api,
    endpoint: &'a Endpoint<'a>,
    path: String,
    count: usize,
}

/// Whether rows are made by the questions: elsewhere the path names no row, and a right body is answered with 404.
fn makes_rows(endpoint: &Endpoint<'_>) -> bool {
    endpoint.operation == "create" && endpoint.parameters().is_empty()
}

impl Question<'_> {
    async fn base(&mut self) -> Result<Map<String, Value>> {
        // Numbered over all routes: an address is taken once in a session.
        self.count = COUNT.fetch_add(1, Ordering::Relaxed);
        if self.endpoint.operation == "update" {
            return Ok(Map::new());
        }
        sample::body(self.book, self.session, self.endpoint, self.count).await
    }

    async fn send(&self, body: &Map<String, Value>) -> Result<Reply> {
        let body = Value::Object(body.clone()).to_string();
        let method = self.endpoint.method.clone();
        self.api.raw(method, &self.path, "application/json", body).await
    }

    /// Sends the sample with one field changed; `path` leads to the field within nested objects.
    async fn with(&mut self, path: &[String], value: &Value) -> Result<Reply> {
        let mut body = self.base().await?;
        put(&mut body, path, value.clone());
        self.send(&body).await
    }

    /// A row that was made is right, and is taken away again.
    async fn clear(&self, what: &str, reply: &Reply, report: &mut Report) -> Result<()> {
        if !makes_rows(self.endpoint) || reply.status() != 201 {
            return Ok(());
        }
        let place = reply.header("location");
        let id = reply.answer.json()["data"]["id"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        report.expect(place == format!("{}/{id}", self.path), || {
            format!("{what}: Location is {place:?}")
        });
        if self.endpoint.resource.operations.contains_key("delete") {
            let gone = self.api.delete(place).await?;
            report.expect(
                gone.status() == 200 && gone.answer.json()["data"] == json!({ "id": id }),
                || format!("{what}: {}", short(&gone)),
            );
        }
        Ok(())
    }
}

fn put(body: &mut Map<String, Value>, path: &[String], value: Value) {
    match path {
        [] => {}
        [last] => {
            body.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let inner = body.entry(first.clone()).or_insert_with(|| json!({}));
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

async fn ask(question: &mut Question<'_>, report: &mut Report) -> Result<()> {
    let name = question.endpoint.name();
    let base = question.base().await?;
    let reply = question.send(&base).await?;
    report.taken(&name, &reply);
    if makes_rows(question.endpoint) {
        report.status(&name, &reply, 201);
        let misfit = rows::answer(
            question.book,
            question.endpoint,
            Reader::Staff,
            &reply.answer.json()["data"],
        );
        report.expect(misfit.is_none(), || format!("{name}: {}", misfit.unwrap_or_default()));
        defaults(question, &base, &reply, report);
        question.clear(&name, &reply, report).await?;
    } else if !question.endpoint.parameters().is_empty() {
        report.refusal(&name, &reply, 404, "NOT_FOUND");
    } else if reply.status().is_success() {
        acted(question, &reply, report);
    }
    for field in question.endpoint.body().to_vec() {
        Box::pin(ask_field(question, &field, &[], report)).await?;
    }
    unknown(question, &[], report).await?;
    if !question.endpoint.is_action {
        by_server(question, report).await?;
    }
    Ok(())
}

/// What an action answers with.
fn acted(question: &Question<'_>, reply: &Reply, report: &mut Report) {
    let (name, endpoint) = (question.endpoint.name(), question.endpoint);
    report.status(&name, reply, endpoint.status);
    let reader = if endpoint.is_for(&["public"]) {
        Reader::Visitor
    } else {
        Reader::Staff
    };
    let misfit = rows::answer(question.book, endpoint, reader, &reply.answer.json()["data"]);
    report.expect(misfit.is_none(), || format!("{name}: {}", misfit.unwrap_or_default()));
    let place = reply.header("location").to_owned();
    report.expect(endpoint.status != 201 || place.starts_with("/api/v1/"), || {
        format!("{name}: Location is {place:?}")
    });
}

/// What was left out has its default, or is null.
fn defaults(question: &Question<'_>, sent: &Map<String, Value>, reply: &Reply, report: &mut Report) {
    let shown = &reply.answer.json()["data"];
    for field in question
        .endpoint
        .body()
        .iter()
        .filter(|field| !sent.contains_key(&field.name))
    {
        let Some(value) = shown.get(&field.name) else {
            continue; // an input, or not for this caller; rows are held to the contract elsewhere
        };
        let name = format!("{}.{}", question.endpoint.name(), field.name);
        let is_right = match &field.default {
            _ if sample::is_ruled_out(&name) => true,
            Some(default) => value == default,
            None => field.filled || field.kind == "slug" || value.is_null(),
        };
        report.expect(is_right, || format!("{name} left out is {value}"));
    }
}

async fn ask_field(question: &mut Question<'_>, field: &Field, above: &[String], report: &mut Report) -> Result<()> {
    let mut path = above.to_vec();
    path.push(field.name.clone());
    let (name, place) = (question.endpoint.name(), path.join("."));
    if field.required && question.endpoint.operation != "update" {
        let mut body = question.base().await?;
        put(&mut body, &path, Value::Null);
        take(&mut body, &path);
        let reply = question.send(&body).await?;
        report.invalid(&format!("{name}: {place} left out"), &reply, &place);
    }
    for (what, value) in values::wrong(field) {
        let reply = question.with(&path, &value).await?;
        report.invalid(&format!("{name}: {place} is {what}"), &reply, &place);
    }
    for (sent, shown) in values::edges(field) {
        if sample::is_ruled_out(&format!("{name}.{place}")) {
            break;
        }
        let what = format!("{name}: {place} is {}", short(&sent));
        let reply = question.with(&path, &sent).await?;
        if report.taken(&what, &reply) && makes_rows(question.endpoint) && above.is_empty() {
            let kept = reply.answer.json()["data"].get(&field.name).cloned();
            report.expect(kept.as_ref().is_none_or(|kept| *kept == shown), || {
                format!("{what}: shown as {}", short(&kept.unwrap_or_default()))
            });
        }
        question.clear(&what, &reply, report).await?;
    }
    if let Some(shape) = &field.shape {
        let fields = question.book.shape(question.endpoint.contract, shape);
        for inner in &fields {
            Box::pin(ask_field(question, inner, &path, report)).await?;
        }
        unknown(question, &path, report).await?;
    }
    Ok(())
}

fn take(body: &mut Map<String, Value>, path: &[String]) {
    match path {
        [] => {}
        [last] => {
            body.shift_remove(last);
        }
        [first, rest @ ..] => {
            if let Some(Value::Object(inner)) = body.get_mut(first) {
                take(inner, rest);
            }
        }
    }
}

/// An unknown field is named, beside a wrong one too.
async fn unknown(question: &mut Question<'_>, above: &[String], report: &mut Report) -> Result<()> {
    let mut path = above.to_vec();
    path.push("nope".to_owned());
    let reply = question.with(&path, &json!(1)).await?;
    let what = format!("{}: an unknown field", question.endpoint.name());
    if above.is_empty() {
        report.invalid(&what, &reply, "nope");
    } else {
        // Required ones beside it may be missing in a nested object.
        let place = path.join(".");
        let is_named = reply.status() == 422 && details(&reply).contains(&place);
        report.expect(is_named, || format!("{what}: not 422 on {place}: {}", short(&reply)));
    }
    Ok(())
}

/// What the server writes is refused, and so is what cannot be changed any more.
async fn by_server(question: &mut Question<'_>, report: &mut Report) -> Result<()> {
    let resource = question.endpoint.resource;
    let is_update = question.endpoint.operation == "update";
    let mut names: Vec<String> = ["id", "createdAt", "updatedAt"].map(str::to_owned).to_vec();
    let own = resource
        .fields
        .iter()
        .filter(|field| field.is_by_server() || is_update && field.write.as_deref() == Some("create"));
    names.extend(own.map(|field| field.name.clone()));
    names.extend(resource.computed.iter().map(|field| field.name.clone()));
    if !(resource.versioned && is_update) {
        names.push("version".to_owned());
    }
    for name in names {
        let reply = question.with(std::slice::from_ref(&name), &json!("x")).await?;
        report.invalid(&format!("{}: {name} is sent", question.endpoint.name()), &reply, &name);
    }
    Ok(())
}

async fn hold(modules: impl Fn(&str) -> bool, least: usize) -> Result<()> {
    let book = Book::read()?;
    let app = App::start(&book.features()).await?;
    let admin = app.admin().await?;
    let mut report = Report::default();
    for endpoint in book.endpoints() {
        if !matches!(endpoint.takes, Takes::Json(_)) || !modules(&endpoint.contract.module) {
            continue;
        }
        // What anybody may do is asked as nobody: signing out would end the admin's sign-in.
        let is_public = endpoint.is_action && endpoint.is_for(&["public"]);
        let mut question = Question {
            book: &book,
            session: &app,
            api: if is_public {
                app.visitor().clone()
            } else {
                admin.clone()
            },
            path: endpoint.nowhere(),
            endpoint: &endpoint,
            count: 0,
        };
        ask(&mut question, &mut report).await?;
    }
    report.finish(least);
    Ok(())
}

#[tokio::test]
async fn fields_of_core_are_held_to_the_contract() -> Result<()> {
    hold(|module| module == "core", 800).await
}

#[tokio::test]
async fn fields_of_modules_are_held_to_the_contract() -> Result<()> {
    hold(|module| module != "core", 500).await
}

#[tokio::test]
async fn fields_for_staff_and_admins_are_forbidden_to_others() -> Result<()> {
    let book = Book::read()?;
    let app = App::start(&book.features()).await?;
    let (user, staff) = (somebody(&app, None).await?, app.staff().await?);
    let mut report = Report::default();
    for endpoint in book.endpoints() {
        for field in endpoint.body() {
            let (caller, words): (&Api, &[&str]) = match field.write.as_deref() {
                Some("staff") => (&user, &["public", "user", "owner"]),
                Some("admin") => (&staff, &["public", "user", "owner", "staff"]),
                _ => continue,
            };
            if !endpoint.is_for(words) {
                continue;
            }
            // Before its value is looked at.
            let body = json!({ &field.name: {"of": "no type"} }).to_string();
            let path = endpoint.nowhere();
            let reply = caller
                .raw(endpoint.method.clone(), &path, "application/json", body)
                .await?;
            let what = format!("{}: {} by others", endpoint.name(), field.name);
            report.refusal(&what, &reply, 403, "FORBIDDEN");
        }
    }
    report.finish(6);
    Ok(())
}
