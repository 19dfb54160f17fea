//! The provisioner against a real PostgreSQL.

mod calls;
mod claim;
mod crash;
mod drop;
mod furnish;
mod installation;
mod isolation;
mod pool;
mod reconcile;
mod recycle;
mod steady;
mod support;
