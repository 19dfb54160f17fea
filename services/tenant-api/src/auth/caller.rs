//! The signed-in user behind a request, read from the database each time.

use axum::http::{HeaderMap, header};
use chrono::{DateTime, Utc};
use fault::{Fault, codes};
use sea_orm::{ConnectionTrait, DbBackend, FromQueryResult, Statement};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Claims, Tokens};
use crate::{
    http::Result,
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
        matches!(self.role, Role::Staff | Role::Admin)
    }
}

#[derive(FromQueryResult)]
struct Found {
    name: String,
    email: String,
    role: String,
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
    ignores_bearer: bool,
    now: DateTime<Utc>,
) -> Result<Option<Caller>> {
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
    let caller = match claims {
        Some(claims) => find(tx, &claims).await?,
        None => None,
    };
    if caller.is_none() && is_bearer && !ignores_bearer {
        return Err(bad().into());
    }
    Ok(caller)
}

/// A sign-in ends with its session, which may have been extended since: what counts is that it was not revoked.
async fn find(tx: &Tx, claims: &Claims) -> Result<Option<Caller>> {
    let sql = "SELECT u.name, u.email, u.role FROM auth_sessions s JOIN users u ON u.id = s.user_id \
               WHERE s.id = $1 AND u.id = $2 AND s.revoked_at IS NULL AND u.status = 'active'";
    let values = [claims.sid.into(), claims.sub.into()];
    let row = tx
        .query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values))
        .await?;
    let found = row.map(|row| Found::from_query_result(&row, "")).transpose()?;
    Ok(found.map(|found| Caller {
        id: claims.sub,
        name: found.name,
        email: found.email,
        role: Role::parse(&found.role),
        sign_in: claims.sid,
    }))
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
