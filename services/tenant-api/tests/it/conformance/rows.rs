//! What is shown: exactly the fields that the caller may read, each of its type, with what is computed and embedded.

use anyhow::Result;
use http::Method;
use serde_json::{Map, Value};
use testkit::contract::{Contract, Embed, Field, Resource};

use super::{
    book::{Book, Endpoint},
    report::{Report, short},
    sample, values,
};
use crate::harness::App;

/// How much a caller may read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// Staff and admins: everything that is shown at all.
    Staff,
    /// Somebody signed in: own rows tell more than those of others.
    User,
    /// Nobody.
    Visitor,
}

fn implicit(name: &str, kind: &str) -> Field {
    let field = serde_json::json!({"name": name, "type": kind, "required": true});
    serde_json::from_value(field).expect("a field")
}

/// The fields of a row that a reader sees, and those that only the reader's own rows show.
fn readable(resource: &Resource, reader: Reader) -> (Vec<Field>, Vec<Field>) {
    let (mut shown, mut own) = (vec![implicit("id", "uuid")], Vec::new());
    for field in &resource.fields {
        let place = match (field.read.as_deref(), reader) {
            (None, _) | (Some("staff" | "owner"), Reader::Staff) => &mut shown,
            (Some("owner"), Reader::User) => &mut own,
            _ => continue,
        };
        place.push(field.clone());
        if field.target.as_deref() == Some("uploads") {
            let url = field.name.strip_suffix("Id").unwrap_or(&field.name);
            let mut url = implicit(&format!("{url}Url"), "text");
            url.required = false;
            place.push(url);
        }
    }
    shown.extend(resource.computed.iter().cloned());
    if resource.versioned {
        shown.push(implicit("version", "int"));
    }
    shown.extend(["createdAt", "updatedAt"].map(|name| implicit(name, "timestamp")));
    (shown, own)
}

/// What is wrong with a row, if anything is; `whole` rows have all that is embedded.
pub fn misfit(
    book: &Book,
    (contract, resource): (&Contract, &Resource),
    reader: Reader,
    whole: bool,
    row: &Value,
) -> Option<String> {
    let Some(row) = row.as_object() else {
        return Some(format!("no row: {row}"));
    };
    let mut rest: Map<String, Value> = row.clone();
    for embed in &resource.embeds {
        if whole || embed.in_list || !embed.many {
            let Some(value) = rest.shift_remove(&embed.name) else {
                return Some(format!("{} is not embedded", embed.name));
            };
            if let Some(misfit) = embedded(book, contract, embed, reader, &value) {
                return Some(misfit);
            }
        }
    }
    plain(book, contract, resource, reader, rest)
}

fn plain(
    book: &Book,
    contract: &Contract,
    resource: &Resource,
    reader: Reader,
    mut row: Map<String, Value>,
) -> Option<String> {
    let (shown, own) = readable(resource, reader);
    for field in own {
        let value = row.shift_remove(&field.name);
        let misfit = value.and_then(|value| values::misfit(book, contract, &field, &value));
        if misfit.is_some() {
            return misfit;
        }
    }
    values::misfits(book, contract, &shown, &row)
}

/// Embedded rows come without embeds of their own, but for people.
fn embedded(book: &Book, contract: &Contract, embed: &Embed, reader: Reader, value: &Value) -> Option<String> {
    let rows: Vec<&Value> = match value {
        Value::Null if !embed.many => return None,
        Value::Array(rows) if embed.many => rows.iter().collect(),
        one if !embed.many => vec![one],
        _ => return Some(format!("{} is no array: {value}", embed.name)),
    };
    rows.into_iter().find_map(|row| {
        let Some(mut row) = row.as_object().cloned() else {
            return Some(format!("{} holds {row}", embed.name));
        };
        let misfit = if let Some(shape) = &embed.shape {
            values::misfits(book, contract, &book.shape(contract, shape), &row)
        } else {
            let (contract, resource) = book.resource(contract, embed.resource.as_deref().unwrap_or_default());
            for people in resource.embeds.iter().filter(|embed| embed.shape.is_some()) {
                row.shift_remove(&people.name);
            }
            plain(book, contract, resource, reader, row)
        };
        misfit.map(|misfit| format!("{}: {misfit}", embed.name))
    })
}

/// What is wrong with an answer, if anything is.
pub fn answer(book: &Book, endpoint: &Endpoint<'_>, reader: Reader, data: &Value) -> Option<String> {
    let (contract, returns) = (endpoint.contract, &endpoint.returns);
    let is_shape = |name: &String| name.starts_with(|letter: char| letter.is_ascii_uppercase());
    let shaped = |name: &str, value: &Value| match value.as_object() {
        Some(object) => values::misfits(book, contract, &book.shape(contract, name), object),
        None => Some(format!("no {name}: {value}")),
    };
    let each = |one: &dyn Fn(&Value) -> Option<String>| match data.as_array() {
        Some(rows) => rows.iter().find_map(one),
        None => Some(format!("no array: {data}")),
    };
    match returns {
        returns if returns.resource.is_some() => misfit(book, endpoint.rows(book), reader, true, data),
        returns if returns.list.as_ref().is_some_and(is_shape) => {
            let name = returns.list.clone().unwrap_or_default();
            each(&|row| shaped(&name, row))
        }
        returns if returns.list.is_some() => each(&|row| misfit(book, endpoint.rows(book), reader, false, row)),
        returns if returns.array.is_some() => {
            let name = returns.array.clone().unwrap_or_default();
            each(&|row| shaped(&name, row))
        }
        returns if returns.shape.is_some() => shaped(returns.shape.as_deref().unwrap_or_default(), data),
        returns => match (&returns.fields, data.as_object()) {
            (Some(fields), Some(object)) => values::misfits(book, contract, fields, object),
            (Some(_), None) => Some(format!("no object: {data}")),
            (None, _) => None,
        },
    }
}

#[tokio::test]
async fn answers_show_what_the_reader_may_read_and_nothing_else() -> Result<()> {
    let book = Book::read()?;
    let app = App::start(&book.features()).await?;
    let people = [
        ("admin@preview.local", Reader::Staff),
        ("mira.solberg@preview.local", Reader::Staff),
        ("aiko.tanabe@preview.local", Reader::User),
        ("noah.okafor@preview.local", Reader::User),
        ("", Reader::Visitor),
    ];
    let mut report = Report::default();
    for endpoint in book.endpoints() {
        if endpoint.method != Method::GET || endpoint.returns.binary.is_some() {
            continue;
        }
        let mut answered = false;
        for (email, reader) in people {
            let api = match email {
                "" => app.visitor().clone(),
                email => app.sign_in(email).await?,
            };
            let Some(path) = endpoint.somewhere(&book, &app, email).await? else {
                continue;
            };
            let query = sample::query(&book, &app, &endpoint).await?;
            let reply = api.get(&format!("{path}{query}")).await?;
            if reply.status() != endpoint.status {
                report.expect(matches!(reply.status().as_u16(), 401 | 403 | 404), || {
                    format!("{}: {}", endpoint.name(), short(&reply))
                });
                continue;
            }
            let data = &reply.answer.json()["data"];
            answered |= data.as_array().is_none_or(|rows| !rows.is_empty());
            let misfit = answer(&book, &endpoint, reader, data);
            report.expect(misfit.is_none(), || {
                format!("{} by {email:?}: {}", endpoint.name(), misfit.unwrap_or_default())
            });
        }
        report.expect(answered, || format!("{} showed nobody anything", endpoint.name()));
    }
    report.finish(150);
    Ok(())
}

#[tokio::test]
async fn a_fresh_session_holds_the_rows_of_the_contract() -> Result<()> {
    let book = Book::read()?;
    let app = App::start(&book.features()).await?;
    let usage = app.admin().await?.get("/api/v1/admin/usage").await?.data(200);
    let tables = usage["tables"].as_array().cloned().unwrap_or_default();
    let count = |name: &str| {
        let table = tables.iter().find(|table| table["table"] == name);
        table.and_then(|table| table["rows"].as_i64())
    };
    let mut promised: std::collections::BTreeMap<&str, i64> = std::collections::BTreeMap::new();
    for (table, rows) in book.contracts().iter().flat_map(|contract| &contract.seed.counts) {
        *promised.entry(table).or_default() += rows;
    }
    let mut report = Report::default();
    for (table, rows) in promised {
        report.expect(count(table) == Some(rows), || {
            format!("{table}: {:?} rows, not {rows}", count(table))
        });
    }
    report.finish(30);
    Ok(())
}
