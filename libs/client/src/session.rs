//! A session as callers see it.

use chrono::{DateTime, Utc};
use domain::{SessionId, SessionStatus};
use proto::v1;

use crate::Error;

/// A session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Its id: not secret.
    pub id: SessionId,
    /// Its bearer secret, where the caller may know it. Not for logs.
    pub token: Option<String>,
    /// Chosen slugs that the catalogue knows.
    pub selected_features: Vec<String>,
    /// What they open.
    pub enabled_features: Vec<String>,
    /// Chosen slugs that the catalogue does not know.
    pub ignored_features: Vec<String>,
    /// The modules that the features touch.
    pub modules: Vec<String>,
    /// The studio's tier.
    pub tier: String,
    /// The studio's template.
    pub template_slug: Option<String>,
    /// ISO 4217.
    pub currency: String,
    /// Where it is in its life.
    pub status: SessionStatus,
    /// Where visitors open it, once READY.
    pub preview_url: Option<String>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When it became READY.
    pub ready_at: Option<DateTime<Utc>>,
    /// The last traffic.
    pub last_accessed_at: DateTime<Utc>,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
    /// Why it FAILED.
    pub failure: Option<Failure>,
}

/// Why a session FAILED.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Stable code.
    pub code: String,
    /// For people.
    pub message: String,
}

/// The answer to a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Where the session is in its life.
    pub status: SessionStatus,
    /// When it ends.
    pub expires_at: DateTime<Utc>,
}

impl Session {
    pub(crate) fn read(session: Option<v1::Session>) -> Result<Self, Error> {
        let session = session.ok_or(Error::Unreadable("no session"))?;
        Ok(Self {
            id: session.id.parse().map_err(|_| Error::Unreadable("id"))?,
            status: status(session.status())?,
            created_at: instant(session.created_at.as_ref(), "created_at")?,
            ready_at: session.ready_at.as_ref().and_then(proto::instant),
            last_accessed_at: instant(session.last_accessed_at.as_ref(), "last_accessed_at")?,
            expires_at: instant(session.expires_at.as_ref(), "expires_at")?,
            token: Some(session.session_token).filter(|token| !token.is_empty()),
            selected_features: session.selected_features,
            enabled_features: session.enabled_features,
            ignored_features: session.ignored_features,
            modules: session.modules,
            tier: session.tier,
            template_slug: session.template_slug,
            currency: session.currency,
            preview_url: session.preview_url,
            failure: session.failure.map(|failure| Failure {
                code: failure.code,
                message: failure.message,
            }),
        })
    }
}

impl Pulse {
    pub(crate) fn read(answer: &v1::HeartbeatResponse) -> Result<Self, Error> {
        Ok(Self {
            status: status(answer.status())?,
            expires_at: instant(answer.expires_at.as_ref(), "expires_at")?,
        })
    }
}

fn status(status: v1::SessionStatus) -> Result<SessionStatus, Error> {
    proto::status_from(status).ok_or(Error::Unreadable("status"))
}

fn instant(at: Option<&prost_types::Timestamp>, field: &'static str) -> Result<DateTime<Utc>, Error> {
    at.and_then(proto::instant).ok_or(Error::Unreadable(field))
}
