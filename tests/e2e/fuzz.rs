//! Schemathesis with all its checks over both OpenAPI documents, against running processes. `make fuzz` sends more.

use anyhow::{Context, Result};
use devstack::checkout::Checkout;
use testkit::Stack;
use tokio::process::Command;

/// How much is sent, and the seed that makes it the same each time: what `make test` sends, or as variables say.
#[expect(
    clippy::disallowed_methods,
    reason = "no settings of a service: what make fuzz asks for"
)]
fn effort() -> Vec<String> {
    let asked = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned());
    vec![
        format!("--max-examples={}", asked("FUZZ_EXAMPLES", "3")),
        format!("--seed={}", asked("FUZZ_SEED", "1")),
        format!("--phases={}", asked("FUZZ_PHASES", "fuzzing")),
    ]
}

async fn start() -> Result<Stack> {
    Stack::builder()
        .env("SESSION_REQUESTS_PER_MINUTE", 0)
        .env("AUTH_WRITES_PER_MINUTE", 0)
        .env("MAX_PREVIEW_SCHEMAS", 30)
        .start()
        .await
}

/// Runs it over a document; who calls stands in `environment` (tests/fuzz/hooks.py).
async fn run(document: &str, environment: &[(&str, &str)]) -> Result<()> {
    let checkout = Checkout::find()?;
    let program = checkout.folder("python")?.join("bin/schemathesis");
    let output = Command::new(&program)
        .args(["--config-file", "schemathesis.toml", "run", document, "--no-color"])
        // One: Python 3.11's parser fails now and then when two threads use it.
        .args(["--workers", "1", "--warnings", "off"])
        .args(effort())
        .current_dir(checkout.root().join("tests/fuzz"))
        .envs(environment.iter().copied())
        .kill_on_drop(true)
        .output()
        .await
        .context("schemathesis is missing: make test installs it in .devstack/python")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{environment:?}\n{said}\n{why}");
    Ok(())
}

/// A session of its own for whoever has this address, or for a visitor.
async fn application(email: Option<&str>) -> Result<()> {
    let stack = start().await?;
    let session = stack.session(&["ecommerce"]).await?;
    let token = session["sessionToken"].as_str().context("a token")?;
    let api = stack.tenant(0).base().to_owned();
    let environment = [
        ("FUZZ_API", api.as_str()),
        ("FUZZ_SESSION", token),
        ("FUZZ_EMAIL", email.unwrap_or("")),
    ];
    run(&format!("{api}/api/v1/openapi.json"), &environment).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_is_as_described_to_an_admin() -> Result<()> {
    application(Some("admin@preview.local")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_is_as_described_to_a_user() -> Result<()> {
    application(Some("aiko.tanabe@preview.local")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_is_as_described_to_a_visitor() -> Result<()> {
    application(None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_is_as_described() -> Result<()> {
    let stack = start().await?;
    let document = format!("{}/api/preview/openapi.json", stack.gateway().base());
    run(&document, &[]).await
}
