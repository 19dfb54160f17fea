//! Where the services listen.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use super::service::Service;
use crate::environment;
use crate::port;

/// One thing that a service listens for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// The variable that tells the service.
    pub variable: &'static str,
    /// Where it listens.
    pub address: SocketAddr,
}

/// The addresses of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// What it is there for: HTTP or gRPC, the public one first.
    pub public: Vec<Endpoint>,
    /// Health, metrics and what only operators see.
    pub admin: Endpoint,
}

impl Addresses {
    /// Free loopback ports.
    pub(super) fn free(service: Service) -> Result<Self> {
        Self::of(service, |_, _| Ok(SocketAddr::from(([127, 0, 0, 1], port::free()?))))
    }

    /// The contract's ports on loopback, or what the environment says instead. A further replica
    /// of a service gets free ports.
    pub(super) fn default(service: Service) -> Result<Self> {
        if matches!(service, Service::TenantApi(number) if number > 0) {
            return Self::free(service);
        }
        Self::of(service, |variable, port| match environment::variable(variable) {
            Some(text) => text
                .parse()
                .with_context(|| format!("{variable} is {text:?}: write HOST:PORT, such as 127.0.0.1:{port}")),
            None => Ok(SocketAddr::from(([127, 0, 0, 1], port))),
        })
    }

    /// Fails when one of them is taken.
    pub(super) fn require_free(&self, name: &str) -> Result<()> {
        let mut all = self.public.iter().chain([&self.admin]);
        all.try_for_each(|endpoint| port::require_free(endpoint.address, name, endpoint.variable))
    }

    fn of(service: Service, choose: impl Fn(&'static str, u16) -> Result<SocketAddr>) -> Result<Self> {
        let endpoint = |(variable, port)| {
            anyhow::Ok(Endpoint {
                variable,
                address: choose(variable, port)?,
            })
        };
        let (public, admin) = service.ports();
        Ok(Self {
            public: public.iter().copied().map(endpoint).collect::<Result<_>>()?,
            admin: endpoint(admin)?,
        })
    }
}
