//! gRPC as a studio's backend uses it.

use anyhow::{Context, Result};
use devstack::checkout::Checkout;
use devstack::stack::Service;
use e2e::FEATURES;
use proto::v1::CreateSessionRequest;
use proto::v1::session_service_client::SessionServiceClient;
use testkit::Stack;
use tokio::process::Command;
use tokio::task::JoinSet;
use tonic::Request;

#[tokio::test(flavor = "multi_thread")]
async fn a_studio_in_node_creates_follows_and_ends_sessions() -> Result<()> {
    let mut stack = Stack::builder().start().await?;
    stack.wait_for_pool(1).await?;
    let root = Checkout::find()?.root().to_owned();
    let address = stack.grpc_address()?;
    let below = stack.processes().addresses(Service::Provisioner)?.public[0]
        .address
        .to_string();
    let output = Command::new("node")
        .arg("client.js")
        .current_dir(root.join("tests/studio-client"))
        .env("GRPC_ADDRESS", address)
        .env("PROVISIONER_ADDRESS", below)
        .env(
            "INTERNAL_API_SECRET",
            stack.database().secrets().get("INTERNAL_API_SECRET"),
        )
        .env("PROTO_DIR", root.join("proto"))
        .kill_on_drop(true)
        .output()
        .await
        .context("node is missing: make test says how to get it")?;
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches(": so\n").count(), 8, "{said}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_creations_with_one_idempotency_key_are_one_session_and_one_schema() -> Result<()> {
    let stack = Stack::builder().env("POOL_TARGET", 0).start().await?;
    let client = SessionServiceClient::with_interceptor(stack.grpc().await?, stack.caller()?);
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let mut client = client.clone();
        let request = CreateSessionRequest {
            selected_features: FEATURES.map(str::to_owned).to_vec(),
            tier: "starter".to_owned(),
            idempotency_key: Some("launch-1".to_owned()),
            client_ip: "198.51.100.4".to_owned(),
            ..CreateSessionRequest::default()
        };
        calls.spawn(async move { client.create_session(Request::new(request)).await });
    }
    let mut made = Vec::new();
    while let Some(answer) = calls.join_next().await {
        let answer = answer??.into_inner();
        made.push((answer.session.context("a session")?.id, answer.replayed));
    }
    assert_eq!(made.iter().filter(|(_, replayed)| !replayed).count(), 1, "{made:?}");
    assert!(made.iter().all(|(id, _)| *id == made[0].0), "{made:?}");

    let database = stack.database().connect().await?;
    let query = "SELECT count(*) FROM control.sessions";
    assert_eq!(database.query_one(query, &[]).await?.get::<_, i64>(0), 1);
    let schemas = r"SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'preview\_%'";
    assert!(database.query_one(schemas, &[]).await?.get::<_, i64>(0) <= 1);
    Ok(())
}
