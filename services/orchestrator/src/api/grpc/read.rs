//! Checks of what gRPC callers send.

use std::net::IpAddr;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::SessionId;
use fault::{Detail, Fault, codes};
use proto::v1::{CreateSessionRequest, FeatureChoice, SessionRef, SessionStatus as Wire, session_ref::By};
use tonic::Request;

use crate::{
    network::ClientNetwork,
    session::{Key, NewSession, Update, fields, idempotency::IdempotencyKey},
};

/// Collects wrong fields.
#[derive(Default)]
struct Wrong(Vec<Detail>);

impl Wrong {
    fn check<T>(&mut self, field: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|must| self.0.push(Detail::new(field, must))).ok()
    }

    fn finish(self) -> Result<(), Fault> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Fault::invalid(self.0))
        }
    }
}

/// A creation. Without `client_ip` the caller's own address counts.
pub fn creation(request: Request<CreateSessionRequest>) -> Result<NewSession, Fault> {
    let peer = request.remote_addr().map(|address| address.ip());
    let request = request.into_inner();
    let mut wrong = Wrong::default();
    let selection = wrong.check(
        "selected_features",
        fields::features(request.selected_features.iter().map(String::as_str)),
    );
    let tier = wrong.check("tier", fields::text(&request.tier));
    let template_slug = wrong.check("template_slug", fields::optional_text(request.template_slug.as_deref()));
    let currency = match request.currency.as_deref() {
        None | Some("") => None,
        Some(currency) => wrong.check("currency", fields::currency(currency)),
    };
    let key = match request.idempotency_key.as_deref() {
        None => None,
        Some(key) => wrong.check(
            "idempotency_key",
            IdempotencyKey::parse(key).map_err(|error| error.to_string()),
        ),
    };
    let address = match (request.client_ip.trim(), peer) {
        ("", Some(peer)) => Ok(peer),
        (text, _) => text
            .parse::<IpAddr>()
            .map_err(|_| "must be the visitor's IP address".to_owned()),
    };
    let address = wrong.check("client_ip", address);
    wrong.finish()?;
    let (Some(selection), Some(tier), Some(template_slug), Some(address)) = (selection, tier, template_slug, address)
    else {
        return Err(Fault::internal("a required field was lost"));
    };
    Ok(NewSession {
        selection,
        tier,
        template_slug,
        currency,
        provision: request.provision_schema.unwrap_or(true),
        client: ClientNetwork::of(address),
        key,
    })
}

/// Which session.
pub fn key(session: Option<SessionRef>) -> Result<Key, Fault> {
    match session.and_then(|session| session.by) {
        None => Err(Fault::field("session", "must name a session by id or session_token")),
        Some(By::Id(id)) => id
            .parse()
            .map(Key::Id)
            .map_err(|_| Fault::field("session.id", "must be a UUID")),
        Some(By::SessionToken(token)) => token
            .parse()
            .map(Key::Token)
            .map_err(|error: domain::NotAToken| Fault::new(codes::INVALID_TOKEN, error.to_string())),
    }
}

/// A new choice of features and tier; what is absent stays.
pub fn update(features: Option<&FeatureChoice>, tier: Option<&str>) -> Result<Update, Fault> {
    let mut wrong = Wrong::default();
    let selection = features.and_then(|choice| {
        wrong.check(
            "features.selected_features",
            fields::features(choice.selected_features.iter().map(String::as_str)),
        )
    });
    let tier = tier.and_then(|tier| wrong.check("tier", fields::text(tier)));
    wrong.finish()?;
    Ok(Update { selection, tier })
}

/// A filter of states, and how many rows a page has.
pub fn page(statuses: &[i32], size: i32) -> Result<(Vec<domain::SessionStatus>, i64), Fault> {
    let mut wrong = Wrong::default();
    let read = |status: &i32| {
        Wire::try_from(*status)
            .ok()
            .and_then(proto::status_from)
            .ok_or_else(|| "must hold known states only".to_owned())
    };
    let statuses = wrong.check("statuses", statuses.iter().map(read).collect::<Result<Vec<_>, _>>());
    let size = match size {
        0 => Ok(50),
        1..=200 => Ok(i64::from(size)),
        _ => Err("must be 1 to 200".to_owned()),
    };
    let size = wrong.check("page_size", size);
    wrong.finish()?;
    Ok((statuses.unwrap_or_default(), size.unwrap_or_default()))
}

/// The id of a session.
pub fn session_id(text: &str) -> Result<SessionId, Fault> {
    text.parse()
        .map_err(|_| Fault::field("session_id", "must be the id of a session, a UUID"))
}

/// A page token is the id of the last session shown; callers need not know.
pub fn page_token(token: &str) -> Result<Option<SessionId>, Fault> {
    if token.is_empty() {
        return Ok(None);
    }
    BASE64_URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|bytes| uuid::Uuid::from_slice(&bytes).ok())
        .map(|id| Some(id.into()))
        .ok_or_else(strange_page_token)
}

/// The token behind a page of `found` sessions; a page that is not full is the last.
pub fn next_page(last: Option<SessionId>, found: usize, size: i64) -> String {
    match last {
        Some(last) if i64::try_from(found) == Ok(size) => BASE64_URL_SAFE_NO_PAD.encode(last.uuid()),
        _ => String::new(),
    }
}

/// A page token that is none of ours.
pub fn strange_page_token() -> Fault {
    Fault::field("page_token", "must come from an earlier answer")
}
