//! TLS and mutual TLS of gRPC.

use anyhow::Result;
use service::{
    config::{Mistakes, Reader, read},
    grpc::{CallerTls, ServerTls, channel_over, server},
};
use testkit::{Authority, Signed};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Code, Status};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

/// A server on a free port; its address without a scheme.
async fn serve(tasks: &mut JoinSet<()>, tls: &ServerTls) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let (_, health) = tonic_health::server::health_reporter();
    let running = tls
        .protect(server())?
        .add_service(health)
        .serve_with_incoming(TcpListenerStream::new(listener));
    tasks.spawn(async move { running.await.expect("it serves") });
    Ok(address)
}

fn shown(own: &Signed, client_ca: Option<&str>) -> Result<ServerTls, Mistakes> {
    let mut values = vec![
        ("GRPC_TLS_CERT_FILE", own.certificate.as_str()),
        ("GRPC_TLS_KEY_FILE", own.key.as_str()),
    ];
    values.extend(client_ca.map(|file| ("GRPC_TLS_CLIENT_CA_FILE", file)));
    read(Reader::over(values), ServerTls::read)
}

fn caller(address: &str, ca: &str, own: Option<&Signed>) -> Result<CallerTls, Mistakes> {
    let mut values = vec![("GRPC_CALLER_CA_FILE", ca)];
    if let Some(own) = own {
        values.push(("GRPC_CALLER_CERT_FILE", own.certificate.as_str()));
        values.push(("GRPC_CALLER_KEY_FILE", own.key.as_str()));
    }
    let url = format!("https://{address}");
    read(Reader::over(values), |reader| {
        CallerTls::read(reader, "PROVISIONER_URL", &url)
    })
}

async fn check(url: &str, tls: &CallerTls) -> Result<(), Status> {
    let channel = channel_over(url, tls).map_err(|error| Status::internal(error.to_string()))?;
    HealthClient::new(channel).check(HealthCheckRequest::default()).await?;
    Ok(())
}

/// The failure with all its causes.
fn causes(status: &Status) -> String {
    let mut text = format!("{status:?}");
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

#[tokio::test]
async fn calls_pass_over_tls_and_not_in_plain_text_nor_to_a_strange_server() -> Result<()> {
    let (ours, strange) = (Authority::create()?, Authority::create()?);
    let mut tasks = JoinSet::new();
    let address = serve(&mut tasks, &shown(&ours.sign(&["127.0.0.1"])?, None)?).await?;
    let url = format!("https://{address}");
    check(&url, &caller(&address, &ours.file()?, None)?).await?;

    let refused = check(&url, &caller(&address, &strange.file()?, None)?).await;
    let refused = causes(&refused.expect_err("signed by somebody else"));
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    let plain = check(&format!("http://{address}"), &CallerTls::default()).await;
    assert!(plain.is_err(), "plain text");

    let elsewhere = serve(&mut tasks, &shown(&ours.sign(&["provisioner.example"])?, None)?).await?;
    let url = format!("https://{elsewhere}");
    let refused = check(&url, &caller(&elsewhere, &ours.file()?, None)?).await;
    let refused = causes(&refused.expect_err("named otherwise"));
    assert!(refused.contains("NotValidForName"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn mutual_tls_wants_a_certificate_of_its_own_authority() -> Result<()> {
    let (servers, clients, strange) = (Authority::create()?, Authority::create()?, Authority::create()?);
    let mut tasks = JoinSet::new();
    let own = servers.sign(&["127.0.0.1"])?;
    let address = serve(&mut tasks, &shown(&own, Some(&clients.file()?))?).await?;
    let (url, ca) = (format!("https://{address}"), servers.file()?);
    check(&url, &caller(&address, &ca, Some(&clients.sign(&["orchestrator"])?))?).await?;

    let refused = check(&url, &caller(&address, &ca, None)?)
        .await
        .expect_err("no certificate");
    assert!(
        matches!(refused.code(), Code::Unavailable | Code::Unknown),
        "{}",
        causes(&refused)
    );
    let other = caller(&address, &ca, Some(&strange.sign(&["orchestrator"])?))?;
    let refused = check(&url, &other).await.expect_err("signed by somebody else");
    assert!(
        matches!(refused.code(), Code::Unavailable | Code::Unknown),
        "{}",
        causes(&refused)
    );
    Ok(())
}

fn mistakes(values: &[(&str, &str)], url: &str) -> Vec<String> {
    let described = read(Reader::over(values.iter().copied()), |reader| {
        (ServerTls::read(reader), CallerTls::read(reader, "PROVISIONER_URL", url))
    });
    described.err().map(|mistakes| mistakes.0).unwrap_or_default()
}

#[test]
fn mistakes_name_the_file_and_what_it_must_hold() -> Result<()> {
    let authority = Authority::create()?;
    let (one, other) = (authority.sign(&["one"])?, authority.sign(&["other"])?);
    let (http, https) = ("http://provisioner:50052", "https://provisioner:50052");
    let ca = authority.file()?;
    /// Settings, the address that is called, and how the lines begin.
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a [&'a str]);
    let cases: [Case; 8] = [
        (&[], http, &[]),
        (
            &[
                ("GRPC_TLS_CERT_FILE", "/nowhere.pem"),
                ("GRPC_TLS_KEY_FILE", &one.certificate),
            ],
            http,
            &[
                "GRPC_TLS_CERT_FILE: is \"/nowhere.pem\", must be a file that can be read (No such",
                "GRPC_TLS_KEY_FILE: is \"",
            ],
        ),
        (
            &[("GRPC_TLS_CERT_FILE", &one.certificate)],
            http,
            &["GRPC_TLS_KEY_FILE: is missing, must be given with GRPC_TLS_CERT_FILE"],
        ),
        (
            &[
                ("GRPC_TLS_CERT_FILE", &one.certificate),
                ("GRPC_TLS_KEY_FILE", &other.key),
            ],
            http,
            &["GRPC_TLS_CERT_FILE: cannot be used with GRPC_TLS_KEY_FILE: "],
        ),
        (
            &[("GRPC_TLS_CLIENT_CA_FILE", &ca)],
            http,
            &["GRPC_TLS_CERT_FILE: is missing, must be given with GRPC_TLS_CLIENT_CA_FILE"],
        ),
        (
            &[],
            https,
            &["GRPC_CALLER_CA_FILE: is missing, must be given when PROVISIONER_URL is https"],
        ),
        (
            &[("GRPC_CALLER_CA_FILE", &ca)],
            http,
            &["PROVISIONER_URL: is \"http://provisioner:50052\", must be https when GRPC_CALLER_CA_FILE is given"],
        ),
        (
            &[("GRPC_CALLER_CA_FILE", &one.key), ("GRPC_CALLER_KEY_FILE", &one.key)],
            https,
            &[
                "GRPC_CALLER_CA_FILE: is \"",
                "GRPC_CALLER_CERT_FILE: is missing, must be given with GRPC_CALLER_KEY_FILE",
            ],
        ),
    ];
    for (values, url, expected) in cases {
        let told = mistakes(values, url);
        assert_eq!(told.len(), expected.len(), "{told:?}");
        for (line, begin) in told.iter().zip(expected) {
            assert!(line.starts_with(begin), "{line}");
        }
    }
    Ok(())
}
