//! A creation: admitted, prepared, answered. It runs in a task of its own, so that it is finished also when the caller
//! hangs up.

use std::time::{Duration, Instant};

use domain::{SessionId, SessionStatus, SessionToken};
use fault::{Fault, codes};
use tokio::sync::mpsc;
use tracing::Instrument;

use super::{Sessions, is_being_prepared};
use crate::session::{
    NewSession, Session,
    idempotency::{self, Nonce},
    limits::Limit,
    state::reason::{CREATED, REQUESTED},
    store::{Admission, Candidate},
};

/// What a repeated request leaves to the one that began.
const HEAD_START: Duration = Duration::from_millis(500);

/// A session that was created, with the token that only its creator learns.
#[derive(Debug)]
pub struct Creation {
    /// The session as it is now.
    pub session: Session,
    /// Its token.
    pub token: SessionToken,
    /// Whether an earlier request with the same key made it.
    pub replayed: bool,
}

/// How far a creation has come.
pub(super) enum Progress {
    /// It is recorded and being prepared.
    Admitted(Creation),
    /// It is prepared, or will not be.
    Settled(Session),
    /// The provisioner is away; the session is kept and finished later.
    Away(Fault),
}

/// Why a creation is not answered with a session.
#[derive(Debug)]
pub enum NotYet {
    /// It was refused; there is no session.
    Refused(Fault),
    /// The session is kept and finished when the provisioner is back.
    Kept(Box<Creation>, Fault),
}

impl From<NotYet> for Fault {
    fn from(not_yet: NotYet) -> Self {
        match not_yet {
            NotYet::Refused(fault) | NotYet::Kept(_, fault) => fault,
        }
    }
}

impl Sessions {
    /// Creates a session and waits until it is prepared, or as long as the policy's patience lasts.
    ///
    /// # Errors
    /// 429 at a limit, 409 when the key was used with another request, 503 when the database or the provisioner is
    /// away; in the last case the session is kept.
    pub async fn create(&self, request: NewSession) -> Result<Creation, NotYet> {
        let started = Instant::now();
        let result = self.create_and_wait(request).await;
        let outcome = match &result {
            Ok(creation) if creation.replayed => "replayed",
            Ok(creation) => match creation.session.status {
                SessionStatus::Pending => "deferred",
                SessionStatus::Provisioning => "provisioning",
                SessionStatus::Ready => "ready",
                SessionStatus::Failed => "failed",
                SessionStatus::Dropped => "ended",
            },
            Err(NotYet::Kept(..)) => "away",
            Err(NotYet::Refused(_)) => "refused",
        };
        self.metrics().created(outcome, started.elapsed());
        result
    }

    async fn create_and_wait(&self, request: NewSession) -> Result<Creation, NotYet> {
        let (report, mut progress) = mpsc::channel(4);
        let this = self.clone();
        let patience = self.policy().patience;
        let work = async move {
            if let Err(fault) = this.carry_out(request, &report).await {
                let _ = report.send(Progress::Away(fault)).await;
            }
        };
        self.lifecycle().spawn(work.instrument(tracing::Span::current()));

        let mut deadline = std::pin::pin!(tokio::time::sleep(patience));
        let mut admitted: Option<Creation> = None;
        loop {
            let step = tokio::select! {
                biased;
                step = progress.recv() => step,
                () = &mut deadline, if admitted.is_some() => None,
            };
            match (step, admitted.take()) {
                (Some(Progress::Admitted(creation)), _) => admitted = Some(creation),
                (Some(Progress::Settled(session)), Some(creation)) => return Ok(Creation { session, ..creation }),
                (Some(Progress::Away(fault)), Some(creation)) => return Err(NotYet::Kept(Box::new(creation), fault)),
                (Some(Progress::Away(fault)), None) => return Err(NotYet::Refused(fault)),
                // It was not even begun: the provisioner does not answer.
                (None, Some(creation))
                    if is_being_prepared(&creation.session) && creation.session.status == SessionStatus::Pending =>
                {
                    let away = Fault::unavailable(2, "the provisioner is away");
                    return Err(NotYet::Kept(Box::new(creation), away));
                }
                (None, Some(creation)) => return Ok(creation),
                (Some(Progress::Settled(_)) | None, None) => {
                    return Err(NotYet::Refused(Fault::internal("a creation ended without a word")));
                }
            }
        }
    }

    /// An error means that there is no session.
    async fn carry_out(&self, request: NewSession, report: &mpsc::Sender<Progress>) -> Result<(), Fault> {
        let creation = self.admit(request).await?;
        let (mut session, replayed) = (creation.session.clone(), creation.replayed);
        tracing::Span::current().record("session.id", tracing::field::display(session.id));
        // Fails only when the caller has gone; the work goes on.
        let _ = report.send(Progress::Admitted(creation)).await;
        if replayed {
            session = self.settled(session, HEAD_START).await?;
        }
        if is_being_prepared(&session) {
            // Whoever began it may have died, and two at it do no harm.
            self.prepare(session, Some(report)).await;
        } else {
            let _ = report.send(Progress::Settled(session)).await;
        }
        Ok(())
    }

    async fn admit(&self, request: NewSession) -> Result<Creation, Fault> {
        // What cannot be reached is not asked: the session stays PENDING until it can.
        let reachable = request.provision && self.provisioner().is_reachable().await;
        let (candidate, token) = self.candidate(&request, reachable)?;
        let mut swept = false;
        loop {
            match self.store().admit(&candidate, self.policy()).await? {
                Admission::Admitted => {
                    self.metrics().stepped(SessionStatus::Pending, CREATED);
                    if candidate.session.status == SessionStatus::Provisioning {
                        self.metrics().stepped(SessionStatus::Provisioning, REQUESTED);
                    }
                    return Ok(Creation {
                        session: candidate.session,
                        token,
                        replayed: false,
                    });
                }
                Admission::Known {
                    session,
                    fingerprint,
                    nonce,
                } => return self.replay(&request, *session, fingerprint, &nonce),
                Admission::Refused(limit) => {
                    let now = self.now();
                    let network = request.client.as_str();
                    let wait = self
                        .store()
                        .wait(limit, network, self.policy(), self.listens_until(now), now)
                        .await?;
                    if wait.num_milliseconds() > 0 || limit == Limit::Rate || swept {
                        self.metrics().refused(limit.code().name);
                        return Err(limit.refusal(&self.policy().limits, wait));
                    }
                    // Whoever is in the way is over and only waits for the reconciler: the promised wait must hold.
                    self.end_due().await?;
                    swept = true;
                }
            }
        }
    }

    fn candidate(&self, request: &NewSession, reachable: bool) -> Result<(Candidate, SessionToken), Fault> {
        let now = self.now();
        let policy = self.policy();
        let currency = request.currency.or(policy.default_currency);
        let currency = currency.ok_or_else(|| Fault::internal("DEFAULT_CURRENCY is not set"))?;
        let (token, key) = match &request.key {
            None => (SessionToken::random().map_err(Fault::internal)?, None),
            Some(key) => {
                let mut nonce: Nonce = [0; 32];
                getrandom::fill(&mut nonce).map_err(Fault::internal)?;
                let parts = [key.hash(), idempotency::fingerprint(request), nonce];
                (key.token(&nonce, &self.0.secret), Some(parts))
            }
        };
        let session = Session {
            id: SessionId::new(now),
            token_hash: token.hash(),
            selected: request.selection.selected.clone(),
            ignored: request.selection.ignored.clone(),
            tier: request.tier.clone(),
            template_slug: request.template_slug.clone(),
            currency,
            status: if reachable {
                SessionStatus::Provisioning
            } else {
                SessionStatus::Pending
            },
            deferred: !request.provision,
            place: None,
            generation: 0,
            client_network: request.client.to_string(),
            created_at: now,
            ready_at: None,
            last_accessed_at: now,
            expires_at: now + policy.ttl,
            failure: None,
            restarting_since: None,
        };
        Ok((Candidate { session, key }, token))
    }

    fn replay(
        &self,
        request: &NewSession,
        session: Session,
        fingerprint: [u8; 32],
        nonce: &Nonce,
    ) -> Result<Creation, Fault> {
        let conflict = |message| Fault::new(codes::IDEMPOTENCY_CONFLICT, message);
        if fingerprint != idempotency::fingerprint(request) {
            return Err(conflict("This idempotency key was used with another request."));
        }
        let token = request.key.as_ref().map(|key| key.token(nonce, &self.0.secret));
        match token {
            Some(token) if token.hash() == session.token_hash => Ok(Creation {
                session,
                token,
                replayed: true,
            }),
            _ => Err(conflict(
                "This idempotency key was used under another secret. Take a new key.",
            )),
        }
    }
}
