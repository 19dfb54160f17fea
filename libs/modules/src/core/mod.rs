//! The core application: accounts, content, the purchase ledger, settings and the sandbox. Always on.

use crate::module::{Module, Nav, feature, item};
use crate::setting::{color, currency, decimal, email, one_of, switch, text, upload};

/// See `docs/contract/core.yaml`.
pub static MODULE: Module = Module {
    id: "core",
    title: "Core application",
    prefix: "/api/v1",
    features: &[
        feature(
            "core",
            "Core application",
            &[],
            &[
                "/api/v1/auth",
                "/api/v1/users",
                "/api/v1/admin",
                "/api/v1/search",
                "/api/v1/contact",
                "/api/v1/notifications",
                "/api/v1/faqs",
                "/api/v1/announcements",
                "/api/v1/settings",
                "/api/v1/content",
                "/api/v1/coupons",
                "/api/v1/orders",
                "/api/v1/config",
            ],
        )
        .always(),
        feature("sandbox", "Sandbox tools", &[], &["/api/v1/sandbox", "/api/v1/uploads"]).always(),
    ],
    nav: Nav {
        label: "Dashboard",
        icon: "layout-dashboard",
        path: "/",
        items: &[
            item("Orders", "/orders", "core", "user"),
            item("Help", "/faqs", "core", "public"),
            item("Contact", "/contact", "core", "public"),
            item("Users", "/admin/users", "core", "admin"),
            item("Settings", "/admin/settings", "core", "admin"),
            item("Mailbox", "/sandbox/emails", "sandbox", "public"),
            item("Test payments", "/sandbox/payments", "sandbox", "public"),
        ],
    },
    settings: &[
        text("app.name", "Northwind Studio", 60).public(),
        text("app.tagline", "Everything your customers need, in one place", 140).public(),
        currency("app.currency", "USD").public().read_only(),
        text("app.timezone", "UTC", 64).public(),
        one_of("theme.mode", "light", &["light", "dark", "system"]).public(),
        color("theme.primaryColor", "#4f46e5").public(),
        color("theme.accentColor", "#0ea5e9").public(),
        upload("theme.logoId").public(),
        email("contact.email", "hello@preview.local").public(),
        text("contact.phone", "+1 555 0100", 32).public(),
        text("contact.address", "12 Harbour Street, Springfield", 200).public(),
        switch("auth.allowRegistration", true).public(),
        decimal("orders.taxRate", "8.00", 2, 0, 50).public(),
    ],
    journals: &[
        "auth_sessions",
        "password_reset_tokens",
        "audit_logs",
        "notifications",
        "emails",
        "idempotency_keys",
    ],
    tables: include_str!("tables.sql"),
    seed: include_str!("seed.sql"),
};
