//! Coupons: their rules, what they are worth, and who sees their use.

use anyhow::Result;
use serde_json::{Value, json};

use crate::harness::App;

const COUPONS: &str = "/api/v1/coupons";

#[tokio::test(flavor = "multi_thread")]
async fn staff_make_and_change_coupons_within_their_rules() -> Result<()> {
    let app = App::start(&[]).await?;
    let (staff, admin) = (app.staff().await?, app.admin().await?);
    app.user().await?.get(COUPONS).await?.error(403, "FORBIDDEN");
    app.visitor().get(COUPONS).await?.error(401, "UNAUTHORIZED");
    let made = staff
        .post(
            COUPONS,
            &json!({"code": " summer-1 ", "kind": "percent", "value": "12.5"}),
        )
        .await?
        .data(201);
    assert_eq!(
        (&made["code"], &made["value"], &made["scope"]),
        (&json!("SUMMER-1"), &json!("12.50"), &json!("all"))
    );
    assert_eq!(
        (&made["minSubtotal"], &made["usedCount"], &made["isActive"]),
        (&json!("0.00"), &json!(0), &json!(true))
    );
    staff
        .post(COUPONS, &json!({"code": "Summer-1", "kind": "fixed", "value": "1"}))
        .await?
        .error(409, "CONFLICT");

    let wrong = [
        (json!({"code": "ab", "kind": "fixed", "value": "1"}), "code"),
        (json!({"code": "A_B_C", "kind": "fixed", "value": "1"}), "code"),
        (json!({"code": "ABC", "kind": "percent", "value": "100.01"}), "value"),
        (json!({"code": "ABC", "kind": "fixed", "value": "0"}), "value"),
        (json!({"code": "ABC", "kind": "fixed", "value": 5}), "value"),
        (
            json!({"code": "ABC", "kind": "fixed", "value": "5", "maxUses": 1001}),
            "maxUses",
        ),
        (
            json!({"code": "ABC", "kind": "fixed", "value": "5", "usedCount": 3}),
            "usedCount",
        ),
        (
            json!({"code": "ABC", "kind": "fixed", "value": "5", "startsAt": "2026-02-01T00:00:00Z", "endsAt": "2026-02-01T00:00:00Z"}),
            "endsAt",
        ),
    ];
    for (body, field) in wrong {
        assert_eq!(staff.post(COUPONS, &body).await?.invalid_fields(), [field], "{body}");
    }
    let path = format!("{COUPONS}/{}", made["id"].as_str().unwrap());
    staff
        .patch(&path, &json!({"kind": "fixed", "value": "250"}))
        .await?
        .data(200);
    assert_eq!(
        staff.patch(&path, &json!({"kind": "percent"})).await?.invalid_fields(),
        ["value"]
    );
    let changed = staff
        .patch(&path, &json!({"code": "winter", "version": 2}))
        .await?
        .data(200);
    assert_eq!((&changed["code"], &changed["version"]), (&json!("WINTER"), &json!(3)));
    staff
        .patch(&path, &json!({"code": "x-x", "version": 2}))
        .await?
        .error(409, "VERSION_CONFLICT");
    staff.delete(&path).await?.error(403, "FORBIDDEN");
    admin.delete(&path).await?.data(200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_coupon_stays_and_shows_its_redemptions() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let (staff, admin) = (app.staff().await?, app.admin().await?);
    let id = app.value("SELECT id FROM coupons WHERE code = 'WELCOME10'").await?;
    let path = format!("{COUPONS}/{id}");
    admin.delete(&path).await?.error(409, "IN_USE");
    let (rows, _) = staff.get(&format!("{path}/redemptions?sort=amount")).await?.list();
    assert_eq!(rows.len(), 2);
    assert!(
        rows.iter()
            .all(|row| row["couponId"] == json!(id) && row["amount"].is_string())
    );
    app.user()
        .await?
        .get(&format!("{path}/redemptions"))
        .await?
        .error(403, "FORBIDDEN");
    staff
        .get(&format!("{COUPONS}/{}/redemptions", app.id.uuid()))
        .await?
        .error(404, "NOT_FOUND");
    // Two uses are taken; the limit cannot fall below them.
    assert_eq!(
        staff.patch(&path, &json!({"maxUses": 1})).await?.invalid_fields(),
        ["maxUses"]
    );
    staff.patch(&path, &json!({"maxUses": 2})).await?.data(200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn validate_tells_the_discount_or_why_there_is_none() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let user = app.user().await?;
    let ask = |code: &str, subtotal: &str, module: &str| json!({"code": code, "subtotal": subtotal, "module": module});
    let path = format!("{COUPONS}/validate");
    let told = app
        .visitor()
        .post(&path, &ask("welcome10", "99.95", "lms"))
        .await?
        .data(200);
    assert_eq!(
        told,
        json!({"code": "WELCOME10", "discount": "10.00", "currency": "USD"})
    );
    let told = app
        .visitor()
        .post(&path, &ask("SAVE5", "40", "ecommerce"))
        .await?
        .data(200);
    assert_eq!(told["discount"], "5.00");

    app.sql(
        "INSERT INTO coupons (id, code, kind, value, is_active, starts_at, max_uses, used_count, per_user_limit) VALUES
           (gen_random_uuid(), 'OFF', 'fixed', 5, false, NULL, NULL, 0, NULL),
           (gen_random_uuid(), 'LATER', 'fixed', 5, true, now() + interval '1 day', NULL, 0, NULL),
           (gen_random_uuid(), 'GONE', 'fixed', 5, true, NULL, 3, 3, NULL),
           (gen_random_uuid(), 'ONCE', 'fixed', 5, true, NULL, NULL, 1, 1);
         INSERT INTO coupon_redemptions (id, coupon_id, order_id, user_id, amount)
           SELECT gen_random_uuid(), c.id, o.id, u.id, 5 FROM coupons c, users u, orders o
           WHERE c.code = 'ONCE' AND u.email = 'aiko.tanabe@preview.local' AND o.id = (SELECT id FROM orders WHERE coupon_id IS NULL LIMIT 1)",
    )
    .await?;
    let issues = [
        (ask("nothing", "50", "lms"), "unknown"),
        (ask("OFF", "50", "lms"), "inactive"),
        (ask("LATER", "50", "lms"), "not_started"),
        (ask("SPRING20", "50", "lms"), "expired"),
        (ask("GONE", "50", "lms"), "used_up"),
        (ask("ONCE", "50", "lms"), "user_limit"),
        (ask("SAVE5", "39.99", "ecommerce"), "minimum_not_met"),
        (ask("SAVE5", "50", "events"), "wrong_module"),
    ];
    for (body, issue) in issues {
        let error = user.post(&path, &body).await?.error(422, "COUPON_INVALID");
        assert_eq!(
            error["details"],
            json!([{"field": "couponCode", "message": issue}]),
            "{body}"
        );
    }
    // Nobody is signed in: the limit for each user is not looked at.
    app.visitor().post(&path, &ask("ONCE", "50", "lms")).await?.data(200);
    let wrong = user
        .post(&path, &json!({"code": "X", "subtotal": "-1", "module": "tasks"}))
        .await?
        .invalid_fields();
    assert_eq!(wrong, ["module", "subtotal"]);
    assert_eq!(
        user.post(&path, &Value::Object(Default::default()))
            .await?
            .invalid_fields()
            .len(),
        3
    );
    Ok(())
}
