//! POST to a collection: a new row.

use sea_orm::{ActiveModelTrait, ModelTrait};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    Resource,
    permit::permit,
    precheck, present,
    spec::{Change, find_column},
    value,
};
use crate::http::{Answer, Call, Result, answer::Subject, failure::is_taken};

/// The handler.
///
/// # Errors
/// 403, 404 for the parent, 422, 409.
pub async fn create<R: Resource>(call: Call) -> Result<Answer> {
    let row = insert::<R>(&call, call.body().clone()).await?;
    created::<R>(&call, row).await
}

/// Checks and writes a new row with all that follows from it.
///
/// # Errors
/// As [`create`].
pub async fn insert<R: Resource>(call: &Call, mut values: Map<String, Value>) -> Result<R::Model> {
    values.extend(R::parent(call).await?);
    permit::<R>(call, None).await?;
    let mut change = Change { before: None, values };
    precheck::precheck::<R>(call, &mut change).await?;
    R::prepare(call, &mut change).await?;
    let row = write::<R>(call, &change.values).await?;
    R::written(call, None, &row).await?;
    Ok(row)
}

/// Inserts a row as it is.
///
/// # Errors
/// When the database refuses.
pub async fn write<R: Resource>(call: &Call, values: &Map<String, Value>) -> Result<R::Model> {
    let mut row = <R::ActiveModel as ActiveModelTrait>::default();
    if let Some(id) = find_column::<R>("id") {
        row.try_set(id, Uuid::now_v7().into())?;
    }
    // The instant of the request, as the ledger has it.
    for column in ["createdAt", "updatedAt"].into_iter().filter_map(find_column::<R>) {
        row.try_set(column, call.now().into())?;
    }
    for (name, value) in values {
        // What is left to the database's default is not named.
        if let (Some(column), Some(field), false) = (find_column::<R>(name), R::SPEC.field(name), value.is_null()) {
            row.try_set(column, value::sql(&field, value))?;
        }
    }
    call.closing().watch(R::SPEC.table);
    row.insert(call.tx()).await.map_err(|error| {
        let fault = R::taken().filter(|_| is_taken(&error));
        fault.map_or_else(|| error.into(), Into::into)
    })
}

/// The answer for a new row.
///
/// # Errors
/// When what is embedded cannot be read.
pub async fn created<R: Resource>(call: &Call, row: R::Model) -> Result<Answer> {
    let id = find_column::<R>("id").map(|column| row.get(column));
    let json = present::one::<R>(call, row).await?;
    let id = match id {
        Some(sea_orm::Value::Uuid(id)) => id,
        _ => None,
    };
    let location = format!("{}/{}", call.address(), id.unwrap_or_default());
    let subject = Subject {
        id,
        resource: Some(R::SPEC.name),
        title: present::title(&json),
        ..Subject::default()
    };
    Ok(Answer::data(json).location(location).about(subject))
}
