//! The first two checks of every request: which session, and is the feature granted (contract README sections 1-3).

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderName},
    middleware::Next,
    response::{IntoResponse, Response},
};
use domain::{SessionToken, TokenHash};
use fault::{Fault, codes};
use modules::Gate;

use super::App;
use crate::{
    openapi,
    tenant::{Lookup, Tenant, directory},
};

/// The header that names the session.
pub const SESSION: HeaderName = HeaderName::from_static("x-preview-session");

/// Below this a sealed key names the session.
const SEALED: &str = "/api/v1/uploads/content/";

/// Whether a route is named by a sealed key, and not by the session header.
#[must_use]
pub fn is_sealed(path: &str) -> bool {
    path.starts_with(SEALED)
}

/// The session of a request, in its extensions.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Its tenant.
    pub tenant: Arc<Tenant>,
    /// The hash of its token, to forget it when the database says that it moved.
    pub token: TokenHash,
}

/// Lets a request pass when its session is ready and the path's feature is granted.
pub async fn admit(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if path == openapi::PAGE {
        return next.run(request).await;
    }
    // It needs no session; of one that is named it tells what it has.
    let is_document = path == openapi::PATH;
    let admitted = match path.strip_prefix(SEALED) {
        Some(key) => find_sealed(&app, key).await,
        None if is_document => find(&app, request.headers()).await,
        None => find(&app, request.headers())
            .await
            .and_then(|admitted| granted(&app, admitted, path)),
    };
    match admitted {
        Ok(admitted) => {
            tracing::Span::current().record("session.id", tracing::field::display(admitted.tenant.session));
            request.extensions_mut().insert(admitted);
            next.run(request).await
        }
        Err(_) if is_document => next.run(request).await,
        Err(fault) => fault.into_response(),
    }
}

/// The session behind the sealed key of a file. Whatever is wrong with it, there is nothing at such an address.
async fn find_sealed(app: &App, key: &str) -> Result<Admitted, Fault> {
    let (session, _) = app.sealer.open(key).ok_or_else(Fault::not_found)?;
    match app.directory.find_by_id(session).await? {
        Some((token, Lookup::Ready(tenant))) => Ok(Admitted { tenant, token }),
        Some((_, Lookup::NotReady | Lookup::Over | Lookup::Unknown)) | None => Err(Fault::not_found()),
    }
}

async fn find(app: &App, headers: &HeaderMap) -> Result<Admitted, Fault> {
    let token = token(headers)?;
    let tenant = directory::ready(app.directory.find(token).await?)?;
    // Whatever comes of the request: its session is in use.
    app.activity.note(tenant.session, app.clock.now());
    Ok(Admitted { tenant, token })
}

/// Passes a session that has the feature of a path.
///
/// # Errors
/// 404 when it has not, or there is none.
pub fn granted(app: &App, admitted: Admitted, path: &str) -> Result<Admitted, Fault> {
    match app.gates.judge(path, &admitted.tenant.enabled) {
        Gate::Open(_) => Ok(admitted),
        Gate::Closed(feature) => {
            let message = format!(
                "This preview does not include the feature {} ({}).",
                feature.slug, feature.title
            );
            Err(Fault::new(codes::FEATURE_NOT_AVAILABLE, message))
        }
        Gate::Unknown => Err(Fault::new(codes::NOT_FOUND, "There is no such route.")),
    }
}

fn token(headers: &HeaderMap) -> Result<TokenHash, Fault> {
    let refused = |message: &'static str| Fault::new(codes::SESSION_REQUIRED, message);
    let mut values = headers.get_all(SESSION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(refused("Name the preview in exactly one X-Preview-Session header."));
    };
    let token = value.to_str().ok().and_then(|text| text.parse::<SessionToken>().ok());
    token
        .map(|token| token.hash())
        .ok_or_else(|| refused("X-Preview-Session is malformed: a token has 20 to 128 letters, digits and dashes."))
}
