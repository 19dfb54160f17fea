//! HTTP: from a request to a handler and back. What a route is stands in [`route`], what happens to every request in
//! [`dispatch`].

pub mod answer;
pub mod app;
pub mod body;
pub mod call;
pub mod dispatch;
mod docs;
pub mod failure;
pub mod idempotency;
pub mod limits;
mod metrics;
pub mod query;
pub mod route;
pub mod session;

pub use answer::{Answer, Spent};
pub use app::App;
pub use call::Call;
pub use failure::{Error, Result};
pub use route::{Route, Routes, Who};
