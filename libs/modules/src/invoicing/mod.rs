//! Invoices: clients, invoices and their lines, payments received, tax rates, recurring invoices.

use crate::module::{Module, Nav, feature, item};
use crate::setting::{int, switch, text};

/// See `docs/contract/invoicing.yaml`.
pub static MODULE: Module = Module {
    id: "invoicing",
    title: "Invoices",
    prefix: "/api/v1/invoicing",
    features: &[
        feature("invoicing.clients", "Clients", &[], &["/api/v1/invoicing/clients"]),
        feature(
            "invoicing.invoices",
            "Invoices",
            &["invoicing.clients", "invoicing.items"],
            &["/api/v1/invoicing/invoices"],
        ),
        feature(
            "invoicing.items",
            "Invoice lines",
            &["invoicing.clients"],
            &["/api/v1/invoicing/invoice-items"],
        ),
        feature(
            "invoicing.payments",
            "Payments received",
            &["invoicing.invoices"],
            &["/api/v1/invoicing/payments"],
        ),
        feature(
            "invoicing.tax",
            "Tax rates",
            &["invoicing.invoices"],
            &["/api/v1/invoicing/tax-rates"],
        ),
        feature(
            "invoicing.recurring",
            "Recurring invoices",
            &["invoicing.invoices"],
            &["/api/v1/invoicing/recurring"],
        ),
    ],
    nav: Nav {
        label: "Invoices",
        icon: "receipt",
        path: "/invoices",
        items: &[
            item("Invoices", "/invoices", "invoicing.invoices", "user"),
            item("Clients", "/invoices/clients", "invoicing.clients", "staff"),
            item("Payments", "/invoices/payments", "invoicing.payments", "staff"),
            item("Tax rates", "/invoices/tax-rates", "invoicing.tax", "staff"),
            item("Recurring", "/invoices/recurring", "invoicing.recurring", "staff"),
        ],
    },
    settings: &[
        text("invoicing.numberPrefix", "INV", 8),
        int("invoicing.defaultTermsDays", 14, 0, 120),
        text("invoicing.footer", "Thank you for your business.", 300),
        switch("invoicing.allowOnlinePayment", true),
    ],
    journals: &[],
    tables: include_str!("tables.sql"),
    // Demo data comes with the module's routes.
    seed: "",
};
