//! Stock: every change leaves a movement, and a level that falls too low is told.

use sea_orm::{Value as Sql, prelude::Uuid};

use crate::{
    http::{Call, Result},
    modules::core::notifications::{To, notify},
    settings::Settings,
};

/// The table of movements.
pub(super) const MOVEMENTS: &str = "ecommerce_stock_movements";

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

/// Writes movements, at the end of the request.
pub fn note(call: &Call, movements: &[Movement<'_>]) {
    let caller = call.caller().map(|caller| caller.id);
    let (mut rows, mut values) = (Vec::new(), Vec::<Sql>::new());
    for movement in movements {
        let first = values.len();
        let holes: Vec<String> = (1..=8).map(|i| format!("${}", first + i)).collect();
        // Not the time of the request, which may have waited for the product: movements are in the order of the stock.
        rows.push(format!("({}, clock_timestamp(), clock_timestamp())", holes.join(",")));
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
        return;
    }
    let sql = format!(
        "INSERT INTO ecommerce_stock_movements (id, product_id, reason, delta, stock_after, shop_order_id, note, created_by_id, created_at, updated_at) VALUES {}",
        rows.join(",")
    );
    call.closing().insert(MOVEMENTS, &sql, values);
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

/// Tells staff of products whose stock fell and is low now, when the setting wants it.
///
/// # Errors
/// When the database refuses.
pub async fn warn(call: &Call, levels: &[Level<'_>]) -> Result<()> {
    let fell: Vec<_> = levels
        .iter()
        .filter(|level| level.after <= level.low_at && level.after < level.before)
        .collect();
    if fell.is_empty() || !Settings::load(call).await?.bool("ecommerce.lowStockAlert") {
        return Ok(());
    }
    for level in fell {
        let title = format!("{} is running low", level.name);
        let body = format!("{} left.", level.after);
        let link = format!("/products/{}", level.slug);
        notify(call, To::Staff, "ecommerce.low-stock", &title, Some(&body), &link);
    }
    Ok(())
}
