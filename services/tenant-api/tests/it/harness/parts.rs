//! The parts of a running tenant-api, for tests of what lies below its routes.

use std::{sync::Arc, time::Duration};

use proto::v1::Tenant as Wire;
use tenant_api::tenant::{
    Lookup, Tenant,
    transaction::{Access, Tx},
};
use testkit::TestDatabase;

use super::{App, Fake, Session};

impl App {
    /// What its requests share.
    pub fn server(&self) -> &Arc<tenant_api::http::App> {
        &self.host.server
    }

    /// Its database.
    pub fn database(&self) -> &TestDatabase {
        &self.host.database
    }

    /// The control plane that it asks.
    pub fn control_plane(&self) -> &Fake {
        &self.host.fake
    }
}

impl Session {
    /// What the tenant-api knows of the session.
    pub async fn tenant(&self) -> Arc<Tenant> {
        match self.host.server.directory.find(self.token.hash()).await {
            Ok(Lookup::Ready(tenant)) => tenant,
            other => panic!("the session is not ready: {other:?}"),
        }
    }

    /// A transaction over its rows.
    pub async fn tx(&self, access: Access, timeout: Duration) -> Tx {
        let server = &self.host.server;
        let tenant = self.tenant().await;
        Tx::new(server.pool.clone(), server.lifecycle.clone(), &tenant, access, timeout)
    }

    /// Changes what the control plane says of it, without a word to the tenant-api.
    pub fn change_silently(&self, change: impl FnOnce(&mut Wire)) {
        self.host.fake.change_silently(self.token.hash(), change);
    }
}
