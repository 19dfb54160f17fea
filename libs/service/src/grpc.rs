//! What gRPC servers and clients share: the internal secret, the trace, and limits.

mod server;
mod tls;

use std::{str::FromStr, time::Duration};

use fault::{Fault, codes};
use opentelemetry::{
    global,
    propagation::{Extractor, Injector},
};
use subtle::ConstantTimeEq;
use tonic::{
    Request, Status,
    metadata::{Ascii, KeyRef, MetadataKey, MetadataMap, MetadataValue},
    service::Interceptor,
    transport::{Channel, Endpoint},
};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::config::Secret;

pub use server::{MOST_MESSAGE_BYTES, reasons, server, span};
pub use tls::{CallerTls, ServerTls, authorities, private_key};

/// The metadata that carries the secret between our processes.
pub const SECRET_HEADER: &str = "x-internal-secret";

/// Refuses calls without the secret. For `Service::with_interceptor` on a server.
pub fn guard(secret: Secret) -> impl FnMut(Request<()>) -> Result<Request<()>, Status> + Clone {
    move |request| {
        let sent = request
            .metadata()
            .get(SECRET_HEADER)
            .map(MetadataValue::as_bytes)
            .unwrap_or_default();
        if is_equal(sent, secret.reveal().as_bytes()) {
            Ok(request)
        } else {
            Err(Fault::new(
                codes::UNAUTHORIZED,
                "The metadata x-internal-secret is missing or wrong.",
            )
            .into())
        }
    }
}

/// Compares without telling by its time how much was right.
#[must_use]
pub fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// Adds the secret and the present trace to each call. For `Client::with_interceptor`.
#[derive(Clone, Debug)]
pub struct Caller(MetadataValue<Ascii>);

/// See [`Caller`].
///
/// # Errors
/// When the secret cannot stand in a header.
pub fn caller(secret: &Secret) -> anyhow::Result<Caller> {
    let mut value = MetadataValue::<Ascii>::from_str(secret.reveal())
        .map_err(|_| anyhow::anyhow!("INTERNAL_API_SECRET must be visible ASCII"))?;
    value.set_sensitive(true);
    Ok(Caller(value))
}

impl Interceptor for Caller {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert(SECRET_HEADER, self.0.clone());
        let context = tracing::Span::current().context();
        global::get_text_map_propagator(|propagator| {
            propagator.inject_context(&context, &mut Metadata(request.metadata_mut()));
        });
        Ok(request)
    }
}

/// A lazy channel: it connects at the first call and again whenever the other side comes back.
///
/// # Errors
/// When the address is none.
pub fn channel(url: &str) -> anyhow::Result<Channel> {
    channel_over(url, &CallerTls::default())
}

/// The same, protected by TLS if it is configured.
///
/// # Errors
/// When the address is none, or a certificate cannot be used.
pub fn channel_over(url: &str, tls: &CallerTls) -> anyhow::Result<Channel> {
    Ok(tls
        .protect(Endpoint::from_shared(url.to_owned())?)?
        .connect_timeout(Duration::from_secs(2))
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .tcp_nodelay(true)
        .connect_lazy())
}

/// Makes the caller's trace the parent of `span`.
pub fn adopt(span: &tracing::Span, metadata: &MetadataMap) {
    let context = global::get_text_map_propagator(|propagator| propagator.extract(&MetadataRef(metadata)));
    let _ = span.set_parent(context);
}

struct Metadata<'a>(&'a mut MetadataMap);

impl Injector for Metadata<'_> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(key), Ok(value)) = (MetadataKey::from_bytes(key.as_bytes()), MetadataValue::try_from(value)) {
            self.0.insert(key, value);
        }
    }
}

struct MetadataRef<'a>(&'a MetadataMap);

impl Extractor for MetadataRef<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        let name = |key| match key {
            KeyRef::Ascii(key) => Some(key.as_str()),
            KeyRef::Binary(_) => None,
        };
        self.0.keys().filter_map(name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_secret_passes() {
        let secret = Secret::new("a-secret-of-some-length");
        let mut guard = guard(secret.clone());
        assert!(guard(Request::new(())).is_err());
        let mut wrong = Request::new(());
        wrong
            .metadata_mut()
            .insert(SECRET_HEADER, MetadataValue::from_static("a-secret-of-some-lengtH"));
        assert_eq!(
            guard(wrong).map_err(|status| status.code()).err(),
            Some(tonic::Code::Unauthenticated)
        );
        let Ok(mut caller) = caller(&secret) else {
            panic!("the secret is ASCII")
        };
        let Ok(request) = caller.call(Request::new(())) else {
            panic!("never refuses")
        };
        assert!(guard(request).is_ok());
    }
}
