//! Customer support: tickets, agents, help centre, canned responses, service levels.

use crate::module::{Module, Nav, feature, item};
use crate::setting::{int, switch, text};

/// See `docs/contract/helpdesk.yaml`.
pub static MODULE: Module = Module {
    id: "helpdesk",
    title: "Customer support",
    prefix: "/api/v1/helpdesk",
    features: &[
        feature(
            "helpdesk.tickets",
            "Tickets",
            &["helpdesk.categories"],
            &["/api/v1/helpdesk/tickets"],
        ),
        feature(
            "helpdesk.categories",
            "Categories",
            &[],
            &["/api/v1/helpdesk/categories"],
        ),
        feature(
            "helpdesk.agents",
            "Agents",
            &["helpdesk.tickets"],
            &["/api/v1/helpdesk/agents"],
        ),
        feature(
            "helpdesk.articles",
            "Help centre",
            &["helpdesk.categories"],
            &["/api/v1/helpdesk/articles"],
        ),
        feature(
            "helpdesk.canned",
            "Canned responses",
            &["helpdesk.tickets"],
            &["/api/v1/helpdesk/canned-responses"],
        ),
        feature(
            "helpdesk.sla",
            "Service levels",
            &["helpdesk.tickets"],
            &["/api/v1/helpdesk/sla"],
        ),
    ],
    nav: Nav {
        label: "Support",
        icon: "life-buoy",
        path: "/helpdesk",
        items: &[
            item("Tickets", "/helpdesk", "helpdesk.tickets", "user"),
            item("Help centre", "/helpdesk/articles", "helpdesk.articles", "public"),
            item("Categories", "/helpdesk/categories", "helpdesk.categories", "staff"),
            item("Agents", "/helpdesk/agents", "helpdesk.agents", "staff"),
            item("Canned responses", "/helpdesk/canned", "helpdesk.canned", "staff"),
            item("Service levels", "/helpdesk/sla", "helpdesk.sla", "staff"),
        ],
    },
    settings: &[
        switch("helpdesk.autoAssign", true),
        int("helpdesk.reopenDays", 7, 0, 60).public(),
        text("helpdesk.signature", "The support team", 200),
    ],
    journals: &["helpdesk_ticket_events"],
    tables: include_str!("tables.sql"),
    // Demo data comes with the module's routes.
    seed: "",
};
