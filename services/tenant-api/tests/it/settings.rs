//! Settings and the public configuration.

use anyhow::Result;
use serde_json::{Value, json};

use crate::harness::App;

const SETTINGS: &str = "/api/v1/settings";

#[tokio::test(flavor = "multi_thread")]
async fn visitors_read_public_settings_and_staff_all_of_granted_modules() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let public = app.visitor().get(SETTINGS).await?.data(200);
    assert_eq!(public["settings"]["app.name"], "Northwind Studio");
    assert_eq!(public["settings"]["app.currency"], "USD");
    assert_eq!(public["settings"]["orders.taxRate"], "8.00");
    let all = app.staff().await?.get(SETTINGS).await?.data(200);
    let count = |value: &Value| value["settings"].as_object().map_or(0, serde_json::Map::len);
    assert!(count(&all) >= count(&public));
    let keys = all["settings"]
        .as_object()
        .map(|all| all.keys().cloned().collect::<Vec<_>>())
        .unwrap_or_default();
    assert!(keys.iter().all(|key| !key.starts_with("lms.")), "{keys:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_takes_effect_at_once_and_null_brings_the_preset_back() -> Result<()> {
    let app = App::start(&[]).await?;
    let admin = app.admin().await?;
    let change = async |settings: Value| admin.patch(SETTINGS, &json!({"settings": settings})).await;
    let data = change(json!({"app.name": " Shop ", "theme.mode": "dark", "orders.taxRate": "19"}))
        .await?
        .data(200);
    assert_eq!(data["settings"]["app.name"], "Shop");
    assert_eq!(data["settings"]["orders.taxRate"], "19.00");
    let config = app.visitor().get("/api/v1/config").await?.data(200);
    assert_eq!(config["appName"], "Shop");
    assert_eq!(config["theme"]["mode"], "dark");
    let data = change(json!({"app.name": null, "theme.logoId": null})).await?.data(200);
    assert_eq!(data["settings"]["app.name"], "Northwind Studio");
    assert_eq!(
        app.visitor().get("/api/v1/config").await?.data(200)["theme"]["logoUrl"],
        Value::Null
    );
    let changes = app.value("SELECT changes FROM audit_logs WHERE action = 'core.settings.change' ORDER BY created_at DESC, id DESC LIMIT 1").await?;
    assert!(
        changes.contains("\"app.name\": [\"Shop\", \"Northwind Studio\"]"),
        "{changes}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_setting_refuses_all() -> Result<()> {
    let app = App::start(&[]).await?;
    let bad = json!({"settings": {
        "app.name": "Kept out", "app.currency": "EUR", "theme.primaryColor": "red", "no.such": 1, "lms.x": 1,
        "orders.taxRate": "50.01", "app.timezone": "Mars/Olympus", "contact.email": "x", "auth.allowRegistration": "yes",
        "app.tagline": "x".repeat(141), "theme.logoId": "01939c6e-8f3a-7cc1-a8f1-0a8a37a1f2b3", "theme.mode": "blue",
    }});
    let reply = app.admin().await?.patch(SETTINGS, &bad).await?;
    let wrong = [
        "app.currency",
        "app.tagline",
        "app.timezone",
        "auth.allowRegistration",
        "contact.email",
        "lms.x",
        "no.such",
        "orders.taxRate",
        "theme.logoId",
        "theme.mode",
        "theme.primaryColor",
    ];
    assert_eq!(reply.invalid_fields(), wrong.map(|key| format!("settings.{key}")));
    let settings = app.visitor().get(SETTINGS).await?.data(200);
    assert_eq!(settings["settings"]["app.name"], "Northwind Studio");
    let body = json!({"settings": {"app.name": "Staff's"}});
    app.staff().await?.patch(SETTINGS, &body).await?.error(403, "FORBIDDEN");
    app.visitor().patch(SETTINGS, &body).await?.error(401, "UNAUTHORIZED");
    let reply = app.admin().await?.patch(SETTINGS, &json!({"settings": [1]})).await?;
    assert_eq!(reply.invalid_fields(), ["settings"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_names_what_the_session_has() -> Result<()> {
    let app = App::start(&["ecommerce.cart", "payments.oneTime"]).await?;
    let config = app.visitor().get("/api/v1/config").await?.data(200);
    assert_eq!(config["features"], json!(["ecommerce.cart", "ecommerce.products"]));
    assert_eq!(config["ignoredFeatures"], json!(["payments.oneTime"]));
    assert_eq!(config["sessionId"], app.id.to_string());
    assert_eq!(config["demoPassword"], "Preview123!");
    assert_eq!(config["demoAccounts"].as_array().map(Vec::len), Some(6));
    assert_eq!(
        config["demoAccounts"][0],
        json!({"email": "admin@preview.local", "name": "Ada Preview", "role": "ADMIN"})
    );
    let modules: Vec<&str> = config["modules"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|m| m["module"].as_str())
        .collect();
    assert_eq!(modules, ["core", "ecommerce"]);
    let items = config["modules"][1]["items"].as_array().cloned().unwrap_or_default();
    assert!(
        items
            .iter()
            .all(|item| item["feature"] == "ecommerce.cart" || item["feature"] == "ecommerce.products")
    );
    let logo = config["theme"]["logoUrl"].as_str().unwrap_or_default();
    assert_eq!(app.bare().get(logo).await?.status(), 200);
    app.grant(&["lms"]).await?;
    let modules = app.visitor().get("/api/v1/config").await?.data(200)["modules"].clone();
    assert_eq!(modules[1]["module"], "lms");
    Ok(())
}
