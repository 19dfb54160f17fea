//! Events: venues, programme, registration and check-in, speakers.

use crate::module::{Module, Nav, feature, item};
use crate::setting::{int, switch};

/// See `docs/contract/events.yaml`.
pub static MODULE: Module = Module {
    id: "events",
    title: "Events",
    prefix: "/api/v1/events",
    features: &[
        feature(
            "events.management",
            "Events and venues",
            &[],
            &["/api/v1/events/events", "/api/v1/events/venues"],
        ),
        feature(
            "events.registration",
            "Registration and check-in",
            &["events.management"],
            &["/api/v1/events/registrations"],
        ),
        feature(
            "events.speakers",
            "Speakers",
            &["events.management"],
            &["/api/v1/events/speakers"],
        ),
        feature(
            "events.settings",
            "Event settings",
            &["events.management"],
            &["/api/v1/events/settings"],
        ),
    ],
    nav: Nav {
        label: "Events",
        icon: "calendar-days",
        path: "/events",
        items: &[
            item("Events", "/events", "events.management", "public"),
            item("Venues", "/events/venues", "events.management", "staff"),
            item("My tickets", "/events/tickets", "events.registration", "user"),
            item("Check-in", "/events/check-in", "events.registration", "staff"),
            item("Speakers", "/events/speakers", "events.speakers", "public"),
            item("Settings", "/events/settings", "events.settings", "admin"),
        ],
    },
    settings: &[
        int("events.offerHours", 24, 1, 168).public(),
        int("events.cancellationHours", 48, 0, 720).public(),
        switch("events.allowWaitlist", true).public(),
    ],
    journals: &[],
    tables: include_str!("tables.sql"),
    // Demo data comes with the module's routes.
    seed: "",
};
