//! What must hold before a row is written, asked in one statement: referenced rows are there, the table has room, the
//! slug is free.

use fault::{Detail, Fault, codes};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value as Sql};
use serde_json::Value;

use super::{Resource, field::column, slug, spec::Change, value};
use crate::http::{Call, Result};

/// From this many rows below the limit on, writers of a table go one after another, so that the limit is exact. A fleet
/// has fewer connections than that, and only what is under way in other transactions is not counted.
pub(super) const CROWDED: u64 = 500;

/// Checks a change. Completes its slug.
///
/// # Errors
/// 422 for references to nothing, 409 for a taken slug or a full table.
pub async fn precheck<R: Resource>(call: &Call, change: &mut Change<'_, R>) -> Result<()> {
    let spec = R::SPEC;
    let mut parts = Vec::new();
    let mut values: Vec<Sql> = Vec::new();
    let references: Vec<_> = spec
        .fields
        .iter()
        .filter_map(|field| {
            Some((
                field,
                field.refers_to?,
                change.values.get(field.name).filter(|value| !value.is_null())?,
            ))
        })
        .collect();
    for (i, (field, table, id)) in references.iter().enumerate() {
        values.push(value::sql(field, id));
        parts.push(format!(
            "EXISTS (SELECT 1 FROM \"{table}\" WHERE id = ${}) AS r{i}",
            values.len()
        ));
    }
    let is_journal = modules::is_journal(spec.table);
    if change.is_create() && !is_journal {
        parts.push(format!("(SELECT count(*) FROM \"{}\") AS rows", spec.table));
    }
    let wish = slug::wish(&spec, change);
    if let Some((field, wish)) = &wish {
        values.push(format!("{}%", slug::escape(wish.text())).into());
        parts.push(format!(
            "(SELECT array_to_json(array_agg(\"{0}\")) FROM \"{1}\" WHERE \"{0}\" LIKE ${2}) AS slugs",
            column(field.name),
            spec.table,
            values.len()
        ));
    }
    if parts.is_empty() {
        return Ok(());
    }
    let sql = format!("SELECT {}", parts.join(", "));
    let row = call
        .tx()
        .query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values))
        .await?;
    let row = row.ok_or_else(|| Fault::internal("a check without an answer"))?;

    let mut details = Vec::new();
    for (i, (field, ..)) in references.iter().enumerate() {
        if !row.try_get::<bool>("", &format!("r{i}"))? {
            details.push(Detail::new(field.name, "names a row that does not exist"));
        }
    }
    if !details.is_empty() {
        return Err(Fault::invalid(details).into());
    }
    if let Some((field, wish)) = wish {
        let taken: Option<Value> = row.try_get("", "slugs")?;
        let taken: Vec<&str> = taken
            .as_ref()
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let free = wish.settle(&taken).ok_or_else(|| {
            Fault::new(codes::CONFLICT, format!("{}: this value is taken.", field.name)).detail(field.name, "is taken")
        })?;
        change.set(field.name, free);
    }
    if change.is_create() && !is_journal {
        let rows = u64::try_from(row.try_get::<i64>("", "rows")?).unwrap_or(0);
        room(call, spec.table, rows, 1).await?;
    }
    Ok(())
}

/// Whether `more` rows fit a table that had `rows` a moment ago. Near the limit writers wait for each other.
///
/// # Errors
/// 409 `ROW_LIMIT_REACHED`.
pub async fn room(call: &Call, table: &str, mut rows: u64, more: u64) -> Result<()> {
    let limit = call.app().limits.rows;
    if rows + more + CROWDED > limit {
        let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
        let key = format!("rows:{}.{table}", call.tenant().schema);
        call.tx()
            .execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, lock, [key.into()]))
            .await?;
        rows = count(call, table).await?;
    }
    if rows + more > limit {
        let message = format!("A preview holds at most {limit} rows of a kind; delete some first.");
        return Err(Fault::new(codes::ROW_LIMIT_REACHED, message).into());
    }
    Ok(())
}

/// Whether several tables have room for so many more rows each, asked in one statement.
///
/// # Errors
/// 409 `ROW_LIMIT_REACHED`.
pub async fn rooms(call: &Call, wanted: &[(&str, u64)]) -> Result<()> {
    let wanted: Vec<_> = wanted.iter().filter(|(_, more)| *more > 0).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let counts = wanted
        .iter()
        .map(|(table, _)| format!("(SELECT count(*) FROM \"{table}\") AS {table}"));
    let sql = format!("SELECT {}", counts.collect::<Vec<_>>().join(", "));
    let row = call
        .tx()
        .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
        .await?;
    let row = row.ok_or_else(|| Fault::internal("a count without an answer"))?;
    for (table, more) in wanted {
        let rows = u64::try_from(row.try_get::<i64>("", table)?).unwrap_or(0);
        room(call, table, rows, *more).await?;
    }
    Ok(())
}

/// Refuses rows that were just inserted into a table that holds `rows` with them, as far as this transaction could see.
///
/// # Errors
/// 409 `ROW_LIMIT_REACHED`.
pub async fn fits(call: &Call, table: &str, rows: u64) -> Result<()> {
    if rows + CROWDED <= call.app().limits.rows {
        return Ok(());
    }
    room(call, table, rows, 0).await
}

/// Rows of a table.
///
/// # Errors
/// When the database refuses.
pub async fn count(call: &Call, table: &str) -> Result<u64> {
    let sql = format!("SELECT count(*) AS rows FROM \"{table}\"");
    let row = call
        .tx()
        .query_one_raw(Statement::from_string(DbBackend::Postgres, sql))
        .await?;
    let rows = row.map_or(Ok(0), |row| row.try_get::<i64>("", "rows"))?;
    Ok(u64::try_from(rows).unwrap_or(0))
}
