//! A new password for somebody who forgot the old one, over a link in an e-mail.

use chrono::TimeDelta;
use fault::{Fault, codes};
use sea_orm::prelude::Uuid;
use serde::Deserialize;
use serde_json::json;

use super::password::{subject, tell};
use crate::{
    auth::{Role, opaque},
    http::{Answer, Call, Result, answer::Actor},
    sandbox::mail::{self, Mail},
};

/// How long a link works.
const LIFE: TimeDelta = TimeDelta::minutes(30);

/// Makes a link for a user, as an application path; it works from the end of the request on.
///
/// # Errors
/// When the operating system has no randomness.
pub fn link(call: &Call, user: Uuid) -> Result<String, Fault> {
    let token = opaque::generate()?;
    let sql = "INSERT INTO password_reset_tokens (id, user_id, token_hash, expires_at) VALUES ($1, $2, $3, $4)";
    let values = [
        Uuid::now_v7().into(),
        user.into(),
        opaque::hash(&token).into(),
        (call.now() + LIFE).into(),
    ];
    call.closing().insert("password_reset_tokens", sql, values);
    Ok(format!("/reset-password?token={token}"))
}

#[derive(Deserialize)]
struct Forgotten {
    email: String,
}

/// `POST /auth/forgot-password`. The answer tells nothing about the account.
///
/// # Errors
/// When the database refuses.
pub async fn forgot(call: Call) -> Result<Answer> {
    let Forgotten { email } = call.read()?;
    // Locked, so that two requests at once leave one link.
    let sql = "SELECT id, name FROM users WHERE email = $1 AND status = 'active' FOR NO KEY UPDATE";
    if let Some(row) = call.row(sql, [email.clone().into()]).await? {
        let (user, name): (Uuid, String) = (row.try_get("", "id")?, row.try_get("", "name")?);
        let earlier = "DELETE FROM password_reset_tokens WHERE user_id = $1 AND used_at IS NULL";
        call.run(earlier, [user.into()]).await?;
        let link = link(&call, user)?;
        let mail = Mail {
            to: &email,
            name: Some(&name),
            template: "core.password-reset",
            subject: "Choose a new password".to_owned(),
            lines: vec![
                "somebody asked for a new password for your account. The link works once, for 30 minutes.".to_owned(),
                "If that was not you, nothing needs to be done: your password stays as it is.".to_owned(),
            ],
            action: Some(("Choose a new password", link)),
        };
        mail::send(&call, mail).await?;
    }
    Ok(Answer::data(json!({ "accepted": true })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Chosen {
    token: String,
    new_password: String,
}

/// `POST /auth/reset-password`. Lifts a sign-in block and ends all sign-ins of the user.
///
/// # Errors
/// 422 `TOKEN_INVALID` when the token is unknown, used, replaced or too old.
pub async fn reset(call: Call) -> Result<Answer> {
    let Chosen { token, new_password } = call.read()?;
    let token = opaque::hash(&token);
    let sql = "SELECT id FROM password_reset_tokens WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2";
    if call
        .row(sql, [token.clone().into(), call.now().into()])
        .await?
        .is_none()
    {
        return Err(invalid().into());
    }
    call.tx().pause().await?;
    let hash = call.app().hashing.hash(new_password).await?;
    // The token is used up first: of two requests with it one gets on.
    let sql = "WITH used AS (\
                 UPDATE password_reset_tokens SET used_at = $2, updated_at = $2 \
                 WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2 RETURNING user_id\
               ), ended AS (\
                 UPDATE auth_sessions SET revoked_at = $2, updated_at = $2 \
                 WHERE user_id IN (SELECT user_id FROM used) AND revoked_at IS NULL\
               ) UPDATE users SET password_hash = $3, failed_logins = 0, locked_until = NULL, version = version + 1, \
                 updated_at = $2 WHERE id IN (SELECT user_id FROM used) RETURNING id, email, name, role";
    let values = [token.into(), call.now().into(), hash.into()];
    let row = call.row(sql, values).await?.ok_or_else(invalid)?;
    let (user, email, name): (Uuid, String, String) = (
        row.try_get("", "id")?,
        row.try_get("", "email")?,
        row.try_get("", "name")?,
    );
    tell(&call, &email, &name).await?;
    let mut subject = subject(user);
    let role = Role::parse(&row.try_get::<String>("", "role")?);
    subject.actor = Some(Actor { id: user, name, role });
    Ok(Answer::data(json!({ "changed": true })).about(subject))
}

fn invalid() -> Fault {
    let message = "This link is used up, replaced or older than 30 minutes. Ask for a new one.";
    Fault::new(codes::TOKEN_INVALID, message).detail("token", "is not valid any more")
}
