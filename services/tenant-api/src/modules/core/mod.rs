//! The core application: on in every session.

pub mod admin_orders;
pub mod coupon_redemptions;
pub mod coupons;
pub mod notifications;
pub mod order_items;
pub mod orders;
pub mod payment_intents;
pub mod refunds;

use crate::{http::Routes, resource};

/// Its routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::of("core", "/api/v1")
        .with("orders", resource::routes::<orders::Entity>())
        .with("orders", orders::routes())
        .with(admin_orders::NAME, admin_orders::routes())
        .with("coupons", resource::routes::<coupons::Entity>())
        .with("coupons", coupons::routes())
        .with("coupon-redemptions", resource::routes::<coupon_redemptions::Entity>())
        .with("payment-intents", resource::routes::<payment_intents::Entity>())
        .with("payment-intents", payment_intents::routes())
}
