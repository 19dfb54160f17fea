//! Stock: every change leaves a movement, and a level that falls too low is told.

use sea_orm::{QueryResult, Value as Sql, prelude::Uuid};

use crate::{
    http::{Call, Result},
    modules::core::notifications::{To, notify},
    resource::precheck,
    settings::Settings,
};

/// A change of a product's stock.
pub struct Movement<'a> {
    /// Whose stock.
    pub product: Uuid,
    /// `initial`, `sale`, `cancel`, `return` or `adjustment`.
    pub reason: &'static str,
    /// By how much.
    pub delta: i32,
    /// The stock after it.
    pub after: i32,
    /// The shop order behind it.
    pub order: Option<Uuid>,
    /// Why, in words.
    pub note: Option<&'a str>,
}

/// Writes movements, in one statement.
///
/// # Errors
/// 409 `ROW_LIMIT_REACHED`.
pub async fn note(call: &Call, movements: &[Movement<'_>]) -> Result<()> {
    let caller = call.caller().map(|caller| caller.id);
    let (mut rows, mut values) = (Vec::new(), Vec::<Sql>::new());
    for movement in movements {
        let first = values.len();
        let holes: Vec<String> = (1..=8).map(|i| format!("${}", first + i)).collect();
        rows.push(format!("({})", holes.join(",")));
        values.extend([
            Uuid::now_v7().into(),
            movement.product.into(),
            movement.reason.into(),
            movement.delta.into(),
            movement.after.into(),
            movement.order.into(),
            movement.note.into(),
            caller.into(),
        ]);
    }
    if rows.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO ecommerce_stock_movements (id, product_id, reason, delta, stock_after, shop_order_id, note, created_by_id) VALUES {} {COUNT}",
        rows.join(",")
    );
    fits(call, &super::rows(call, &sql, values).await?).await
}

/// What an insert of movements returns: how many there were before.
pub(super) const COUNT: &str = "RETURNING (SELECT count(*) FROM ecommerce_stock_movements) AS rows";

/// Refuses movements that were just inserted, each a row of [`COUNT`], when the table cannot hold them.
///
/// # Errors
/// 409 `ROW_LIMIT_REACHED`.
pub(super) async fn fits(call: &Call, inserted: &[QueryResult]) -> Result<()> {
    let Some(first) = inserted.first() else { return Ok(()) };
    let before = u64::try_from(first.try_get::<i64>("", "rows")?).unwrap_or(0);
    precheck::fits(call, "ecommerce_stock_movements", before + inserted.len() as u64).await
}

/// A product's level before and after a change.
pub struct Level<'a> {
    /// Its address in the shop.
    pub slug: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Before.
    pub before: i32,
    /// After.
    pub after: i32,
    /// From here on down it is low.
    pub low_at: i32,
}

/// Tells staff of products whose stock has just become low, when the setting wants it.
///
/// # Errors
/// When the database refuses.
pub async fn warn(call: &Call, levels: &[Level<'_>]) -> Result<()> {
    let fell: Vec<_> = levels
        .iter()
        .filter(|level| level.after <= level.low_at && level.before > level.low_at)
        .collect();
    if fell.is_empty() || !Settings::load(call).await?.bool("ecommerce.lowStockAlert") {
        return Ok(());
    }
    for level in fell {
        let title = format!("{} is running low", level.name);
        let body = format!("{} left.", level.after);
        notify(
            call,
            To::Staff,
            "ecommerce.low-stock",
            title,
            Some(body),
            &format!("/products/{}", level.slug),
        )
        .await?;
    }
    Ok(())
}
