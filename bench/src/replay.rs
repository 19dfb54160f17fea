//! The SQL of a request, learnt from PostgreSQL's own log and sent again by hand: with the tenant's scope as the
//! tenant-api opens it, and without. Nothing is copied into this file, so the comparison cannot fall behind the code.

use std::{
    cell::Cell,
    error::Error,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bytes::{BufMut, BytesMut};
use futures::future::join_all;
use tokio::task::JoinSet;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Statement};

use crate::{
    cpu::{self, Used},
    load::Run,
    sample::Sample,
    stack::{Session, Stack},
};

/// What one request sent to PostgreSQL.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The message that opens the transaction.
    pub opening: String,
    /// Prepared statements with their parameters, as text.
    pub statements: Vec<(String, Vec<Option<String>>)>,
    /// The message that ends it.
    ending: String,
}

/// Lets PostgreSQL log while `request` is served, and reads what the tenant-api sent.
pub async fn learn(stack: &Stack, session: &Session, request: impl AsyncFn() -> Result<()>) -> Result<Exchange> {
    let database = stack.database();
    set_logging(database, Some("'all'")).await?;
    let mut exchange = None;
    for _ in 0..10 {
        let before: i64 = database
            .query_one(&format!("SELECT length({LOG})::bigint"), &[])
            .await?
            .get(0);
        request().await?;
        // The rollback follows the answer.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let log: String = database
            .query_one(&format!("SELECT substr({LOG}, $1::bigint::int + 1)"), &[&before])
            .await?
            .get(0);
        exchange = read(&log, &session.schema);
        if exchange.is_some() {
            break;
        }
    }
    set_logging(database, None).await?;
    exchange.context("PostgreSQL's log does not show the request")
}

const LOG: &str = "pg_read_file(current_setting('data_directory') || '/../log')";

async fn set_logging(database: &Client, level: Option<&str>) -> Result<()> {
    let change = |name: &str, value: Option<&str>| match value {
        Some(value) => format!("ALTER SYSTEM SET {name} = {value}"),
        None => format!("ALTER SYSTEM RESET {name}"),
    };
    database.batch_execute(&change("log_statement", level)).await?;
    database
        .batch_execute(&change("log_line_prefix", level.map(|_| "'%a '")))
        .await?;
    database.batch_execute("SELECT pg_reload_conf()").await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    Ok(())
}

/// The last whole exchange over that schema.
fn read(log: &str, schema: &str) -> Option<Exchange> {
    let mut found = None;
    let mut open: Option<Exchange> = None;
    for entry in entries(log) {
        let Some(entry) = entry.strip_prefix("tenant-api ") else {
            continue;
        };
        if let Some(sql) = entry.strip_prefix("LOG:  statement: ") {
            if sql.starts_with("BEGIN") && sql.contains(schema) {
                open = Some(Exchange {
                    opening: sql.to_owned(),
                    statements: Vec::new(),
                    ending: String::new(),
                });
            } else if let Some(mut exchange) = open.take() {
                exchange.ending = sql.to_owned();
                found = Some(exchange);
            }
        } else if let Some(execute) = entry.strip_prefix("LOG:  execute ") {
            let (_, sql) = execute.split_once(": ")?;
            open.as_mut()?.statements.push((sql.to_owned(), Vec::new()));
        } else if let Some(detail) = entry.strip_prefix("DETAIL:  ") {
            let (word, values) = detail.split_once(": ")?;
            if word.eq_ignore_ascii_case("parameters")
                && let Some((_, parameters)) = open.as_mut().and_then(|open| open.statements.last_mut())
            {
                *parameters = values_of(values);
            }
        }
    }
    // One request in many compares the slot's identity: another will do.
    let is_sampled = |exchange: &Exchange| exchange.statements.iter().any(|(sql, _)| sql.contains("slot_identity"));
    found.filter(|exchange| !exchange.statements.is_empty() && !is_sampled(exchange))
}

/// Entries of the log; further lines of one begin with a tab.
fn entries(log: &str) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    for line in log.lines() {
        match (line.strip_prefix('\t'), entries.last_mut()) {
            (Some(more), Some(entry)) => {
                entry.push('\n');
                entry.push_str(more);
            }
            _ => entries.push(line.to_owned()),
        }
    }
    entries
}

/// Reads `$1 = 'it''s', $2 = NULL`.
fn values_of(text: &str) -> Vec<Option<String>> {
    let mut values = Vec::new();
    let mut rest = text;
    while let Some((_, value)) = rest.split_once(" = ") {
        let Some(quoted) = value.strip_prefix('\'') else {
            values.push(None);
            rest = value;
            continue;
        };
        let (mut read, mut from) = (String::new(), quoted);
        loop {
            let Some((part, after)) = from.split_once('\'') else {
                return values;
            };
            read.push_str(part);
            match after.strip_prefix('\'') {
                Some(after) => {
                    read.push('\'');
                    from = after;
                }
                None => {
                    rest = after;
                    break;
                }
            }
        }
        values.push(Some(read));
    }
    values
}

/// How the SQL is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A transaction with role and search_path, as the tenant-api opens it, the next session each time.
    Tenant,
    /// Single statements of a connection that belongs to one schema for good.
    None,
}

/// Sends the exchanges in turn over that many connections, each statement after the answer to the last.
/// With the result comes the processor time.
pub async fn run(
    stack: &Stack,
    exchanges: &[Exchange],
    scope: Scope,
    connections: usize,
    warmup: Duration,
    time: Duration,
) -> Result<(Run, Used)> {
    let before = cpu::Look::at(stack).await?;
    let mut drivers = JoinSet::new();
    let mut clients = Vec::new();
    for _ in 0..connections {
        let client = Rc::new(stack.connect(&mut drivers).await?);
        clients.push(Sender::new(client, &exchanges[0], scope).await?);
    }
    let (next, all) = (Cell::new(0), Cell::new(0));
    let begin = Instant::now() + warmup;
    let end = begin + time;
    let work = async |sender: &Sender| -> Result<Sample> {
        let mut sample = Sample::default();
        loop {
            let started = Instant::now();
            if started >= end {
                return Ok(sample);
            }
            let exchange = match scope {
                Scope::Tenant => &exchanges[next.get() % exchanges.len()],
                Scope::None => &exchanges[0],
            };
            next.set(next.get() + 1);
            sender.send(exchange).await?;
            let done = Instant::now();
            all.set(all.get() + 1);
            if started >= begin && done <= end {
                sample.add(done - started);
            }
        }
    };
    let mut sample = Sample::default();
    for part in join_all(clients.iter().map(work)).await {
        sample.join(&part?);
    }
    #[expect(clippy::cast_precision_loss, reason = "some ten thousand answers")]
    let rate = sample.count() as f64 / time.as_secs_f64();
    let used = cpu::Look::at(stack).await?.since(&before);
    let run = Run {
        rate,
        sample,
        failed: 0,
        all: all.get(),
    };
    Ok((run, used))
}

/// Sends exchanges of one kind over one connection.
pub struct Sender {
    client: Rc<Client>,
    statements: Vec<Statement>,
    scope: Scope,
}

impl Sender {
    /// Prepares the statements of `first`; those of the same request of other sessions are the same.
    pub async fn new(client: Rc<Client>, first: &Exchange, scope: Scope) -> Result<Self> {
        // Without a scope of its own each statement runs under one that the connection keeps: the same role, the same
        // rights.
        let (opening, closing) = match scope {
            Scope::Tenant => (first.opening.clone(), "ROLLBACK"),
            Scope::None => (first.opening.replace("SET LOCAL ", "SET "), "COMMIT"),
        };
        client.batch_execute(&opening).await?;
        let mut statements = Vec::new();
        for (sql, _) in &first.statements {
            statements.push(
                client
                    .prepare(sql)
                    .await
                    .with_context(|| format!("{sql} cannot be prepared"))?,
            );
        }
        client.batch_execute(closing).await?;
        Ok(Self {
            client,
            statements,
            scope,
        })
    }

    /// Sends one exchange, each statement after the answer to the last.
    pub async fn send(&self, exchange: &Exchange) -> Result<()> {
        if self.scope == Scope::Tenant {
            self.client.batch_execute(&exchange.opening).await?;
        }
        for (number, (statement, (_, values))) in self.statements.iter().zip(&exchange.statements).enumerate() {
            let values: Vec<Text> = values.iter().map(|value| Text(value.as_deref())).collect();
            let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
            let rows = self.client.query(statement, &values).await?;
            if number == 0 && rows.is_empty() {
                bail!("the request's first statement finds no rows by hand");
            }
        }
        if self.scope == Scope::Tenant {
            self.client.batch_execute(&exchange.ending).await?;
        }
        Ok(())
    }
}

/// A parameter as the log shows it, whatever its type.
#[derive(Debug)]
struct Text<'a>(Option<&'a str>);

impl ToSql for Text<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let Some(text) = self.0 else {
            return Ok(IsNull::Yes);
        };
        out.put_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_postgresql_writes_them() {
        let values = values_of("$1 = '20', $2 = NULL, $3 = 'it''s = ''so'', yes'");
        assert_eq!(
            values,
            [Some("20"), None, Some("it's = 'so', yes")].map(|value| value.map(str::to_owned))
        );
    }

    #[test]
    fn the_last_whole_transaction_of_the_session_is_found() {
        let log = "tenant-api LOG:  statement: BEGIN READ ONLY;SET LOCAL search_path TO \"preview_a\"\n\
                   orchestrator LOG:  execute s1: SELECT 1\n\
                   tenant-api LOG:  execute sqlx_s_1: SELECT a\n\
                   \tFROM b WHERE c = $1\n\
                   tenant-api DETAIL:  parameters: $1 = 'x'\n\
                   tenant-api LOG:  statement: ROLLBACK\n\
                   tenant-api LOG:  statement: BEGIN;SET LOCAL search_path TO \"preview_b\"\n";
        let exchange = read(log, "preview_a").expect("it is there");
        assert_eq!(
            exchange.statements,
            [("SELECT a\nFROM b WHERE c = $1".to_owned(), vec![Some("x".to_owned())])]
        );
        assert_eq!(exchange.ending, "ROLLBACK");
        assert!(read(log, "preview_b").is_none(), "it is not over");
    }
}
