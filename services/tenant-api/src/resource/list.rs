//! GET of a collection: one page of the rows that the caller may see.

use fault::Pagination;
use sea_orm::{
    ConnectionTrait, DbBackend, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{Alias, Expr, Order},
};

use super::{Resource, present, select};
use crate::http::{Answer, Call, Result};

/// The name of the column that counts all rows of a page's query.
const TOTAL: &str = "rows_in_all";

/// The handler.
///
/// # Errors
/// 422 for a wrong parameter, 404 when the parent is not there.
pub async fn list<R: Resource>(call: Call) -> Result<Answer> {
    let wanted = select::read(call.query(), &R::SPEC)?;
    let parent = R::parent(&call).await?;
    let filtered = select::select::<R>()
        .filter(select::fixed::<R>(&parent))
        .filter(R::visible(&call).await?)
        .filter(R::narrow(&call, &wanted.params).await?)
        .filter(wanted.condition::<R>());
    let filtered = match R::foremost(&call) {
        Some(first) => filtered.order_by(first, Order::Desc),
        None => filtered,
    };
    let (rows, pagination) = page(&call, wanted.order(filtered), wanted.page, wanted.limit).await?;
    Ok(Answer::page(present::many::<R>(&call, rows, false).await?, pagination))
}

/// Fetches a page and counts all rows, in one statement unless the page lies past the end.
///
/// # Errors
/// When the database refuses.
pub async fn page<R: Resource>(
    call: &Call,
    select: sea_orm::Select<R>,
    page: u64,
    limit: u64,
) -> Result<(Vec<R::Model>, Pagination)> {
    let offset = (page - 1).saturating_mul(limit);
    let mut query = select.clone().limit(limit).offset(offset).into_query();
    query.expr_as(Expr::cust("count(*) OVER ()"), Alias::new(TOTAL));
    present::with_uploads::<R>(&mut query);
    let found = call.tx().query_all(&query).await?;
    present::meet::<R>(call, &found)?;
    let total = match found.first() {
        Some(row) => row.try_get::<i64>("", TOTAL)?,
        None if page == 1 => 0,
        None => {
            let inner = select.build(DbBackend::Postgres);
            let sql = format!("SELECT count(*) AS {TOTAL} FROM ({}) AS found", inner.sql);
            let statement = sea_orm::Statement { sql, ..inner };
            call.tx()
                .query_one_raw(statement)
                .await?
                .map_or(Ok(0), |row| row.try_get("", TOTAL))?
        }
    };
    let rows = found
        .iter()
        .map(|row| R::Model::from_query_result(row, ""))
        .collect::<Result<Vec<_>, _>>()?;
    Ok((rows, Pagination::new(page, limit, u64::try_from(total).unwrap_or(0))))
}
