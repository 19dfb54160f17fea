//! Notifications: for the users named, never for whoever caused them.

use uuid::Uuid;

use crate::{
    http::{Call, Result},
    resource::journal,
    sandbox::mail::clip,
};

/// Who is told.
#[derive(Clone, Copy, Debug)]
pub enum To<'a> {
    /// These users, as far as they exist.
    Users(&'a [Uuid]),
    /// All active ADMIN and STAFF users.
    Staff,
}

/// Tells users, the caller left out, in one statement. `link` is an application path.
///
/// # Errors
/// When the database refuses.
pub async fn notify(
    call: &Call,
    to: To<'_>,
    kind: &'static str,
    title: String,
    body: Option<String>,
    link: &str,
) -> Result<()> {
    let mut values: Vec<sea_orm::Value> = vec![
        Uuid::now_v7().to_string().into(),
        kind.into(),
        clip(&title, 120).into(),
        body.map(|body| clip(&body, 400)).into(),
        clip(link, 200).into(),
        call.caller().map(|caller| caller.id).into(),
    ];
    let to = match to {
        To::Users([]) => return Ok(()),
        To::Users(ids) => {
            values.extend(ids.iter().map(|id| sea_orm::Value::from(*id)));
            let holes: Vec<String> = (7..7 + ids.len()).map(|n| format!("${n}")).collect();
            format!("u.id IN ({})", holes.join(", "))
        }
        To::Staff => "u.role IN ('ADMIN', 'STAFF') AND u.status = 'active'".to_owned(),
    };
    // Each row's id is the first half of one UUIDv7 and 60 bits of a hash over its random half and the user.
    let sql = format!(
        "INSERT INTO notifications (id, user_id, kind, title, body, link) \
         SELECT (left($1, 20) || right(md5($1 || u.id::text), 15))::uuid, u.id, $2, $3, $4, $5 \
         FROM users u WHERE {to} AND u.id IS DISTINCT FROM $6"
    );
    journal::insert(call, "notifications", &sql, values).await?;
    Ok(())
}
