//! gRPC under mutual TLS, all processes running.

use std::process::{Command, Output};

use anyhow::Result;
use devstack::checkout::built;
use e2e::FEATURES;
use testkit::{Authority, Signed, Stack};

/// `previewctl stats` with a certificate, or without.
fn stats(stack: &Stack, ca: &str, own: Option<&Signed>) -> Result<Output> {
    let mut command = Command::new(built("previewctl")?);
    command.env_clear().env("INTERNAL_API_SECRET", stack.secret()).args([
        "--address",
        &stack.grpc_url()?,
        "--ca-file",
        ca,
    ]);
    if let Some(own) = own {
        command.args(["--cert-file", &own.certificate, "--key-file", &own.key]);
    }
    Ok(command.arg("stats").output()?)
}

#[tokio::test(flavor = "multi_thread")]
async fn under_mutual_tls_processes_trust_each_other_and_nobody_else() -> Result<()> {
    let (authority, strange) = (Authority::create()?, Authority::create()?);
    let (server, caller) = (authority.sign(&["127.0.0.1"])?, authority.sign(&["caller"])?);
    let ca = authority.file()?;
    let stack = Stack::builder()
        .env("GRPC_TLS_CERT_FILE", &server.certificate)
        .env("GRPC_TLS_KEY_FILE", &server.key)
        .env("GRPC_TLS_CLIENT_CA_FILE", &ca)
        .env("GRPC_CALLER_CA_FILE", &ca)
        .env("GRPC_CALLER_CERT_FILE", &caller.certificate)
        .env("GRPC_CALLER_KEY_FILE", &caller.key)
        .start()
        .await?;
    // The orchestrator has called the provisioner, and the tenant-api calls the orchestrator.
    let api = stack.visitor(&FEATURES).await?;
    api.get("/api/v1/ecommerce/products").await?.data(200);

    let output = stats(&stack, &ca, Some(&caller))?;
    assert!(output.status.success(), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stdout).contains("1 of 50 sessions"),
        "{output:?}"
    );
    // The server may hang up before it has said why.
    for own in [None, Some(strange.sign(&["caller"])?)] {
        let refused = stats(&stack, &ca, own.as_ref())?;
        let told = String::from_utf8_lossy(&refused.stderr).to_lowercase();
        assert!(refused.status.code() == Some(5) && told.contains("cert"), "{refused:?}");
    }
    let refused = stats(&stack, &strange.file()?, Some(&caller))?;
    assert_eq!(refused.status.code(), Some(5), "{refused:?}");
    let plain = Command::new(built("previewctl")?)
        .env_clear()
        .env("INTERNAL_API_SECRET", stack.secret())
        .args(["--address", &stack.grpc_url()?.replace("https", "http"), "stats"])
        .output()?;
    assert_eq!(plain.status.code(), Some(4), "{plain:?}");
    Ok(())
}
