//! The core application: on in every session.

pub mod addresses;
pub mod admin;
pub mod admin_orders;
pub mod announcements;
pub mod audit_logs;
pub mod auth;
pub mod auth_sessions;
pub mod config;
pub mod contact_messages;
pub mod content_pages;
pub mod content_revisions;
pub mod coupon_redemptions;
pub mod coupons;
pub mod emails;
pub mod faqs;
pub mod notifications;
pub mod order_items;
pub mod orders;
pub mod payment_intents;
pub mod refunds;
pub mod search;
pub mod settings;
pub mod uploads;
pub mod users;

use crate::{
    http::{Routes, Who},
    resource,
    search::Searched,
};

/// Its routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::of("core", "/api/v1")
        .with("auth", auth::routes())
        .with("users", resource::routes::<users::Entity>())
        .with("users", users::routes())
        .with("auth-sessions", resource::routes::<auth_sessions::Entity>())
        .with("auth-sessions", auth_sessions::routes())
        .with("addresses", resource::routes::<addresses::Entity>())
        .with("notifications", resource::routes::<notifications::Entity>())
        .with("notifications", notifications::routes())
        .with("contact-messages", resource::routes::<contact_messages::Entity>())
        .with("contact-messages", contact_messages::routes())
        .with("faqs", resource::routes::<faqs::Entity>())
        .with("announcements", resource::routes::<announcements::Entity>())
        .with("announcements", announcements::routes())
        .with("content-pages", resource::routes::<content_pages::Entity>())
        .with("content-revisions", resource::routes::<content_revisions::Entity>())
        .with("content-revisions", content_revisions::routes())
        .with("settings", settings::routes())
        .with("config", config::routes())
        .with("uploads", resource::routes::<uploads::Entity>())
        .with("uploads", uploads::routes())
        .with("emails", resource::routes::<emails::Entity>())
        .with("emails", emails::routes())
        .with("orders", resource::routes::<orders::Entity>())
        .with("orders", orders::routes())
        .with(admin_orders::NAME, admin_orders::routes())
        .with("admin", admin::routes())
        .with("audit-logs", resource::routes::<audit_logs::Entity>())
        .with("search", search::routes())
        .with("coupons", resource::routes::<coupons::Entity>())
        .with("coupons", coupons::routes())
        .with("coupon-redemptions", resource::routes::<coupon_redemptions::Entity>())
        .with("payment-intents", resource::routes::<payment_intents::Entity>())
        .with("payment-intents", payment_intents::routes())
}

/// What can be searched.
pub const SEARCH: &[Searched] = &[
    Searched::of::<content_pages::Entity>("core", "Content pages", ("title", "body"), "/pages/{slug}"),
    Searched::of::<faqs::Entity>("core", "Questions and answers", ("question", "answer"), "/faqs"),
    Searched::of::<users::Entity>("core", "Users", ("name", "email"), "/admin/users/{id}").who(&[Who::Staff]),
    Searched::of::<orders::Entity>("core", "Orders", ("number", "customerName"), "/orders/{id}")
        .who(&[Who::Owner, Who::Staff]),
];
