//! DELETE of one row.

use sea_orm::ModelTrait;
use serde_json::json;

use super::{Resource, permit::permit, show, spec::find_column};
use crate::http::{Answer, Call, Result, answer::Subject};

/// The handler.
///
/// # Errors
/// 404, 403, 409 `IN_USE`.
pub async fn delete<R: Resource>(call: Call) -> Result<Answer> {
    let row = show::find::<R>(&call, call.parameter("id"), show::Lock::Update).await?;
    permit::<R>(&call, Some(&row)).await?;
    R::deleting(&call, &row).await?;
    let id = match find_column::<R>("id").map(|column| row.get(column)) {
        Some(sea_orm::Value::Uuid(id)) => id,
        _ => None,
    };
    row.delete(call.tx()).await?;
    Ok(Answer::data(json!({ "id": id })).about(Subject {
        id,
        ..Subject::default()
    }))
}
