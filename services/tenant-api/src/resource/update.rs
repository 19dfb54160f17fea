//! PATCH of one row: what is left out stays.

use fault::{Fault, codes};
use sea_orm::{ActiveModelTrait, DbBackend, IntoActiveModel, Iterable, ModelTrait, QueryTrait, Update};
use serde_json::{Map, Value, json};

use super::{
    Resource,
    permit::permit,
    precheck, present, show,
    spec::{Change, find_column},
    value,
};
use crate::http::{Answer, Call, Result, answer::Subject};

/// The handler.
///
/// # Errors
/// 404, 403, 409, 422.
pub async fn update<R: Resource>(call: Call) -> Result<Answer> {
    let before = show::find::<R>(&call, call.parameter("id"), show::Lock::Update).await?;
    permit::<R>(&call, Some(&before)).await?;
    let mut values = call.body().clone();
    check_version::<R>(&before, values.shift_remove("version").as_ref())?;
    if values.is_empty() {
        return answer::<R>(&call, &before, before.clone()).await;
    }
    let mut change = Change {
        before: Some(&before),
        values,
    };
    precheck::precheck::<R>(&call, &mut change).await?;
    R::prepare(&call, &mut change).await?;
    let values = change.values;
    let after = write::<R>(&call, &before, &values).await?;
    R::written(&call, Some(&before), &after).await?;
    answer::<R>(&call, &before, after).await
}

/// Refuses a stale version; without one the last write wins.
///
/// # Errors
/// 409 `VERSION_CONFLICT`.
pub fn check_version<R: Resource>(row: &R::Model, sent: Option<&Value>) -> Result<(), Fault> {
    let Some(sent) = sent.and_then(Value::as_i64) else {
        return Ok(());
    };
    let now = match find_column::<R>("version").map(|column| row.get(column)) {
        Some(sea_orm::Value::Int(Some(version))) => i64::from(version),
        _ => return Ok(()),
    };
    if sent == now {
        return Ok(());
    }
    let message = format!("Somebody changed this in the meantime: the version is {now}, not {sent}. Load it again.");
    Err(Fault::new(codes::VERSION_CONFLICT, message))
}

/// Writes fields of a row, with the next version where rows carry one.
///
/// # Errors
/// When the database refuses.
pub async fn write<R: Resource>(call: &Call, before: &R::Model, values: &Map<String, Value>) -> Result<R::Model> {
    Ok(changed::<R>(call, before, values)?.update(call.tx()).await?)
}

/// As [`write()`], at the end of the request: for a row that is locked, when nothing that is read until then looks at
/// what changes.
///
/// # Errors
/// 500 for values that are not the fields'.
pub fn write_later<R: Resource>(call: &Call, before: &R::Model, values: &Map<String, Value>) -> Result<R::Model> {
    let row = changed::<R>(call, before, values)?;
    let mut after = before.clone();
    for column in R::Column::iter() {
        if let Some(value) = row.get(column).into_value() {
            after.try_set(column, value)?;
        }
    }
    let update = Update::one(row).validate()?.build(DbBackend::Postgres);
    call.closing()
        .write(&update.sql, update.values.into_iter().flat_map(|values| values.0));
    Ok(after)
}

fn changed<R: Resource>(call: &Call, before: &R::Model, values: &Map<String, Value>) -> Result<R::ActiveModel> {
    let mut row = before.clone().into_active_model();
    for (name, value) in values {
        if let (Some(column), Some(field)) = (find_column::<R>(name), R::SPEC.field(name)) {
            row.try_set(column, value::sql(&field, value))?;
        }
    }
    if R::SPEC.versioned
        && let Some(column) = find_column::<R>("version")
        && let sea_orm::Value::Int(Some(version)) = before.get(column)
    {
        row.try_set(column, version.saturating_add(1).into())?;
    }
    if let Some(column) = find_column::<R>("updatedAt") {
        row.try_set(column, call.now().into())?;
    }
    Ok(row)
}

/// The answer for a changed row, with what changed for the audit log.
///
/// # Errors
/// When what is embedded cannot be read.
pub async fn answer<R: Resource>(call: &Call, before: &R::Model, after: R::Model) -> Result<Answer> {
    let mut subject = subject::<R>(before, &after);
    let json = present::one::<R>(call, after).await?;
    subject.title = present::title(&json);
    Ok(Answer::data(json).about(subject))
}

/// What changed, for the audit log; secrets left out.
#[must_use]
pub fn subject<R: Resource>(before: &R::Model, after: &R::Model) -> Subject {
    let mut changes = Map::new();
    for field in R::SPEC
        .fields
        .iter()
        .filter(|field| !matches!(field.read, super::Read::None))
    {
        let Some(column) = find_column::<R>(field.name) else {
            continue;
        };
        let (old, new) = (
            value::show(field, before.get(column)),
            value::show(field, after.get(column)),
        );
        if old != new {
            changes.insert(field.name.to_owned(), json!([old, new]));
        }
    }
    let id = match find_column::<R>("id").map(|column| after.get(column)) {
        Some(sea_orm::Value::Uuid(id)) => id,
        _ => None,
    };
    Subject {
        id,
        resource: Some(R::SPEC.name),
        changes: (!changes.is_empty()).then_some(Value::Object(changes)),
        ..Subject::default()
    }
}
