//! Appointments: services, providers, working hours, bookings, reviews.

use crate::module::{Module, Nav, feature, item};
use crate::setting::{int, switch};

/// See `docs/contract/booking.yaml`.
pub static MODULE: Module = Module {
    id: "booking",
    title: "Appointments",
    prefix: "/api/v1/booking",
    features: &[
        feature("booking.services", "Services", &[], &["/api/v1/booking/services"]),
        feature(
            "booking.providers",
            "Providers",
            &["booking.services"],
            &["/api/v1/booking/providers"],
        ),
        feature(
            "booking.bookings",
            "Bookings",
            &["booking.schedules"],
            &["/api/v1/booking/bookings"],
        ),
        feature(
            "booking.schedules",
            "Working hours and free slots",
            &["booking.providers"],
            &["/api/v1/booking/schedules"],
        ),
        feature(
            "booking.reviews",
            "Service reviews",
            &["booking.bookings"],
            &["/api/v1/booking/reviews"],
        ),
        feature(
            "booking.admin",
            "Calendar and settings",
            &["booking.bookings"],
            &["/api/v1/booking/admin"],
        ),
    ],
    nav: Nav {
        label: "Booking",
        icon: "calendar",
        path: "/booking",
        items: &[
            item("Services", "/booking", "booking.services", "public"),
            item("Team", "/booking/team", "booking.providers", "public"),
            item("My bookings", "/booking/mine", "booking.bookings", "user"),
            item("Working hours", "/booking/hours", "booking.schedules", "staff"),
            item("Reviews", "/booking/reviews", "booking.reviews", "public"),
            item("Calendar", "/booking/calendar", "booking.admin", "staff"),
        ],
    },
    settings: &[
        switch("booking.autoConfirm", true).public(),
        int("booking.slotStepMinutes", 30, 5, 120).public(),
        int("booking.minNoticeMinutes", 60, 0, 10080).public(),
        int("booking.maxAdvanceDays", 60, 1, 365).public(),
        int("booking.cancellationHours", 24, 0, 168).public(),
    ],
    journals: &[],
    tables: include_str!("tables.sql"),
    // Demo data comes with the module's routes.
    seed: "",
};
