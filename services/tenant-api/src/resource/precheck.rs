//! What must hold before a row is written, asked in one statement: referenced rows are there, the slug is free.

use fault::{Detail, Fault, codes};
use sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement, Value as Sql};
use serde_json::{Map, Value};

use super::{Field, Resource, field::column, present::Uploads, slug, spec::Change, value};
use crate::{
    http::{Call, Result},
    tenant::transaction::Tx,
};

/// Checks a change. Completes its slug.
///
/// # Errors
/// 422 for references to nothing, 409 for a taken slug.
pub async fn precheck<R: Resource>(call: &Call, change: &mut Change<'_, R>) -> Result<()> {
    let spec = R::SPEC;
    let references = references(spec.fields, &change.values);
    let mut values = Vec::new();
    let mut parts = asked(&references, &mut values);
    let wish = slug::wish(change);
    if let Some((field, wish)) = &wish {
        if change.is_create() {
            one_at_a_time(call, spec.table).await?;
        }
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
    let row = ask(call.tx(), &parts, values).await?;

    let mut details = Vec::new();
    let mut uploads = Uploads::of(call);
    for (i, (field, table, id)) in references.iter().enumerate() {
        match row.try_get::<Option<String>>("", &format!("r{i}"))? {
            Some(key) if *table == "uploads" => {
                uploads.note(id.as_str().and_then(|id| id.parse().ok()), Some(key));
            }
            Some(_) => {}
            None => details.push(dangles(field)),
        }
    }
    if !details.is_empty() {
        return Err(Fault::invalid(details).into());
    }
    uploads.keep(call);
    if let Some((field, wish)) = wish {
        let taken: Option<Value> = row.try_get("", "slugs")?;
        let taken: Vec<&str> = taken
            .as_ref()
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let is_free = |slug: &str| !taken.contains(&slug) && !is_reserved(call, spec.path, slug);
        let free = wish.settle(is_free).ok_or_else(|| {
            Fault::new(codes::CONFLICT, format!("{}: this value is taken.", field.name)).detail(field.name, "is taken")
        })?;
        change.set(field.name, free);
    }
    Ok(())
}

/// Whether an address with this slug would lead elsewhere: to a row by its id, or to an action beside the rows.
fn is_reserved(call: &Call, path: &str, slug: &str) -> bool {
    let address = format!("{path}/{slug}");
    value::id(slug).is_some() || call.app().routes.iter().any(|route| route.path.ends_with(&address))
}

/// References of a body to rows that do not exist.
///
/// # Errors
/// When the database refuses.
pub async fn dangling(tx: &Tx, fields: &'static [Field], body: &Map<String, Value>) -> Result<Vec<Detail>> {
    let references = references(fields, body);
    let mut values = Vec::new();
    let parts = asked(&references, &mut values);
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let row = ask(tx, &parts, values).await?;
    let mut details = Vec::new();
    for (i, (field, ..)) in references.iter().enumerate() {
        if row.try_get::<Option<String>>("", &format!("r{i}"))?.is_none() {
            details.push(dangles(field));
        }
    }
    Ok(details)
}

fn dangles(field: &Field) -> Detail {
    Detail::new(field.name, "names a row that does not exist")
}

/// Fields that refer to something: the table, and the id of the row.
fn references<'a>(
    fields: &'static [Field],
    values: &'a Map<String, Value>,
) -> Vec<(&'static Field, &'static str, &'a Value)> {
    let referring = |field: &'static Field| {
        let id = values.get(field.name).filter(|value| !value.is_null())?;
        Some((field, field.refers_to?, id))
    };
    fields.iter().filter_map(referring).collect()
}

/// What asks for each of them: null where there is no such row, of uploads their content key.
fn asked(references: &[(&'static Field, &'static str, &Value)], values: &mut Vec<Sql>) -> Vec<String> {
    let mut parts = Vec::new();
    for (i, (field, table, id)) in references.iter().enumerate() {
        values.push(value::sql(field, id));
        let shown = if *table == "uploads" { "content_key" } else { "''" };
        parts.push(format!(
            "(SELECT {shown} FROM \"{table}\" WHERE id = ${}) AS r{i}",
            values.len()
        ));
    }
    parts
}

async fn ask(tx: &Tx, parts: &[String], values: Vec<Sql>) -> Result<QueryResult> {
    let sql = format!("SELECT {}", parts.join(", "));
    let row = tx
        .query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values))
        .await?;
    Ok(row.ok_or_else(|| Fault::internal("a check without an answer"))?)
}

/// Two new rows of a name at once would choose the same free slug: the second waits, and looks when it has its turn. Not
/// for rows that are changed: those are locked already, and whoever waits here must hold nothing.
async fn one_at_a_time(call: &Call, table: &str) -> Result<()> {
    let sql = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
    call.run(sql, [format!("slug {} {table}", call.tenant().session).into()])
        .await?;
    Ok(())
}
