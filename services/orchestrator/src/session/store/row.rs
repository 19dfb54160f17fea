//! From a row of `control.sessions` to a session.

use domain::{RoleName, SchemaName, SessionId, TokenHash};
use tokio_postgres::Row;

use crate::{
    database::Trouble,
    session::{Failure, Place, Session},
};

/// The columns that `session` reads.
pub const COLUMNS: &str = "id, token_hash, selected_features, ignored_features, tier, template_slug, currency, status, \
    deferred, schema_name, role_name, generation, client_network, created_at, ready_at, last_accessed_at, expires_at, \
    failure_code, failure_message, restarting_since";

/// Reads a session.
pub(super) fn session(row: &Row) -> Result<Session, Trouble> {
    let schema: Option<String> = row.try_get("schema_name")?;
    let role: Option<String> = row.try_get("role_name")?;
    let place = match (schema, role) {
        (Some(schema), Some(role)) => Some(Place {
            schema: SchemaName::parse(&schema).map_err(unreadable)?,
            role: RoleName::parse(&role).map_err(unreadable)?,
        }),
        _ => None,
    };
    let code: Option<String> = row.try_get("failure_code")?;
    let message: Option<String> = row.try_get("failure_message")?;
    let currency: &str = row.try_get("currency")?;
    let status: &str = row.try_get("status")?;
    Ok(Session {
        id: SessionId::from(row.try_get::<_, uuid::Uuid>("id")?),
        token_hash: TokenHash::from_bytes(row.try_get("token_hash")?).ok_or_else(|| unreadable("token_hash"))?,
        selected: row.try_get("selected_features")?,
        ignored: row.try_get("ignored_features")?,
        tier: row.try_get("tier")?,
        template_slug: row.try_get("template_slug")?,
        currency: currency.parse().map_err(unreadable)?,
        status: status.parse().map_err(unreadable)?,
        deferred: row.try_get("deferred")?,
        place,
        generation: row.try_get("generation")?,
        client_network: row.try_get("client_network")?,
        created_at: row.try_get("created_at")?,
        ready_at: row.try_get("ready_at")?,
        last_accessed_at: row.try_get("last_accessed_at")?,
        expires_at: row.try_get("expires_at")?,
        failure: code.zip(message).map(|(code, message)| Failure { code, message }),
        restarting_since: row.try_get("restarting_since")?,
    })
}

fn unreadable(what: impl std::fmt::Display) -> Trouble {
    Trouble::Row(what.to_string())
}
