//! Signing up, in and out, and going on with a refresh token.
//!
//! A sign-in is one row of `auth_sessions` that keeps its id for life: access tokens and the list of devices name it.
//! Each refresh gives the row a new hash and leaves a tombstone, a revoked row with the old hash, by which a token that
//! is used again is known.

use axum::http::header;
use chrono::{DateTime, TimeDelta, Utc};
use fault::{Fault, codes};
use sea_orm::{
    QueryResult,
    prelude::{DateTimeUtc, Uuid},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::account;
use crate::{
    auth::{
        Role,
        caller::{REFRESH_COOKIE, cookie},
        cookies, opaque,
    },
    http::{
        Answer, Call, Result,
        answer::{Actor, Subject},
    },
    resource::{Field, Shape},
    sandbox::mail::{self, Mail, clip},
    settings::Settings,
};

/// This many wrong passwords block an account's sign-in …
const WRONG: i32 = 5;
/// … when they come within this time of the first one, and for so long after the last.
const BLOCK: TimeDelta = TimeDelta::minutes(15);
/// For so long after a refresh the old token is the loser of a race, and no theft.
const RACE: TimeDelta = TimeDelta::seconds(10);
/// `failed_logins` counts up to WRONG within the window that `locked_until` ends; from then on it ends the block.
const BLOCKED: &str = "failed_logins >= 5 AND locked_until > $2";

/// What a user's sign-in is held against.
struct Credentials {
    user: Uuid,
    hash: String,
    is_active: bool,
    failed: i32,
    until: Option<DateTime<Utc>>,
}

impl Credentials {
    async fn find(call: &Call, email: &str) -> Result<Option<Self>> {
        let sql = "SELECT id, password_hash, status, failed_logins, locked_until FROM users WHERE email = $1";
        let row = call.row(sql, [email.into()]).await?;
        row.map(|row| Self::read(&row)).transpose()
    }

    fn read(row: &QueryResult) -> Result<Self> {
        Ok(Self {
            user: row.try_get("", "id")?,
            hash: row.try_get("", "password_hash")?,
            is_active: row.try_get::<String>("", "status")? == "active",
            failed: row.try_get("", "failed_logins")?,
            until: row.try_get::<Option<DateTimeUtc>>("", "locked_until")?,
        })
    }

    fn check_block(&self, now: DateTime<Utc>) -> Result<(), Fault> {
        match self.until {
            Some(until) if self.failed >= WRONG && until > now => Err(blocked(until - now)),
            _ => Ok(()),
        }
    }
}

fn blocked(wait: TimeDelta) -> Fault {
    let seconds = u64::try_from(wait.num_seconds()).unwrap_or(0) + 1;
    let message = format!("Too many wrong passwords: sign-in to this account is blocked for {seconds} s.");
    Fault::new(codes::RATE_LIMITED, message).retry_after(seconds)
}

fn wrong() -> Fault {
    Fault::new(
        codes::INVALID_CREDENTIALS,
        "The e-mail address or the password is wrong.",
    )
}

fn taken() -> Fault {
    let message = "An account with this e-mail address exists.";
    Fault::new(codes::CONFLICT, message).detail("email", "is taken")
}

fn disabled() -> Fault {
    Fault::new(codes::ACCOUNT_DISABLED, "This account is disabled. Ask an admin.")
}

fn unauthorized() -> Fault {
    Fault::new(
        codes::UNAUTHORIZED,
        "The refresh token is unknown, used or revoked. Sign in again.",
    )
}

#[derive(Deserialize)]
struct Registration {
    email: String,
    password: String,
    name: String,
}

/// `POST /auth/register`: a new USER, signed in.
///
/// # Errors
/// 403 when registration is closed, 409 for a taken address.
pub async fn register(call: Call) -> Result<Answer> {
    let Registration { email, password, name } = call.read()?;
    if !Settings::load(&call).await?.bool("auth.allowRegistration") {
        let message = "Registration is closed; an admin can create an account for you.";
        return Err(Fault::new(codes::REGISTRATION_CLOSED, message).into());
    }
    call.tx().pause().await?;
    let hash = call.app().hashing.hash(password).await?;
    let sql = format!(
        "INSERT INTO users AS u (id, email, password_hash, name, last_login_at, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $5, $5) \
         ON CONFLICT (email) DO NOTHING RETURNING {}",
        account::columns()
    );
    let user = Uuid::now_v7();
    let values = [
        user.into(),
        email.clone().into(),
        hash.into(),
        name.clone().into(),
        call.now().into(),
    ];
    let row = call.row(&sql, values).await?.ok_or_else(taken)?;
    call.closing().watch("users");
    let mail = Mail {
        to: &email,
        name: Some(&name),
        template: "core.welcome",
        subject: format!("Welcome to {}", Settings::load(&call).await?.text("app.name")),
        lines: vec!["your account is ready. Look around, and tell us when something is missing.".to_owned()],
        action: Some(("Open the application", "/".to_owned())),
    };
    mail::send(&call, mail).await?;
    let answer = sign_in(&call, &account::read(&call, &row)?, user)?;
    Ok(answer.location(format!("/api/v1/users/{user}")))
}

#[derive(Deserialize)]
struct Login {
    email: String,
    password: String,
}

/// `POST /auth/login`.
///
/// # Errors
/// 401 for a wrong password or an unknown address, 403 for a disabled account, 429 after too many wrong passwords.
pub async fn login(call: Call) -> Result<Answer> {
    let Login { email, password } = call.read()?;
    let known = Credentials::find(&call, &email).await?;
    if let Some(known) = &known {
        known.check_block(call.now())?;
    }
    call.tx().pause().await?;
    let hash = known.as_ref().map(|known| known.hash.clone());
    let is_right = call.app().hashing.verify(password, hash).await?;
    let known = match known {
        Some(known) if is_right => known,
        known => return count_wrong(&call, &email, known.is_some()).await,
    };
    if !known.is_active {
        return Err(disabled().into());
    }
    // Held against what may have changed while the password was checked: guesses side by side get no further than
    // guesses one after another.
    let sql = format!(
        "UPDATE users u SET failed_logins = 0, locked_until = NULL, last_login_at = $2 \
         WHERE id = $1 AND password_hash = $3 AND status = 'active' AND NOT coalesce({BLOCKED}, false) RETURNING {}",
        account::columns()
    );
    let values = [known.user.into(), call.now().into(), known.hash.into()];
    let Some(row) = call.row(&sql, values).await? else {
        return Err(match Credentials::find(&call, &email).await? {
            Some(now) if now.is_active => now.check_block(call.now()).err().unwrap_or_else(wrong),
            Some(_) => disabled(),
            None => wrong(),
        }
        .into());
    };
    sign_in(&call, &account::read(&call, &row)?, known.user)
}

/// Counts a wrong password; the count stays although the request is refused. An unknown address takes the same steps.
async fn count_wrong(call: &Call, email: &str, is_known: bool) -> Result<Answer> {
    let sql = format!(
        "UPDATE users SET \
           failed_logins = CASE WHEN failed_logins < {WRONG} AND locked_until > $2 THEN failed_logins + 1 ELSE 1 END, \
           locked_until = CASE WHEN failed_logins < {WRONG} - 1 AND locked_until > $2 THEN locked_until ELSE $3 END \
         WHERE email = $1 AND NOT coalesce({BLOCKED}, false)"
    );
    let values = [email.into(), call.now().into(), (call.now() + BLOCK).into()];
    let counted = call.run(&sql, values).await?;
    let refusal = if is_known && counted == 0 {
        blocked(BLOCK)
    } else {
        wrong()
    };
    Ok(Answer::refused(refusal))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Refresh {
    refresh_token: Option<String>,
}

/// `POST /auth/refresh`: new tokens for an old refresh token, which is dead from then on.
///
/// # Errors
/// 401 when the token is not the sign-in's present one, 403 for a disabled account.
pub async fn refresh(call: Call) -> Result<Answer> {
    let Refresh { refresh_token } = call.read()?;
    let token = refresh_token.or_else(|| cookie(call.headers(), REFRESH_COOKIE).map(str::to_owned));
    let old = opaque::hash(&token.ok_or_else(unauthorized)?);
    // Of two requests with one token the second waits here, and finds the hash gone.
    let sql = "SELECT s.id, s.user_id, s.family_id, u.status FROM auth_sessions s JOIN users u ON u.id = s.user_id \
               WHERE s.refresh_hash = $1 AND s.revoked_at IS NULL FOR UPDATE OF s";
    let Some(row) = call.row(sql, [old.clone().into()]).await? else {
        return revoke_reused(&call, &old).await;
    };
    if row.try_get::<String>("", "status")? != "active" {
        return Err(disabled().into());
    }
    let (id, user, family): (Uuid, Uuid, Uuid) = (
        row.try_get("", "id")?,
        row.try_get("", "user_id")?,
        row.try_get("", "family_id")?,
    );
    let new = opaque::generate()?;
    let rotate = "UPDATE auth_sessions SET refresh_hash = $2, last_used_at = $3, expires_at = $4, updated_at = $3 \
                  WHERE id = $1";
    let values = [
        id.into(),
        opaque::hash(&new).into(),
        call.now().into(),
        call.tenant().expires_at.into(),
    ];
    call.run(rotate, values).await?;
    // Dated back, so that a full journal forgets used tokens before it signs anybody out.
    let tombstone = "INSERT INTO auth_sessions \
                     (id, user_id, family_id, refresh_hash, last_used_at, expires_at, revoked_at, created_at) \
                     VALUES ($1, $2, $3, $4, $5, $6, $5, to_timestamp(0))";
    let values = [
        Uuid::now_v7().into(),
        user.into(),
        family.into(),
        old.into(),
        call.now().into(),
        call.tenant().expires_at.into(),
    ];
    call.closing().insert("auth_sessions", tombstone, values);
    signed_in(&call, &account::show(&call, user).await?, user, id, &new)
}

/// Refuses a token that is not a present one. Used again well after it was replaced, it was copied: its whole family
/// ends, and stays ended although the request is refused.
async fn revoke_reused(call: &Call, old: &str) -> Result<Answer> {
    let sql = "UPDATE auth_sessions SET revoked_at = $2, updated_at = $2 WHERE revoked_at IS NULL AND family_id IN \
               (SELECT family_id FROM auth_sessions WHERE refresh_hash = $1 AND revoked_at < $3)";
    let values = [old.into(), call.now().into(), (call.now() - RACE).into()];
    call.run(sql, values).await?;
    Ok(Answer::refused(unauthorized()))
}

/// `POST /auth/logout`: ends the sign-in behind the refresh token, else the caller's.
///
/// # Errors
/// When the database refuses.
pub async fn logout(call: Call) -> Result<Answer> {
    let Refresh { refresh_token } = call.read()?;
    let cookie = || cookie(call.headers(), REFRESH_COOKIE).map(str::to_owned);
    let token = refresh_token.or_else(|| if call.caller().is_none() { cookie() } else { None });
    let sql = "WITH named AS (SELECT family_id FROM auth_sessions WHERE refresh_hash = $1) \
               UPDATE auth_sessions s SET revoked_at = $3, updated_at = $3 FROM users u \
               WHERE u.id = s.user_id AND s.revoked_at IS NULL AND \
               (s.family_id IN (SELECT family_id FROM named) OR s.id = $2 AND NOT EXISTS (SELECT 1 FROM named)) \
               RETURNING u.id, u.name, u.role";
    let values = [
        token.map(|token| opaque::hash(&token)).into(),
        call.caller().map(|caller| caller.sign_in).into(),
        call.now().into(),
    ];
    let ended = call.row(sql, values).await?;
    let mut answer = Answer::data(json!({ "signedOut": ended.is_some() }));
    if let Some(row) = ended {
        let actor = Actor {
            id: row.try_get("", "id")?,
            name: row.try_get("", "name")?,
            role: Role::parse(&row.try_get::<String>("", "role")?),
        };
        answer = answer.about(Subject {
            actor: Some(actor),
            ..Subject::default()
        });
    }
    Ok(cookies::clear(answer, &call))
}

/// Makes a sign-in for a user.
fn sign_in(call: &Call, account: &Value, user: Uuid) -> Result<Answer> {
    let (id, refresh) = (Uuid::now_v7(), opaque::generate()?);
    let agent = call.header(&header::USER_AGENT).map(|agent| clip(agent.trim(), 200));
    let sql = "INSERT INTO auth_sessions (id, user_id, family_id, refresh_hash, user_agent, last_used_at, expires_at) \
               VALUES ($1, $2, $1, $3, $4, $5, $6)";
    let values = [
        id.into(),
        user.into(),
        opaque::hash(&refresh).into(),
        agent.filter(|agent| !agent.is_empty()).into(),
        call.now().into(),
        call.tenant().expires_at.into(),
    ];
    call.closing().insert("auth_sessions", sql, values);
    signed_in(call, account, user, id, &refresh)
}

/// What a sign-in answers with.
pub const AUTH_RESULT: Shape = Shape::of(
    "AuthResult",
    &[
        Field::object("user", &account::ACCOUNT).required(),
        Field::text("accessToken", "4000").required(),
        Field::timestamp("accessTokenExpiresAt").required(),
        Field::text("refreshToken", "200").required(),
    ],
);

/// The [`AUTH_RESULT`], in the body and as cookies.
fn signed_in(call: &Call, account: &Value, user: Uuid, sign_in: Uuid, refresh: &str) -> Result<Answer> {
    let text = |field: &str| {
        account
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let role = Role::parse(&text("role"));
    let (access, end) = call
        .app()
        .tokens
        .issue(call.tenant().session, user, role, sign_in, call.now())
        .map_err(Fault::internal)?;
    let data = json!({
        "user": account,
        "accessToken": access,
        "accessTokenExpiresAt": crate::resource::value::instant(end),
        "refreshToken": refresh,
    });
    let subject = Subject {
        id: Some(user),
        resource: Some("users"),
        actor: Some(Actor {
            id: user,
            name: text("name"),
            role,
        }),
        ..Subject::default()
    };
    let answer = cookies::set(Answer::data(data), call, &access, end - call.now(), refresh);
    Ok(answer.about(subject))
}
