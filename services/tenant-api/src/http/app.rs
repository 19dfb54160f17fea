//! The parts that every request shares, and the router over all routes.

use std::{collections::BTreeMap, sync::Arc};

use ::modules::Gates;
use axum::{
    Router,
    extract::{DefaultBodyLimit, RawPathParams, Request, State, rejection::RawPathParamsRejection},
    http::{HeaderName, HeaderValue, Method, header},
    middleware,
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, get},
};
use bytes::Bytes;
use domain::Clock;
use fault::{Envelope, Fault, codes};
use serde_json::json;
use service::lifecycle::Lifecycle;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowOrigin, CorsLayer},
};

use super::{
    Route, dispatch, docs,
    limits::{Rates, Turns},
    metrics, session,
};
use crate::{
    auth::{Tokens, password::Hasher},
    config::{Config, Limits},
    modules::Served,
    openapi,
    sandbox::address::Sealer,
    tenant::{activity::Activity, directory::Directory, pool::TenantPool},
};

/// What every request shares.
pub struct App {
    /// Who is behind a session token.
    pub directory: Directory,
    /// Traffic, for the control plane.
    pub activity: Activity,
    /// Connections; used through transactions only.
    pub pool: TenantPool,
    /// How often a session may call.
    pub rates: Rates,
    /// Who may run now.
    pub turns: Turns,
    /// What a session may take.
    pub limits: Limits,
    /// Access tokens.
    pub tokens: Tokens,
    /// Addresses of uploads.
    pub sealer: Sealer,
    /// Time.
    pub clock: Clock,
    /// Tasks that outlive a request.
    pub lifecycle: Lifecycle,
    /// Every route, for documents and tests.
    pub routes: Arc<[Route]>,
    /// Which feature each of their paths belongs to.
    pub gates: Gates,
    /// What they are, in OpenAPI.
    pub openapi: Bytes,
    /// Hashes passwords, as many at once as there are processors.
    pub hashing: Hasher,
}

impl App {
    /// Puts the parts together.
    ///
    /// # Errors
    /// When an address or a secret cannot be used.
    pub fn build(
        config: &Config,
        served: Served,
        directory: Directory,
        lifecycle: &Lifecycle,
        clock: Clock,
    ) -> anyhow::Result<Arc<Self>> {
        let routes: Arc<[Route]> = served.routes.into();
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Ok(Arc::new(Self {
            directory,
            activity: Activity::default(),
            pool: TenantPool::new(&config.database, config.pool_size, config.canary)?,
            rates: Rates::new(&config.limits),
            limits: config.limits,
            tokens: Tokens::new(&config.jwt_secret)?,
            sealer: Sealer::new(&config.jwt_secret),
            clock,
            lifecycle: lifecycle.clone(),
            openapi: docs::describe(routes.iter()),
            routes,
            gates: served.gates,
            hashing: Hasher::new(cores),
            turns: Turns::new(config.limits.at_once),
        }))
    }

    /// The router of the public port.
    ///
    /// # Errors
    /// When an origin cannot be a header.
    pub fn router(self: &Arc<Self>, config: &Config) -> anyhow::Result<Router> {
        let mut paths: BTreeMap<String, (MethodRouter<Arc<Self>>, Vec<&Method>)> = BTreeMap::new();
        for route in self.routes.iter() {
            let filter = MethodFilter::try_from(route.method.clone())?;
            let endpoint = Arc::new(route.clone());
            let serve = move |State(app): State<Arc<Self>>,
                              parameters: Result<RawPathParams, RawPathParamsRejection>,
                              request: Request| {
                dispatch::serve(app, Arc::clone(&endpoint), parameters, request)
            };
            let entry = paths.entry(positional(&route.path)).or_default();
            entry.0 = std::mem::take(&mut entry.0).on(filter, serve);
            entry.1.push(&route.method);
        }
        let mut router = Router::new();
        for (path, (methods, allowed)) in paths {
            let allow = allow(&allowed);
            router = router.route(&path, methods.fallback(async move || not_allowed(&allow)));
        }
        let router = router
            .route(openapi::PATH, get(docs::document).fallback(read_only))
            .route(openapi::PAGE, get(service::http::docs::page).fallback(read_only))
            .fallback(async || Fault::new(codes::NOT_FOUND, "There is no such route."))
            .layer(middleware::from_fn_with_state(Arc::clone(self), session::admit))
            .route(
                openapi::HEALTH,
                get(async || Envelope::new(json!({ "status": "ok" }))).fallback(read_only),
            )
            .layer(DefaultBodyLimit::disable())
            .layer(CatchPanicLayer::custom(panicked))
            .layer(middleware::from_fn(service::http::bound_address))
            .layer(cors(config)?)
            .layer(middleware::map_response(common_headers))
            .layer(middleware::from_fn_with_state(
                metrics::Metrics::new(),
                metrics::measure,
            ))
            .layer(middleware::from_fn(service::http::observe))
            .with_state(Arc::clone(self));
        Ok(router)
    }
}

/// Parameters by position: routes may call one position by different names.
fn positional(path: &str) -> String {
    let mut position = 0;
    let segments = path.split('/').map(|segment| {
        if segment.starts_with('{') {
            position += 1;
            format!("{{p{position}}}")
        } else {
            segment.to_owned()
        }
    });
    segments.collect::<Vec<_>>().join("/")
}

fn allow(methods: &[&Method]) -> String {
    let mut names: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.sort_unstable();
    names.dedup();
    names.join(", ")
}

async fn read_only() -> Fault {
    not_allowed("GET, HEAD")
}

fn not_allowed(allow: &str) -> Fault {
    Fault::new(codes::METHOD_NOT_ALLOWED, format!("This path takes {allow}.")).allow(allow.to_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "the signature that the layer asks for")]
fn panicked(cause: Box<dyn std::any::Any + Send>) -> Response {
    let text = cause
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| cause.downcast_ref::<&str>().copied());
    Fault::internal(format!("a handler panicked: {}", text.unwrap_or("no message"))).into_response()
}

/// Headers that every answer has (contract README section 1).
async fn common_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::VARY,
        HeaderValue::from_static("Origin, X-Preview-Session, Authorization, Cookie"),
    );
    response
}

fn cors(config: &Config) -> anyhow::Result<CorsLayer> {
    let origins = config
        .origins
        .0
        .iter()
        .map(|origin| origin.parse::<HeaderValue>())
        .collect::<Result<Vec<_>, _>>()?;
    let name = |name| HeaderName::from_static(name);
    Ok(CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_credentials(true)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::CONTENT_TYPE,
            header::AUTHORIZATION,
            name("x-preview-session"),
            name("x-cart-token"),
            name("idempotency-key"),
        ])
        .expose_headers([
            name("x-request-id"),
            header::RETRY_AFTER,
            header::LOCATION,
            name("idempotency-replayed"),
        ])
        .max_age(std::time::Duration::from_secs(600)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_told_apart_by_position() {
        assert_eq!(
            positional("/products/{productId}/images/{id}"),
            "/products/{p1}/images/{p2}"
        );
    }

    #[test]
    fn what_answers_get_answers_head() {
        assert_eq!(allow(&[&Method::POST, &Method::GET]), "GET, HEAD, POST");
    }
}
