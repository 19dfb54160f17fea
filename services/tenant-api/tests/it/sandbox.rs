//! The sandbox: the mailbox, on both ports, and uploaded files.

use anyhow::Result;
use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use testkit::{Api, Reply};

use crate::harness::App;

const EMAILS: &str = "/api/v1/sandbox/emails";
const UPLOADS: &str = "/api/v1/uploads";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

/// Sends parts `(name, filename, content)` as a form.
async fn send(api: &Api, parts: &[(&str, Option<&str>, &[u8])]) -> Result<Reply> {
    let mut body = Vec::new();
    for (name, filename, content) in parts {
        let filename = filename
            .map(|name| format!("; filename=\"{name}\""))
            .unwrap_or_default();
        body.extend(
            format!("--frontier\r\nContent-Disposition: form-data; name=\"{name}\"{filename}\r\n\r\n").as_bytes(),
        );
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(b"--frontier--\r\n");
    let form = "multipart/form-data; boundary=frontier";
    api.raw(Method::POST, UPLOADS, form, body).await
}

async fn upload(api: &Api, content: &[u8]) -> Result<Reply> {
    send(api, &[("file", Some("picture.png"), content)]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mailbox_is_open_to_every_visitor() -> Result<()> {
    let app = App::start(&[]).await?;
    let api = app.visitor();
    let (mails, page) = api.get(EMAILS).await?.list();
    assert_eq!(page.total, 2);
    let path = format!("{EMAILS}/{}", text(&mails[0], "id"));
    assert_eq!(api.get(&path).await?.data(200), mails[0]);
    let read = api.patch(&path, &json!({"isRead": true})).await?.data(200);
    assert_eq!(read["isRead"], true);
    assert_eq!(
        api.patch(&path, &json!({"subject": "x"})).await?.invalid_fields(),
        ["subject"]
    );
    let (found, _) = api.get(&format!("{EMAILS}?q=gift")).await?.list();
    assert_eq!(found.len(), 1);
    api.delete(&path).await?.data(200);
    api.get(&path).await?.error(404, "NOT_FOUND");
    assert_eq!(api.delete(EMAILS).await?.data(200), json!({"deleted": 1}));
    assert!(api.get(EMAILS).await?.list().0.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_read_a_mailbox_on_the_private_port_with_the_secret_only() -> Result<()> {
    let app = App::start(&[]).await?;
    let other = app.session(&[]).await?;
    other.sql("DELETE FROM emails").await?;
    let path = format!("/internal/emails/{}", app.token.reveal());
    let query = format!("{path}?template=core.welcome&limit=1");
    let (rows, page) = app.private().get(&query).await?.list();
    assert_eq!(
        (rows, page),
        app.visitor()
            .get(&format!("{EMAILS}?template=core.welcome&limit=1"))
            .await?
            .list()
    );
    assert_eq!(page.total, 1);
    app.private()
        .get(&format!("{path}?limit=0"))
        .await?
        .error(422, "VALIDATION_ERROR");
    let theirs = format!("/internal/emails/{}", other.token.reveal());
    assert_eq!(app.private().get(&theirs).await?.list().1.total, 0);
    Api::new(app.private().base())
        .get(&path)
        .await?
        .error(401, "UNAUTHORIZED");
    let unknown = format!("/internal/emails/{}", "x".repeat(32));
    app.private().get(&unknown).await?.error(404, "SESSION_NOT_FOUND");
    app.bare().get(&path).await?.error(401, "SESSION_REQUIRED");
    other.end().await?;
    app.private().get(&theirs).await?.error(410, "SESSION_EXPIRED");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_mailbox_drops_its_oldest_mails_exactly_at_the_limit() -> Result<()> {
    let app = App::builder().set("MAX_ROWS_PER_TABLE", "10").start(&[]).await?;
    app.sql("DELETE FROM emails").await?;
    let body = json!({"email": "aiko.tanabe@preview.local"});
    let ask = || app.visitor().post("/api/v1/auth/forgot-password", &body);
    for reply in join_all((0..12).map(|_| ask())).await {
        reply?.data(200);
    }
    assert_eq!(app.value("SELECT count(*) FROM emails").await?, "10");
    let newest = app
        .value("SELECT id FROM emails ORDER BY created_at DESC, id DESC LIMIT 1")
        .await?;
    ask().await?.data(200);
    assert_eq!(app.value("SELECT count(*) FROM emails").await?, "10");
    assert_eq!(
        app.value(&format!("SELECT count(*) FROM emails WHERE id = '{newest}'"))
            .await?,
        "1"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_uploaded_file_is_shown_under_an_address_without_headers() -> Result<()> {
    let app = App::start(&[]).await?;
    let api = app.user().await?;
    let parts: [(&str, Option<&str>, &[u8]); 2] = [
        ("file", Some("C:\\\\temp\\\\über.png"), PNG),
        ("altText", None, "  Ein Bild ".as_bytes()),
    ];
    let reply = send(&api, &parts).await?;
    let file = reply.data(201);
    assert_eq!(text(&file, "filename"), "über.png");
    assert_eq!(text(&file, "mimeType"), "image/png");
    assert_eq!(text(&file, "altText"), "Ein Bild");
    assert_eq!(file["size"], PNG.len());
    assert_eq!(
        file["ownerId"].as_str(),
        Some(app.user_id("aiko.tanabe@preview.local").await?.as_str())
    );
    assert!(file.get("contentKey").is_none() && file.get("data").is_none());
    assert_eq!(reply.header("location"), format!("{UPLOADS}/{}", text(&file, "id")));

    let content = app.bare().get(&text(&file, "url")).await?;
    assert_eq!(content.status(), 200);
    assert_eq!(content.answer.body, PNG);
    assert_eq!(content.header("content-type"), "image/png");
    assert_eq!(content.header("x-content-type-options"), "nosniff");
    assert!(content.header("content-disposition").starts_with("inline;"));
    assert!(content.header("content-security-policy").contains("sandbox"));
    assert_eq!(content.header("cache-control"), "no-store");
    let seeded = app.value("SELECT id FROM uploads WHERE filename = 'logo.svg'").await?;
    let logo = app.visitor().get(&format!("{UPLOADS}/{seeded}")).await?.data(200);
    let logo = app.bare().get(&text(&logo, "url")).await?;
    assert_eq!(logo.header("content-type"), "image/svg+xml");

    app.bare()
        .get("/api/v1/uploads/content/unknown")
        .await?
        .error(404, "NOT_FOUND");
    app.end().await?;
    app.bare().get(&text(&file, "url")).await?.error(404, "NOT_FOUND");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_accepted_types_and_sizes_are_taken() -> Result<()> {
    let app = App::start(&[]).await?;
    let api = app.user().await?;
    upload(app.visitor(), PNG).await?.error(401, "UNAUTHORIZED");
    upload(&api, b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>")
        .await?
        .error(415, "UNSUPPORTED_MEDIA_TYPE");
    upload(&api, b"MZ\x90\0\x03\0\0\0")
        .await?
        .error(415, "UNSUPPORTED_MEDIA_TYPE");
    api.post(UPLOADS, &json!({"file": "x"}))
        .await?
        .error(415, "UNSUPPORTED_MEDIA_TYPE");
    assert_eq!(upload(&api, b"").await?.invalid_fields(), ["file"]);
    assert_eq!(send(&api, &[("altText", None, b"x")]).await?.invalid_fields(), ["file"]);
    let latin = [
        ("altText", None, b"\xe9".as_slice()),
        ("file", Some("picture.png"), PNG),
    ];
    assert_eq!(send(&api, &latin).await?.invalid_fields(), ["altText"]);
    let twice: [(&str, Option<&str>, &[u8]); 2] = [("file", Some("a"), PNG), ("file", Some("b"), PNG)];
    assert_eq!(send(&api, &twice).await?.invalid_fields(), ["file"]);
    let odd: [(&str, Option<&str>, &[u8]); 2] = [("file", Some("a"), PNG), ("role", None, b"ADMIN")];
    assert_eq!(send(&api, &odd).await?.invalid_fields(), ["role"]);
    let broken = api
        .raw(
            Method::POST,
            UPLOADS,
            "multipart/form-data; boundary=x",
            "--x\r\nnonsense",
        )
        .await?;
    broken.error(400, "BAD_REQUEST");
    let mut large = PNG.to_vec();
    large.resize(1_048_576, 0);
    upload(&api, &large).await?.data(201);
    large.push(0);
    upload(&api, &large).await?.error(413, "PAYLOAD_TOO_LARGE");
    large.resize(3_000_000, 0);
    upload(&api, &large).await?.error(413, "PAYLOAD_TOO_LARGE");
    let csv = upload(&api, b"name,price\nLamp,10.00\n").await?.data(201);
    assert_eq!(text(&csv, "mimeType"), "text/csv");
    let content = app.bare().get(&text(&csv, "url")).await?;
    assert!(content.header("content-disposition").starts_with("attachment;"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quota_of_a_session_holds_when_files_arrive_at_once() -> Result<()> {
    let app = App::builder()
        .set("MAX_UPLOAD_BYTES_PER_SESSION", "100000")
        .start(&[])
        .await?;
    let api = app.user().await?;
    let mut content = PNG.to_vec();
    content.resize(20_000, 0);
    let replies = join_all((0..8).map(|_| upload(&api, &content))).await;
    let replies = replies.into_iter().collect::<Result<Vec<_>>>()?;
    assert_eq!(
        replies.iter().filter(|reply| reply.status() == 201).count(),
        4,
        "seeds take the rest"
    );
    for reply in replies.iter().filter(|reply| reply.status() != 201) {
        reply.error(409, "UPLOAD_QUOTA_REACHED");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_changed_by_their_owner_and_staff() -> Result<()> {
    let app = App::start(&[]).await?;
    let (aiko, noah, staff) = (app.user().await?, app.other_user().await?, app.staff().await?);
    let file = upload(&aiko, PNG).await?.data(201);
    let path = format!("{UPLOADS}/{}", text(&file, "id"));
    noah.patch(&path, &json!({"altText": "mine"}))
        .await?
        .error(403, "FORBIDDEN");
    noah.delete(&path).await?.error(403, "FORBIDDEN");
    let changed = staff.patch(&path, &json!({"altText": "A dot"})).await?.data(200);
    assert_eq!(text(&changed, "altText"), "A dot");
    assert_eq!(
        aiko.patch(&path, &json!({"filename": "x"})).await?.invalid_fields(),
        ["filename"]
    );
    // Aiko's avatar is a seeded file of hers.
    assert_eq!(aiko.get(UPLOADS).await?.list().1.total, 2);
    assert_eq!(noah.get(UPLOADS).await?.list().1.total, 1);
    assert_eq!(
        staff
            .get(&format!("{UPLOADS}?mimeType=image/png"))
            .await?
            .list()
            .1
            .total,
        1
    );
    app.visitor().get(UPLOADS).await?.error(401, "UNAUTHORIZED");
    aiko.delete(&path).await?.data(200);
    app.bare().get(&text(&file, "url")).await?.error(404, "NOT_FOUND");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_logo_leaves_the_settings_too() -> Result<()> {
    let app = App::start(&[]).await?;
    let admin = app.admin().await?;
    let logo = app
        .value("SELECT value #>> '{}' FROM settings WHERE key = 'theme.logoId'")
        .await?;
    admin.delete(&format!("/api/v1/uploads/{logo}")).await?.data(200);
    let left = "SELECT count(*) FROM settings WHERE key = 'theme.logoId'";
    assert_eq!(app.value(left).await?, "0");
    admin
        .patch("/api/v1/settings", &json!({"settings": {"theme.logoId": null}}))
        .await?
        .data(200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_the_process_are_behind_the_secret_too() -> Result<()> {
    let app = App::start(&[]).await?;
    let reply = app.private().get("/internal/metrics").await?;
    assert_eq!(reply.status(), 200);
    assert!(reply.header("content-type").starts_with("text/plain"));
    Api::new(app.private().base())
        .get("/internal/metrics")
        .await?
        .error(401, "UNAUTHORIZED");
    Ok(())
}
