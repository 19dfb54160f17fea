//! `/api/preview/sessions/{token}/events`: what happens to a session, as Server-Sent Events.
//!
//! `status` at each transition, `features` at each change of features or tier, `extended` at a later end, `expiring`
//! five minutes before the end (that of its time, or that of its silence), `ended` as the last one. An event's id is its
//! place in the recorded history, so that `Last-Event-ID` resumes behind it on any replica; `expiring` has none, since
//! it is no entry of the history.

mod seats;

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::HeaderMap,
    response::sse::{Event, KeepAlive, Sse},
};
use chrono::{DateTime, TimeDelta, Utc};
use domain::{SessionStatus, SessionToken};
use fault::Fault;
use futures::stream::{self, Stream, StreamExt};
use serde_json::{Value, json};

use super::{
    Gateway,
    extract::Token,
    view::{instant, preview_url},
};
use crate::session::{
    Key, Session,
    state::reason::EXPIRED,
    steps::Ear,
    store::{Entry, What},
};

/// A quiet stream shows in this time that it is alive.
const COMMENT: Duration = Duration::from_secs(15);
/// How long before a session's end its visitor is warned.
const WARNING: TimeDelta = TimeDelta::minutes(5);
/// Entries of the history read at once.
const PAGE: usize = 100;

pub(super) use seats::Seats;

/// GET `/sessions/{token}/events`.
pub async fn follow(
    State(gateway): State<Gateway>,
    token: Token,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Fault> {
    let resume = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .and_then(|id| id.trim().parse::<i64>().ok());
    let seat = gateway.seats.take(token.0.hash())?;
    // Before the first look, so that nothing falls in between.
    let ear = gateway.sessions.ear(token.0.hash());
    let session = gateway.sessions.look(&token.key()).await?;
    tracing::Span::current().record("session.id", tracing::field::display(session.id));
    let stopping = gateway.sessions.lifecycle().clone().stopping();
    let mut feed = Feed {
        gateway,
        token: token.0,
        session,
        ear,
        seen: 0,
        ready: VecDeque::new(),
        warned: false,
        over: false,
        _seat: seat,
    };
    feed.start(resume).await?;
    let events = stream::unfold(feed, |mut feed| async move {
        let event = feed.next().await?;
        Some((Ok(event), feed))
    });
    let keep_alive = KeepAlive::new().interval(COMMENT);
    Ok(Sse::new(events.take_until(stopping)).keep_alive(keep_alive))
}

struct Feed {
    gateway: Gateway,
    token: SessionToken,
    session: Session,
    ear: Ear,
    /// The last entry of the history that was told.
    seen: i64,
    /// Events that wait to be sent.
    ready: VecDeque<Event>,
    /// The end is near, and that was told.
    warned: bool,
    over: bool,
    _seat: seats::Seat,
}

impl Feed {
    /// Resumes behind an entry, or begins with the present state.
    async fn start(&mut self, resume: Option<i64>) -> Result<(), Fault> {
        // The history first: the session is then at least as new as what counts as told.
        let newest = self.gateway.sessions.store().newest(self.session.id).await?;
        self.session = self.gateway.sessions.look(&Key::Id(self.session.id)).await?;
        if let Some(seen) = resume {
            // An id from the future would hide everything.
            self.seen = seen.min(newest);
            return Ok(());
        }
        self.seen = newest;
        let now = self.session.shown_status(self.gateway.sessions.now());
        self.push(self.seen, "status", &self.status(now));
        Ok(())
    }

    async fn history(&self) -> Result<Vec<Entry>, Fault> {
        let store = self.gateway.sessions.store();
        Ok(store.history(self.session.id, self.seen, PAGE).await?)
    }

    /// The next event; `None` behind the last one.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            if let Err(fault) = self.look().await {
                // The client comes back and resumes.
                tracing::warn!(cause = %fault::chain(&fault), "a stream of events is interrupted");
                return None;
            }
            if self.ready.is_empty() {
                let until = self.next_instant();
                self.ear.hear(self.gateway.sessions.nap(until)).await;
            }
        }
    }

    fn next_instant(&self) -> DateTime<Utc> {
        if self.warned {
            self.session.expires_at
        } else {
            self.gateway.sessions.end_of(&self.session) - WARNING
        }
    }

    async fn look(&mut self) -> Result<(), Fault> {
        // The history first: the session is then at least as new as what is told of it.
        let mut history = self.history().await?;
        let found = self.gateway.sessions.find(&Key::Id(self.session.id)).await?;
        let Some(session) = found else {
            self.over = true;
            return Ok(());
        };
        self.session = session;
        if self.session.status == SessionStatus::Dropped {
            // It ended between the two: why stands in the history by now.
            history = self.history().await?;
        }
        let is_all = history.len() < PAGE;
        for entry in history {
            self.seen = entry.id;
            self.tell(entry);
        }
        if is_all && !self.over {
            self.tell_time();
        }
        Ok(())
    }

    /// What is no entry of the history: the end is near, or there.
    fn tell_time(&mut self) {
        let now = self.gateway.sessions.now();
        let end = self.gateway.sessions.end_of(&self.session);
        if self.session.is_over(now) {
            // The reconciler records it a moment later; the data plane refuses already.
            self.over = true;
            self.ready.push_back(event("ended", &json!({ "reason": EXPIRED })));
            return;
        }
        let is_near = now >= end - WARNING;
        if is_near && !self.warned {
            let data = json!({ "expiresAt": instant(end) });
            self.ready.push_back(event("expiring", &data));
        }
        self.warned = is_near;
    }

    fn tell(&mut self, entry: Entry) {
        match entry.what {
            What::Transition {
                to: SessionStatus::Dropped,
                reason,
                ..
            } => {
                self.over = true;
                self.push(entry.id, "ended", &json!({ "reason": reason }));
            }
            What::Transition { to, .. } => self.push(entry.id, "status", &self.status(to)),
            What::Restarting => self.push(entry.id, "status", &self.status(SessionStatus::Provisioning)),
            What::Restarted => self.push(entry.id, "status", &self.status(SessionStatus::Ready)),
            What::Extended => {
                let data = json!({ "expiresAt": instant(self.session.expires_at) });
                self.push(entry.id, "extended", &data);
            }
            What::Updated => {
                let selection = self.session.selection();
                let modules: Vec<_> = selection.modules.iter().map(|module| module.id).collect();
                let data = json!({
                    "selectedFeatures": self.session.selected,
                    "enabledFeatures": selection.enabled,
                    "ignoredFeatures": self.session.ignored,
                    "modules": modules,
                    "tier": self.session.tier,
                });
                self.push(entry.id, "features", &data);
            }
        }
    }

    fn status(&self, status: SessionStatus) -> Value {
        let frontend = &self.gateway.config.preview_frontend_url;
        json!({
            "schemaStatus": status,
            "previewUrl": preview_url(frontend, &self.token, status),
            "expiresAt": instant(self.session.expires_at),
        })
    }

    fn push(&mut self, id: i64, kind: &str, data: &Value) {
        self.ready.push_back(event(kind, data).id(id.to_string()));
    }
}

fn event(kind: &str, data: &Value) -> Event {
    Event::default().event(kind).data(data.to_string())
}
