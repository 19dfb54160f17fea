//! Sign-in: accounts, tokens, cookies, blocks.

use anyhow::Result;
use chrono::TimeDelta;
use futures::future::join_all;
use serde_json::{Value, json};
use testkit::{Api, Reply};

use crate::harness::App;

const LOGIN: &str = "/api/v1/auth/login";
const REFRESH: &str = "/api/v1/auth/refresh";
const ME: &str = "/api/v1/auth/me";
const AIKO: &str = "aiko.tanabe@preview.local";
const PASSWORD: &str = "Preview123!";

async fn login(api: &Api, email: &str, password: &str) -> Result<Reply> {
    api.post(LOGIN, &json!({"email": email, "password": password})).await
}

fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn cookies(reply: &Reply) -> Vec<&str> {
    let values = reply.answer.headers.get_all("set-cookie").iter();
    values.filter_map(|value| value.to_str().ok()).collect()
}

async fn refresh(api: &Api, token: &str) -> Result<Reply> {
    api.post(REFRESH, &json!({"refreshToken": token})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_registers_is_signed_in_and_welcomed() -> Result<()> {
    let app = App::start(&[]).await?;
    let body = json!({"email": "New.Person@Example.org", "password": " pass word 1 ", "name": "  New Person "});
    let reply = app.visitor().post("/api/v1/auth/register", &body).await?;
    let data = reply.data(201);
    assert_eq!(text(&data, "/user/email"), "new.person@example.org");
    assert_eq!(text(&data, "/user/name"), "New Person");
    assert_eq!(text(&data, "/user/role"), "USER");
    assert_eq!(data["user"]["moduleRoles"], json!([]));
    assert_eq!(
        reply.header("location"),
        format!("/api/v1/users/{}", text(&data, "/user/id"))
    );
    let api = app.visitor().bearer(&text(&data, "/accessToken"));
    assert_eq!(api.get(ME).await?.data(200), data["user"]);
    let (mails, _) = app
        .visitor()
        .get("/api/v1/sandbox/emails?template=core.welcome&toEmail=new.person@example.org")
        .await?
        .list();
    assert_eq!(mails.len(), 1);
    // Not trimmed: the spaces belong to the password.
    login(app.visitor(), "new.person@example.org", "pass word 1")
        .await?
        .error(401, "INVALID_CREDENTIALS");
    login(app.visitor(), "NEW.person@example.org", " pass word 1 ")
        .await?
        .data(200);
    let reply = app.visitor().post("/api/v1/auth/register", &body).await?;
    assert_eq!(reply.error(409, "CONFLICT")["details"][0]["field"], "email");
    assert_eq!(
        app.value("SELECT count(*) FROM audit_logs WHERE action = 'core.auth.register' AND actor_name = 'New Person'")
            .await?,
        "1"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_is_checked_field_by_field() -> Result<()> {
    let app = App::start(&[]).await?;
    let post = |body: Value| {
        let api = app.visitor().clone();
        async move { api.post("/api/v1/auth/register", &body).await }
    };
    let reply = post(json!({"email": "x", "password": "short", "name": "", "role": "ADMIN"})).await?;
    assert_eq!(reply.invalid_fields(), ["email", "name", "password", "role"]);
    for password in ["letters-only", "12345678901", &"a1".repeat(37)] {
        let reply = post(json!({"email": "a@b.co", "password": password, "name": "A"})).await?;
        assert_eq!(reply.invalid_fields(), ["password"], "{password}");
    }
    app.admin()
        .await?
        .patch(
            "/api/v1/settings",
            &json!({"settings": {"auth.allowRegistration": false}}),
        )
        .await?
        .data(200);
    let body = json!({"email": "a@b.co", "password": "abcdefg1", "name": "A"});
    post(body).await?.error(403, "REGISTRATION_CLOSED");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_registrations_with_one_address_one_wins() -> Result<()> {
    let app = App::start(&[]).await?;
    let body = json!({"email": "twin@example.org", "password": "abcdefg1", "name": "Twin"});
    let post = || {
        let (api, body) = (app.visitor().clone(), body.clone());
        async move { api.post("/api/v1/auth/register", &body).await }
    };
    let replies = app.race_at("users", (0..4).map(|_| post())).await?;
    assert_eq!(replies.iter().filter(|reply| reply.status() == 201).count(), 1);
    for reply in replies.iter().filter(|reply| reply.status() != 201) {
        assert_eq!(reply.error(409, "CONFLICT")["details"][0]["field"], "email");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn cookies_sign_in_as_well_as_a_bearer_and_are_narrow() -> Result<()> {
    let app = App::start(&[]).await?;
    let reply = login(app.visitor(), AIKO, PASSWORD).await?;
    let data = reply.data(200);
    let set = cookies(&reply);
    let access = set
        .iter()
        .find(|c| c.starts_with("accessToken="))
        .copied()
        .unwrap_or_default();
    let refresh = set
        .iter()
        .find(|c| c.starts_with("refreshToken="))
        .copied()
        .unwrap_or_default();
    assert!(
        access.contains("; Path=/api/v1;") && access.contains("HttpOnly") && access.ends_with("SameSite=Lax"),
        "{access}"
    );
    assert!(
        refresh.contains("; Path=/api/v1/auth;") && refresh.contains("HttpOnly"),
        "{refresh}"
    );
    let token = text(&data, "/accessToken");
    let api = app.visitor().with("cookie", &format!("accessToken={token}"));
    assert_eq!(text(&api.get(ME).await?.data(200), "/email"), AIKO);
    api.bearer("bad").get(ME).await?.error(401, "UNAUTHORIZED");
    // A bad bearer is refused on public routes, a bad cookie is not.
    app.visitor()
        .bearer("bad")
        .get("/api/v1/faqs")
        .await?
        .error(401, "UNAUTHORIZED");
    app.visitor()
        .with("cookie", "accessToken=bad")
        .get("/api/v1/faqs")
        .await?
        .data(200);
    login(&app.visitor().bearer("bad"), AIKO, PASSWORD).await?.data(200);

    let secure = app.visitor().with("x-forwarded-proto", "https");
    let reply = login(&secure, AIKO, PASSWORD).await?;
    assert!(
        cookies(&reply)
            .iter()
            .all(|c| c.ends_with("SameSite=None; Secure; Partitioned"))
    );
    let by_cookie = app
        .visitor()
        .with("cookie", &format!("refreshToken={}", text(&data, "/refreshToken")));
    by_cookie.post(REFRESH, &json!({})).await?.data(200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_another_session_are_worth_nothing() -> Result<()> {
    let app = App::start(&[]).await?;
    let other = app.session(&[]).await?;
    let data = login(app.visitor(), AIKO, PASSWORD).await?.data(200);
    let stranger = other.visitor().bearer(&text(&data, "/accessToken"));
    stranger.get(ME).await?.error(401, "UNAUTHORIZED");
    refresh(other.visitor(), &text(&data, "/refreshToken"))
        .await?
        .error(401, "UNAUTHORIZED");
    app.visitor()
        .bearer(&text(&data, "/accessToken"))
        .get(ME)
        .await?
        .data(200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn five_wrong_passwords_block_the_right_one_for_a_quarter_of_an_hour() -> Result<()> {
    let app = App::builder().manual_clock().start(&[]).await?;
    for _ in 0..5 {
        login(app.visitor(), AIKO, "wrong")
            .await?
            .error(401, "INVALID_CREDENTIALS");
    }
    let reply = login(app.visitor(), AIKO, PASSWORD).await?;
    reply.error(429, "RATE_LIMITED");
    assert!(reply.header("retry-after").parse::<u64>()? <= 901);
    login(app.visitor(), "noah.okafor@preview.local", PASSWORD)
        .await?
        .data(200);
    app.advance(TimeDelta::minutes(16));
    login(app.visitor(), AIKO, PASSWORD).await?.data(200);
    // The counter starts anew after a success, and after a quarter of an hour.
    for _ in 0..4 {
        login(app.visitor(), AIKO, "wrong")
            .await?
            .error(401, "INVALID_CREDENTIALS");
    }
    login(app.visitor(), AIKO, PASSWORD).await?.data(200);
    for _ in 0..4 {
        login(app.visitor(), AIKO, "wrong")
            .await?
            .error(401, "INVALID_CREDENTIALS");
    }
    app.advance(TimeDelta::minutes(16));
    login(app.visitor(), AIKO, "wrong")
        .await?
        .error(401, "INVALID_CREDENTIALS");
    login(app.visitor(), AIKO, PASSWORD).await?.data(200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_side_by_side_are_counted_like_guesses_one_by_one() -> Result<()> {
    let app = App::start(&[]).await?;
    let mut guesses: Vec<&str> = vec!["wrong"; 12];
    guesses.push(PASSWORD);
    let replies = join_all(guesses.iter().map(|guess| login(app.visitor(), AIKO, guess))).await;
    let replies = replies.into_iter().collect::<Result<Vec<_>>>()?;
    let refused = replies.iter().filter(|reply| reply.status() == 401).count();
    assert!(
        refused <= 10,
        "at most five before the right one and five after it, {refused}"
    );
    login(app.visitor(), AIKO, PASSWORD).await?.error(429, "RATE_LIMITED");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_sign_in_at_once_on_one_connection() -> Result<()> {
    let app = App::builder().pool(1).start(&[]).await?;
    let replies = join_all((0..12).map(|_| login(app.visitor(), AIKO, PASSWORD))).await;
    for reply in replies {
        reply?.data(200);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_addresses_are_told_like_wrong_passwords() -> Result<()> {
    let app = App::start(&[]).await?;
    let unknown = login(app.visitor(), "nobody@preview.local", PASSWORD)
        .await?
        .error(401, "INVALID_CREDENTIALS");
    let wrong = login(app.visitor(), AIKO, "wrong")
        .await?
        .error(401, "INVALID_CREDENTIALS");
    assert_eq!(unknown, wrong);
    app.sql("UPDATE users SET status = 'disabled' WHERE email = 'aiko.tanabe@preview.local'")
        .await?;
    login(app.visitor(), AIKO, "wrong")
        .await?
        .error(401, "INVALID_CREDENTIALS");
    login(app.visitor(), AIKO, PASSWORD)
        .await?
        .error(403, "ACCOUNT_DISABLED");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_works_once_and_the_sign_in_goes_on() -> Result<()> {
    let app = App::builder().manual_clock().start(&[]).await?;
    let first = login(app.visitor(), AIKO, PASSWORD).await?.data(200);
    app.advance(TimeDelta::minutes(14));
    let second = refresh(app.visitor(), &text(&first, "/refreshToken")).await?.data(200);
    assert_ne!(first["refreshToken"], second["refreshToken"]);
    let old = app.visitor().bearer(&text(&first, "/accessToken"));
    old.get(ME).await?.data(200);
    // The loser of a race is refused, and no more.
    app.advance(TimeDelta::seconds(9));
    refresh(app.visitor(), &text(&first, "/refreshToken"))
        .await?
        .error(401, "UNAUTHORIZED");
    let third = refresh(app.visitor(), &text(&second, "/refreshToken")).await?.data(200);
    // Used again later, it is a stolen one: the family ends.
    app.advance(TimeDelta::seconds(11));
    refresh(app.visitor(), &text(&first, "/refreshToken"))
        .await?
        .error(401, "UNAUTHORIZED");
    refresh(app.visitor(), &text(&third, "/refreshToken"))
        .await?
        .error(401, "UNAUTHORIZED");
    let api = app.visitor().bearer(&text(&third, "/accessToken"));
    api.get(ME).await?.error(401, "UNAUTHORIZED");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_access_token_lasts_fifteen_minutes() -> Result<()> {
    let app = App::builder().manual_clock().start(&[]).await?;
    let data = login(app.visitor(), AIKO, PASSWORD).await?.data(200);
    let api = app.visitor().bearer(&text(&data, "/accessToken"));
    app.advance(TimeDelta::seconds(899));
    api.get(ME).await?.data(200);
    app.advance(TimeDelta::seconds(1));
    api.get(ME).await?.error(401, "UNAUTHORIZED");
    refresh(app.visitor(), &text(&data, "/refreshToken")).await?.data(200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_refreshes_at_once_one_wins_and_stays_signed_in() -> Result<()> {
    let app = App::start(&[]).await?;
    let data = login(app.visitor(), AIKO, PASSWORD).await?.data(200);
    let token = text(&data, "/refreshToken");
    let again = || {
        let (api, token) = (app.visitor().clone(), token.clone());
        async move { refresh(&api, &token).await }
    };
    let replies = app.race((0..6).map(|_| again())).await?;
    let (won, lost): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status() == 200);
    assert_eq!(won.len(), 1);
    for reply in lost {
        reply.error(401, "UNAUTHORIZED");
    }
    let next = text(&won[0].data(200), "/refreshToken");
    refresh(app.visitor(), &next).await?.data(200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_account_cannot_refresh_and_its_tokens_stop() -> Result<()> {
    let app = App::start(&[]).await?;
    let data = login(app.visitor(), AIKO, PASSWORD).await?.data(200);
    let id = app.user_id(AIKO).await?;
    let admin = app.admin().await?;
    admin
        .patch(&format!("/api/v1/users/{id}"), &json!({"status": "disabled"}))
        .await?
        .data(200);
    let api = app.visitor().bearer(&text(&data, "/accessToken"));
    api.get(ME).await?.error(401, "UNAUTHORIZED");
    refresh(app.visitor(), &text(&data, "/refreshToken"))
        .await?
        .error(403, "ACCOUNT_DISABLED");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn logout_ends_the_sign_in_at_once_and_is_fine_with_nobody() -> Result<()> {
    let app = App::start(&[]).await?;
    let data = login(app.visitor(), AIKO, PASSWORD).await?.data(200);
    let stays = login(app.visitor(), AIKO, PASSWORD).await?.data(200);
    let reply = app
        .visitor()
        .post("/api/v1/auth/logout", &json!({"refreshToken": data["refreshToken"]}))
        .await?;
    assert_eq!(reply.data(200), json!({"signedOut": true}));
    assert!(
        cookies(&reply).iter().all(|c| c.contains("Max-Age=0")),
        "both are cleared"
    );
    let api = app.visitor().bearer(&text(&data, "/accessToken"));
    api.get(ME).await?.error(401, "UNAUTHORIZED");
    refresh(app.visitor(), &text(&data, "/refreshToken"))
        .await?
        .error(401, "UNAUTHORIZED");
    let reply = app.visitor().post("/api/v1/auth/logout", &json!({})).await?;
    assert_eq!(reply.data(200), json!({"signedOut": false}));
    let api = app.visitor().bearer(&text(&stays, "/accessToken"));
    api.get(ME).await?.data(200);
    api.post("/api/v1/auth/logout", &json!({})).await?.data(200);
    api.get(ME).await?.error(401, "UNAUTHORIZED");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_changes_ones_own_account_by_version() -> Result<()> {
    let app = App::start(&[]).await?;
    let api = app.user().await?;
    let avatar = app.value("SELECT id FROM uploads WHERE filename = 'logo.svg'").await?;
    let before = api.get(ME).await?.data(200);
    let body = json!({"name": "Aiko T.", "phone": null, "avatarId": avatar, "version": before["version"]});
    let after = api.patch(ME, &body).await?.data(200);
    assert_eq!(after["name"], "Aiko T.");
    assert_eq!(after["phone"], Value::Null);
    assert_eq!(after["version"].as_i64(), before["version"].as_i64().map(|v| v + 1));
    app.bare().get(&text(&after, "/avatarUrl")).await?;
    api.patch(ME, &body).await?.error(409, "VERSION_CONFLICT");
    assert_eq!(
        api.patch(ME, &json!({"name": null, "role": "ADMIN"}))
            .await?
            .invalid_fields(),
        ["name", "role"]
    );
    let nowhere = json!({"avatarId": "01939c6e-8f3a-7cc1-a8f1-0a8a37a1f2b3"});
    assert_eq!(api.patch(ME, &nowhere).await?.invalid_fields(), ["avatarId"]);
    assert_eq!(api.patch(ME, &json!({})).await?.data(200), after);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_signs_all_other_devices_out() -> Result<()> {
    let app = App::start(&[]).await?;
    let (here, there) = (app.user().await?, app.user().await?);
    let path = "/api/v1/auth/password";
    let reply = here
        .post(path, &json!({"currentPassword": "nope", "newPassword": "Another-1x"}))
        .await?;
    assert_eq!(reply.invalid_fields(), ["currentPassword"]);
    let body = json!({"currentPassword": PASSWORD, "newPassword": "Another-1x"});
    assert_eq!(here.post(path, &body).await?.data(200), json!({"changed": true}));
    here.get(ME).await?.data(200);
    there.get(ME).await?.error(401, "UNAUTHORIZED");
    login(app.visitor(), AIKO, PASSWORD)
        .await?
        .error(401, "INVALID_CREDENTIALS");
    login(app.visitor(), AIKO, "Another-1x").await?.data(200);
    let mails = app
        .value("SELECT count(*) FROM emails WHERE template = 'core.password-changed'")
        .await?;
    assert_eq!(mails, "1");
    assert_eq!(
        app.value("SELECT count(*) FROM audit_logs WHERE action = 'core.auth.change-password'")
            .await?,
        "1"
    );
    assert_eq!(
        app.value("SELECT count(*) FROM audit_logs WHERE changes::text LIKE '%argon2%' OR summary LIKE '%Another%'")
            .await?,
        "0"
    );
    Ok(())
}

async fn reset_link(app: &App) -> Result<String> {
    let path = "/api/v1/sandbox/emails?template=core.password-reset";
    let (mails, _) = app.visitor().get(path).await?.list();
    let link = mails.first().map(|mail| text(mail, "/actionUrl")).unwrap_or_default();
    Ok(link
        .strip_prefix("/reset-password?token=")
        .unwrap_or_default()
        .to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forgotten_password_is_replaced_once_over_a_link() -> Result<()> {
    let app = App::builder().manual_clock().start(&[]).await?;
    let device = app.user().await?;
    for _ in 0..5 {
        login(app.visitor(), AIKO, "wrong")
            .await?
            .error(401, "INVALID_CREDENTIALS");
    }
    let forgot = async |email: &str| {
        app.visitor()
            .post("/api/v1/auth/forgot-password", &json!({"email": email}))
            .await
    };
    let set = |token: String| {
        let body = json!({"token": token, "newPassword": "Chosen-again-1"});
        let api = app.visitor().clone();
        async move { api.post("/api/v1/auth/reset-password", &body).await }
    };
    assert_eq!(
        forgot("nobody@preview.local").await?.data(200),
        json!({"accepted": true})
    );
    assert_eq!(forgot(AIKO).await?.data(200), json!({"accepted": true}));
    let replaced = reset_link(&app).await?;
    forgot(AIKO).await?.data(200);
    let token = reset_link(&app).await?;
    set(replaced).await?.error(422, "TOKEN_INVALID");
    set("unknown".into()).await?.error(422, "TOKEN_INVALID");
    set(token.clone()).await?.data(200);
    set(token).await?.error(422, "TOKEN_INVALID");
    device.get(ME).await?.error(401, "UNAUTHORIZED");
    // The block is lifted.
    login(app.visitor(), AIKO, "Chosen-again-1").await?.data(200);
    forgot(AIKO).await?.data(200);
    let late = reset_link(&app).await?;
    app.advance(TimeDelta::minutes(31));
    set(late).await?.error(422, "TOKEN_INVALID");
    assert_eq!(
        app.value("SELECT count(*) FROM emails WHERE to_email LIKE 'nobody%'")
            .await?,
        "0"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_are_listed_and_ended_one_by_one() -> Result<()> {
    let app = App::start(&[]).await?;
    let data = login(app.visitor(), AIKO, PASSWORD).await?.data(200);
    let here = app.visitor().bearer(&text(&data, "/accessToken"));
    refresh(app.visitor(), &text(&data, "/refreshToken")).await?.data(200);
    let there = app.user().await?;
    let (rows, _) = here.get("/api/v1/auth/sessions").await?.list();
    assert_eq!(rows.len(), 2, "a refresh is no second device");
    let current: Vec<_> = rows.iter().filter(|row| row["isCurrent"] == true).collect();
    assert_eq!(current.len(), 1);
    assert!(
        rows.iter()
            .all(|row| row.get("refreshHash").is_none() && row.get("familyId").is_none())
    );
    let other = rows
        .iter()
        .find(|row| row["isCurrent"] == false)
        .map(|row| text(row, "/id"))
        .unwrap_or_default();
    let noah = app.other_user().await?;
    noah.delete(&format!("/api/v1/auth/sessions/{other}"))
        .await?
        .error(404, "NOT_FOUND");
    there.get(ME).await?.data(200);
    let gone = here.delete(&format!("/api/v1/auth/sessions/{other}")).await?.data(200);
    assert_eq!(gone, json!({"id": other}));
    there.get(ME).await?.error(401, "UNAUTHORIZED");
    here.delete(&format!("/api/v1/auth/sessions/{other}"))
        .await?
        .error(404, "NOT_FOUND");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_sees_the_role_and_no_request_of_sign_in_is_chatty() -> Result<()> {
    let app = App::start(&[]).await?;
    let cost = async |what: &str, request: Value, api: &Api| -> Result<u64> {
        let before = app.statements();
        api.post(what, &request).await?;
        Ok(app.statements() - before)
    };
    let registration = json!({"email": "n@example.org", "password": "abcdefg1", "name": "N"});
    assert!(cost("/api/v1/auth/register", registration, app.visitor()).await? <= 6);
    assert!(cost(LOGIN, json!({"email": AIKO, "password": PASSWORD}), app.visitor()).await? <= 4);
    let user = app.user().await?;
    let change = json!({"currentPassword": PASSWORD, "newPassword": "Another-1x"});
    assert!(cost("/api/v1/auth/password", change, &user).await? <= 6);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_journal_of_sign_ins_forgets_used_tokens_first() -> Result<()> {
    let app = App::builder().set("MAX_ROWS_PER_TABLE", "10").start(&[]).await?;
    let data = login(app.visitor(), AIKO, PASSWORD).await?.data(200);
    let api = app.visitor().bearer(&text(&data, "/accessToken"));
    let mut token = text(&data, "/refreshToken");
    for _ in 0..15 {
        token = text(&refresh(app.visitor(), &token).await?.data(200), "/refreshToken");
    }
    api.get(ME).await?.data(200);
    assert_eq!(app.value("SELECT count(*) FROM auth_sessions").await?, "10");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_staff_do_with_a_refresh_token_alone_is_audited() -> Result<()> {
    let app = App::start(&[]).await?;
    let staff = login(app.visitor(), "mira.solberg@preview.local", PASSWORD)
        .await?
        .data(200);
    let next = refresh(app.visitor(), &text(&staff, "/refreshToken")).await?.data(200);
    let logout = json!({"refreshToken": text(&next, "/refreshToken")});
    app.visitor().post("/api/v1/auth/logout", &logout).await?.data(200);
    let rows = "SELECT string_agg(action || ' ' || actor_name, ', ' ORDER BY created_at, id) FROM audit_logs \
                WHERE action IN ('core.auth.refresh', 'core.auth.logout')";
    assert_eq!(
        app.value(rows).await?,
        "core.auth.refresh Mira Solberg, core.auth.logout Mira Solberg"
    );
    let user = login(app.visitor(), AIKO, PASSWORD).await?.data(200);
    refresh(app.visitor(), &text(&user, "/refreshToken")).await?.data(200);
    let count = "SELECT count(*) FROM audit_logs WHERE action = 'core.auth.refresh'";
    assert_eq!(app.value(count).await?, "1");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_for_a_lost_password_ends_when_the_password_is_changed() -> Result<()> {
    let app = App::start(&[]).await?;
    let forgot = json!({"email": AIKO});
    app.visitor()
        .post("/api/v1/auth/forgot-password", &forgot)
        .await?
        .data(200);
    let change = json!({"currentPassword": PASSWORD, "newPassword": "Another123"});
    app.user()
        .await?
        .post("/api/v1/auth/password", &change)
        .await?
        .data(200);
    let open = "SELECT count(*) FROM password_reset_tokens WHERE used_at IS NULL";
    assert_eq!(app.value(open).await?, "0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_calls_is_asked_before_a_path_is_judged() -> Result<()> {
    let app = App::start(&[]).await?;
    for odd in ["%00", "%ff"] {
        let path = format!("/api/v1/users/{odd}");
        app.visitor().get(&path).await?.error(401, "UNAUTHORIZED");
        app.user().await?.delete(&path).await?.error(403, "FORBIDDEN");
        app.admin().await?.get(&path).await?.error(404, "NOT_FOUND");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_deleted_while_calling_is_signed_out_and_not_blamed() -> Result<()> {
    let app = App::start(&[]).await?;
    let (admin, aiko) = (app.admin().await?, app.user().await?);
    let account = format!("/api/v1/users/{}", app.user_id(AIKO).await?);
    let calls = (0..4).map(|call| {
        let (admin, aiko, account) = (admin.clone(), aiko.clone(), account.clone());
        async move {
            let address = json!({"recipient": "A", "line1": "B", "city": "C", "postalCode": "1", "country": "DE"});
            let passwords = json!({"currentPassword": PASSWORD, "newPassword": "Another-1-password"});
            match call {
                0 => admin.delete(&account).await,
                1 => aiko.post("/api/v1/users/me/addresses", &address).await,
                2 => aiko.patch(ME, &json!({"name": "Aiko"})).await,
                _ => aiko.post("/api/v1/auth/password", &passwords).await,
            }
        }
    });
    let replies = app.race(calls).await?;
    replies[0].data(200);
    for reply in &replies[1..] {
        if reply.status() == 401 {
            reply.error(401, "UNAUTHORIZED");
        }
        assert!(
            [200, 201, 401].contains(&reply.status().as_u16()),
            "{}",
            reply.answer.text()
        );
    }
    aiko.get(ME).await?.error(401, "UNAUTHORIZED");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_for_a_new_password_does_not_outlive_the_account() -> Result<()> {
    let app = App::start(&[]).await?;
    let link = json!({"email": AIKO});
    app.visitor()
        .post("/api/v1/auth/forgot-password", &link)
        .await?
        .data(200);
    let (mails, _) = app
        .visitor()
        .get("/api/v1/sandbox/emails?template=core.password-reset")
        .await?
        .list();
    let token = mails[0]["actionUrl"]
        .as_str()
        .and_then(|url| url.split_once("token="))
        .map(|(_, token)| token);
    let account = format!("/api/v1/users/{}", app.user_id(AIKO).await?);
    let admin = app.admin().await?;
    for status in ["disabled", "active"] {
        admin.patch(&account, &json!({"status": status})).await?.data(200);
    }
    let chosen = json!({"token": token, "newPassword": "Another-1-password"});
    app.visitor()
        .post("/api/v1/auth/reset-password", &chosen)
        .await?
        .error(422, "TOKEN_INVALID");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_see_every_device_and_may_ask_for_their_own() -> Result<()> {
    let app = App::start(&[]).await?;
    let (admin, _aiko) = (app.admin().await?, app.user().await?);
    let devices = "/api/v1/auth/sessions";
    assert_eq!(admin.get(devices).await?.list().1.total, 2);
    assert_eq!(admin.get(&format!("{devices}?mine=true")).await?.list().1.total, 1);
    assert_eq!(
        admin.get(&format!("{devices}?mine=yes")).await?.invalid_fields(),
        ["mine"]
    );
    Ok(())
}
