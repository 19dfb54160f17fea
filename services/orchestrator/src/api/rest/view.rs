//! How a session looks in JSON (control-plane.md section 2).

use chrono::{DateTime, SecondsFormat, Utc};
use domain::{SessionStatus, SessionToken};
use serde::Serialize;

use crate::session::Session;

/// A session, for who holds its token.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    id: String,
    session_token: String,
    selected_features: Vec<String>,
    enabled_features: Vec<&'static str>,
    ignored_features: Vec<String>,
    modules: Vec<&'static str>,
    tier: String,
    template_slug: Option<String>,
    currency: &'static str,
    schema_status: SessionStatus,
    preview_url: Option<String>,
    created_at: String,
    ready_at: Option<String>,
    last_accessed_at: String,
    expires_at: String,
    failure: Option<FailureView>,
}

#[derive(Debug, Serialize)]
struct FailureView {
    code: String,
    message: String,
}

/// What a client polls.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusView {
    schema_status: SessionStatus,
    preview_url: Option<String>,
    expires_at: String,
}

/// An instant as JSON has it.
pub fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Where the preview application opens a session; nowhere until it is READY.
pub fn preview_url(frontend: &str, token: &SessionToken, status: SessionStatus) -> Option<String> {
    (status == SessionStatus::Ready).then(|| format!("{frontend}/?session={}", token.reveal()))
}

impl SessionView {
    /// The session as its owner sees it at `now`.
    pub fn of(session: Session, token: &SessionToken, frontend: &str, now: DateTime<Utc>) -> Self {
        let status = session.shown_status(now);
        let selection = session.selection();
        Self {
            id: session.id.to_string(),
            session_token: token.reveal().to_owned(),
            enabled_features: selection.enabled,
            modules: selection.modules.iter().map(|module| module.id).collect(),
            selected_features: session.selected,
            ignored_features: session.ignored,
            tier: session.tier,
            template_slug: session.template_slug,
            currency: session.currency.as_str(),
            schema_status: status,
            preview_url: preview_url(frontend, token, status),
            created_at: instant(session.created_at),
            ready_at: session.ready_at.map(instant),
            last_accessed_at: instant(session.last_accessed_at),
            expires_at: instant(session.expires_at),
            failure: session.failure.map(|failure| FailureView {
                code: failure.code,
                message: failure.message,
            }),
        }
    }
}

impl StatusView {
    /// The status at `now`.
    pub fn of(session: &Session, token: &SessionToken, frontend: &str, now: DateTime<Utc>) -> Self {
        let status = session.shown_status(now);
        Self {
            schema_status: status,
            preview_url: preview_url(frontend, token, status),
            expires_at: instant(session.expires_at),
        }
    }
}
