//! From rows to JSON: the fields that the caller may read, then what is computed and embedded.

use sea_orm::{
    ModelTrait, QueryResult,
    sea_query::{Alias, Expr, SelectStatement},
};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use uuid::Uuid;

use super::{
    Field, Read, Resource,
    field::{IMPLICIT, column},
    spec::find_column,
    value,
};
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
    let fields: Vec<(&str, String)> = uploads::<R>()
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

/// The fields that name uploads.
fn uploads<R: Resource>() -> impl Iterator<Item = &'static Field> {
    R::SPEC.fields.iter().filter(|field| field.refers_to == Some("uploads"))
}

/// Uploads that the request has met, so that their addresses need no statement of their own.
#[derive(Clone, Default)]
pub(super) struct Uploads(HashMap<Uuid, String>);

impl Uploads {
    /// Those of a request.
    pub fn of(call: &Call) -> Self {
        call.recall().unwrap_or_default()
    }

    /// One more, when it is there.
    pub fn note(&mut self, id: Option<Uuid>, content_key: Option<String>) {
        self.0.extend(id.zip(content_key));
    }

    /// Keeps them for the request.
    pub fn keep(self, call: &Call) {
        call.remember(self);
    }
}

/// Adds the content keys of a row's uploads to a select; [`meet`] reads them.
pub(super) fn with_uploads<R: Resource>(query: &mut SelectStatement) {
    for field in uploads::<R>() {
        let (table, column) = (R::SPEC.table, column(field.name));
        let key = format!("(SELECT content_key FROM uploads WHERE uploads.id = \"{table}\".\"{column}\")");
        query.expr_as(Expr::cust(key), Alias::new(format!("{column}_key")));
    }
}

/// Remembers the uploads of rows that were read [`with_uploads`].
pub(super) fn meet<R: Resource>(call: &Call, rows: &[QueryResult]) -> Result<()> {
    if uploads::<R>().next().is_none() {
        return Ok(());
    }
    let mut met = Uploads::of(call);
    for row in rows {
        for field in uploads::<R>() {
            let column = column(field.name);
            met.note(row.try_get("", &column)?, row.try_get("", &format!("{column}_key"))?);
        }
    }
    met.keep(call);
    Ok(())
}

/// Addresses of uploads, by id.
///
/// # Errors
/// When the database refuses.
pub async fn addresses(call: &Call, ids: &[Uuid]) -> Result<HashMap<Uuid, String>> {
    let Uploads(mut keys) = Uploads::of(call);
    let unknown: Vec<Uuid> = ids.iter().filter(|id| !keys.contains_key(id)).copied().collect();
    if !unknown.is_empty() {
        let sql = "SELECT id, content_key FROM uploads WHERE id = ANY ($1)";
        for row in call.rows(sql, [value::uuids(&unknown)]).await? {
            keys.insert(row.try_get("", "id")?, row.try_get("", "content_key")?);
        }
    }
    let known = ids
        .iter()
        .filter_map(|id| Some((*id, address::of(call, keys.get(id)?))));
    Ok(known.collect())
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
