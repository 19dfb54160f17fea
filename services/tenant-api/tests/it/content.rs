//! What a site says: questions, announcements, pages, and what visitors ask.

use anyhow::Result;
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::App;

const FAQS: &str = "/api/v1/faqs";
const ANNOUNCEMENTS: &str = "/api/v1/announcements";
const PAGES: &str = "/api/v1/content/pages";
const CONTACT: &str = "/api/v1/contact";

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_see_published_questions_only() -> Result<()> {
    let app = App::start(&[]).await?;
    let staff = app.staff().await?;
    let body = json!({"question": "Draft?", "answer": "Yes **it** is", "isPublished": false});
    let faq = staff.post(FAQS, &body).await?.data(201);
    assert_eq!(text(&faq, "category"), "General");
    let path = format!("{FAQS}/{}", text(&faq, "id"));
    app.visitor().get(&path).await?.error(404, "NOT_FOUND");
    assert_eq!(app.visitor().get(FAQS).await?.list().1.total, 6);
    assert_eq!(staff.get(&format!("{FAQS}?isPublished=false")).await?.list().1.total, 1);
    staff.patch(&path, &json!({"isPublished": true})).await?.data(200);
    assert_eq!(
        app.visitor().get(&format!("{FAQS}?q=draft%20IT")).await?.list().1.total,
        1
    );
    app.user().await?.delete(&path).await?.error(403, "FORBIDDEN");
    staff.delete(&path).await?.data(200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn announcements_run_for_their_audience_and_pinned_ones_lead() -> Result<()> {
    let app = App::builder().manual_clock().start(&[]).await?;
    let (staff, user, visitor) = (app.staff().await?, app.user().await?, app.visitor());
    let post = async |title: &str, more: Value| -> Result<Value> {
        let mut body = json!({"title": title, "body": "x"});
        if let (Some(body), Some(more)) = (body.as_object_mut(), more.as_object()) {
            body.extend(more.clone());
        }
        Ok(staff.post(ANNOUNCEMENTS, &body).await?.data(201))
    };
    post("for users", json!({"audience": "users"})).await?;
    post("for staff", json!({"audience": "staff"})).await?;
    let now = post("now", json!({})).await?;
    let later = post("later", json!({"startsAt": "2999-01-01T00:00:00Z"})).await?;
    let titles = |rows: &[Value]| rows.iter().map(|row| text(row, "title")).collect::<Vec<_>>();
    let (rows, _) = visitor.get(&format!("{ANNOUNCEMENTS}?active=false")).await?.list();
    assert_eq!(
        titles(&rows),
        ["Welcome to your preview", "now"],
        "the pinned one first"
    );
    assert_eq!(user.get(ANNOUNCEMENTS).await?.list().1.total, 3);
    assert_eq!(staff.get(ANNOUNCEMENTS).await?.list().1.total, 6);
    assert_eq!(
        staff.get(&format!("{ANNOUNCEMENTS}?active=true")).await?.list().1.total,
        4
    );
    let (rest, _) = staff
        .get(&format!("{ANNOUNCEMENTS}?active=false&sort=startsAt"))
        .await?
        .list();
    assert_eq!(titles(&rest), ["Stock count on Friday", "later"]);
    visitor
        .get(&format!("{ANNOUNCEMENTS}/{}", text(&later, "id")))
        .await?
        .error(404, "NOT_FOUND");

    let path = format!("{ANNOUNCEMENTS}/{}", text(&now, "id"));
    assert_eq!(visitor.get(&path).await?.data(200)["isDismissed"], false);
    visitor
        .post(&format!("{path}/dismiss"), &json!({}))
        .await?
        .error(401, "UNAUTHORIZED");
    for _ in 0..2 {
        assert_eq!(
            user.post(&format!("{path}/dismiss"), &json!({})).await?.data(200)["isDismissed"],
            true
        );
    }
    assert_eq!(
        app.other_user().await?.get(&path).await?.data(200)["isDismissed"],
        false
    );

    let ends = json!({"endsAt": text(&now, "startsAt")});
    assert_eq!(staff.patch(&path, &ends).await?.invalid_fields(), ["endsAt"]);
    assert_eq!(
        staff.patch(&path, &json!({"startsAt": null})).await?.invalid_fields(),
        ["startsAt"]
    );
    let soon = (chrono::DateTime::parse_from_rfc3339(&text(&now, "startsAt"))? + TimeDelta::hours(1)).to_rfc3339();
    staff.patch(&path, &json!({"endsAt": soon})).await?.data(200);
    app.advance(TimeDelta::minutes(59));
    app.visitor().get(&path).await?.data(200);
    app.advance(TimeDelta::minutes(1));
    app.visitor().get(&path).await?.error(404, "NOT_FOUND");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_a_page_is_kept_and_can_be_brought_back() -> Result<()> {
    let app = App::start(&[]).await?;
    let staff = app.staff().await?;
    let page = staff
        .post(PAGES, &json!({"title": "Über uns!", "body": "one"}))
        .await?
        .data(201);
    assert_eq!(text(&page, "slug"), "ueber-uns");
    assert_eq!(page["publishedAt"], Value::Null);
    app.visitor()
        .get(&format!("{PAGES}/ueber-uns"))
        .await?
        .error(404, "NOT_FOUND");
    let path = format!("{PAGES}/{}", text(&page, "id"));
    let published = staff.patch(&path, &json!({"status": "published"})).await?.data(200);
    assert_ne!(published["publishedAt"], Value::Null);
    let again = staff.patch(&path, &json!({"status": "draft"})).await?.data(200);
    let again = staff
        .patch(&path, &json!({"status": "published", "version": again["version"]}))
        .await?
        .data(200);
    assert_eq!(again["publishedAt"], published["publishedAt"], "the first time");
    assert_eq!(
        app.visitor().get(&format!("{PAGES}/ueber-uns")).await?.data(200)["body"],
        "one"
    );

    let revisions = format!("{path}/revisions");
    let (first, total) = staff.get(&revisions).await?.list();
    assert_eq!(total.total, 1, "its status is no content");
    assert_eq!(text(&first[0]["editor"], "name"), "Mira Solberg");
    for n in 2..=24 {
        staff
            .patch(&path, &json!({"body": format!("body {n}")}))
            .await?
            .data(200);
    }
    let (rows, page) = staff.get(&format!("{revisions}?limit=100")).await?.list();
    assert_eq!(page.total, 20);
    assert_eq!(
        (rows[0]["number"].as_i64(), rows[19]["number"].as_i64()),
        (Some(24), Some(5))
    );
    let old = format!("{revisions}/{}", text(&rows[19], "id"));
    assert_eq!(staff.get(&old).await?.data(200)["body"], "body 5");
    let restored = staff.post(&format!("{old}/restore"), &json!({})).await?.data(200);
    assert_eq!(restored["body"], "body 5");
    assert_eq!(staff.get(&revisions).await?.list().0[0]["number"], 25);
    staff
        .post(&format!("{old}/restore"), &json!({}))
        .await?
        .error(404, "NOT_FOUND");
    app.user().await?.get(&revisions).await?.error(403, "FORBIDDEN");
    staff.delete(&path).await?.error(403, "FORBIDDEN");
    app.admin().await?.delete(&path).await?.data(200);
    staff.get(&revisions).await?.error(404, "NOT_FOUND");
    let reply = staff
        .post(PAGES, &json!({"title": "About", "body": "x", "slug": "about"}))
        .await?;
    assert_eq!(reply.error(409, "CONFLICT")["details"][0]["field"], "slug");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_message_is_confirmed_announced_and_answered_once() -> Result<()> {
    let app = App::start(&[]).await?;
    app.sql("DELETE FROM emails; DELETE FROM notifications").await?;
    let body = json!({"name": "Eve", "email": "Eve@example.org", "subject": "Hi", "message": "0123456789"});
    let message = app.visitor().post(CONTACT, &body).await?.data(201);
    assert!(message.get("note").is_none());
    assert_eq!(message["userId"], Value::Null);
    let mails = app
        .sql("SELECT template, to_email FROM emails ORDER BY template")
        .await?;
    let mails: Vec<_> = mails.iter().flatten().flatten().map(String::as_str).collect();
    assert_eq!(
        mails,
        [
            "core.contact-new",
            "hello@preview.local",
            "core.contact-received",
            "eve@example.org"
        ]
    );
    assert_eq!(
        app.value("SELECT count(*) FROM notifications WHERE kind = 'core.contact-new'")
            .await?,
        "3"
    );
    let (staff, user) = (app.staff().await?, app.user().await?);
    assert_ne!(user.post(CONTACT, &body).await?.data(201)["userId"], Value::Null);
    user.get(CONTACT).await?.error(403, "FORBIDDEN");
    let mut forged = body.clone();
    forged["status"] = json!("closed");
    app.visitor().post(CONTACT, &forged).await?.error(403, "FORBIDDEN");
    // Whoever wrote it is not told of it.
    staff.post(CONTACT, &body).await?.data(201);
    let told = "SELECT count(*) FROM notifications n JOIN users u ON u.id = n.user_id WHERE u.name = 'Mira Solberg'";
    assert_eq!(app.value(told).await?, "2");

    let path = format!("{CONTACT}/{}", text(&message, "id"));
    let changed = staff
        .patch(&path, &json!({"status": "in_progress", "note": "mine"}))
        .await?
        .data(200);
    assert_eq!(text(&changed, "note"), "mine");
    assert_eq!(
        staff
            .patch(&path, &json!({"message": "other text"}))
            .await?
            .invalid_fields(),
        ["message"]
    );
    let reply = staff
        .post(&format!("{path}/reply"), &json!({"reply": "Line one\nLine <two>"}))
        .await?
        .data(200);
    assert_eq!(
        (text(&reply, "status"), reply["version"].as_i64()),
        ("closed".to_owned(), Some(3))
    );
    let html = app
        .value("SELECT html FROM emails WHERE template = 'core.contact-reply'")
        .await?;
    assert!(html.contains("Line one<br>Line &lt;two&gt;"), "{html}");
    staff
        .post(&format!("{path}/reply"), &json!({"reply": "again"}))
        .await?
        .error(409, "INVALID_STATE");
    staff.delete(&path).await?.error(403, "FORBIDDEN");
    app.admin().await?.delete(&path).await?.data(200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_contact_messages_a_minute_are_enough() -> Result<()> {
    let app = App::builder()
        .set("CONTACT_MESSAGES_PER_MINUTE", "10")
        .start(&[])
        .await?;
    let body = json!({"name": "Eve", "email": "eve@example.org", "subject": "Hi", "message": "0123456789"});
    for _ in 0..10 {
        app.visitor()
            .post(CONTACT, &json!({}))
            .await?
            .error(422, "VALIDATION_ERROR");
    }
    // What was refused is no message.
    for _ in 0..10 {
        app.visitor().post(CONTACT, &body).await?.data(201);
    }
    app.visitor().post(CONTACT, &body).await?.error(429, "RATE_LIMITED");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_one_title_made_at_once_get_slugs_of_their_own() -> Result<()> {
    let app = App::start(&[]).await?;
    let staff = app.staff().await?;
    let make = || {
        let staff = staff.clone();
        async move { staff.post(PAGES, &json!({"title": "Same", "body": "x"})).await }
    };
    let replies = app.race((0..6).map(|_| make())).await?;
    let mut slugs: Vec<String> = replies.iter().map(|reply| text(&reply.data(201), "slug")).collect();
    slugs.sort();
    assert_eq!(slugs, ["same", "same-2", "same-3", "same-4", "same-5", "same-6"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_may_be_sent_its_own_slug_and_is_found_by_one_that_looks_like_an_id() -> Result<()> {
    let app = App::start(&[]).await?;
    let staff = app.staff().await?;
    let slug = "deadbeefdeadbeefdeadbeefdeadbeef";
    let body = json!({"title": "T", "body": "b", "status": "published", "slug": slug});
    let page = staff.post(PAGES, &body).await?.data(201);
    assert_eq!(app.visitor().get(&format!("{PAGES}/{slug}")).await?.data(200), page);
    let path = format!("{PAGES}/{}", text(&page, "id"));
    let changed = staff
        .patch(&path, &json!({"slug": slug, "title": "U"}))
        .await?
        .data(200);
    assert_eq!((&changed["slug"], &changed["title"]), (&json!(slug), &json!("U")));
    let taken = staff.patch(&path, &json!({"slug": "about"})).await?;
    assert_eq!(taken.error(409, "CONFLICT")["details"][0]["field"], "slug");
    for odd in [
        text(&page, "id").replace('-', ""),
        format!("%7B{}%7D", text(&page, "id")),
        // Only `get` takes slugs (README section 5).
        slug.to_owned(),
        "about".to_owned(),
    ] {
        staff
            .patch(&format!("{PAGES}/{odd}"), &json!({}))
            .await?
            .error(404, "NOT_FOUND");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_and_references_that_are_wrong_are_told_together() -> Result<()> {
    let app = App::start(&[]).await?;
    let staff = app.staff().await?;
    let nothing = "00000000-0000-7000-8000-000000000000";
    let body = json!({"title": "", "heroId": nothing, "colour": "red"});
    let wrong = staff.post(PAGES, &body).await?.invalid_fields();
    assert_eq!(wrong, ["body", "colour", "heroId", "title"]);
    let page = format!("{PAGES}/{}", app.value("SELECT id FROM content_pages LIMIT 1").await?);
    let wrong = staff
        .patch(&page, &json!({"title": null, "heroId": nothing}))
        .await?
        .invalid_fields();
    assert_eq!(wrong, ["heroId", "title"]);
    Ok(())
}
