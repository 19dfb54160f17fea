//! Accounts, address books, notifications.

use anyhow::Result;
use futures::future::join_all;
use serde_json::{Value, json};
use testkit::Api;

use crate::harness::App;

const USERS: &str = "/api/v1/users";
const ADDRESSES: &str = "/api/v1/users/me/addresses";
const NOTIFICATIONS: &str = "/api/v1/notifications";
const AIKO: &str = "aiko.tanabe@preview.local";

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_creates_an_account_and_its_holder_chooses_the_password() -> Result<()> {
    let app = App::start(&[]).await?;
    let admin = app.admin().await?;
    let body = json!({"email": "New@Example.org", "name": "New", "role": "STAFF"});
    let user = admin.post(USERS, &body).await?.data(201);
    assert_eq!(text(&user, "email"), "new@example.org");
    assert!(user.get("passwordHash").is_none() && user.get("failedLogins").is_none());
    let (mails, _) = admin
        .get("/api/v1/sandbox/emails?template=core.account-created")
        .await?
        .list();
    let link = text(&mails[0], "actionUrl");
    let token = link.strip_prefix("/reset-password?token=").unwrap_or_default();
    let chosen = json!({"token": token, "newPassword": "Chosen-1234"});
    app.visitor()
        .post("/api/v1/auth/reset-password", &chosen)
        .await?
        .data(200);
    let login = json!({"email": "new@example.org", "password": "Chosen-1234"});
    app.visitor().post("/api/v1/auth/login", &login).await?.data(200);

    let reply = admin
        .post(USERS, &json!({"email": "NEW@example.org", "name": "Again"}))
        .await?;
    assert_eq!(reply.error(409, "CONFLICT")["details"][0]["field"], "email");
    let reply = admin
        .post(USERS, &json!({"email": "x", "password": "short", "id": "1"}))
        .await?;
    assert_eq!(reply.invalid_fields(), ["email", "id", "name", "password"]);
    app.staff().await?.post(USERS, &body).await?.error(403, "FORBIDDEN");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sees_which_account() -> Result<()> {
    let app = App::start(&[]).await?;
    let (aiko, staff) = (app.user().await?, app.staff().await?);
    let own = format!("{USERS}/{}", app.user_id(AIKO).await?);
    let other = format!("{USERS}/{}", app.user_id("noah.okafor@preview.local").await?);
    assert!(aiko.get(&own).await?.data(200).get("lastLoginAt").is_none());
    aiko.get(&other).await?.error(404, "NOT_FOUND");
    aiko.get(USERS).await?.error(403, "FORBIDDEN");
    assert!(staff.get(&own).await?.data(200).get("lastLoginAt").is_some());
    assert_eq!(
        staff
            .get(&format!("{USERS}?role=ADMIN,STAFF&sort=name"))
            .await?
            .list()
            .1
            .total,
        3
    );
    staff.patch(&own, &json!({"name": "X"})).await?.error(403, "FORBIDDEN");
    aiko.get(&format!("{USERS}/not-an-id")).await?.error(404, "NOT_FOUND");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_directory_shows_cards_of_active_people_by_name() -> Result<()> {
    let app = App::start(&[]).await?;
    app.sql("UPDATE users SET status = 'disabled' WHERE name LIKE 'Lena%'")
        .await?;
    let api = app.user().await?;
    let (cards, page) = api.get(&format!("{USERS}/directory?limit=2")).await?.list();
    assert_eq!((page.total, page.total_pages), (5, 3));
    assert_eq!(text(&cards[0], "name"), "Ada Preview");
    let keys: Vec<_> = cards[0].as_object().into_iter().flat_map(|card| card.keys()).collect();
    assert_eq!(keys, ["id", "name", "avatarUrl"]);
    assert_eq!(
        api.get(&format!("{USERS}/directory?q=TOM%20rey&role=STAFF"))
            .await?
            .list()
            .1
            .total,
        1
    );
    assert_eq!(api.get(&format!("{USERS}/directory?q=%25")).await?.list().1.total, 0);
    assert_eq!(api.get(&format!("{USERS}/directory?page=9")).await?.list().1.total, 5);
    api.get(&format!("{USERS}/directory?limit=101"))
        .await?
        .error(422, "VALIDATION_ERROR");
    app.visitor()
        .get(&format!("{USERS}/directory"))
        .await?
        .error(401, "UNAUTHORIZED");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_role_counts_at_once_and_its_holder_is_told() -> Result<()> {
    let app = App::start(&[]).await?;
    let (admin, aiko) = (app.admin().await?, app.user().await?);
    let path = format!("{USERS}/{}", app.user_id(AIKO).await?);
    aiko.get(USERS).await?.error(403, "FORBIDDEN");
    let user = admin.patch(&path, &json!({"role": "STAFF"})).await?.data(200);
    aiko.get(USERS).await?.data(200);
    let (told, _) = aiko
        .get(&format!("{NOTIFICATIONS}?kind=core.role-changed"))
        .await?
        .list();
    assert_eq!(told.len(), 1);
    let stale = json!({"role": "USER", "version": user["version"].as_i64().map(|v| v - 1)});
    admin.patch(&path, &stale).await?.error(409, "VERSION_CONFLICT");
    admin.patch(&path, &json!({"status": "disabled"})).await?.data(200);
    aiko.get(USERS).await?.error(401, "UNAUTHORIZED");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_always_an_active_admin() -> Result<()> {
    let app = App::start(&[]).await?;
    let admin = app.admin().await?;
    let own = format!("{USERS}/{}", app.user_id("admin@preview.local").await?);
    admin
        .patch(&own, &json!({"role": "USER"}))
        .await?
        .error(409, "LAST_ADMIN");
    admin
        .patch(&own, &json!({"status": "disabled"}))
        .await?
        .error(409, "LAST_ADMIN");
    admin.delete(&own).await?.error(409, "INVALID_STATE");
    admin
        .patch(&own, &json!({"name": "Ada P.", "role": "ADMIN"}))
        .await?
        .data(200);

    // Two admins who take the right from each other at once: one of them keeps it.
    let mira = app.user_id("mira.solberg@preview.local").await?;
    admin
        .patch(&format!("{USERS}/{mira}"), &json!({"role": "ADMIN"}))
        .await?
        .data(200);
    let other = app.staff().await?;
    let theirs = format!("{USERS}/{mira}");
    let demote = |api: Api, path: String| async move { api.patch(&path, &json!({"role": "USER"})).await };
    let replies = app.race([demote(other, own), demote(admin, theirs)]).await?;
    let mut codes: Vec<_> = replies.iter().map(|reply| reply.status().as_u16()).collect();
    codes.sort_unstable();
    // Whoever comes late is no admin any more.
    assert!(codes == [200, 409] || codes == [200, 403], "{codes:?}");
    assert_eq!(
        app.value("SELECT count(*) FROM users WHERE role = 'ADMIN' AND status = 'active'")
            .await?,
        "1"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_others_refer_to_is_kept_or_let_go_by_the_tables_rules() -> Result<()> {
    let app = App::start(&[]).await?;
    let lena = app.user_id("lena.brandt@preview.local").await?;
    let admin = app.admin().await?;
    assert_eq!(
        admin.delete(&format!("{USERS}/{lena}")).await?.data(200),
        json!({"id": lena})
    );
    assert_eq!(app.value("SELECT count(*) FROM user_addresses").await?, "3");
    assert_eq!(
        app.value("SELECT count(*) FROM contact_messages WHERE user_id IS NULL")
            .await?,
        "2"
    );
    admin.delete(&format!("{USERS}/{lena}")).await?.error(404, "NOT_FOUND");
    Ok(())
}

fn address(city: &str, is_default: bool) -> Value {
    json!({"recipient": "Aiko", "line1": "1 Street", "city": city, "postalCode": "1", "country": "US", "isDefault": is_default})
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_book_has_one_default_and_ten_addresses_at_most() -> Result<()> {
    let app = App::start(&[]).await?;
    app.sql("DELETE FROM user_addresses").await?;
    let (api, admin) = (app.user().await?, app.admin().await?);
    let first = api.post(ADDRESSES, &address("A", false)).await?.data(201);
    assert_eq!(first["isDefault"], true, "the first one");
    let second = api.post(ADDRESSES, &address("B", true)).await?.data(201);
    let path = |row: &Value| format!("{ADDRESSES}/{}", text(row, "id"));
    assert_eq!(api.get(&path(&first)).await?.data(200)["isDefault"], false);
    api.patch(&path(&first), &json!({"isDefault": true})).await?.data(200);
    assert_eq!(api.get(&path(&second)).await?.data(200)["isDefault"], false);
    api.patch(&path(&first), &json!({"isDefault": true, "city": "C"}))
        .await?
        .data(200);
    // Nobody else's, not even for an admin.
    admin.get(&path(&first)).await?.error(404, "NOT_FOUND");
    assert_eq!(admin.get(ADDRESSES).await?.list().1.total, 0);
    let replies = join_all((0..12).map(|_| {
        let api = api.clone();
        async move { api.post(ADDRESSES, &address("D", true)).await }
    }))
    .await;
    let replies = replies.into_iter().collect::<Result<Vec<_>>>()?;
    assert_eq!(replies.iter().filter(|reply| reply.status() == 201).count(), 8);
    for reply in replies.iter().filter(|reply| reply.status() != 201) {
        reply.error(422, "VALIDATION_ERROR");
    }
    assert_eq!(
        app.value("SELECT count(*) FROM user_addresses WHERE is_default")
            .await?,
        "1"
    );
    let reply = api.post(ADDRESSES, &json!({"country": "us", "city": ""})).await?;
    assert_eq!(
        reply.invalid_fields(),
        ["city", "country", "line1", "postalCode", "recipient"]
    );
    api.delete(&path(&first)).await?.data(200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_are_read_by_their_owner_only() -> Result<()> {
    let app = App::start(&[]).await?;
    let (mira, admin) = (app.staff().await?, app.admin().await?);
    let (rows, _) = mira.get(&format!("{NOTIFICATIONS}?unread=true")).await?.list();
    assert_eq!(rows.len(), 1);
    let path = format!("{NOTIFICATIONS}/{}", text(&rows[0], "id"));
    assert_eq!(
        mira.get(&format!("{NOTIFICATIONS}/unread-count")).await?.data(200),
        json!({"unread": 1})
    );
    admin
        .post(&format!("{path}/read"), &json!({}))
        .await?
        .error(404, "NOT_FOUND");
    let read = mira.post(&format!("{path}/read"), &json!({})).await?.data(200);
    let again = mira.post(&format!("{path}/read"), &json!({})).await?.data(200);
    assert_eq!(read["readAt"], again["readAt"]);
    assert_ne!(read["readAt"], Value::Null);
    assert_eq!(
        mira.post(&format!("{path}/unread"), &json!({})).await?.data(200)["readAt"],
        Value::Null
    );
    assert_eq!(
        mira.post(&format!("{NOTIFICATIONS}/read-all"), &json!({}))
            .await?
            .data(200),
        json!({"changed": 1})
    );
    assert!(
        mira.get(&format!("{NOTIFICATIONS}?unread=true"))
            .await?
            .list()
            .0
            .is_empty()
    );
    admin.delete(&path).await?.error(404, "NOT_FOUND");
    mira.delete(&path).await?.data(200);
    app.visitor().get(NOTIFICATIONS).await?.error(401, "UNAUTHORIZED");
    assert_eq!(
        app.value("SELECT count(*) FROM audit_logs WHERE action LIKE 'core.notifications%'")
            .await?,
        "0"
    );
    Ok(())
}
