//! Sessions: what they are, the states they pass through, how they are made and ended.

pub mod changes;
pub mod fields;
pub mod idempotency;
pub mod limits;
pub mod reconcile;
pub mod state;
pub mod steps;
pub mod store;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{Currency, RoleName, SchemaName, SessionId, SessionStatus, SessionToken, TokenHash};
use modules::{Module, Selection};

use crate::network::ClientNetwork;
use idempotency::IdempotencyKey;
use limits::Limits;

pub use steps::{Creation, NotYet, Sessions};

/// Rules of sessions.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    /// Limits on creations.
    pub limits: Limits,
    /// How long a session lives.
    pub ttl: TimeDelta,
    /// How long extensions may keep it, from its creation on.
    pub max_lifetime: TimeDelta,
    /// How long it lives without traffic.
    pub idle: TimeDelta,
    /// Currency of sessions that name none; `None` only while a configuration is wrong.
    pub default_currency: Option<Currency>,
    /// How long a caller waits for READY before it is answered with PROVISIONING.
    pub patience: Duration,
}

/// One session as it is recorded.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// What is kept of its token.
    pub token_hash: TokenHash,
    /// Chosen slugs that the catalogue knows.
    pub selected: Vec<String>,
    /// Chosen slugs that it does not know.
    pub ignored: Vec<String>,
    /// The studio's tier.
    pub tier: String,
    /// The studio's template.
    pub template_slug: Option<String>,
    /// Fixed at creation.
    pub currency: Currency,
    /// Where it is in its life.
    pub status: SessionStatus,
    /// PENDING until somebody asks for it.
    pub deferred: bool,
    /// Where it lives, once READY.
    pub place: Option<Place>,
    /// Rises with every change of schema, role or features.
    pub generation: i64,
    /// Whose limits it counts against.
    pub client_network: String,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it became READY.
    pub ready_at: Option<DateTime<Utc>>,
    /// The last heartbeat or API traffic.
    pub last_accessed_at: DateTime<Utc>,
    /// When it ends unless it is extended.
    pub expires_at: DateTime<Utc>,
    /// Why it FAILED.
    pub failure: Option<Failure>,
    /// A restart is under way: the old schema is going, the fresh one is not there yet.
    pub restarting_since: Option<DateTime<Utc>>,
}

/// A schema and the role that may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The schema.
    pub schema: SchemaName,
    /// The role.
    pub role: RoleName,
}

/// Why a session FAILED, in words a person can act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Stable code.
    pub code: String,
    /// For people; no SQL.
    pub message: String,
}

impl Session {
    /// What callers see: a session past its end is over even before the reconciler has noticed, and one that restarts
    /// is being prepared.
    #[must_use]
    pub fn shown_status(&self, now: DateTime<Utc>) -> SessionStatus {
        if self.expires_at <= now {
            SessionStatus::Dropped
        } else if self.status == SessionStatus::Ready && self.restarting_since.is_some() {
            SessionStatus::Provisioning
        } else {
            self.status
        }
    }

    /// Whether it is over: ended, expired or idle for too long.
    #[must_use]
    pub fn is_over(&self, now: DateTime<Utc>) -> bool {
        self.shown_status(now) == SessionStatus::Dropped
    }

    /// What its features open. The one closure of both planes.
    #[must_use]
    pub fn selection(&self) -> Selection {
        select(&self.selected)
    }

    /// The modules to seed.
    #[must_use]
    pub fn modules(&self) -> Vec<&'static Module> {
        self.selection().modules
    }
}

/// The selection of slugs that were checked when they were stored.
fn select(slugs: &[String]) -> Selection {
    Selection::of(slugs.iter().map(String::as_str)).unwrap_or_else(|_| Selection {
        selected: Vec::new(),
        ignored: Vec::new(),
        enabled: Vec::new(),
        modules: Vec::new(),
    })
}

/// A creation, its fields checked.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Features.
    pub selection: Selection,
    /// The studio's tier.
    pub tier: String,
    /// The studio's template.
    pub template_slug: Option<String>,
    /// Its currency.
    pub currency: Option<Currency>,
    /// Whether to prepare it now, or when it is first asked for.
    pub provision: bool,
    /// Whose limits it counts against.
    pub client: ClientNetwork,
    /// Makes a repeat give the same session.
    pub key: Option<IdempotencyKey>,
}

/// What a session may change of itself; `None` leaves it.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// A new choice of features.
    pub selection: Option<Selection>,
    /// A new tier.
    pub tier: Option<String>,
}

impl Update {
    /// Whether nothing is to change: a heartbeat.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.selection.is_none() && self.tier.is_none()
    }
}

/// Names one session.
#[derive(Clone, Debug)]
pub enum Key {
    /// By its token, which is shown in answers.
    Token(SessionToken),
    /// By the hash of its token.
    Hash(TokenHash),
    /// By its id.
    Id(SessionId),
}

impl Key {
    /// The token, if the caller holds it.
    #[must_use]
    pub fn token(&self) -> Option<&SessionToken> {
        match self {
            Self::Token(token) => Some(token),
            Self::Hash(_) | Self::Id(_) => None,
        }
    }
}
