//! Guestbook: what visitors leave behind.

use crate::module::{Module, Nav, feature, item};

/// See `docs/contract/guestbook.yaml`.
pub static MODULE: Module = Module {
    id: "guestbook",
    title: "Guestbook",
    prefix: "/api/v1/guestbook",
    features: &[feature(
        "guestbook.entries",
        "Guestbook entries",
        &[],
        &["/api/v1/guestbook/entries"],
    )],
    nav: Nav {
        label: "Guestbook",
        icon: "book-open",
        path: "/guestbook",
        items: &[item("Guestbook", "/guestbook", "guestbook.entries", "public")],
    },
    settings: &[],
    journals: &[],
    tables: include_str!("tables.sql"),
    seed: include_str!("seed.sql"),
};
