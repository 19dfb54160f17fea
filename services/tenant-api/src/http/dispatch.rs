//! What happens to every request once its route is known, in the contract's order (README section 3).

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use axum::{
    extract::{RawPathParams, Request, rejection::RawPathParamsRejection},
    http::{Extensions, HeaderMap, Method},
    response::{IntoResponse, Response},
};
use chrono::SubsecRound;
use fault::{Detail, Fault, codes};
use serde_json::{Map, Value};

use super::{
    Answer, App, Call, Error, Result, Route,
    body::{JSON_LIMIT, Raw},
    call::Parts,
    failure::{Failure, is_gone, judge},
    idempotency::{self, Claim},
    limits::Counted,
    metrics::Measured,
    query::Query,
    route::Body,
    session::{Admitted, granted},
};
use crate::{
    audit,
    auth::{Caller, caller, roles},
    closing::{self, Closing},
    resource::{Field, Write, precheck, value},
    tenant::{
        directory,
        transaction::{Access, Tx},
    },
};

/// How often a request that lost a race is run again.
const TRIES: u32 = 4;
/// The version that a change was made from.
const VERSION: Field = Field::int("version").filled();
/// What a multipart body adds to its file.
const MULTIPART_OVERHEAD: usize = 16 * 1024;

/// Serves one request.
pub async fn serve(
    app: Arc<App>,
    route: Arc<Route>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Response {
    let name = format!("http.{}.{}.{}", route.module, route.resource, route.operation);
    service::http::name(&name);
    tracing::Span::current().record("http.route", route.path.as_str());
    if let Some(measured) = request.extensions().get::<Measured>() {
        measured.name(&route);
    }
    let deadline = app.limits.request;
    match tokio::time::timeout(deadline, counted(app, &route, parameters, request)).await {
        Ok(Ok(answer)) => answer.into_response(route),
        Ok(Err(fault)) => fault.into_response(),
        Err(_) => Fault::unavailable(1, "the request took too long").into_response(),
    }
}

/// Answers within the session's rates.
async fn counted(
    app: Arc<App>,
    route: &Arc<Route>,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Result<Answer, Fault> {
    let Some(admitted) = request.extensions().get::<Admitted>().cloned() else {
        return Err(Fault::internal("a route ran without a session"));
    };
    let session = admitted.tenant.session;
    app.rates.count(session, Counted::Request)?;
    let kind = match (route.resource, route.operation) {
        ("auth" | "auth-sessions", _) if route.is_write() => Some(Counted::AuthWrite),
        ("contact-messages", "create") => Some(Counted::Contact),
        _ => None,
    };
    if let Some(kind) = kind {
        app.rates.count(session, kind)?;
    }
    let _turn = app.turns.wait(session).await?;
    let answer = answer(Arc::clone(&app), route, admitted, parameters, request).await;
    if kind == Some(Counted::Contact) && answer.is_err() {
        // What was refused is no message.
        app.rates.forget(session, Counted::Contact);
    }
    answer
}

async fn answer(
    app: Arc<App>,
    route: &Arc<Route>,
    mut admitted: Admitted,
    parameters: Result<RawPathParams, RawPathParamsRejection>,
    request: Request,
) -> Result<Answer, Fault> {
    let (head, body) = request.into_parts();
    let limit = match route.body {
        Body::File => usize::try_from(app.limits.file_bytes)
            .unwrap_or(usize::MAX)
            .saturating_add(MULTIPART_OVERHEAD),
        Body::None | Body::Fields(_) | Body::Changes { .. } => JSON_LIMIT,
    };
    // Read before a connection is taken: a slow body must not hold one.
    let raw = Arc::new(Raw::read(&head.headers, body, limit).await);
    let path = parameters.ok().and_then(|parameters| segments(&parameters));
    let is_secure = head
        .headers
        .get("x-forwarded-proto")
        .is_some_and(|proto| proto.as_bytes().starts_with(b"https"));

    for attempt in 1..=TRIES {
        let incoming = Incoming {
            app: Arc::clone(&app),
            admitted: admitted.clone(),
            route: Arc::clone(route),
            path: path.clone(),
            query: head.uri.query().map(str::to_owned),
            headers: head.headers.clone(),
            raw: Arc::clone(&raw),
            is_secure,
        };
        let error = match incoming.run().await {
            Ok(answer) => return Ok(answer),
            Err(Error::Fault(fault)) => return Err(fault),
            Err(Error::Database(error)) => error,
        };
        match judge(error) {
            Failure::Fault(fault) => return Err(fault),
            Failure::Lost(error) if attempt == TRIES => return Err(Fault::unavailable(1, error)),
            Failure::Lost(error) => {
                tracing::debug!(error = %fault::chain(&error), attempt, "lost a race, running the request again");
                tokio::time::sleep(std::time::Duration::from_millis(u64::from(attempt) * 5)).await;
            }
            Failure::Moved(error) => {
                admitted = moved(&app, &admitted, &route.path, error).await?;
                if attempt == TRIES {
                    let fault = Fault::new(codes::SESSION_NOT_READY, "This preview has just been prepared anew.");
                    return Err(fault.retry_after(1));
                }
            }
        }
    }
    Err(Fault::internal("no try was left"))
}

/// What the path's parameters are; `None` when they can name nothing: NUL and its like are in no row, and PostgreSQL does
/// not take them in a text.
fn segments(parameters: &RawPathParams) -> Option<Vec<String>> {
    let is_plain = |segment: &str| !segment.chars().any(char::is_control);
    parameters
        .iter()
        .map(|(_, segment)| is_plain(segment).then(|| segment.to_owned()))
        .collect()
}

/// The database does not know what the cache says: the session was prepared anew or ended a moment ago, or this is our
/// fault.
async fn moved(app: &App, admitted: &Admitted, path: &str, error: sea_orm::DbErr) -> Result<Admitted, Fault> {
    let token = admitted.token;
    app.directory.disown(token).await;
    let tenant = directory::ready(app.directory.find(token).await?)?;
    if tenant.generation == admitted.tenant.generation {
        return Err(Fault::internal(error));
    }
    granted(app, Admitted { tenant, token }, path)
}

struct Incoming {
    app: Arc<App>,
    admitted: Admitted,
    route: Arc<Route>,
    /// `None` when it can name nothing.
    path: Option<Vec<String>>,
    query: Option<String>,
    headers: HeaderMap,
    raw: Arc<Raw>,
    is_secure: bool,
}

impl Incoming {
    async fn run(self) -> Result<Answer> {
        let Self {
            app,
            admitted,
            route,
            path,
            query,
            headers,
            raw,
            is_secure,
        } = self;
        let access = if route.method == Method::GET {
            Access::ReadOnly
        } else {
            Access::ReadWrite
        };
        let tx = Tx::new(
            app.pool.clone(),
            app.lifecycle.clone(),
            &admitted.tenant,
            access,
            app.limits.statement,
        );
        // As precise as it is stored, so that an answer shows the same instant as the next one.
        let now = app.clock.now().trunc_subsecs(3);
        let known = caller::identify(&app.tokens, &tx, &admitted.tenant, &headers, &route, now).await?;
        let (caller, settings) = known.map_or((None, None), |known| (Some(known.caller), known.settings));
        let mut memory = Extensions::new();
        if let Some(settings) = settings {
            memory.insert(settings);
        }
        roles::admit(&route, caller.as_ref())?;
        let query = Query::read(query.as_deref())?;
        let (body, mut details) = checked_body(route.body, &raw, caller.as_ref())?;
        if !details.is_empty() {
            // All that is wrong is told at once.
            details.extend(precheck::dangling(&tx, route.body.fields(), &body).await?);
            return Err(Fault::invalid(details).into());
        }
        let path = path.ok_or_else(Fault::not_found)?;
        let call = Call(Arc::new(Parts {
            app,
            tenant: admitted.tenant,
            route,
            tx,
            caller,
            path,
            query,
            headers,
            raw,
            body,
            now,
            is_secure,
            closing: Closing::default(),
            memory: Mutex::new(memory),
        }));

        handle(&call).await.map_err(|error| match (error, call.caller()) {
            (Error::Database(error), Some(user)) if is_gone(&error, user.id) => caller::gone().because(error).into(),
            (error, _) => error,
        })
    }
}

/// Runs the handler and what follows from it, up to the commit.
async fn handle(call: &Call) -> Result<Answer> {
    let claim = if call.route().idempotent {
        idempotency::claim(call).await?
    } else {
        Claim::None
    };
    if let Claim::Replay(answer) = claim {
        return Ok(*answer);
    }
    let mut answer = (call.route().handler)(call.clone()).await?;
    if answer.is_refusal() {
        idempotency::forget(call, &claim);
    } else {
        audit::record(call, &mut answer);
        idempotency::keep(call, &claim, &answer);
    }
    answer.near_limit = closing::close(call).await?;
    if call.route().is_write() {
        call.tx().commit().await?;
    }
    answer.statements = call.tx().statements();
    Ok(answer)
}

/// Reads and checks a body: media type, size, syntax, then who may write its fields, then the fields. What is right of it,
/// and what is wrong.
fn checked_body(body: Body, raw: &Raw, caller: Option<&Caller>) -> Result<(Map<String, Value>, Vec<Detail>), Fault> {
    let mut details = Vec::new();
    let kept = match body {
        Body::None => Map::new(),
        Body::File => {
            raw.check_type("multipart/form-data")?;
            raw.bytes().map(|_| Map::new())?
        }
        Body::Fields(fields) => {
            let sent = raw.json()?;
            may_write(fields, &sent, caller)?;
            check_writable(fields, &sent, true, &mut details);
            value::members(fields, writable(sent, &details), "", &mut details)
        }
        Body::Changes { fields, versioned } => {
            let sent = raw.json()?;
            may_write(fields, &sent, caller)?;
            check_writable(fields, &sent, false, &mut details);
            let mut kept = Map::new();
            for (name, sent) in writable(sent, &details) {
                let field = fields.iter().find(|field| field.name == name);
                match field.or_else(|| (versioned && name == "version").then_some(&VERSION)) {
                    Some(field) => {
                        if let Some(value) = value::normalise(field, sent, &name, &mut details) {
                            kept.insert(name, value);
                        }
                    }
                    None => details.push(Detail::new(value::shown(&name), "is not a known field")),
                }
            }
            kept
        }
    };
    Ok((kept, details))
}

/// Fields that only staff or admins may set are 403 from others, before their values are looked at.
fn may_write(fields: &[Field], sent: &Map<String, Value>, caller: Option<&Caller>) -> Result<(), Fault> {
    let forbidden = fields
        .iter()
        .filter(|field| sent.contains_key(field.name))
        .find(|field| match field.write {
            Write::Staff => !caller.is_some_and(Caller::is_staff),
            Write::Admin => !caller.is_some_and(Caller::is_admin),
            Write::All | Write::Create | Write::Server => false,
        });
    match forbidden {
        Some(field) => Err(Fault::new(
            codes::FORBIDDEN,
            format!("Your role does not allow you to set {}.", field.name),
        )),
        None => Ok(()),
    }
}

/// Names the sent fields that the server writes, or that cannot be changed any more.
fn check_writable(fields: &[Field], sent: &Map<String, Value>, is_create: bool, details: &mut Vec<Detail>) {
    for field in fields.iter().filter(|field| sent.contains_key(field.name)) {
        match field.write {
            Write::Server => details.push(Detail::new(field.name, "is written by the server")),
            Write::Create if !is_create => details.push(Detail::new(field.name, "cannot be changed")),
            Write::All | Write::Create | Write::Staff | Write::Admin => {}
        }
    }
}

fn writable(mut sent: Map<String, Value>, details: &[Detail]) -> Map<String, Value> {
    let refused: BTreeSet<&str> = details.iter().map(|detail| detail.field.as_str()).collect();
    sent.retain(|name, _| !refused.contains(name.as_str()));
    sent
}
