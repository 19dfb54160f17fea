//! Collections: one trait that a collection declares itself with, and the five handlers that serve them all.

pub mod create;
pub mod delete;
pub mod embed;
pub mod field;
pub mod list;
pub mod permit;
pub mod precheck;
pub mod present;
pub mod select;
pub mod shape;
pub mod show;
pub mod slug;
pub mod spec;
pub mod update;
pub mod value;

pub use field::{Field, Kind, Read, Write};
pub use present::Row;
pub use shape::{Returns, Shape};
pub use spec::{Change, ListSpec, Operations, Resource, Spec, routes};
