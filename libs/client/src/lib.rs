//! The control plane as a studio's backend uses it: typed calls with a deadline, repeated while the other side is away.
//!
//! Every call may be repeated without harm. A creation gets an idempotency key when it is given none, so that a repeat
//! after a lost answer finds the session of the first try.
//!
//! ```no_run
//! # async fn preview(visitor: std::net::IpAddr) -> Result<(), Box<dyn std::error::Error>> {
//! use client::{Creation, Studio};
//!
//! let secret = std::fs::read_to_string("/run/secrets/internal-api-secret")?;
//! let studio = Studio::at("http://orchestrator:50051", secret.trim())?;
//! let creation = Creation::of(["ecommerce.products", "ecommerce.cart"], "pro").for_visitor(visitor);
//! let session = studio.create(&creation).await?;
//! println!("open {}", session.preview_url.as_deref().unwrap_or("soon"));
//! let token = session.token.ok_or("the creator learns the token")?;
//! studio.heartbeat(&token).await?;
//! studio.end(&token).await?;
//! # Ok(())
//! # }
//! ```

mod call;
mod creation;
mod session;

use futures::stream::{BoxStream, StreamExt};
use proto::v1::{
    EndSessionRequest, ExtendSessionRequest, FeatureChoice, GetSessionRequest, HeartbeatRequest, RestartSessionRequest,
    SessionRef, UpdateSessionRequest, WatchSessionRequest, session_ref::By,
    session_service_client::SessionServiceClient,
};
use service::{
    config::Secret,
    grpc::{Caller, caller, channel_over},
};
use tonic::{service::interceptor::InterceptedService, transport::Channel};

pub use call::{Deadline, Error, Refusal};
pub use creation::Creation;
pub use service::grpc::CallerTls as Tls;
pub use session::{Failure, Pulse, Session};

/// The control plane. Clones share one connection, which is made when it is first used.
#[derive(Clone, Debug)]
pub struct Studio {
    calls: SessionServiceClient<InterceptedService<Channel, Caller>>,
    deadline: Deadline,
}

/// What a session may change; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// A new choice of features.
    pub features: Option<Vec<String>>,
    /// A new tier.
    pub tier: Option<String>,
}

impl Studio {
    /// The control plane at `url`, such as `http://orchestrator:50051`.
    ///
    /// # Errors
    /// When the address is none, or the secret cannot stand in a header.
    pub fn at(url: &str, secret: &str) -> anyhow::Result<Self> {
        Self::over(&Tls::default(), url, secret)
    }

    /// The same, protected by TLS: `https://orchestrator:50051`.
    ///
    /// # Errors
    /// The same, and when a certificate cannot be used.
    pub fn over(tls: &Tls, url: &str, secret: &str) -> anyhow::Result<Self> {
        Ok(Self {
            calls: SessionServiceClient::with_interceptor(channel_over(url, tls)?, caller(&Secret::new(secret))?),
            deadline: Deadline::default(),
        })
    }

    /// The same with another deadline for each call, repeats included.
    #[must_use]
    pub fn within(mut self, deadline: Deadline) -> Self {
        self.deadline = deadline;
        self
    }

    /// Creates a session and waits until it is READY, or for 2 s.
    ///
    /// # Errors
    /// A wrong field, a limit, or no answer in time.
    pub async fn create(&self, creation: &Creation) -> Result<Session, Error> {
        let message = creation.message();
        let answer = self
            .deadline
            .call(&message, |request| {
                let mut calls = self.calls.clone();
                async move { calls.create_session(request).await }
            })
            .await?;
        Session::read(answer.session)
    }

    /// The session behind a token.
    ///
    /// # Errors
    /// It is unknown or over, or there is no answer in time.
    pub async fn get(&self, token: &str) -> Result<Session, Error> {
        let message = GetSessionRequest { session: by(token) };
        let answer = self
            .deadline
            .call(&message, |request| {
                let mut calls = self.calls.clone();
                async move { calls.get_session(request).await }
            })
            .await?;
        Session::read(answer.session)
    }

    /// The session now, then at each change; the last item is its end, or what broke the stream.
    ///
    /// # Errors
    /// It is unknown or over, or there is no answer in time.
    pub async fn watch(&self, token: &str) -> Result<BoxStream<'static, Result<Session, Error>>, Error> {
        let message = WatchSessionRequest { session: by(token) };
        let states = self
            .deadline
            .open(&message, |request| {
                let mut calls = self.calls.clone();
                async move { calls.watch_session(request).await }
            })
            .await?;
        Ok(states
            .map(|state| Session::read(state.map_err(Error::from)?.session))
            .boxed())
    }

    /// Says that the visitor is still there.
    ///
    /// # Errors
    /// It is unknown or over, or there is no answer in time.
    pub async fn heartbeat(&self, token: &str) -> Result<Pulse, Error> {
        let message = HeartbeatRequest { session: by(token) };
        let answer = self
            .deadline
            .call(&message, |request| {
                let mut calls = self.calls.clone();
                async move { calls.heartbeat(request).await }
            })
            .await?;
        Pulse::read(&answer)
    }

    /// Changes features or tier in place.
    ///
    /// # Errors
    /// A wrong field; it is unknown or over; there is no answer in time.
    pub async fn update(&self, token: &str, change: Change) -> Result<Session, Error> {
        let message = UpdateSessionRequest {
            session: by(token),
            features: choice(change.features),
            tier: change.tier,
        };
        let answer = self
            .deadline
            .call(&message, |request| {
                let mut calls = self.calls.clone();
                async move { calls.update_session(request).await }
            })
            .await?;
        Session::read(answer.session)
    }

    /// Moves the session's end to now + TTL.
    ///
    /// # Errors
    /// It cannot live longer, is unknown or over, or there is no answer in time.
    pub async fn extend(&self, token: &str) -> Result<Session, Error> {
        let message = ExtendSessionRequest { session: by(token) };
        let answer = self
            .deadline
            .call(&message, |request| {
                let mut calls = self.calls.clone();
                async move { calls.extend_session(request).await }
            })
            .await?;
        Session::read(answer.session)
    }

    /// Gives the session a fresh schema; what the visitor made is gone.
    ///
    /// # Errors
    /// A wrong field, a limit; it is unknown or over; there is no answer in time.
    pub async fn restart(&self, token: &str, change: Change) -> Result<Session, Error> {
        let message = RestartSessionRequest {
            session: by(token),
            features: choice(change.features),
            tier: change.tier,
        };
        let answer = self
            .deadline
            .call(&message, |request| {
                let mut calls = self.calls.clone();
                async move { calls.restart_session(request).await }
            })
            .await?;
        Session::read(answer.session)
    }

    /// Ends the session; `false` when it was missing or over already.
    ///
    /// # Errors
    /// There is no answer in time.
    pub async fn end(&self, token: &str) -> Result<bool, Error> {
        let message = EndSessionRequest { session: by(token) };
        let answer = self
            .deadline
            .call(&message, |request| {
                let mut calls = self.calls.clone();
                async move { calls.end_session(request).await }
            })
            .await?;
        Ok(answer.ended_now)
    }
}

fn by(token: &str) -> Option<SessionRef> {
    Some(SessionRef {
        by: Some(By::SessionToken(token.to_owned())),
    })
}

fn choice(features: Option<Vec<String>>) -> Option<FeatureChoice> {
    features.map(|selected_features| FeatureChoice { selected_features })
}
