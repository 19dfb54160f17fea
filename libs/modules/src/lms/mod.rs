//! Online courses: catalogue, lessons, enrolment, quizzes, certificates, instructors.

use crate::module::{Module, Nav, feature, item};
use crate::setting::{int, text};

/// See `docs/contract/lms.yaml`.
pub static MODULE: Module = Module {
    id: "lms",
    title: "Online courses",
    prefix: "/api/v1/lms",
    features: &[
        feature("lms.courses", "Course catalogue", &[], &["/api/v1/lms/courses"]),
        feature("lms.lessons", "Lessons", &["lms.courses"], &["/api/v1/lms/lessons"]),
        feature(
            "lms.enrollment",
            "Enrolment and progress",
            &["lms.courses", "lms.lessons"],
            &["/api/v1/lms/enrollments"],
        ),
        feature("lms.quizzes", "Quizzes", &["lms.enrollment"], &["/api/v1/lms/quizzes"]),
        feature(
            "lms.certificates",
            "Certificates",
            &["lms.enrollment"],
            &["/api/v1/lms/certificates"],
        ),
        feature(
            "lms.instructors",
            "Instructor profiles",
            &["lms.courses"],
            &["/api/v1/lms/instructors"],
        ),
    ],
    nav: Nav {
        label: "Courses",
        icon: "book-open",
        path: "/courses",
        items: &[
            item("Courses", "/courses", "lms.courses", "public"),
            item("My learning", "/learning", "lms.enrollment", "user"),
            item("Quizzes", "/learning/quizzes", "lms.quizzes", "user"),
            item("Certificates", "/certificates", "lms.certificates", "user"),
            item("Instructors", "/instructors", "lms.instructors", "public"),
        ],
    },
    settings: &[
        int("lms.refundDays", 14, 0, 60).public(),
        text("lms.certificateSigner", "Head of Learning", 80).public(),
    ],
    journals: &[],
    tables: include_str!("tables.sql"),
    // Demo data comes with the module's routes.
    seed: "",
};
