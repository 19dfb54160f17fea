//! Test payments: intents, test numbers, and who may confirm.

use anyhow::Result;
use serde_json::{Value, json};
use testkit::Api;

use crate::harness::App;

const INTENTS: &str = "/api/v1/sandbox/payment-intents";

fn card(number: &str) -> Value {
    json!({"card": {"number": number, "expMonth": 12, "expYear": 2099, "cvc": "123"}})
}

async fn intent(api: &Api) -> Result<String> {
    let made = api
        .post(INTENTS, &json!({"amount": "12.5", "description": "Coffee"}))
        .await?
        .data(201);
    Ok(made["id"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_is_made_seen_and_paid() -> Result<()> {
    let app = App::start(&[]).await?;
    let user = app.user().await?;
    app.visitor()
        .post(INTENTS, &json!({"amount": "1"}))
        .await?
        .error(401, "UNAUTHORIZED");
    let made = user
        .post(INTENTS, &json!({"amount": "12.5", "description": "Coffee"}))
        .await?;
    let row = made.data(201);
    assert_eq!(
        made.header("location"),
        format!("{INTENTS}/{}", row["id"].as_str().unwrap())
    );
    assert_eq!((&row["amount"], &row["currency"]), (&json!("12.50"), &json!("USD")));
    assert_eq!(
        (&row["purpose"], &row["status"]),
        (&json!("standalone"), &json!("requires_confirmation"))
    );
    assert_eq!(row["userId"], json!(app.user_id("aiko.tanabe@preview.local").await?));
    let code = row["intentCode"].as_str().unwrap();
    assert!(code.starts_with("pi_") && code.len() == 27, "{code}");

    let path = format!("{INTENTS}/{}", row["id"].as_str().unwrap());
    assert_eq!(app.visitor().get(&path).await?.data(200), row);
    let paid = user.post(&format!("{path}/confirm"), &json!({})).await?.data(200);
    assert_eq!(
        (&paid["status"], &paid["cardBrand"], &paid["cardLast4"]),
        (&json!("succeeded"), &json!("visa"), &json!("4242"))
    );
    assert!(paid["succeededAt"].is_string() && paid["declineCode"].is_null());
    user.post(&format!("{path}/confirm"), &json!({}))
        .await?
        .error(409, "INVALID_STATE");
    user.post(&format!("{path}/cancel"), &json!({}))
        .await?
        .error(409, "INVALID_STATE");
    let (rows, _) = app
        .visitor()
        .get(&format!("{INTENTS}?status=succeeded,failed&purpose=standalone"))
        .await?
        .list();
    assert_eq!(rows, [paid]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_and_cards_are_checked_before_anything_happens() -> Result<()> {
    let app = App::start(&[]).await?;
    let user = app.user().await?;
    for amount in [json!("0.00"), json!("100000.00"), json!(5), json!("1.234")] {
        assert_eq!(
            user.post(INTENTS, &json!({"amount": amount})).await?.invalid_fields(),
            ["amount"]
        );
    }
    let refused = user
        .post(INTENTS, &json!({"amount": "1", "status": "succeeded", "userId": null}))
        .await?;
    assert_eq!(refused.invalid_fields().len(), 2);
    let path = format!("{INTENTS}/{}/confirm", intent(&user).await?);
    let wrong = [
        (card("4242424242424241"), "card.number"),
        (card("4242 4242 4242 4242"), "card.number"),
        (
            json!({"card": {"number": "4242424242424242", "expMonth": 1, "expYear": 2020, "cvc": "123"}}),
            "card.expYear",
        ),
        (
            json!({"card": {"number": "4242424242424242", "expMonth": 13, "expYear": 2099, "cvc": "123"}}),
            "card.expMonth",
        ),
        (
            json!({"card": {"number": "4242424242424242", "expMonth": 1, "expYear": 2099, "cvc": "1"}}),
            "card.cvc",
        ),
    ];
    for (body, field) in wrong {
        assert_eq!(user.post(&path, &body).await?.invalid_fields(), [field]);
    }
    assert_eq!(
        app.value("SELECT count(*) FROM payments WHERE status = 'requires_confirmation'")
            .await?,
        "1"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declined_intent_may_be_tried_again_and_cancelled() -> Result<()> {
    let app = App::start(&[]).await?;
    let user = app.user().await?;
    let (cards, path) = (
        app.visitor().get("/api/v1/sandbox/cards").await?.data(200),
        intent(&user).await?,
    );
    let path = format!("{INTENTS}/{path}");
    let cards = cards.as_array().unwrap();
    assert_eq!((cards.len(), &cards[0]["outcome"]), (7, &json!("succeeded")));
    for test in &cards[1..] {
        let outcome = test["outcome"].as_str().unwrap();
        let body = card(test["number"].as_str().unwrap());
        let error = user
            .post(&format!("{path}/confirm"), &body)
            .await?
            .error(402, "PAYMENT_DECLINED");
        assert_eq!(error["details"], json!([{"field": "card", "message": outcome}]));
        let row = user.get(&path).await?.data(200);
        assert_eq!(
            (&row["status"], &row["declineCode"]),
            (&json!("failed"), &json!(outcome))
        );
    }
    let paid = user
        .post(&format!("{path}/confirm"), &card("5555555555554444"))
        .await?
        .data(200);
    assert_eq!(
        (&paid["status"], &paid["cardBrand"], &paid["declineCode"]),
        (&json!("succeeded"), &json!("mastercard"), &Value::Null)
    );

    let path = format!("{INTENTS}/{}", intent(&user).await?);
    assert_eq!(
        user.post(&format!("{path}/cancel"), &json!({})).await?.data(200)["status"],
        "canceled"
    );
    user.post(&format!("{path}/confirm"), &json!({}))
        .await?
        .error(409, "INVALID_STATE");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_owner_and_admins_act_on_an_intent_and_not_on_that_of_an_order() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let path = format!("{INTENTS}/{}/confirm", intent(&app.user().await?).await?);
    app.visitor().post(&path, &json!({})).await?.error(401, "UNAUTHORIZED");
    app.other_user()
        .await?
        .post(&path, &json!({}))
        .await?
        .error(403, "FORBIDDEN");
    app.staff()
        .await?
        .post(&path, &json!({}))
        .await?
        .error(403, "FORBIDDEN");
    let admin = app.admin().await?;
    admin.post(&path, &json!({})).await?.data(200);
    admin
        .post(&format!("{INTENTS}/nothing/confirm"), &json!({}))
        .await?
        .error(404, "NOT_FOUND");
    app.sql("UPDATE payments SET status = 'failed', succeeded_at = NULL WHERE purpose = 'order'")
        .await?;
    let sold = app
        .value("SELECT id FROM payments WHERE purpose = 'order' LIMIT 1")
        .await?;
    admin
        .post(&format!("{INTENTS}/{sold}/confirm"), &json!({}))
        .await?
        .error(409, "INVALID_STATE");
    assert_eq!(
        app.value("SELECT count(*) FROM audit_logs WHERE entity_type = 'core.payment-intents'")
            .await?,
        "0"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_confirms_charge_once() -> Result<()> {
    let app = App::start(&[]).await?;
    let user = app.user().await?;
    let path = format!("{INTENTS}/{}/confirm", intent(&user).await?);
    let confirm = || {
        let (user, path) = (user.clone(), path.clone());
        async move { Ok(user.post(&path, &json!({})).await?.status().as_u16()) }
    };
    let mut statuses = app.race((0..8).map(|_| confirm())).await?;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409, 409, 409, 409, 409]);
    Ok(())
}
