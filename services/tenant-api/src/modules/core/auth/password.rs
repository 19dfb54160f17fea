//! Changing one's own password.

use fault::Fault;
use sea_orm::prelude::Uuid;
use serde::Deserialize;
use serde_json::json;

use crate::{
    auth::caller,
    http::{Answer, Call, Result, answer::Subject},
    sandbox::mail::{self, Mail},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    current_password: String,
    new_password: String,
}

/// `POST /auth/password`. The calling sign-in stays; all others of the user end, and links for a lost password.
///
/// # Errors
/// 422 on `currentPassword` when it is wrong.
pub async fn change(call: Call) -> Result<Answer> {
    let Body {
        current_password,
        new_password,
    } = call.read()?;
    let user = call.user()?.clone();
    let row = call
        .row("SELECT password_hash FROM users WHERE id = $1", [user.id.into()])
        .await?;
    let old: String = row.ok_or_else(caller::gone)?.try_get("", "password_hash")?;
    call.tx().pause().await?;
    let hashing = &call.app().hashing;
    if !hashing.verify(current_password, Some(old.clone())).await? {
        return Err(wrong().into());
    }
    let new = hashing.hash(new_password).await?;
    // Not when somebody changed it in the meantime.
    let sql = "WITH changed AS (\
                 UPDATE users SET password_hash = $3, version = version + 1, updated_at = $4 \
                 WHERE id = $1 AND password_hash = $2 RETURNING id\
               ), ended AS (\
                 UPDATE auth_sessions SET revoked_at = $4, updated_at = $4 \
                 WHERE user_id IN (SELECT id FROM changed) AND id <> $5 AND revoked_at IS NULL\
               ), unlinked AS (\
                 DELETE FROM password_reset_tokens WHERE user_id IN (SELECT id FROM changed) AND used_at IS NULL\
               ) SELECT id FROM changed";
    let values = [
        user.id.into(),
        old.into(),
        new.into(),
        call.now().into(),
        user.sign_in.into(),
    ];
    if call.row(sql, values).await?.is_none() {
        let still = call.row("SELECT 1 FROM users WHERE id = $1", [user.id.into()]).await?;
        return Err(still.map_or_else(caller::gone, |_| wrong()).into());
    }
    tell(&call, &user.email, &user.name).await?;
    Ok(Answer::data(json!({ "changed": true })).about(subject(user.id)))
}

fn wrong() -> Fault {
    Fault::field("currentPassword", "is not your password")
}

/// Whose password it was, for the audit log.
pub(super) fn subject(user: Uuid) -> Subject {
    Subject {
        id: Some(user),
        resource: Some("users"),
        ..Subject::default()
    }
}

/// Tells the account's holder.
pub(super) async fn tell(call: &Call, email: &str, name: &str) -> Result<()> {
    let mail = Mail {
        to: email,
        name: Some(name),
        template: "core.password-changed",
        subject: "Your password was changed".to_owned(),
        lines: vec!["your password has just been changed. If that was not you, choose a new one at once.".to_owned()],
        action: Some(("Choose a new password", "/forgot-password".to_owned())),
    };
    mail::send(call, mail).await
}
