//! `/api/preview/sessions/{token}/events`: what happens to a session, as Server-Sent Events.
//!
//! `status` at each transition, `features` at each change of features or tier, `extended` at a later end, `expiring`
//! five minutes before the end, `ended` as the last one. An event's id is its place in the recorded history, so that
//! `Last-Event-ID` resumes behind it on any replica; `expiring` has none, since it is no entry of the history.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::HeaderMap,
    response::sse::{Event, KeepAlive, Sse},
};
use chrono::{DateTime, Utc};
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
    Key, Session, Sessions,
    state::reason::EXPIRED,
    steps::Ear,
    store::{Entry, What},
};

/// A quiet stream shows in this time that it is alive.
const COMMENT: Duration = Duration::from_secs(15);

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
        warned_of: None,
        over: false,
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
    /// The end that was warned of.
    warned_of: Option<DateTime<Utc>>,
    over: bool,
}

impl Feed {
    /// Resumes behind an entry, or begins with the present state.
    async fn start(&mut self, resume: Option<i64>) -> Result<(), Fault> {
        let newest = self.history().await?.last().map_or(0, |entry| entry.id);
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
        Ok(store.history(self.session.id, self.seen).await?)
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
                tracing::warn!(cause = %fault, "a stream of events is interrupted");
                return None;
            }
            if self.ready.is_empty() {
                let until = self.next_instant();
                self.ear.hear(self.gateway.sessions.nap(until)).await;
            }
        }
    }

    fn next_instant(&self) -> DateTime<Utc> {
        if self.warned_of == Some(self.session.expires_at) {
            self.session.expires_at
        } else {
            Sessions::warning_at(&self.session)
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
        for entry in history {
            self.seen = entry.id;
            self.tell(entry);
        }
        let now = self.gateway.sessions.now();
        let end = self.session.expires_at;
        if self.over {
            return Ok(());
        }
        if self.session.is_over(now) {
            // The reconciler records it a moment later; the data plane refuses already.
            self.over = true;
            let data = json!({ "reason": EXPIRED });
            self.ready.push_back(event("ended", &data));
        } else if now >= Sessions::warning_at(&self.session) && self.warned_of != Some(end) {
            self.warned_of = Some(end);
            let data = json!({ "expiresAt": instant(end) });
            self.ready.push_back(event("expiring", &data));
        }
        Ok(())
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
