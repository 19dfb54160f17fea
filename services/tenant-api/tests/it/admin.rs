//! Administration: dashboard, usage, audit log.

use anyhow::Result;
use serde_json::{Value, json};

use crate::harness::App;

fn figure<'a>(block: &'a Value, key: &str) -> &'a Value {
    let figures = block["figures"].as_array().expect("figures");
    let figure = figures.iter().find(|figure| figure["key"] == key);
    &figure.unwrap_or_else(|| panic!("no figure {key}"))["value"]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_agrees_with_the_lists() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    app.user()
        .await?
        .get("/api/v1/admin/dashboard")
        .await?
        .error(403, "FORBIDDEN");
    let staff = app.staff().await?;
    app.sql(
        "INSERT INTO users (id, email, password_hash, name, status, created_at)
           VALUES (gen_random_uuid(), 'gone@preview.local', '', 'Gone', 'disabled', now() - interval '31 days');
         UPDATE orders SET paid_at = now() - interval '31 days' WHERE number = 'ORD-1001'",
    )
    .await?;
    let board = staff.get("/api/v1/admin/dashboard").await?.data(200);
    assert_eq!(board["currency"], "USD");
    let core = &board["modules"][0];
    assert_eq!(
        (&core["module"], &core["title"]),
        (&json!("core"), &json!("Core application"))
    );
    let keys: Vec<&Value> = core["figures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|figure| &figure["key"])
        .collect();
    assert_eq!(
        json!(keys),
        json!(["users", "newUsers30d", "revenue30d", "openContacts"])
    );

    let total = async |path: &str| anyhow::Ok(staff.get(path).await?.list().1.total.to_string());
    assert_eq!(
        figure(core, "users"),
        &json!(total("/api/v1/users?status=active").await?)
    );
    assert_eq!(
        figure(core, "openContacts"),
        &json!(total("/api/v1/contact?status=new,in_progress").await?)
    );
    let month = app
        .value("SELECT to_char(now() - interval '30 days', 'YYYY-MM-DD\"T\"HH24:MI:SSOF:00')")
        .await?;
    let month = month.replace('+', "%2B");
    assert_eq!(
        figure(core, "newUsers30d"),
        &json!(total(&format!("/api/v1/users?createdAtFrom={month}")).await?)
    );
    let (orders, _) = staff.get("/api/v1/admin/orders?limit=100").await?.list();
    let cents = |value: &Value| {
        value
            .as_str()
            .unwrap_or_default()
            .replace('.', "")
            .parse::<i64>()
            .unwrap_or_default()
    };
    let recent = orders
        .iter()
        .filter(|order| order["number"] != "ORD-1001" && !order["paidAt"].is_null());
    let revenue: i64 = recent
        .map(|order| cents(&order["total"]) - cents(&order["refundedTotal"]))
        .sum();
    assert_eq!(cents(figure(core, "revenue30d")), revenue);
    assert!(revenue > 0);

    let points = core["chart"]["points"].as_array().unwrap();
    assert_eq!((points.len(), &core["chart"]["key"]), (30, &json!("signupsByDay")));
    let days: Vec<&str> = points.iter().filter_map(|point| point["label"].as_str()).collect();
    assert!(days.is_sorted());
    let signups: i64 = points
        .iter()
        .map(|point| point["value"].as_str().unwrap().parse::<i64>().unwrap())
        .sum();
    let wanted = "SELECT count(*) FROM users WHERE (created_at AT TIME ZONE 'UTC')::date > (now() AT TIME ZONE 'UTC')::date - 30";
    assert_eq!(signups.to_string(), app.value(wanted).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn days_of_charts_follow_the_zone_of_the_session() -> Result<()> {
    let app = App::start(&[]).await?;
    let staff = app.staff().await?;
    app.sql(
        "INSERT INTO settings (id, key, value) VALUES (gen_random_uuid(), 'app.timezone', '\"Pacific/Kiritimati\"')",
    )
    .await?;
    let board = staff.get("/api/v1/admin/dashboard").await?.data(200);
    let today = app
        .value("SELECT (now() AT TIME ZONE 'Pacific/Kiritimati')::date")
        .await?;
    assert_eq!(board["modules"][0]["chart"]["points"][29]["label"], json!(today));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_counts_every_table_in_one_statement() -> Result<()> {
    let app = App::builder()
        .set("MAX_ROWS_PER_TABLE", "500")
        .start(&["ecommerce"])
        .await?;
    let staff = app.staff().await?;
    app.user()
        .await?
        .get("/api/v1/admin/usage")
        .await?
        .error(403, "FORBIDDEN");
    let before = app.statements();
    let usage = staff.get("/api/v1/admin/usage").await?.data(200);
    assert_eq!(app.statements() - before, 2);
    let tables = usage["tables"].as_array().unwrap();
    assert_eq!(tables.len(), modules::table_names().len());
    let names: Vec<&str> = tables.iter().filter_map(|table| table["table"].as_str()).collect();
    assert!(names.is_sorted());
    let orders = tables.iter().find(|table| table["table"] == "orders").unwrap();
    assert_eq!(orders, &json!({"table": "orders", "rows": 12, "limit": 500}));
    let bytes: i64 = app.value("SELECT sum(size) FROM uploads").await?.parse()?;
    assert_eq!(
        (&usage["uploadBytes"], &usage["uploadBytesLimit"]),
        (&json!(bytes), &json!(26_214_400))
    );
    assert!(usage["expiresAt"].as_str().is_some_and(|at| at.ends_with('Z')));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_read_the_audit_log() -> Result<()> {
    let app = App::start(&[]).await?;
    let (staff, admin) = (app.staff().await?, app.admin().await?);
    staff.get("/api/v1/admin/audit-logs").await?.error(403, "FORBIDDEN");
    let made = staff
        .post(
            "/api/v1/coupons",
            &json!({"code": "LOGGED", "kind": "fixed", "value": "5"}),
        )
        .await?
        .data(201);
    staff
        .post(
            "/api/v1/coupons",
            &json!({"code": "LOGGED", "kind": "fixed", "value": "5"}),
        )
        .await?
        .error(409, "CONFLICT");
    let path = format!("/api/v1/coupons/{}", made["id"].as_str().unwrap());
    staff.patch(&path, &json!({"value": "6"})).await?.data(200);
    let query = format!(
        "entityType=core.coupons&entityId={}&sort=createdAt",
        made["id"].as_str().unwrap()
    );
    let (rows, _) = admin.get(&format!("/api/v1/admin/audit-logs?{query}")).await?.list();
    let actions: Vec<&Value> = rows.iter().map(|row| &row["action"]).collect();
    assert_eq!(json!(actions), json!(["core.coupons.create", "core.coupons.update"]));
    assert_eq!(rows[1]["changes"], json!({"value": ["5.00", "6.00"]}));
    assert_eq!(
        (&rows[1]["actorName"], &rows[1]["actor"]["name"]),
        (&json!("Mira Solberg"), &json!("Mira Solberg"))
    );
    assert!(rows[1]["actor"].get("email").is_none());
    let one = admin
        .get(&format!("/api/v1/admin/audit-logs/{}", rows[1]["id"].as_str().unwrap()))
        .await?
        .data(200);
    assert_eq!(one, rows[1]);
    let (found, _) = admin
        .get("/api/v1/admin/audit-logs?q=logged&action=core.coupons.create")
        .await?
        .list();
    assert_eq!(found.len(), 1);
    Ok(())
}
