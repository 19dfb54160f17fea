//! GET of one row, by id or slug.

use fault::Fault;
use sea_orm::{Condition, ConnectionTrait, FromQueryResult, QueryFilter, QuerySelect, QueryTrait, sea_query::LockType};

use super::{Resource, present, select};
use crate::http::{Answer, Call, Result};

/// The handler.
///
/// # Errors
/// 404 when it is not there or the caller may not see it.
pub async fn show<R: Resource>(call: Call) -> Result<Answer> {
    let named = select::by_key::<R>(call.parameter("id"));
    let row = meet::<R>(&call, named, Lock::None).await?;
    present::one::<R>(&call, row).await.map(Answer::data)
}

/// Whether a row is locked against others until the transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// It is not.
    None,
    /// It is. Rows that refer to it may be written meanwhile.
    Update,
}

/// The row of this id, if the caller may see it and it is below the parent that the path names.
///
/// # Errors
/// 404 when there is none.
pub async fn find<R: Resource>(call: &Call, id: &str, lock: Lock) -> Result<R::Model> {
    meet::<R>(call, select::by_id::<R>(id), lock).await
}

async fn meet<R: Resource>(call: &Call, named: Option<Condition>, lock: Lock) -> Result<R::Model> {
    let parent = R::parent(call).await?;
    let condition = named.ok_or_else(Fault::not_found)?;
    let mut query = select::select::<R>()
        .filter(condition)
        .filter(select::fixed::<R>(&parent))
        .filter(R::visible(call).await?);
    if lock == Lock::Update {
        query = query.lock(LockType::NoKeyUpdate);
    }
    let mut query = query.limit(1).into_query();
    present::with_uploads::<R>(&mut query);
    let found = call.tx().query_all(&query).await?;
    present::meet::<R>(call, &found)?;
    let row = found.first().ok_or_else(Fault::not_found)?;
    Ok(R::Model::from_query_result(row, "")?)
}
