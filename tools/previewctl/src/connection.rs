//! The control plane, as it is called from here.

use std::{fs, path::PathBuf, time::Duration};

use clap::{Args, builder::NonEmptyStringValueParser};
use proto::v1::{operator_service_client::OperatorServiceClient, session_service_client::SessionServiceClient};
use service::{
    config::Secret,
    grpc::{Caller, CallerTls, authorities, caller, channel_over, private_key},
};
use tonic::{
    Request, Status,
    service::interceptor::InterceptedService,
    transport::{Channel, Identity},
};

use crate::failure::{Failure, Kind};

/// The variable that holds the secret, in the environment or in a file of variables.
const SECRET: &str = "INTERNAL_API_SECRET";

type Calls = InterceptedService<Channel, Caller>;

/// How the control plane is reached.
#[derive(Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// The orchestrator's gRPC address
    #[arg(
        long,
        global = true,
        env = "PREVIEWCTL_ADDRESS",
        value_name = "URL",
        default_value = "http://127.0.0.1:50051"
    )]
    address: String,
    /// File with the secret alone, or with a line INTERNAL_API_SECRET=…; without it the variable
    /// INTERNAL_API_SECRET counts
    #[arg(long, global = true, env = "PREVIEWCTL_SECRET_FILE", value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// How long one call may take, in seconds
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// Who signs the orchestrator's certificate, PEM; for https addresses
    #[arg(long, global = true, env = "PREVIEWCTL_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Certificate to show under mutual TLS, PEM
    #[arg(long, global = true, env = "PREVIEWCTL_CERT_FILE", value_name = "FILE")]
    cert_file: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, global = true, env = "PREVIEWCTL_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Name in the orchestrator's certificate when it is not the host of the address, as through a port-forward
    #[arg(long, global = true, env = "PREVIEWCTL_SERVER_NAME", value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    server_name: Option<String>,
}

/// Clients that share a connection, which is made at the first call.
pub struct Clients {
    pub operators: OperatorServiceClient<Calls>,
    pub sessions: SessionServiceClient<Calls>,
    address: String,
    timeout: Duration,
}

impl Connection {
    /// Clients of the control plane.
    pub fn open(&self) -> Result<Clients, Failure> {
        let address = self.address.trim().trim_end_matches('/');
        let tls = self.tls(address)?;
        let channel = channel_over(address, &tls)
            .map_err(|error| usage(format!("--address {address} cannot be used: {error:#}")))?;
        let caller = caller(&self.secret()?).map_err(|_| usage("the secret must be visible ASCII on one line"))?;
        let calls = InterceptedService::new(channel, caller);
        Ok(Clients {
            operators: OperatorServiceClient::new(calls.clone()),
            sessions: SessionServiceClient::new(calls),
            address: address.to_owned(),
            timeout: Duration::from_secs(self.timeout),
        })
    }

    fn secret(&self) -> Result<Secret, Failure> {
        // An empty variable counts as left out.
        let file = self.secret_file.as_ref().filter(|file| !file.as_os_str().is_empty());
        let secret = match file {
            Some(file) => secret_in(&read(file, "--secret-file")?),
            None => variable(SECRET).unwrap_or_default(),
        };
        if secret.is_empty() {
            return Err(usage(format!(
                "there is no secret: set {SECRET} or name a file with --secret-file"
            )));
        }
        Ok(Secret::new(secret))
    }

    fn tls(&self, address: &str) -> Result<CallerTls, Failure> {
        let is_https = address.starts_with("https://");
        if !is_https && !address.starts_with("http://") {
            return Err(usage(format!(
                "--address {address} must be like http://127.0.0.1:50051"
            )));
        }
        let Some(ca_file) = &self.ca_file else {
            return match is_https || self.cert_file.is_some() {
                true => Err(usage("--ca-file must name who signs the orchestrator's certificate")),
                false => Ok(CallerTls::default()),
            };
        };
        if !is_https {
            return Err(usage(format!(
                "--address {address} must be https when --ca-file is given"
            )));
        }
        let authority =
            authorities(read(ca_file, "--ca-file")?.as_bytes()).map_err(|must| wrong("--ca-file", &must))?;
        let own = match (&self.cert_file, &self.key_file) {
            (None, None) => None,
            (Some(certificate), Some(key)) => {
                let certificate = authorities(read(certificate, "--cert-file")?.as_bytes())
                    .map_err(|must| wrong("--cert-file", &must))?;
                let key =
                    private_key(read(key, "--key-file")?.as_bytes()).map_err(|must| wrong("--key-file", &must))?;
                Some(Identity::from_pem(certificate, key))
            }
            _ => return Err(usage("--cert-file and --key-file must come together")),
        };
        let tls = CallerTls::new(Some(authority), own, self.server_name.as_deref());
        tls.check()
            .map_err(|error| usage(format!("--cert-file cannot be used with --key-file: {error:#}")))?;
        Ok(tls)
    }
}

impl Clients {
    /// A request with the deadline of one call.
    pub fn ask<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        request
    }

    /// What a failed call means.
    pub fn failure(&self, status: &Status) -> Failure {
        Failure::of(status, &self.address)
    }

    /// How long one call may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// The secret of a file that holds it alone, or as a line among variables.
fn secret_in(text: &str) -> String {
    let named = text.lines().find_map(|line| {
        let (name, value) = line.trim().split_once('=')?;
        (name.trim_start_matches("export ").trim() == SECRET).then_some(value)
    });
    let secret = named.unwrap_or(text).trim();
    secret.trim_matches(['"', '\'']).to_owned()
}

fn read(file: &PathBuf, option: &str) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| usage(format!("{option} {}: {error}", file.display())))
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Kind::Usage, message)
}

fn wrong(option: &str, must: &str) -> Failure {
    usage(format!("{option} {must}"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a flag would put the secret on the command line"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_stands_alone_in_its_file_or_among_variables() {
        for text in [
            "s3cret\n",
            "A=b\nINTERNAL_API_SECRET=s3cret\nC=d\n",
            "export INTERNAL_API_SECRET='s3cret'",
        ] {
            assert_eq!(secret_in(text), "s3cret", "{text}");
        }
        assert_eq!(secret_in("ends-with=="), "ends-with==");
    }
}
