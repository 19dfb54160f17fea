//! One's own account.

use sea_orm::{
    QueryResult,
    prelude::{DateTimeUtc, Uuid},
};
use serde_json::{Value, json};

use crate::{
    auth::caller,
    http::{Answer, Call, Error, Result},
    modules::{ROLES, core::users},
    resource::{Change, Field, Kind, Shape, precheck, show, update, value},
    sandbox::address,
};

/// One's own account in JSON.
pub const ACCOUNT: Shape = Shape::of(
    "Account",
    &[
        Field::uuid("id").required(),
        Field::email("email").required(),
        Field::text("name", "80").required(),
        Field::one_of("role", users::ROLES).required(),
        Field::one_of("status", &["active", "disabled"]).required(),
        Field::text("phone", "32"),
        Field::uuid("avatarId"),
        Field::text("avatarUrl", "300"),
        Field::array("moduleRoles", &Kind::Text).required(),
        Field::int("version").required(),
        Field::timestamp("createdAt").required(),
    ],
);

/// An account as its holder sees it, module roles included, read in one statement.
///
/// # Errors
/// When the database refuses, or nobody has this id.
pub async fn show(call: &Call, user: Uuid) -> Result<Value> {
    let sql = format!("SELECT {} FROM users u WHERE u.id = $1", columns());
    let row = call.row(&sql, [user.into()]).await?;
    let row = row.ok_or_else(|| fault::Fault::internal("the account vanished"))?;
    read(call, &row)
}

/// The columns over a user `u` that [`read`] wants; statements that change the user return them.
pub(super) fn columns() -> String {
    let mut columns = "u.id, u.email, u.name, u.role, u.status, u.phone, u.avatar_id, u.version, u.created_at, \
                       (SELECT p.content_key FROM uploads p WHERE p.id = u.avatar_id) AS content_key"
        .to_owned();
    for (i, role) in ROLES.iter().enumerate() {
        columns.push_str(&format!(", EXISTS ({}) AS role_{i}", role.held));
    }
    columns
}

/// An [`ACCOUNT`] from a row of [`columns`].
pub(super) fn read(call: &Call, row: &QueryResult) -> Result<Value> {
    let mut held = Vec::new();
    for (i, role) in ROLES.iter().enumerate() {
        if row.try_get::<bool>("", &format!("role_{i}"))? {
            held.push(role.name);
        }
    }
    let text = |column: &str| row.try_get::<Option<String>>("", column);
    Ok(json!({
        "id": row.try_get::<Uuid>("", "id")?,
        "email": text("email")?,
        "name": text("name")?,
        "role": text("role")?,
        "status": text("status")?,
        "phone": text("phone")?,
        "avatarId": row.try_get::<Option<Uuid>>("", "avatar_id")?,
        "avatarUrl": text("content_key")?.map(|key| address::of(call, &key)),
        "moduleRoles": held,
        "version": row.try_get::<i32>("", "version")?,
        "createdAt": value::instant(row.try_get::<DateTimeUtc>("", "created_at")?),
    }))
}

/// `GET /auth/me`.
///
/// # Errors
/// When the database refuses.
pub async fn me(call: Call) -> Result<Answer> {
    let id = call.user()?.id;
    show(&call, id).await.map(Answer::data)
}

/// `PATCH /auth/me`.
///
/// # Errors
/// 409 for a stale version, 422 for an avatar that does not exist.
pub async fn update(call: Call) -> Result<Answer> {
    let id = call.user()?.id;
    let before = show::find::<users::Entity>(&call, &id.to_string(), show::Lock::Update).await;
    // The caller's own row is missing only when it was deleted meanwhile.
    let before = before.map_err(|error| match error {
        Error::Fault(_) => caller::gone().into(),
        error @ Error::Database(_) => error,
    })?;
    let mut values = call.body().clone();
    update::check_version::<users::Entity>(&before, values.shift_remove("version").as_ref())?;
    if values.is_empty() {
        return show(&call, id).await.map(Answer::data);
    }
    let mut change = Change {
        before: Some(&before),
        values,
    };
    precheck::precheck::<users::Entity>(&call, &mut change).await?;
    let after = update::write::<users::Entity>(&call, &before, &change.values).await?;
    let subject = update::subject::<users::Entity>(&before, &after);
    Ok(Answer::data(show(&call, id).await?).about(subject))
}
