//! `Idempotency-Key`: the same request again gets the first answer again (contract README section 7).

use axum::http::{HeaderName, HeaderValue};
use fault::{Fault, codes};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Answer, Call, Result, answer::Content};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// What a request with a key may do.
pub enum Claim {
    /// There is no key.
    None,
    /// It is the first with this key; its answer is kept under this row.
    First(Uuid),
    /// It was answered before.
    Replay(Box<Answer>),
}

/// Takes the key. A second request with the same key waits here until the first one is over.
///
/// # Errors
/// 422 for a malformed key, 409 when the key was used with another body.
pub async fn claim(call: &Call) -> Result<Claim> {
    let Some(key) = call.headers().get(&KEY) else {
        return Ok(Claim::None);
    };
    let is_valid = |key: &str| (1..=100).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic());
    let key = key.to_str().ok().filter(|key| is_valid(key));
    let key = key
        .ok_or_else(|| Fault::field("Idempotency-Key", "must have 1 to 100 visible ASCII characters"))?
        .to_owned();
    let caller = call
        .caller()
        .map_or_else(|| "visitor".to_owned(), |caller| caller.id.to_string());
    let route: String = call.address().chars().take(200).collect();
    let body = Value::Object(call.body().clone()).to_string();
    let hash = hex::encode(Sha256::digest(body.as_bytes()));
    let id = Uuid::now_v7();

    let insert = "INSERT INTO idempotency_keys (id, caller, key, route, body_hash, status, response) \
                  VALUES ($1, $2, $3, $4, $5, 0, '{}') ON CONFLICT (caller, route, key) DO NOTHING";
    let values = [
        id.into(),
        caller.clone().into(),
        key.clone().into(),
        route.clone().into(),
        hash.clone().into(),
    ];
    if call.run(insert, values).await? == 1 {
        call.closing().watch("idempotency_keys");
        return Ok(Claim::First(id));
    }
    let select =
        "SELECT body_hash, status, response FROM idempotency_keys WHERE caller = $1 AND route = $2 AND key = $3";
    let row = call.row(select, [caller.into(), route.into(), key.into()]).await?;
    let row = row.ok_or_else(|| Fault::internal("an idempotency key vanished"))?;
    if row.try_get::<String>("", "body_hash")? != hash {
        return Err(Fault::new(
            codes::IDEMPOTENCY_CONFLICT,
            "This Idempotency-Key was used with another body.",
        )
        .into());
    }
    let status = u16::try_from(row.try_get::<i32>("", "status")?).unwrap_or(200);
    let kept: Value = row.try_get("", "response")?;
    let mut answer = Answer::data(kept.get("data").cloned().unwrap_or(Value::Null))
        .status(status)
        .header(REPLAYED, HeaderValue::from_static("true"));
    if let Some(location) = kept.get("location").and_then(Value::as_str) {
        answer = answer.location(location.to_owned());
    }
    Ok(Claim::Replay(Box::new(answer)))
}

/// Keeps the answer for the next request with the key, in the same transaction as its effects.
pub fn keep(call: &Call, claim: &Claim, answer: &Answer) {
    let (Claim::First(id), Content::One(data)) = (claim, &answer.content) else {
        return;
    };
    let kept = json!({ "data": data, "location": answer.location });
    let status = i32::from(answer.status.unwrap_or(call.route().status));
    let update = "UPDATE idempotency_keys SET status = $2, response = $3, updated_at = now() WHERE id = $1";
    call.closing().write(update, [(*id).into(), status.into(), kept.into()]);
}

/// Gives the key back after a refusal whose effects are kept: failures are not stored.
pub fn forget(call: &Call, claim: &Claim) {
    if let Claim::First(id) = claim {
        let delete = "DELETE FROM idempotency_keys WHERE id = $1";
        call.closing().write(delete, [(*id).into()]);
    }
}
