//! The provisioner, as this service sees it: a few calls that may be repeated, and three kinds of failure.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use domain::{RoleName, SchemaName, SessionId};
use fault::Fault;
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use proto::v1::{
    DropSchemaRequest, ListSchemasRequest, PoolStatusRequest, PoolStatusResponse, ProvisionSchemaRequest,
    RecycleSlotRequest, SeedModulesRequest, SetPoolTargetRequest, Slot,
    provisioner_service_client::ProvisionerServiceClient,
};
use service::{
    config::Secret,
    grpc::{Caller, CallerTls, caller, channel_over},
};
use tonic::{Code, Request, Status, service::interceptor::InterceptedService, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::session::{Place, Session};

/// How long each call may take.
const PING: Duration = Duration::from_secs(2);
const PROVISION: Duration = Duration::from_secs(60);
const DROP: Duration = Duration::from_secs(5);
const ASK: Duration = Duration::from_secs(10);
/// What operators can do without is not waited for any longer.
const GLANCE: Duration = Duration::from_secs(2);

/// A client of the provisioner. Clones share the connection.
#[derive(Clone)]
pub struct Provisioner {
    calls: ProvisionerServiceClient<InterceptedService<Channel, Caller>>,
    health: HealthClient<Channel>,
    ping: Arc<Mutex<Option<Ping>>>,
}

/// A question that is under way, shared by all who ask meanwhile.
type Ping = Shared<BoxFuture<'static, bool>>;

/// Why the provisioner did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is away, busy or too slow: trying again makes sense, after some seconds if it said so.
    #[error("the provisioner cannot do it now")]
    Passing(#[source] Box<Status>, Option<u64>),
    /// It has no schema of this session.
    #[error("the provisioner knows no such schema")]
    Missing(#[source] Box<Status>),
    /// Trying again gives the same answer.
    #[error("the provisioner refused")]
    Final(#[source] Box<Status>),
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let (reason, wait) = Fault::reason(&status);
        match status.code() {
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::ResourceExhausted | Code::Aborted => {
                Self::Passing(Box::new(status), wait)
            }
            // A broken connection has many codes; what the provisioner itself says carries a reason.
            Code::Unknown | Code::Internal | Code::Ok if reason.is_none() => Self::Passing(Box::new(status), wait),
            Code::NotFound => Self::Missing(Box::new(status)),
            Code::Ok
            | Code::Unknown
            | Code::InvalidArgument
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Internal
            | Code::DataLoss
            | Code::Unauthenticated => Self::Final(Box::new(status)),
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Passing(_, wait) => Self::unavailable(wait.unwrap_or(2).max(1), refusal),
            Refusal::Missing(_) | Refusal::Final(_) => Self::internal(refusal),
        }
    }
}

/// A schema that was provisioned.
#[derive(Clone, Debug)]
pub struct Provisioned {
    /// Where the session lives.
    pub place: Place,
    /// Whether a pooled slot was used.
    pub warm: bool,
}

impl Provisioner {
    /// A client of the provisioner at `url`. It connects when it is first used, and again after a break.
    ///
    /// # Errors
    /// When the address or the secret cannot be used.
    pub fn at(url: &str, tls: &CallerTls, secret: &Secret) -> anyhow::Result<Self> {
        let channel = channel_over(url, tls).with_context(|| format!("PROVISIONER_URL: {url}"))?;
        Ok(Self {
            calls: ProvisionerServiceClient::with_interceptor(channel.clone(), caller(secret)?)
                .max_decoding_message_size(32 * 1024 * 1024),
            health: HealthClient::new(channel),
            ping: Arc::default(),
        })
    }

    /// Whether it can be reached. Any answer of it will do: what it makes of a call, the call tells.
    pub async fn is_reachable(&self) -> bool {
        let ping = {
            let mut under_way = self.ping.lock().unwrap_or_else(PoisonError::into_inner);
            match under_way.as_ref().filter(|ping| ping.peek().is_none()) {
                Some(ping) => ping.clone(),
                None => {
                    let ping = ping(self.health.clone()).boxed().shared();
                    *under_way = Some(ping.clone());
                    ping
                }
            }
        };
        ping.await
    }

    /// Gives the session a schema with the demo data of its modules.
    ///
    /// # Errors
    /// When it is away, or refuses.
    pub async fn provision(&self, session: &Session) -> Result<Provisioned, Refusal> {
        let request = ProvisionSchemaRequest {
            session_id: session.id.to_string(),
            modules: module_ids(session),
            currency: session.currency.as_str().to_owned(),
            generation: session.generation,
        };
        let answer = self
            .calls
            .clone()
            .provision_schema(within(PROVISION, request))
            .await?
            .into_inner();
        let place = SchemaName::parse(&answer.schema_name).and_then(|schema| {
            Ok(Place {
                schema,
                role: RoleName::parse(&answer.role_name)?,
            })
        });
        let place = place.map_err(|error| Status::data_loss(error.to_string()))?;
        Ok(Provisioned {
            place,
            warm: answer.warm,
        })
    }

    /// Seeds the session's modules that have not been.
    ///
    /// # Errors
    /// When it is away, or has no schema of this session.
    pub async fn seed(&self, id: SessionId, modules: Vec<String>, currency: &str) -> Result<Vec<String>, Refusal> {
        let request = SeedModulesRequest {
            session_id: id.to_string(),
            modules,
            currency: currency.to_owned(),
        };
        let answer = self.calls.clone().seed_modules(within(ASK, request)).await?;
        Ok(answer.into_inner().seeded)
    }

    /// Takes the session's schema away; its name is gone when this returns. Nothing to take is fine.
    ///
    /// # Errors
    /// When it is away.
    pub async fn drop_schema(&self, id: SessionId) -> Result<bool, Refusal> {
        self.take_away(id, None).await
    }

    /// Takes away what the session had before this generation of it: a call that comes late does no harm to what it got
    /// since.
    ///
    /// # Errors
    /// When it is away.
    pub async fn drop_former_schema(&self, session: &Session) -> Result<bool, Refusal> {
        self.take_away(session.id, Some(session.generation)).await
    }

    async fn take_away(&self, id: SessionId, before_generation: Option<i64>) -> Result<bool, Refusal> {
        let request = DropSchemaRequest {
            session_id: id.to_string(),
            before_generation,
        };
        match self.calls.clone().drop_schema(within(DROP, request)).await {
            Ok(answer) => Ok(answer.into_inner().existed),
            Err(status) if status.code() == Code::NotFound => Ok(false),
            Err(status) => Err(status.into()),
        }
    }

    /// All slots.
    ///
    /// # Errors
    /// When it is away.
    pub async fn slots(&self) -> Result<Vec<Slot>, Refusal> {
        self.slots_of(ListSchemasRequest::default()).await
    }

    /// Some slots.
    ///
    /// # Errors
    /// When it is away.
    pub async fn slots_of(&self, which: ListSchemasRequest) -> Result<Vec<Slot>, Refusal> {
        self.list(which, ASK).await
    }

    /// The same for those who can do without.
    ///
    /// # Errors
    /// When it is away, or takes more than 2 s.
    pub async fn glance(&self, which: ListSchemasRequest) -> Result<Vec<Slot>, Refusal> {
        self.list(which, GLANCE).await
    }

    async fn list(&self, which: ListSchemasRequest, patience: Duration) -> Result<Vec<Slot>, Refusal> {
        let answer = self.calls.clone().list_schemas(within(patience, which)).await?;
        Ok(answer.into_inner().slots)
    }

    /// Has a slot made anew; `false` when it has another schema by now.
    ///
    /// # Errors
    /// When it is away, there is no such slot, or a session lives in it.
    pub async fn recycle(&self, slot_id: i32, schema_name: String) -> Result<bool, Refusal> {
        let request = RecycleSlotRequest { slot_id, schema_name };
        let answer = self.calls.clone().recycle_slot(within(ASK, request)).await?;
        Ok(answer.into_inner().begun)
    }

    /// Levels of the pool.
    ///
    /// # Errors
    /// When it is away.
    pub async fn pool(&self) -> Result<PoolStatusResponse, Refusal> {
        let answer = self
            .calls
            .clone()
            .pool_status(within(GLANCE, PoolStatusRequest {}))
            .await?;
        Ok(answer.into_inner())
    }

    /// Changes how many ready slots are kept.
    ///
    /// # Errors
    /// When it is away, or the target is out of range.
    pub async fn set_pool_target(&self, target: u32) -> Result<PoolStatusResponse, Refusal> {
        let request = within(ASK, SetPoolTargetRequest { target });
        let answer = self.calls.clone().set_pool_target(request).await?;
        Ok(answer.into_inner().status.unwrap_or_default())
    }
}

async fn ping(mut health: HealthClient<Channel>) -> bool {
    let check = health.check(HealthCheckRequest::default());
    match tokio::time::timeout(PING, check).await {
        Ok(Ok(_)) => true,
        Ok(Err(status)) => {
            let away = matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Cancelled);
            if away {
                tracing::warn!(cause = %fault::chain(&status), "the provisioner is not reached");
            }
            !away
        }
        Err(_) => {
            tracing::warn!("the provisioner does not answer");
            false
        }
    }
}

/// The modules of a session, by id.
pub fn module_ids(session: &Session) -> Vec<String> {
    session.modules().iter().map(|module| module.id.to_owned()).collect()
}

fn within<T>(time: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(time);
    request
}
