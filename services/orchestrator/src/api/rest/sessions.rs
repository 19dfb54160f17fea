//! `/api/preview/sessions`.

use axum::{
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use domain::SessionToken;
use fault::{Envelope, Fault};
use serde::Serialize;

use super::{
    Gateway,
    body::{Fields, boolean, currency, features, optional_text, text},
    extract::{Client, Token},
    view::{SessionView, StatusView},
};
use crate::session::{NewSession, Session, Update, state::reason::ENDED, steps::NotYet};

/// POST `/sessions`: creates a session and prepares it.
pub async fn create(
    State(gateway): State<Gateway>,
    Client(client): Client,
    mut body: Fields,
) -> Result<Response, Fault> {
    let selection = body.required("selectedFeatures", features);
    let tier = body.required("tier", text);
    let template_slug = body.optional("templateSlug", optional_text).flatten();
    let currency = body.optional("currency", currency);
    let provision = body.optional("provisionSchema", boolean).unwrap_or(true);
    body.finish()?;
    let (Some(selection), Some(tier)) = (selection, tier) else {
        return Err(Fault::internal("a required field was lost"));
    };
    let request = NewSession {
        selection,
        tier,
        template_slug,
        currency,
        provision,
        client,
        key: None,
    };
    let (token, mut response) = match gateway.sessions.create(request).await {
        Ok(creation) => {
            let view = gateway.view(creation.session, &creation.token);
            (creation.token, (StatusCode::CREATED, view).into_response())
        }
        Err(NotYet::Refused(fault)) => return Err(fault),
        // The address leads to the session that is finished later.
        Err(NotYet::Kept(creation, fault)) => (creation.token, fault.into_response()),
    };
    if let Ok(location) = HeaderValue::from_str(&format!("/api/preview/sessions/{}", token.reveal())) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// GET `/sessions/{token}`.
pub async fn show(State(gateway): State<Gateway>, token: Token) -> Result<Envelope<SessionView>, Fault> {
    let session = gateway.sessions.look(&token.key()).await?;
    Ok(gateway.view(session, &token.0))
}

/// GET `/sessions/{token}/status`.
pub async fn status(State(gateway): State<Gateway>, token: Token) -> Result<Envelope<StatusView>, Fault> {
    let session = gateway.sessions.look(&token.key()).await?;
    record(&session);
    let frontend = &gateway.config.preview_frontend_url;
    let view = StatusView::of(&session, &token.0, frontend, gateway.sessions.now());
    Ok(Envelope::new(view))
}

/// PATCH `/sessions/{token}`: `{}` is a heartbeat, else features and tier change in place.
pub async fn update(
    State(gateway): State<Gateway>,
    token: Token,
    body: Result<Fields, Fault>,
) -> Result<Envelope<SessionView>, Fault> {
    let update = gateway.told(&token, body.and_then(changes)).await?;
    let session = gateway.sessions.update(&token.key(), &update).await?;
    Ok(gateway.view(session, &token.0))
}

/// POST `/sessions/{token}/extend`.
pub async fn extend(
    State(gateway): State<Gateway>,
    token: Token,
    body: Result<Fields, Fault>,
) -> Result<Envelope<SessionView>, Fault> {
    gateway.told(&token, body.and_then(Fields::finish)).await?;
    let session = gateway.sessions.extend(&token.key()).await?;
    Ok(gateway.view(session, &token.0))
}

/// POST `/sessions/{token}/restart`: the same session and token on a fresh schema.
pub async fn restart(
    State(gateway): State<Gateway>,
    token: Token,
    body: Result<Fields, Fault>,
) -> Result<Envelope<SessionView>, Fault> {
    let update = gateway.told(&token, body.and_then(changes)).await?;
    let session = gateway.sessions.restart(&token.key(), &update).await?;
    Ok(gateway.view(session, &token.0))
}

/// What DELETE answers.
#[derive(Debug, Serialize)]
pub struct EndedView {
    ended: bool,
}

/// DELETE `/sessions/{token}`: also when it is missing or over, the wish is fulfilled.
pub async fn delete(State(gateway): State<Gateway>, token: Token) -> Result<Envelope<EndedView>, Fault> {
    gateway.sessions.end(&token.key(), ENDED).await?;
    Ok(Envelope::new(EndedView { ended: true }))
}

/// `{selectedFeatures?, tier?}`.
fn changes(mut body: Fields) -> Result<Update, Fault> {
    let update = Update {
        selection: body.change("selectedFeatures", features),
        tier: body.change("tier", text),
    };
    body.finish()?;
    Ok(update)
}

impl Gateway {
    /// What a body says. A session that is missing or over comes before what is wrong with the body.
    async fn told<T>(&self, token: &Token, body: Result<T, Fault>) -> Result<T, Fault> {
        if body.is_err() {
            self.sessions.must_live(&token.key()).await?;
        }
        body
    }

    fn view(&self, session: Session, token: &SessionToken) -> Envelope<SessionView> {
        record(&session);
        let frontend = &self.config.preview_frontend_url;
        Envelope::new(SessionView::of(session, token, frontend, self.sessions.now()))
    }
}

fn record(session: &Session) {
    tracing::Span::current().record("session.id", tracing::field::display(session.id));
}
