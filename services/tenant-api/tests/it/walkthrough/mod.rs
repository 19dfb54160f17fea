//! The module of `docs/adding-a-module.md`: its files, which the document shows, and what they do once they are served.

pub mod data;
pub mod routes;

use std::path::Path;

use anyhow::Result;
use serde_json::json;
use tenant_api::modules::Part;

use crate::harness::App;

const ENTRIES: &str = "/api/v1/guestbook/entries";

async fn start(features: &[&str]) -> Result<App> {
    let part = Part::of("guestbook", routes::routes);
    App::builder().module(&data::MODULE, part).start(features).await
}

/// What the document shows under a file's name, in the order of its blocks.
fn shown(document: &str, file: &str) -> String {
    let (mut text, mut is_shown) = (String::new(), false);
    for line in document.lines() {
        if let Some(info) = line.strip_prefix("```") {
            is_shown = info.split_whitespace().nth(1) == Some(file);
        } else if is_shown {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[test]
fn the_document_shows_these_files() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("../../docs/adding-a-module.md"))?;
    for (name, file) in [
        ("guestbook/tables.sql", "data/tables.sql"),
        ("guestbook/seed.sql", "data/seed.sql"),
        ("modules/src/guestbook/mod.rs", "data/mod.rs"),
        ("src/modules/guestbook/mod.rs", "routes/mod.rs"),
        ("guestbook/entries.rs", "routes/entries.rs"),
    ] {
        let text = std::fs::read_to_string(root.join("tests/it/walkthrough").join(file))?;
        let squeezed = |text: &str| {
            text.lines()
                .filter(|line| !line.is_empty())
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(squeezed(&shown(&document, name)), squeezed(&text), "{name}");
    }
    Ok(())
}

#[test]
fn a_collection_is_sixty_lines_and_its_imports() {
    let file = include_str!("routes/entries.rs");
    let collection = file
        .split("/// A row.")
        .nth(1)
        .and_then(|rest| rest.split("/// Routes besides").next());
    let lines = collection.map_or(0, |text| text.lines().filter(|line| !line.is_empty()).count());
    assert!((1..=60).contains(&lines), "{lines}");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_five_verbs_and_its_action_are_served() -> Result<()> {
    let app = start(&["guestbook.entries"]).await?;
    let (visitor, staff, user) = (app.visitor(), app.staff().await?, app.user().await?);
    let (rows, page) = visitor.get(&format!("{ENTRIES}?q=lamp&sort=-likes")).await?.list();
    assert_eq!((page.total, rows[0]["author"].as_str()), (1, Some("Lena")));
    assert_eq!(visitor.get(ENTRIES).await?.list().1.total, 2);
    assert_eq!(staff.get(&format!("{ENTRIES}?isHidden=true")).await?.list().1.total, 1);

    let made = visitor
        .post(ENTRIES, &json!({"author": "Ada", "message": "Hello"}))
        .await?;
    let path = made.header("location").to_owned();
    assert_eq!(made.data(201)["likes"], 0);
    assert_eq!(visitor.get(&path).await?.data(200)["message"], "Hello");
    visitor
        .post(&format!("{path}/like"), &json!({}))
        .await?
        .error(401, "UNAUTHORIZED");
    assert_eq!(
        user.post(&format!("{path}/like"), &json!({})).await?.data(200)["likes"],
        1
    );

    visitor
        .patch(&path, &json!({"message": "Bye"}))
        .await?
        .error(401, "UNAUTHORIZED");
    let hidden = staff
        .patch(&path, &json!({"isHidden": true, "version": 2}))
        .await?
        .data(200);
    assert_eq!((&hidden["isHidden"], &hidden["version"]), (&json!(true), &json!(3)));
    visitor.get(&path).await?.error(404, "NOT_FOUND");
    assert_eq!(staff.delete(&path).await?.data(200)["id"], hidden["id"]);
    staff.get(&path).await?.error(404, "NOT_FOUND");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn its_fields_are_checked() -> Result<()> {
    let app = start(&["guestbook.entries"]).await?;
    let wrong = json!({"author": " ", "message": "Hi", "likes": 5, "colour": "red"});
    let fields = app.visitor().post(ENTRIES, &wrong).await?.invalid_fields();
    assert_eq!(fields, ["author", "colour", "likes", "message"]);
    let hidden = json!({"author": "Eve", "message": "Hello", "isHidden": true});
    app.visitor().post(ENTRIES, &hidden).await?.error(403, "FORBIDDEN");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_did_not_choose_it_does_not_have_it() -> Result<()> {
    let app = start(&["ecommerce"]).await?;
    app.visitor().get(ENTRIES).await?.error(404, "FEATURE_NOT_AVAILABLE");
    Ok(())
}
