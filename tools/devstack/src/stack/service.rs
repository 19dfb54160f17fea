//! The services and what each must be told.

use std::fmt;

/// One process of the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// Makes and drops schemas.
    Provisioner,
    /// Keeps sessions.
    Orchestrator,
    /// Serves the preview's data; replicas are numbered from 0.
    TenantApi(usize),
    /// A second replica of the provisioner.
    SecondProvisioner,
    /// A second replica of the orchestrator.
    SecondOrchestrator,
}

type Port = (&'static str, u16);

impl Service {
    /// The program's name.
    #[must_use]
    pub fn program(self) -> &'static str {
        match self {
            Self::Provisioner | Self::SecondProvisioner => "provisioner",
            Self::Orchestrator | Self::SecondOrchestrator => "orchestrator",
            Self::TenantApi(_) => "tenant-api",
        }
    }

    /// Variables and the contract's ports: public ones, and the private one.
    pub(super) fn ports(self) -> (&'static [Port], Port) {
        match self {
            Self::Provisioner | Self::SecondProvisioner => {
                (&[("PROVISIONER_GRPC_ADDR", 50052)], ("PROVISIONER_ADMIN_ADDR", 9102))
            }
            Self::Orchestrator | Self::SecondOrchestrator => (
                &[("ORCHESTRATOR_HTTP_ADDR", 3001), ("ORCHESTRATOR_GRPC_ADDR", 50051)],
                ("ORCHESTRATOR_ADMIN_ADDR", 9101),
            ),
            Self::TenantApi(_) => (&[("TENANT_API_HTTP_ADDR", 3003)], ("TENANT_API_ADMIN_ADDR", 9103)),
        }
    }

    /// Connections to PostgreSQL that it may have: twenty in all, with the orchestrator's one that listens. A machine of
    /// a few cores has no use for more.
    pub(super) fn connections(self) -> u32 {
        match self {
            Self::Provisioner | Self::SecondProvisioner => 5,
            Self::Orchestrator | Self::SecondOrchestrator => 4,
            Self::TenantApi(_) => 10,
        }
    }

    /// The database login it uses, without the database's name.
    pub(super) fn login(self) -> &'static str {
        match self {
            Self::Provisioner | Self::SecondProvisioner => "provisioner",
            Self::Orchestrator | Self::SecondOrchestrator => "orchestrator",
            Self::TenantApi(_) => "tenant",
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TenantApi(number) if *number > 0 => write!(out, "tenant-api-{}", number + 1),
            Self::SecondProvisioner | Self::SecondOrchestrator => write!(out, "{}-2", self.program()),
            other => out.write_str(other.program()),
        }
    }
}
