//! The signed-in user behind a request, read from the database each time.

use axum::http::{HeaderMap, header};
use chrono::{DateTime, Utc};
use fault::{Fault, codes};
use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{Claims, Tokens};
use crate::{
    http::{Result, Route},
    modules::ROLES,
    settings::Settings,
    tenant::{Tenant, transaction::Tx},
};

/// The cookie with the access token.
pub const ACCESS_COOKIE: &str = "accessToken";
/// The cookie with the refresh token.
pub const REFRESH_COOKIE: &str = "refreshToken";

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Role {
    /// Everything.
    Admin,
    /// Daily business.
    Staff,
    /// Own things.
    User,
}

impl Role {
    /// The word in the database and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "ADMIN",
            Self::Staff => "STAFF",
            Self::User => "USER",
        }
    }

    /// STAFF, or more.
    #[must_use]
    pub const fn is_staff(self) -> bool {
        matches!(self, Self::Staff | Self::Admin)
    }

    /// The role behind the word; an unknown one may do least.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "ADMIN" => Self::Admin,
            "STAFF" => Self::Staff,
            _ => Self::User,
        }
    }
}

/// A signed-in user.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user's id.
    pub id: Uuid,
    /// The user's name.
    pub name: String,
    /// The user's address.
    pub email: String,
    /// What the user may do now.
    pub role: Role,
    /// The sign-in of this request.
    pub sign_in: Uuid,
    /// The roles of the called module, and a row by which each is held.
    pub held: Vec<(&'static str, Option<Uuid>)>,
}

impl Caller {
    /// Whether the role is ADMIN.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    /// Whether the role is STAFF or ADMIN.
    #[must_use]
    pub fn is_staff(&self) -> bool {
        self.role.is_staff()
    }
}

/// Who is signed in, and what was read along with it.
pub struct Known {
    /// The user.
    pub caller: Caller,
    /// The session's settings, when the request writes: what it causes is often written about.
    pub settings: Option<Settings>,
}

/// The value of a cookie.
#[must_use]
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
        .filter(|value| !value.is_empty())
}

/// Who called was deleted while the request ran.
#[must_use]
pub fn gone() -> Fault {
    Fault::new(codes::UNAUTHORIZED, "This account is gone. Sign in with another one.")
}

/// Tells who is signed in. A bearer token wins over the cookie; a bad one is 401 unless `ignores_bearer`, a bad cookie
/// counts as not signed in.
///
/// # Errors
/// 401 for a bad bearer token.
pub async fn identify(
    tokens: &Tokens,
    tx: &Tx,
    tenant: &Tenant,
    headers: &HeaderMap,
    route: &Route,
    now: DateTime<Utc>,
) -> Result<Option<Known>> {
    let bad = || {
        Fault::new(
            codes::UNAUTHORIZED,
            "The access token is bad, over, or of another preview. Sign in again.",
        )
    };
    let bearer = headers.get(header::AUTHORIZATION);
    let (token, is_bearer) = match bearer {
        Some(value) => {
            let text = value.to_str().unwrap_or_default();
            let scheme = text.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("bearer "));
            (scheme.map(|_| text[7..].trim()), true)
        }
        None => (cookie(headers, ACCESS_COOKIE), false),
    };
    let claims = token.and_then(|token| tokens.read(token, tenant.session, now));
    let known = match claims {
        Some(claims) => find(tx, tenant, route, &claims).await?,
        None => None,
    };
    if known.is_none() && is_bearer && !route.ignores_bearer {
        return Err(bad().into());
    }
    Ok(known)
}

/// The account with its roles in the module, and the settings, in one statement. A sign-in ends with its session, which
/// may have been extended since: what counts is that it was not revoked.
async fn find(tx: &Tx, tenant: &Tenant, route: &Route, claims: &Claims) -> Result<Option<Known>> {
    let roles = ROLES.iter().filter(|role| role.module() == route.module);
    let mut sql = "SELECT u.name, u.email, u.role".to_owned();
    for (i, role) in roles.clone().enumerate() {
        sql.push_str(&format!(", ({} LIMIT 1) AS role_{i}", role.held));
    }
    if route.is_write() {
        sql.push_str(&format!(", {} AS settings", Settings::STORED));
    }
    sql.push_str(
        " FROM auth_sessions s JOIN users u ON u.id = s.user_id \
         WHERE s.id = $1 AND u.id = $2 AND s.revoked_at IS NULL AND u.status = 'active'",
    );
    let values = [claims.sid.into(), claims.sub.into()];
    let row = tx
        .query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values))
        .await?;
    let Some(row) = row else { return Ok(None) };
    let held = roles
        .enumerate()
        .map(|(i, role)| Ok((role.name, row.try_get("", &format!("role_{i}"))?)))
        .collect::<Result<_>>()?;
    let settings = if route.is_write() {
        let stored: Option<Value> = row.try_get("", "settings")?;
        Some(Settings::of(&tenant.currency, stored))
    } else {
        None
    };
    let caller = Caller {
        id: claims.sub,
        name: row.try_get("", "name")?,
        email: row.try_get("", "email")?,
        role: Role::parse(&row.try_get::<String>("", "role")?),
        sign_in: claims.sid,
        held,
    };
    Ok(Some(Known { caller, settings }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(
            header::COOKIE,
            HeaderValue::from_static("xaccessToken=no; accessToken=yes; refreshToken="),
        );
        assert_eq!(cookie(&headers, ACCESS_COOKIE), Some("yes"));
        assert_eq!(cookie(&headers, REFRESH_COOKIE), None);
    }
}
