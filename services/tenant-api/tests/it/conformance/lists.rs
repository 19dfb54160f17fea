//! Lists: paging, filters, ranges, sorting, search.

use std::cmp::Ordering;

use anyhow::Result;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use testkit::{
    Api, Reply,
    contract::{Field, ListRules},
};

use super::{
    book::{Book, Endpoint},
    report::{Report, short},
};
use crate::harness::{App, Session};

/// A list with the caller who sees most of it.
struct List<'a> {
    endpoint: &'a Endpoint<'a>,
    rules: &'a ListRules,
    fields: Vec<Field>,
    api: Api,
    path: String,
    rows: Vec<Value>,
    total: u64,
}

impl List<'_> {
    async fn get(&self, query: &str) -> Result<Reply> {
        self.api.get(&format!("{}?{query}", self.path)).await
    }

    fn name(&self, what: &str) -> String {
        format!("{}: {what}", self.endpoint.name())
    }

    fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// All rows of an answer that fits one page, and its total.
    async fn all(&self, query: &str, report: &mut Report) -> Result<(Vec<Value>, u64)> {
        let reply = self.get(&format!("{query}&limit=100")).await?;
        report.status(&self.name(query), &reply, 200);
        let body = reply.answer.json();
        let rows = body["data"].as_array().cloned().unwrap_or_default();
        Ok((rows, body["pagination"]["total"].as_u64().unwrap_or(u64::MAX)))
    }
}

fn encoded(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string()
}

fn ids(rows: &[Value]) -> Vec<String> {
    rows.iter().map(|row| row["id"].to_string()).collect()
}

/// Whoever of these people sees most.
async fn open<'a>(
    book: &'a Book,
    session: &Session,
    people: &[Api],
    endpoint: &'a Endpoint<'a>,
) -> Result<Option<List<'a>>> {
    let mut best: Option<List<'a>> = None;
    for api in people {
        let Some(path) = fullest(session, endpoint).await? else {
            continue;
        };
        let reply = api.get(&format!("{path}?limit=100")).await?;
        let body = reply.answer.json();
        let (Some(rows), Some(total)) = (body["data"].as_array(), body["pagination"]["total"].as_u64()) else {
            continue;
        };
        if best.as_ref().is_none_or(|best| best.total < total) {
            let (_, resource) = endpoint.rows(book);
            let mut fields = resource.fields.clone();
            fields.extend(resource.computed.iter().cloned());
            best = Some(List {
                endpoint,
                rules: &resource.list,
                fields,
                api: api.clone(),
                path,
                rows: rows.clone(),
                total,
            });
        }
    }
    Ok(best)
}

/// The path with the parent that has most rows.
async fn fullest(session: &Session, endpoint: &Endpoint<'_>) -> Result<Option<String>> {
    let names = endpoint.parameters();
    let [name] = names.as_slice() else {
        return Ok(names.is_empty().then(|| endpoint.path.clone()));
    };
    let column = testkit::contract::snake(name);
    let table = endpoint.resource.table.as_deref().unwrap_or_default();
    let sql = format!("SELECT {column} FROM {table} GROUP BY 1 ORDER BY count(*) DESC LIMIT 1");
    let found = session.sql(&sql).await?;
    let id = found.first().and_then(|row| row[0].clone());
    Ok(id.map(|id| endpoint.path.replace(&format!("{{{name}}}"), &id)))
}

async fn paging(list: &List<'_>, report: &mut Report) -> Result<()> {
    let total = list.total;
    let page = |reply: &Reply| {
        let body = reply.answer.json();
        let pagination = &body["pagination"];
        let rows = body["data"].as_array().map_or(0, Vec::len) as u64;
        let number = |name: &str| pagination[name].as_u64().unwrap_or(u64::MAX);
        (
            rows,
            number("page"),
            number("limit"),
            number("total"),
            number("totalPages"),
        )
    };
    for (query, number, limit) in [
        ("", 1, 20),
        ("limit=1", 1, 1),
        ("limit=100&page=1", 1, 100),
        ("page=2&limit=2", 2, 2),
        ("page=9999", 9999, 20),
        ("page=2000000000", 2_000_000_000, 20),
        ("nope=1&_=2", 1, 20),
    ] {
        let reply = list.get(query).await?;
        let here = total.saturating_sub((number - 1) * limit).min(limit);
        let wanted = (here, number, limit, total, total.div_ceil(limit));
        report.expect(reply.status() == 200 && page(&reply) == wanted, || {
            format!("{}: not {wanted:?}: {}", list.name(query), short(&reply))
        });
    }
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=1.5", "page"),
    ] {
        report.invalid(&list.name(query), &list.get(query).await?, field);
    }
    // Pages put together are the whole list: nothing twice, nothing left out.
    let mut together = Vec::new();
    for number in 1..=total.div_ceil(3) {
        let reply = list.get(&format!("limit=3&page={number}")).await?;
        together.extend(reply.answer.json()["data"].as_array().cloned().unwrap_or_default());
    }
    report.expect(ids(&together) == ids(&list.rows), || {
        list.name("pages of three are not the whole list")
    });
    Ok(())
}

/// A value by which rows are compared; text goes by the place that the database gives it.
async fn ranks(session: &Session, field: Option<&Field>, values: &[Value]) -> Result<Vec<Option<i64>>> {
    let kind = field.map_or("timestamp", |field| field.kind.as_str());
    if kind == "enum" {
        let words = field.map(|field| field.values.as_slice()).unwrap_or_default();
        let place = |value: &Value| words.iter().position(|word| value == word).map(|place| place as i64);
        return Ok(values.iter().map(place).collect());
    }
    let cast = match kind {
        "int" | "decimal" | "money" => "numeric",
        "timestamp" => "timestamptz",
        _ => "text",
    };
    let list: Vec<String> = values
        .iter()
        .map(|value| match value {
            Value::Null => "NULL".to_owned(),
            Value::String(text) => format!("'{}'", text.replace('\'', "''")),
            other => format!("'{other}'"),
        })
        .collect();
    if list.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT CASE WHEN v IS NULL THEN NULL ELSE dense_rank() OVER (ORDER BY v NULLS LAST) END \
         FROM unnest(ARRAY[{}]::{cast}[]) WITH ORDINALITY AS given(v, place) ORDER BY place",
        list.join(", ")
    );
    let rows = session.sql(&sql).await?;
    Ok(rows
        .iter()
        .map(|row| row[0].as_ref().and_then(|rank| rank.parse().ok()))
        .collect())
}

async fn sorting(list: &List<'_>, session: &Session, report: &mut Report) -> Result<()> {
    let rules = list.rules;
    let mut sorts: Vec<String> = rules
        .sort
        .iter()
        .flat_map(|name| [name.clone(), format!("-{name}")])
        .collect();
    let default = rules.default_sort.clone().unwrap_or_else(|| "-createdAt".to_owned());
    sorts.push(String::new());
    for sort in sorts {
        let query = if sort.is_empty() {
            String::new()
        } else {
            format!("sort={sort}")
        };
        let (rows, total) = list.all(&query, report).await?;
        report.expect(total == list.total, || list.name(&format!("{query} has another total")));
        let order = if sort.is_empty() {
            default.as_str()
        } else {
            sort.as_str()
        };
        let (name, is_down) = order.strip_prefix('-').map_or((order, false), |name| (name, true));
        let values: Vec<Value> = rows.iter().map(|row| row[name].clone()).collect();
        let ranks = ranks(session, list.field(name), &values).await?;
        let ordered = ranks.iter().zip(ids(&rows)).collect::<Vec<_>>();
        let wrong = ordered.windows(2).find(|pair| {
            let ((a, a_id), (b, b_id)) = (&pair[0], &pair[1]);
            let order = match (a, b) {
                (None, None) => Ordering::Equal,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(a), Some(b)) if is_down => b.cmp(a),
                (Some(a), Some(b)) => a.cmp(b),
            };
            let ties = if is_down { b_id.cmp(a_id) } else { a_id.cmp(b_id) };
            order.then(ties) == Ordering::Greater
        });
        report.expect(wrong.is_none(), || {
            list.name(&format!("{order} is not in order: {values:?}"))
        });
    }
    for name in ["nope", "-nope", "id;DROP TABLE users", "updatedAt"] {
        if rules.sort.iter().any(|sort| sort == name) {
            continue;
        }
        let query = format!("sort={}", encoded(&Value::from(name)));
        report.invalid(&list.name(&query), &list.get(&query).await?, "sort");
    }
    Ok(())
}

async fn filters(list: &List<'_>, report: &mut Report) -> Result<()> {
    for name in &list.rules.filters {
        let field = list
            .field(name)
            .unwrap_or_else(|| panic!("{}", list.name(name)))
            .clone();
        let mut values: Vec<Value> = list.rows.iter().map(|row| row[name].clone()).collect();
        values.sort_by_key(Value::to_string);
        values.dedup();
        values.retain(|value| !value.is_null());
        values.truncate(6);
        if field.kind == "ref" {
            // Also where it is never empty: then nothing is found.
            values.push(Value::Null);
        }
        for value in &values {
            let wanted: Vec<Value> = list.rows.iter().filter(|row| row[name] == *value).cloned().collect();
            let query = format!("{name}={}", encoded(value));
            let (rows, total) = list.all(&query, report).await?;
            report.expect(ids(&rows) == ids(&wanted) && total == wanted.len() as u64, || {
                list.name(&format!("{query} finds {total} rows, not {}", wanted.len()))
            });
        }
        if field.kind == "enum" {
            let words: Vec<&str> = field.values.iter().take(2).map(String::as_str).collect();
            let is_one = |row: &&Value| words.iter().any(|word| row[name] == *word);
            let wanted = list.rows.iter().filter(is_one).count() as u64;
            let query = format!("{name}={}", words.join(","));
            let (_, total) = list.all(&query, report).await?;
            report.expect(total == wanted, || {
                list.name(&format!("{query} finds {total} rows, not {wanted}"))
            });
        }
        let bad = match field.kind.as_str() {
            "enum" | "bool" | "ref" | "uuid" | "int" => "no!pe",
            _ => "a%00b",
        };
        let query = format!("{name}={bad}");
        report.invalid(&list.name(&query), &list.get(&query).await?, name);
    }
    for field in &list.rules.params {
        let bad = match field.kind.as_str() {
            "text" => "a%00b",
            _ => "No!%20Pe",
        };
        let query = format!("{}={bad}", field.name);
        report.invalid(&list.name(&query), &list.get(&query).await?, &field.name);
        let words = match field.kind.as_str() {
            "bool" => vec!["true".to_owned(), "false".to_owned()],
            "enum" => field.values.clone(),
            _ => vec![],
        };
        // What each means is for the tests of the module; together they are the whole list.
        let mut sum = 0;
        for word in &words {
            sum += list.all(&format!("{}={word}", field.name), report).await?.1;
        }
        report.expect(words.is_empty() || sum == list.total, || {
            list.name(&format!(
                "{} parts the list into {sum} rows, not {}",
                field.name, list.total
            ))
        });
    }
    Ok(())
}

async fn ranges(list: &List<'_>, session: &Session, report: &mut Report) -> Result<()> {
    for name in &list.rules.ranges {
        let values: Vec<Value> = list.rows.iter().map(|row| row[name].clone()).collect();
        let ranks = ranks(session, list.field(name), &values).await?;
        let mut sorted: Vec<i64> = ranks.iter().flatten().copied().collect();
        sorted.sort_unstable();
        let Some(middle) = sorted.get(sorted.len() / 2).copied() else {
            continue;
        };
        let place = ranks.iter().position(|rank| *rank == Some(middle)).unwrap_or_default();
        let value = encoded(&values[place]);
        let count = |holds: &dyn Fn(i64) -> bool| sorted.iter().filter(|rank| holds(**rank)).count() as u64;
        for (query, wanted) in [
            (format!("{name}From={value}"), count(&|rank| rank >= middle)),
            (format!("{name}To={value}"), count(&|rank| rank <= middle)),
            (
                format!("{name}From={value}&{name}To={value}"),
                count(&|rank| rank == middle),
            ),
        ] {
            let (_, total) = list.all(&query, report).await?;
            report.expect(total == wanted, || {
                list.name(&format!("{query} finds {total} rows, not {wanted}"))
            });
        }
        for end in ["From", "To"] {
            let query = format!("{name}{end}=nope");
            report.invalid(&list.name(&query), &list.get(&query).await?, &format!("{name}{end}"));
        }
    }
    Ok(())
}

async fn search(list: &List<'_>, report: &mut Report) -> Result<()> {
    let fields = &list.rules.search;
    if fields.is_empty() {
        let (_, total) = list.all("q=no+row+has+these", report).await?;
        report.expect(total == list.total, || {
            list.name("q is looked at although nothing is searched")
        });
        return Ok(());
    }
    let text = |row: &Value| {
        let texts = fields.iter().filter_map(|field| row[field.as_str()].as_str());
        texts.collect::<Vec<_>>().join("\n").to_lowercase()
    };
    for row in list.rows.iter().take(3) {
        let words: Vec<String> = text(row)
            .split(|letter: char| !letter.is_alphanumeric())
            .filter(|word| word.len() > 2)
            .take(2)
            .map(str::to_uppercase)
            .collect();
        let wanted: Vec<Value> = list
            .rows
            .iter()
            .filter(|row| words.iter().all(|word| text(row).contains(&word.to_lowercase())))
            .cloned()
            .collect();
        let query = format!("q={}", encoded(&Value::from(words.join("  "))));
        let (rows, total) = list.all(&query, report).await?;
        report.expect(ids(&rows) == ids(&wanted) && total == wanted.len() as u64, || {
            list.name(&format!("{query} finds {total} rows, not {}", wanted.len()))
        });
    }
    for plain in ["%", "_", "\\"] {
        let wanted = list.rows.iter().filter(|row| text(row).contains(plain)).count() as u64;
        let query = format!("q={}", encoded(&Value::from(plain)));
        let (_, total) = list.all(&query, report).await?;
        report.expect(total == wanted, || {
            list.name(&format!("{query} finds {total} rows, not {wanted}"))
        });
    }
    for query in [
        format!("q={}", "x".repeat(101)),
        "q=1+2+3+4+5+6+7+8+9".to_owned(),
        "q=a%00b".to_owned(),
    ] {
        report.invalid(&list.name(&query), &list.get(&query).await?, "q");
    }
    let (_, total) = list.all(&format!("q={}", "ü".repeat(50).as_str()), report).await?;
    report.expect(total == 0, || list.name("q of fifty letters finds something"));
    let reply = list.get("q=%ff").await?;
    report.refusal(&list.name("q is no UTF-8"), &reply, 400, "BAD_REQUEST");
    Ok(())
}

fn is_shape(endpoint: &Endpoint<'_>) -> bool {
    let name = endpoint.returns.list.as_deref().unwrap_or_default();
    name.starts_with(|letter: char| letter.is_ascii_uppercase())
}

/// Where owners may list beside others, those narrow it to their own.
async fn own(list: &List<'_>, session: &Session, report: &mut Report) -> Result<()> {
    let owner = list.endpoint.resource.owner.as_deref().unwrap_or_default();
    if !list.endpoint.is_for(&["owner"]) || list.endpoint.who.len() < 2 {
        return Ok(());
    }
    for email in ["admin@preview.local", "mira.solberg@preview.local"] {
        let id = session.user_id(email).await?;
        let reply = session
            .sign_in(email)
            .await?
            .get(&format!("{}?mine=true", list.path))
            .await?;
        let rows = reply.answer.json()["data"].as_array().cloned().unwrap_or_default();
        report.expect(
            reply.status() == 200 && rows.iter().all(|row| row[owner] == *id),
            || list.name(&format!("mine=true of {email}: {}", short(&reply))),
        );
    }
    Ok(())
}

#[tokio::test]
async fn lists_page_filter_sort_and_search_as_the_contract_says() -> Result<()> {
    let book = Book::read()?;
    let app = App::start(&book.features()).await?;
    let people = [app.admin().await?, app.staff().await?, app.user().await?];
    let mut report = Report::default();
    for endpoint in book.endpoints() {
        if endpoint.returns.list.is_none() {
            continue;
        }
        let list = open(&book, &app, &people, &endpoint).await?;
        if !report.expect(list.is_some(), || format!("{} cannot be listed", endpoint.name())) {
            continue;
        }
        let Some(list) = list else { continue };
        report.expect((1..=100).contains(&list.total), || {
            list.name(&format!("{} rows are not enough, or too many, to tell", list.total))
        });
        paging(&list, &mut report).await?;
        let is_of_rows = endpoint.rows(&book).1.table.is_some() && !is_shape(&endpoint);
        if !is_of_rows {
            continue; // people in a directory follow rules of their own
        }
        own(&list, &app, &mut report).await?;
        sorting(&list, &app, &mut report).await?;
        filters(&list, &mut report).await?;
        ranges(&list, &app, &mut report).await?;
        search(&list, &mut report).await?;
    }
    report.finish(700);
    Ok(())
}
