//! Whose request this is, and the only door to their rows.

pub mod activity;
mod canary;
pub mod directory;
mod metrics;
pub mod pool;
pub mod transaction;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::{RoleName, SchemaName, SessionId};

/// A session that may be served: all that its requests need to know.
#[derive(Debug)]
pub struct Tenant {
    /// Not secret; the audience of access tokens.
    pub session: SessionId,
    /// Where its rows are.
    pub schema: SchemaName,
    /// Who may touch them.
    pub role: RoleName,
    /// Rises whenever schema, role or features change.
    pub generation: i64,
    /// Granted slugs with everything required by them, sorted.
    pub enabled: Vec<String>,
    /// Slugs that gate nothing.
    pub ignored: Vec<String>,
    /// ISO 4217.
    pub currency: String,
    /// The studio's tier; shown, grants nothing.
    pub tier: String,
    /// When the session ends.
    pub expires_at: DateTime<Utc>,
}

/// What the directory knows of a token.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// It may be served.
    Ready(Arc<Tenant>),
    /// It is being prepared.
    NotReady,
    /// It ended, failed or was dropped.
    Over,
    /// There never was one.
    Unknown,
}
