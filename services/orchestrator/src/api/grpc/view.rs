//! How a session looks on the wire.

use chrono::{DateTime, Utc};
use domain::{SessionStatus, SessionToken};
use proto::{status_to, timestamp, v1};

use crate::{
    api::rest::preview_url,
    session::{
        Session,
        store::{Entry, What},
    },
};

/// The session at `now`; the token only for who holds it.
pub fn session(session: Session, token: Option<&SessionToken>, frontend: &str, now: DateTime<Utc>) -> v1::Session {
    let status = session.shown_status(now);
    let selection = session.selection();
    v1::Session {
        id: session.id.to_string(),
        session_token: token.map(|token| token.reveal().to_owned()).unwrap_or_default(),
        enabled_features: owned(&selection.enabled),
        modules: selection.modules.iter().map(|module| module.id.to_owned()).collect(),
        selected_features: session.selected,
        ignored_features: session.ignored,
        tier: session.tier,
        template_slug: session.template_slug,
        currency: session.currency.as_str().to_owned(),
        status: status_to(status).into(),
        preview_url: token.and_then(|token| preview_url(frontend, token, status)),
        created_at: Some(timestamp(session.created_at)),
        ready_at: session.ready_at.map(timestamp),
        last_accessed_at: Some(timestamp(session.last_accessed_at)),
        expires_at: Some(timestamp(session.expires_at)),
        failure: session.failure.map(|failure| v1::Failure {
            code: failure.code,
            message: failure.message,
        }),
    }
}

/// The session as the data plane needs it.
pub fn tenant(session: Session, now: DateTime<Utc>) -> v1::Tenant {
    let status = session.shown_status(now);
    let enabled = owned(&session.selection().enabled);
    let place = session.place.filter(|_| status == SessionStatus::Ready);
    let (schema_name, role_name) = place
        .map(|place| (place.schema.to_string(), place.role.to_string()))
        .unwrap_or_default();
    v1::Tenant {
        session_id: session.id.to_string(),
        token_hash: session.token_hash.as_bytes().to_vec(),
        status: status_to(status).into(),
        schema_name,
        role_name,
        generation: session.generation,
        selected_features: session.selected,
        enabled_features: enabled,
        ignored_features: session.ignored,
        currency: session.currency.as_str().to_owned(),
        tier: session.tier,
        expires_at: Some(timestamp(session.expires_at)),
    }
}

/// The session as operators see it.
pub fn operated(session: Session, bytes: Option<i64>, frontend: &str, now: DateTime<Utc>) -> v1::OperatedSession {
    let place = session.place.as_ref().filter(|_| session.status.is_live());
    v1::OperatedSession {
        schema_name: place.map(|place| place.schema.to_string()).unwrap_or_default(),
        schema_bytes: bytes,
        client_network: session.client_network.clone(),
        session: Some(self::session(session, None, frontend, now)),
    }
}

/// What happened, as operators see it.
pub fn happening(entry: Entry) -> v1::Happening {
    let (kind, from, to, reason) = match entry.what {
        What::Transition { from, to, reason } => (v1::HappeningKind::Transition, from, Some(to), reason),
        What::Updated => (v1::HappeningKind::Updated, None, None, String::new()),
        What::Extended => (v1::HappeningKind::Extended, None, None, String::new()),
        What::Restarting => (v1::HappeningKind::Restarting, None, None, String::new()),
        What::Restarted => (v1::HappeningKind::Restarted, None, None, String::new()),
    };
    v1::Happening {
        id: entry.id,
        at: Some(timestamp(entry.at)),
        session_id: entry.session.to_string(),
        kind: kind.into(),
        from: wire(from),
        to: wire(to),
        reason,
        replica: entry.replica,
    }
}

/// The transition of an entry that is one.
pub fn transition(entry: &Entry) -> Option<v1::Transition> {
    let What::Transition { from, to, reason } = &entry.what else {
        return None;
    };
    Some(v1::Transition {
        at: Some(timestamp(entry.at)),
        from: wire(*from),
        to: status_to(*to).into(),
        reason: reason.clone(),
        replica: entry.replica.clone(),
    })
}

fn wire(status: Option<SessionStatus>) -> i32 {
    status.map_or(v1::SessionStatus::Unspecified, status_to).into()
}

fn owned(slugs: &[&str]) -> Vec<String> {
    slugs.iter().map(|slug| (*slug).to_owned()).collect()
}
