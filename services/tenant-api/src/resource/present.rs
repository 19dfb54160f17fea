//! From rows to JSON: the fields that the caller may read, then what is computed and embedded.

use sea_orm::{ConnectionTrait, DbBackend, ModelTrait, Statement, Value as Sql};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use uuid::Uuid;

use super::{Field, Read, Resource, field::IMPLICIT, spec::find_column, value};
use crate::{
    http::{Call, Result},
    sandbox::address,
};

/// A row on its way out.
pub struct Row<R: Resource> {
    /// The row.
    pub model: R::Model,
    /// What will be shown of it.
    pub json: Map<String, Value>,
}

/// Shows one row, with everything embedded.
///
/// # Errors
/// When what belongs to it cannot be read.
pub async fn one<R: Resource>(call: &Call, row: R::Model) -> Result<Value> {
    Ok(many::<R>(call, vec![row], true).await?.pop().unwrap_or(Value::Null))
}

/// Shows rows; `whole` adds what lists leave out.
///
/// # Errors
/// When what belongs to them cannot be read.
pub async fn many<R: Resource>(call: &Call, rows: Vec<R::Model>, whole: bool) -> Result<Vec<Value>> {
    let mut shown = Vec::with_capacity(rows.len());
    for model in rows {
        let json = fields::<R>(call, &model).await?;
        shown.push(Row { model, json });
    }
    urls::<R>(call, &mut shown).await?;
    R::extend(call, &mut shown, whole).await?;
    Ok(shown.into_iter().map(|row| Value::Object(row.json)).collect())
}

/// The row's own fields that the caller may read, without what is computed or embedded.
///
/// # Errors
/// When it cannot be told whether the row is the caller's.
pub async fn fields<R: Resource>(call: &Call, model: &R::Model) -> Result<Map<String, Value>> {
    let guarded = R::SPEC.fields.iter().any(|field| field.read == Read::Owner);
    let is_staff = call.is_staff();
    let is_owner = guarded && (is_staff || R::owns(call, model).await?);
    let may_read = |field: &Field| match field.read {
        Read::All => true,
        Read::Owner => is_owner,
        Read::Staff => is_staff,
        Read::None => false,
    };
    let mut json = Map::new();
    let mut show = |field: &Field| {
        if let Some(column) = find_column::<R>(field.name) {
            json.insert(field.name.to_owned(), value::show(field, model.get(column)));
        }
    };
    show(&IMPLICIT[0]);
    R::SPEC
        .fields
        .iter()
        .filter(|field| may_read(field))
        .for_each(&mut show);
    if R::SPEC.versioned {
        show(&Field::int("version"));
    }
    show(&IMPLICIT[1]);
    show(&IMPLICIT[2]);
    Ok(json)
}

/// Adds `xxxUrl` beside every `xxxId` that names an upload.
async fn urls<R: Resource>(call: &Call, rows: &mut [Row<R>]) -> Result<()> {
    let fields: Vec<(&str, String)> = R::SPEC
        .fields
        .iter()
        .filter(|field| field.refers_to == Some("uploads"))
        .filter_map(|field| Some((field.name, format!("{}Url", field.name.strip_suffix("Id")?))))
        .collect();
    if fields.is_empty() {
        return Ok(());
    }
    let id = |row: &Row<R>, name: &str| {
        row.json
            .get(name)
            .and_then(Value::as_str)
            .and_then(|id| Uuid::try_parse(id).ok())
    };
    let ids: Vec<Uuid> = rows
        .iter()
        .flat_map(|row| fields.iter().filter_map(move |(name, _)| id(row, name)))
        .collect();
    let addresses = addresses(call, &ids).await?;
    for row in rows {
        for (name, url) in &fields {
            if row.json.contains_key(*name) {
                let address = id(row, name).and_then(|id| addresses.get(&id));
                row.json.insert(url.clone(), json!(address));
            }
        }
    }
    Ok(())
}

/// Addresses of uploads, by id.
///
/// # Errors
/// When the database refuses.
pub async fn addresses(call: &Call, ids: &[Uuid]) -> Result<HashMap<Uuid, String>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let holes = (1..=ids.len()).map(|i| format!("${i}")).collect::<Vec<_>>().join(",");
    let sql = format!("SELECT id, content_key FROM uploads WHERE id IN ({holes})");
    let values: Vec<Sql> = ids.iter().map(|id| (*id).into()).collect();
    let found = call
        .tx()
        .query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values))
        .await?;
    let mut addresses = HashMap::new();
    for row in found {
        let key: String = row.try_get("", "content_key")?;
        addresses.insert(row.try_get("", "id")?, address::of(call, &key));
    }
    Ok(addresses)
}

/// What people call a row: for the audit log.
#[must_use]
pub fn title(json: &Value) -> String {
    const TITLES: [&str; 8] = [
        "number", "name", "title", "question", "subject", "code", "filename", "email",
    ];
    TITLES
        .iter()
        .find_map(|field| json.get(field).and_then(Value::as_str))
        .unwrap_or_default()
        .to_owned()
}
