//! A client that hangs up in the middle of its checkout: the order is there as a whole, or not at all.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use anyhow::Result;
use e2e::{FEATURES, Shopper, eventually};
use serde_json::{Value, json};
use testkit::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn a_checkout_whose_client_hangs_up_is_whole_or_not_at_all() -> Result<()> {
    let stack = Stack::builder().env("SESSION_REQUESTS_PER_MINUTE", 0).start().await?;
    let session = stack.session(&FEATURES).await?;
    let token = session["sessionToken"].as_str().unwrap_or_default().to_owned();
    let api = stack.tenant(0).session(&token);
    let shopper = Shopper::register(&api, "vera@example.com").await?;
    let authorization = format!("Bearer {}", sign_in(&shopper.email, &api).await?);

    let mut put_in = 0;
    for attempt in 0..20u32 {
        if shopper.cart().await?["itemCount"] == 0 {
            shopper.add("oak-desk-lamp", 1).await?;
            put_in += 1;
        }
        let host = api.base().trim_start_matches("http://").to_owned();
        let (token, authorization) = (token.clone(), authorization.clone());
        // From a millisecond to longer than any checkout takes.
        let patience = Duration::from_millis(1 << (attempt * 2 / 3));
        let whole = attempt % 5 != 0;
        tokio::task::spawn_blocking(move || hang_up(&host, &token, &authorization, whole, patience)).await??;

        // The server may still be at work; what half a checkout leaves behind never becomes whole.
        let what = "stock, mail and cart tell the same story";
        eventually(what, Duration::from_secs(10), async || {
            tell_the_same(&shopper, put_in).await
        })
        .await?;
    }
    let bought = bought(&shopper).await?;
    assert!(bought > 0, "no checkout came through: the test proves nothing");

    // Nothing is held: an ordinary checkout goes through at once.
    if shopper.cart().await?["itemCount"] == 0 {
        shopper.add("oak-desk-lamp", 1).await?;
        put_in += 1;
    }
    let order = shopper.check_out("4242424242424242").await?.data(201);
    assert_eq!(order["status"], "paid");
    assert!(tell_the_same(&shopper, put_in).await?);
    ledger_agrees(&stack, &session, bought + 1).await
}

/// Of 25 lamps and those put into the cart, none is in two places and none is missing.
async fn tell_the_same(shopper: &Shopper, put_in: i64) -> Result<bool> {
    let bought = bought(shopper).await?;
    let stock = shopper.product("oak-desk-lamp").await?["stock"].clone();
    let in_cart = shopper.cart().await?["itemCount"].clone();
    Ok(stock == 25 - bought && in_cart == put_in - bought)
}

async fn bought(shopper: &Shopper) -> Result<i64> {
    Ok(i64::try_from(shopper.mail("ecommerce.order-confirmed").await?.len())?)
}

async fn sign_in(email: &str, api: &testkit::Api) -> Result<String> {
    let body = json!({ "email": email, "password": "Sunflower1" });
    let result = api.post("/api/v1/auth/login", &body).await?.data(200);
    Ok(result["accessToken"].as_str().unwrap_or_default().to_owned())
}

/// Sends a checkout, or the greater part of one, and goes away.
fn hang_up(host: &str, token: &str, authorization: &str, whole: bool, patience: Duration) -> Result<()> {
    let body = json!({ "address": e2e::address() }).to_string();
    let mut stream = TcpStream::connect(host)?;
    write!(
        stream,
        "POST /api/v1/ecommerce/cart/checkout HTTP/1.1\r\nHost: {host}\r\nX-Preview-Session: {token}\r\n\
         Authorization: {authorization}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )?;
    let sent = if whole { body.as_str() } else { &body[..body.len() / 2] };
    stream.write_all(sent.as_bytes())?;
    stream.set_read_timeout(Some(patience))?;
    // An answer in time is fine as well.
    let _ = stream.read(&mut [0]);
    let _ = stream.shutdown(Shutdown::Both);
    Ok(())
}

/// The tables agree with each other: as many orders, lines, payments and sales as were bought.
async fn ledger_agrees(stack: &Stack, session: &Value, bought: i64) -> Result<()> {
    let schema = format!(
        "preview_{}",
        session["id"].as_str().unwrap_or_default().replace('-', "")
    );
    let client = stack.database().connect().await?;
    client.batch_execute(&format!("SET search_path = \"{schema}\"")).await?;
    // Beside the seeded rows: 12 orders, 24 lines and sales, 11 payments.
    let row = client
        .query_one(
            "SELECT (SELECT count(*) FROM orders) - 12, (SELECT count(*) FROM ecommerce_orders) - 12,
                    (SELECT count(*) FROM order_items) - 24, (SELECT count(*) FROM payments WHERE status = 'succeeded'),
                    (SELECT count(*) FROM ecommerce_stock_movements WHERE reason = 'sale') - 24,
                    (SELECT count(*) FROM pg_stat_activity 
                      WHERE state LIKE 'idle in transaction%' AND state_change < now() - interval '1 second'
                      AND datname = current_database())",
            &[],
        )
        .await?;
    let counts: Vec<i64> = (0..6).map(|column| row.get(column)).collect();
    assert_eq!(counts, [bought, bought, bought, bought + 11, bought, 0]);
    Ok(())
}
