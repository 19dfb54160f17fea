//! Projects and tasks: boards, comments, labels.

use crate::module::{Module, Nav, feature, item};
use crate::setting::{one_of, switch, texts};

/// See `docs/contract/tasks.yaml`.
pub static MODULE: Module = Module {
    id: "tasks",
    title: "Projects and tasks",
    prefix: "/api/v1/tasks",
    features: &[
        feature(
            "tasks.management",
            "Projects and boards",
            &[],
            &["/api/v1/tasks/projects", "/api/v1/tasks/tasks"],
        ),
        feature(
            "tasks.comments",
            "Comments",
            &["tasks.management"],
            &["/api/v1/tasks/comments"],
        ),
        feature(
            "tasks.labels",
            "Labels",
            &["tasks.management"],
            &["/api/v1/tasks/labels"],
        ),
        feature(
            "tasks.settings",
            "Task settings",
            &["tasks.management"],
            &["/api/v1/tasks/settings"],
        ),
    ],
    nav: Nav {
        label: "Tasks",
        icon: "check-square",
        path: "/tasks",
        items: &[
            item("Projects", "/tasks", "tasks.management", "user"),
            item("My tasks", "/tasks/mine", "tasks.management", "user"),
            item("Labels", "/tasks/labels", "tasks.labels", "user"),
            item("Settings", "/tasks/settings", "tasks.settings", "admin"),
        ],
    },
    settings: &[
        texts(
            "tasks.defaultColumns",
            &["To do", "In progress", "Review", "Done"],
            1,
            10,
        ),
        one_of("tasks.defaultPriority", "medium", &["low", "medium", "high", "urgent"]),
        switch("tasks.usersCreateProjects", true).public(),
        switch("tasks.mailOnAssign", true),
    ],
    journals: &["tasks_activities"],
    tables: include_str!("tables.sql"),
    // Demo data comes with the module's routes.
    seed: "",
};
