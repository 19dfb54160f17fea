//! Answers as JSON. Names and values are stable: scripts rely on them.

use proto::v1::{Happening, OperatedSession, PoolStatusResponse, Slot};
use serde_json::{Value, json};

use super::words::{instant, kind, slot_state, status};

/// A session.
pub fn session(operated: &OperatedSession) -> Value {
    let session = operated.session.clone().unwrap_or_default();
    json!({
        "id": session.id,
        "status": status(session.status()).0,
        "schema": some(&operated.schema_name),
        "bytes": operated.schema_bytes,
        "network": operated.client_network,
        "selectedFeatures": session.selected_features,
        "enabledFeatures": session.enabled_features,
        "ignoredFeatures": session.ignored_features,
        "modules": session.modules,
        "tier": session.tier,
        "templateSlug": session.template_slug,
        "currency": session.currency,
        "createdAt": time(session.created_at.as_ref()),
        "readyAt": time(session.ready_at.as_ref()),
        "lastAccessedAt": time(session.last_accessed_at.as_ref()),
        "expiresAt": time(session.expires_at.as_ref()),
        "failure": session.failure.map(|failure| json!({ "code": failure.code, "message": failure.message })),
    })
}

/// Something that happened.
pub fn happening(happening: &Happening) -> Value {
    let state = |state: proto::v1::SessionStatus| match state {
        proto::v1::SessionStatus::Unspecified => None,
        state => Some(status(state).0),
    };
    json!({
        "id": happening.id,
        "at": time(happening.at.as_ref()),
        "session": happening.session_id,
        "kind": kind(happening.kind()),
        "from": state(happening.from()),
        "to": state(happening.to()),
        "reason": some(&happening.reason),
        "replica": happening.replica,
    })
}

/// A slot.
pub fn slot(slot: &Slot) -> Value {
    json!({
        "id": slot.id,
        "state": slot_state(slot.state()).0,
        "schema": some(&slot.schema_name),
        "role": slot.role_name,
        "session": some(&slot.session_id),
        "modules": slot.modules,
        "bytes": slot.bytes,
        "fingerprint": some(&slot.fingerprint),
    })
}

/// Levels of the pool.
pub fn pool(pool: &PoolStatusResponse) -> Value {
    json!({
        "target": pool.target,
        "ready": pool.ready,
        "preparing": pool.preparing,
        "claimed": pool.claimed,
        "gone": pool.gone,
        "empty": pool.empty,
    })
}

fn time(at: Option<&proto::Timestamp>) -> Option<String> {
    instant(at).map(super::Instant::rfc3339)
}

fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
