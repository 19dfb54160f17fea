//! A session that is ready to try, and the lines that use it.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use devstack::checkout::Checkout;
use devstack::http::{Answer, Client};
use devstack::stack::{Service, Stack};
use http::Request;
use serde_json::{Value, json};

/// How long the first session may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The visitor's choice in the README.
const FEATURES: [&str; 4] = ["auth.basic", "ecommerce.products", "ecommerce.cart", "payments.oneTime"];

/// Opens the session of the last run again, or creates one, and gives back the text to print.
pub async fn describe(checkout: &Checkout, stack: &Stack) -> Result<String> {
    let client = Client::new(Duration::from_secs(30));
    let gateway = format!("{}/api/preview/sessions", stack.url(Service::Orchestrator)?);
    let note = checkout.state()?.join("session");
    let last = fs::read_to_string(&note).unwrap_or_default();
    let session = match reopen(&client, &gateway, last.trim()).await {
        Some(session) => session,
        None => create(&client, &gateway).await?,
    };
    let token = session["sessionToken"].as_str().unwrap_or(last.trim()).to_owned();
    // Before it is waited for: it takes its place among this address's sessions from now on.
    fs::write(&note, &token).with_context(|| format!("{} cannot be written", note.display()))?;
    let session = ready(&client, &gateway, &token, session).await?;

    let api = format!("{}/api/v1", stack.url(Service::TenantApi(0))?);
    let lamp =
        Request::get(format!("{api}/ecommerce/products/oak-desk-lamp")).header("x-preview-session", token.as_str());
    let lamp = client.send(lamp.body(Default::default())?).await?.json();
    let lamp = lamp["data"]["id"].as_str().unwrap_or("<product id>").to_owned();
    Ok(lines(&gateway, &api, &token, &lamp, &session))
}

async fn reopen(client: &Client, gateway: &str, token: &str) -> Option<Value> {
    if token.is_empty() {
        return None;
    }
    let session = look(client, gateway, token).await.ok()?;
    (session["schemaStatus"] != "FAILED").then_some(session)
}

async fn look(client: &Client, gateway: &str, token: &str) -> Result<Value> {
    let answer = client.get(&format!("{gateway}/{token}")).await?;
    session_in(&answer, "the first session is not to be had")
}

async fn create(client: &Client, gateway: &str) -> Result<Value> {
    let wanted = json!({ "selectedFeatures": FEATURES, "tier": "starter" });
    let answer = client.post(gateway, &wanted).await?;
    session_in(&answer, "a first session was refused")
}

fn session_in(answer: &Answer, otherwise: &str) -> Result<Value> {
    let mut body = answer.json();
    if !answer.status.is_success() {
        bail!("{otherwise} ({}): {}", answer.status, body["error"]["message"]);
    }
    Ok(body["data"].take())
}

/// Waits until the session is prepared: with an empty pool that takes longer than its creation's answer.
async fn ready(client: &Client, gateway: &str, token: &str, mut session: Value) -> Result<Value> {
    let limit = Instant::now() + PATIENCE;
    loop {
        match session["schemaStatus"].as_str().unwrap_or_default() {
            "READY" => return Ok(session),
            "FAILED" => bail!("the first session failed: {}", session["failure"]["message"]),
            status if Instant::now() > limit => {
                bail!("the first session is still {status} after {PATIENCE:?}: .devstack/log tells more")
            }
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
        session = look(client, gateway, token).await?;
    }
}

fn lines(gateway: &str, api: &str, token: &str, lamp: &str, session: &Value) -> String {
    let ends = session["expiresAt"].as_str().unwrap_or("later");
    let modules = session["modules"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect::<Vec<_>>();
    let modules = modules.join(", ");
    format!(
        r#"A session ({modules}) is ready to try until {ends}, or until it is not used for 30 minutes. Paste:

  A={api} C=$(mktemp)
  call() {{
    curl -sS -w '\n' -b $C -c $C -H 'X-Preview-Session: {token}' -H 'Content-Type: application/json' "$@"
  }}
  call $A/auth/register -d '{{"email":"me@example.com","password":"Preview123","name":"Me"}}'
  call "$A/ecommerce/products?q=lamp&sort=price"
  call $A/ecommerce/cart/items -d '{{"productId":"{lamp}","quantity":1}}'
  call $A/ecommerce/cart/checkout \
    -d '{{"address":{{"recipient":"Me","line1":"1 Road","city":"Town","postalCode":"12345","country":"US"}}}}'
  call $A/sandbox/emails
  call -X DELETE {gateway}/{token}
"#
    )
}
