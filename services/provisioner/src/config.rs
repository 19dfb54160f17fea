//! The settings of the provisioner.

use std::{net::SocketAddr, time::Duration};

use service::{
    config::{Reader, Secret},
    grpc::ServerTls,
    telemetry,
};

use crate::database;

/// The most slots that a pool may keep ready.
pub const LARGEST_TARGET: u32 = 500;

/// Everything the process needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the gRPC interface listens.
    pub grpc: SocketAddr,
    /// Where the private port listens.
    pub admin: SocketAddr,
    /// The database.
    pub database: database::Config,
    /// The pool of slots.
    pub pool: Pool,
    /// The secret between our processes.
    pub secret: Secret,
    /// What the gRPC interface shows and demands.
    pub tls: ServerTls,
    /// How long a shutdown waits for what is under way.
    pub grace: Duration,
    /// Logs, traces, metrics.
    pub telemetry: telemetry::Config,
}

/// How the pool of slots is kept.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Ready slots, unless an operator set another number.
    pub target: u32,
    /// How often the world is compared with the records.
    pub reconcile: Duration,
    /// How long a ready slot beyond the target stays unused before it is dropped.
    pub surplus: Duration,
    /// How old the demo data of a ready slot may get; zero: it is made when a session moves in.
    pub fresh: Duration,
    /// How long a session waits for a slot when the pool is empty.
    pub patience: Duration,
}

impl Config {
    /// Describes the settings.
    pub fn read(reader: &mut Reader) -> Self {
        let telemetry = telemetry::Config::read(reader);
        Self {
            grpc: reader.address(
                "PROVISIONER_GRPC_ADDR",
                "0.0.0.0:50052",
                "Where the gRPC interface listens.",
            ),
            admin: reader.address(
                "PROVISIONER_ADMIN_ADDR",
                "0.0.0.0:9102",
                "Where /livez, /readyz and /metrics listen; keep it private.",
            ),
            database: database::Config::read(reader),
            pool: Pool::read(reader),
            secret: reader.secret(
                "INTERNAL_API_SECRET",
                telemetry.app_env,
                "The secret between our processes, in the metadata x-internal-secret.",
            ),
            tls: ServerTls::read(reader),
            grace: Duration::from_secs(reader.number(
                "SHUTDOWN_GRACE_SECONDS",
                20,
                0..=600,
                "How long a shutdown waits for what is under way.",
            )),
            telemetry,
        }
    }
}

impl Pool {
    fn read(reader: &mut Reader) -> Self {
        let target = reader.number(
            "POOL_TARGET",
            8,
            0..=u64::from(LARGEST_TARGET),
            "Schemas kept ready, until an operator sets another number; 0 turns the pool off.",
        );
        Self {
            target: u32::try_from(target).unwrap_or(LARGEST_TARGET),
            reconcile: Duration::from_secs_f64(reader.decimal(
                "RECONCILE_INTERVAL_SECONDS",
                30.0,
                0.1..=3_600.0,
                "How often the world is compared with the records.",
            )),
            surplus: Duration::from_secs(reader.number(
                "POOL_SURPLUS_SECONDS",
                600,
                0..=86_400,
                "How long a ready schema beyond POOL_TARGET stays unused before it is dropped.",
            )),
            fresh: Duration::from_secs(reader.number(
                "POOL_FRESH_SECONDS",
                600,
                0..=86_400,
                "How old the demo data of a ready schema may get; 0 makes it when a session moves in.",
            )),
            patience: Duration::from_secs(reader.number(
                "POOL_WAIT_SECONDS",
                15,
                1..=300,
                "How long a session waits for a schema when the pool is empty.",
            )),
        }
    }
}
