//! A session to be created.

use std::net::IpAddr;

use proto::v1::CreateSessionRequest;
use uuid::Uuid;

/// What a new session is made of.
#[derive(Clone, Debug)]
pub struct Creation(CreateSessionRequest);

impl Creation {
    /// A session with these features in this tier.
    #[must_use]
    pub fn of<S: Into<String>>(features: impl IntoIterator<Item = S>, tier: impl Into<String>) -> Self {
        Self(CreateSessionRequest {
            selected_features: features.into_iter().map(Into::into).collect(),
            tier: tier.into(),
            // A repeat after a lost answer must not make a second session.
            idempotency_key: Some(Uuid::new_v4().to_string()),
            ..CreateSessionRequest::default()
        })
    }

    /// The visitor's address, whose limits count.
    #[must_use]
    pub fn for_visitor(mut self, address: IpAddr) -> Self {
        self.0.client_ip = address.to_string();
        self
    }

    /// The studio's template.
    #[must_use]
    pub fn from_template(mut self, slug: impl Into<String>) -> Self {
        self.0.template_slug = Some(slug.into());
        self
    }

    /// The currency of its money, ISO 4217.
    #[must_use]
    pub fn in_currency(mut self, code: impl Into<String>) -> Self {
        self.0.currency = Some(code.into());
        self
    }

    /// Prepared when it is first asked for, not now.
    #[must_use]
    pub fn deferred(mut self) -> Self {
        self.0.provision_schema = Some(false);
        self
    }

    /// A key of the caller's own: creations with one key within 24 h give one session, whatever process asks.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<String>) -> Self {
        self.0.idempotency_key = Some(key.into());
        self
    }

    pub(crate) fn message(&self) -> CreateSessionRequest {
        self.0.clone()
    }
}
