//! What the shop adds to pages of core: search, dashboard, and its side of orders that core pays, cancels or refunds.

use chrono::TimeDelta;
use fault::Fault;
use futures::future::BoxFuture;
use rust_decimal::Decimal;
use sea_orm::prelude::{DateTimeUtc, Uuid};

use super::{categories, customers, fulfilment, products, reviews, sellers};
use crate::{
    dashboard::{Block, Chart, Figure, Form, LastDays},
    http::{Call, Result},
    ledger::{Source, seller::Seller},
    search::Searched,
};

/// What can be searched.
pub const SEARCH: &[Searched] = &[
    Searched::of::<products::Entity>(
        "ecommerce.products",
        "Products",
        ("name", "summary"),
        "/products/{slug}",
    ),
    Searched::of::<categories::Entity>(
        "ecommerce.products",
        "Categories",
        ("name", "description"),
        "/products?category={slug}",
    ),
    Searched::of::<sellers::Entity>(
        "ecommerce.sellers",
        "Sellers",
        ("name", "description"),
        "/sellers/{slug}",
    ),
];

/// Its side of orders.
pub const SELLER: Seller = Seller {
    cancelling: |call, order| Box::pin(async move { fulfilment::ledger_cancels(&call, &order).await }),
    money: |call, order, amount| {
        customers::adjust(&call, order.user_id, amount, 0);
        reviews::verify(&call, &order);
        Box::pin(async { Ok(()) })
    },
    ..Seller::of(Source::Ecommerce)
};

/// Before a user is deleted: reviews go too, and ratings follow.
#[must_use]
pub fn leaving(call: Call, user: Uuid) -> BoxFuture<'static, Result<()>> {
    Box::pin(async move { reviews::forget(&call, user).await })
}

/// Its block on the dashboard.
#[must_use]
pub fn block(call: Call) -> BoxFuture<'static, Result<Block>> {
    Box::pin(async move {
        let month = call.now() - TimeDelta::days(30);
        let days = LastDays::load(&call, 30).await?;
        let recent = "FROM ecommerce_orders s JOIN orders o ON o.id = s.order_id \
                      WHERE s.created_at >= $1 AND s.fulfilment <> 'cancelled'";
        let sql = format!(
            "SELECT (SELECT COALESCE(sum(total - refunded_total), 0) FROM orders \
               WHERE source = 'ecommerce' AND paid_at >= $1) AS revenue, \
             (SELECT count(*) {recent}) AS orders, (SELECT COALESCE(round(avg(o.total), 2), 0) {recent}) AS average, \
             (SELECT count(*) FROM ecommerce_products WHERE status = 'active' AND stock <= low_stock_at) AS low"
        );
        let row = call.row(&sql, [month.into()]).await?;
        let row = row.ok_or_else(|| Fault::internal("figures without an answer"))?;
        let figure = |key, label, form, value| Figure {
            key,
            label,
            form,
            value,
        };
        let count = |column: &str| row.try_get::<i64>("", column).map(Decimal::from);
        let figures = vec![
            figure(
                "revenue30d",
                "Shop revenue (30 days)",
                Form::Money,
                row.try_get("", "revenue")?,
            ),
            figure("orders30d", "Orders (30 days)", Form::Int, count("orders")?),
            figure(
                "averageOrder30d",
                "Average order",
                Form::Money,
                row.try_get("", "average")?,
            ),
            figure("lowStock", "Low stock", Form::Int, count("low")?),
        ];
        let sql = "SELECT paid_at, total FROM orders WHERE source = 'ecommerce' AND paid_at >= $1";
        let sales = call.rows(sql, [days.since().into()]).await?;
        let sales = sales
            .iter()
            .map(|row| Ok((row.try_get::<DateTimeUtc>("", "paid_at")?, row.try_get("", "total")?)));
        let sales = sales.collect::<Result<Vec<(DateTimeUtc, Decimal)>>>()?;
        let chart = Chart {
            key: "salesByDay",
            label: "Sales per day",
            kind: "bar",
            form: Form::Money,
            points: days.sum(sales),
        };
        Ok(Block { figures, chart })
    })
}
