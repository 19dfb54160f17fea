//! TLS and mutual TLS between our processes. Plain text is the default: then the network protects.

use std::time::Duration;

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig};

use crate::config::Reader;

const CERTIFICATE: &str = "GRPC_TLS_CERT_FILE";
const KEY: &str = "GRPC_TLS_KEY_FILE";
const CLIENT_CA: &str = "GRPC_TLS_CLIENT_CA_FILE";
const CALLER_CA: &str = "GRPC_CALLER_CA_FILE";
const CALLER_CERTIFICATE: &str = "GRPC_CALLER_CERT_FILE";
const CALLER_KEY: &str = "GRPC_CALLER_KEY_FILE";

/// Who says nothing for so long while the connection is made is cut off.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// What our gRPC servers show of themselves and demand of callers.
#[derive(Clone, Debug, Default)]
pub struct ServerTls(Option<ServerTlsConfig>);

impl ServerTls {
    /// Describes the settings.
    pub fn read(reader: &mut Reader) -> Self {
        let own = pair(
            reader,
            (CERTIFICATE, "Certificate chain that our gRPC shows, PEM; turns TLS on."),
            (KEY, "Its private key, PEM."),
        );
        let client_ca = reader.file(
            CLIENT_CA,
            "Who signs callers' certificates, PEM; callers without one are refused.",
            authorities,
        );
        if reader.is_given(CLIENT_CA) && !reader.is_given(CERTIFICATE) {
            reader.mistake(format!("{CERTIFICATE}: is missing, must be given with {CLIENT_CA}"));
        }
        let Some(own) = own else { return Self::default() };
        let config = ServerTlsConfig::new().identity(own).timeout(HANDSHAKE);
        let tls = Self(Some(match client_ca {
            Some(authority) => config.client_ca_root(authority),
            None => config,
        }));
        if let Err(error) = tls.protect(Server::builder()) {
            reader.mistake(format!("{CERTIFICATE}: cannot be used with {KEY}: {error:#}"));
        }
        tls
    }

    /// The server with TLS, if it is configured.
    ///
    /// # Errors
    /// When certificate and key do not belong together.
    pub fn protect(&self, server: Server) -> anyhow::Result<Server> {
        Ok(match &self.0 {
            Some(config) => server.tls_config(config.clone())?,
            None => server,
        })
    }
}

/// Whom our callers of gRPC trust, and what they show of themselves.
#[derive(Clone, Debug, Default)]
pub struct CallerTls(Option<ClientTlsConfig>);

impl CallerTls {
    /// Describes the settings for calls to `url`, which `variable` gave.
    pub fn read(reader: &mut Reader, variable: &str, url: &str) -> Self {
        let authority = reader.file(
            CALLER_CA,
            "Who signs the certificates of the gRPC servers that we call, PEM; for https addresses.",
            authorities,
        );
        let own = pair(
            reader,
            (
                CALLER_CERTIFICATE,
                "Certificate chain that we show to the gRPC servers that we call, PEM.",
            ),
            (CALLER_KEY, "Its private key, PEM."),
        );
        match (url.starts_with("https://"), reader.is_given(CALLER_CA)) {
            (true, false) => reader.mistake(format!(
                "{CALLER_CA}: is missing, must be given when {variable} is https"
            )),
            (false, true) if !url.is_empty() => reader.mistake(format!(
                "{variable}: is {url:?}, must be https when {CALLER_CA} is given"
            )),
            _ => {}
        }
        if reader.is_given(CALLER_CERTIFICATE) && !reader.is_given(CALLER_CA) {
            reader.mistake(format!(
                "{CALLER_CA}: is missing, must be given with {CALLER_CERTIFICATE}"
            ));
        }
        let tls = Self::new(authority, own, None);
        if let Err(error) = tls.check() {
            reader.mistake(format!(
                "{CALLER_CERTIFICATE}: cannot be used with {CALLER_KEY}: {error:#}"
            ));
        }
        tls
    }

    /// Trust in what `authority` signs; `own` is shown to servers that ask; `name` is what the server's certificate
    /// must name when it is not the host of the address. Without an authority: plain text.
    #[must_use]
    pub fn new(authority: Option<Certificate>, own: Option<Identity>, name: Option<&str>) -> Self {
        let Some(authority) = authority else {
            return Self::default();
        };
        let mut config = ClientTlsConfig::new().ca_certificate(authority).timeout(HANDSHAKE);
        if let Some(own) = own {
            config = config.identity(own);
        }
        if let Some(name) = name {
            config = config.domain_name(name);
        }
        Self(Some(config))
    }

    /// Whether calls are protected.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Whether it can be used.
    ///
    /// # Errors
    /// When certificate and key do not belong together.
    pub fn check(&self) -> anyhow::Result<()> {
        self.protect(Endpoint::from_static("https://localhost")).map(|_| ())
    }

    /// The endpoint with TLS, if it is configured.
    ///
    /// # Errors
    /// When certificate and key do not belong together.
    pub fn protect(&self, endpoint: Endpoint) -> anyhow::Result<Endpoint> {
        Ok(match &self.0 {
            Some(config) => endpoint.tls_config(config.clone())?,
            None => endpoint,
        })
    }
}

/// A certificate and its key, which come together or not at all.
fn pair(
    reader: &mut Reader,
    (certificate, certificate_help): (&'static str, &'static str),
    (key, key_help): (&'static str, &'static str),
) -> Option<Identity> {
    let chain = reader.file(certificate, certificate_help, authorities);
    let secret = reader.file(key, key_help, private_key);
    for (one, other) in [(certificate, key), (key, certificate)] {
        if reader.is_given(one) && !reader.is_given(other) {
            reader.mistake(format!("{other}: is missing, must be given with {one}"));
        }
    }
    Some(Identity::from_pem(chain?, secret?))
}

/// Certificates in PEM, at least one.
///
/// # Errors
/// What would be right.
pub fn authorities(pem: &[u8]) -> Result<Certificate, String> {
    let must = || "must hold certificates in PEM".to_owned();
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| must())?;
    let mut store = RootCertStore::empty();
    let all_can_be_read = certificates
        .iter()
        .all(|certificate| store.add(certificate.clone()).is_ok());
    if certificates.is_empty() || !all_can_be_read {
        return Err(must());
    }
    Ok(Certificate::from_pem(pem))
}

/// A private key in PEM.
///
/// # Errors
/// What would be right.
pub fn private_key(pem: &[u8]) -> Result<Vec<u8>, String> {
    PrivateKeyDer::from_pem_slice(pem)
        .map(|_| pem.to_vec())
        .map_err(|_| "must hold a private key in PEM".to_owned())
}
