//! Search everywhere: what is found, by whom, in which order.

use anyhow::Result;
use serde_json::{Value, json};
use testkit::Api;

use crate::harness::App;

async fn groups(api: &Api, query: &str) -> Result<Vec<Value>> {
    let found = api.get(&format!("/api/v1/search?{query}")).await?.data(200);
    Ok(found["groups"].as_array().cloned().unwrap_or_default())
}

fn names(groups: &[Value]) -> Vec<&str> {
    groups.iter().filter_map(|group| group["resource"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_rows_that_the_caller_may_see_are_found() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let (user, staff) = (app.user().await?, app.staff().await?);
    assert!(names(&groups(app.visitor(), "q=aiko").await?).is_empty());
    let own = groups(&user, "q=aiko").await?;
    assert_eq!(names(&own), ["orders"]);
    let (orders, page) = user.get("/api/v1/orders?q=aiko&limit=100").await?.list();
    assert_eq!(own[0]["total"], json!(page.total));
    assert!(orders.iter().any(|order| order["id"] == own[0]["items"][0]["id"]));
    assert_eq!(names(&groups(&staff, "q=aiko").await?), ["users", "orders"]);
    let all = groups(&staff, "q=ord-10&limit=20").await?;
    let (_, page) = staff.get("/api/v1/admin/orders?q=ord-10").await?.list();
    assert_eq!(all[0]["total"], json!(page.total));

    // A draft is staff's own business.
    let draft =
        "INSERT INTO content_pages (id, slug, title, body) VALUES (gen_random_uuid(), 'zebra', 'Zebra crossing', 'x')";
    app.sql(draft).await?;
    assert!(groups(&user, "q=zebra").await?.is_empty());
    let found = groups(&staff, "q=zebra").await?;
    assert_eq!(
        (&found[0]["module"], &found[0]["title"]),
        (&json!("core"), &json!("Content pages"))
    );
    assert_eq!(found[0]["items"][0]["path"], "/pages/zebra");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn titles_come_first_then_the_newest() -> Result<()> {
    let app = App::start(&[]).await?;
    app.sql(
        "INSERT INTO faqs (id, question, answer, created_at) VALUES
           (gen_random_uuid(), 'How do I moor a boat?', 'With a line.', now() - interval '3 days'),
           (gen_random_uuid(), 'Anything else?', 'You may **moor** a boat [here](/x).', now()),
           (gen_random_uuid(), 'Where to moor my boat', 'At the pier.', now() - interval '2 days'),
           (gen_random_uuid(), 'Boat', '100% of them moor.', now() - interval '1 day')",
    )
    .await?;
    let found = groups(app.visitor(), "q=BOAT%20moor&limit=3").await?;
    assert_eq!((names(&found), &found[0]["total"]), (vec!["faqs"], &json!(4)));
    let items = found[0]["items"].as_array().unwrap();
    let titles: Vec<&str> = items.iter().filter_map(|item| item["title"].as_str()).collect();
    assert_eq!(
        titles,
        ["Where to moor my boat", "How do I moor a boat?", "Anything else?"]
    );
    assert_eq!(
        (&items[2]["excerpt"], &items[2]["path"]),
        (&json!("You may moor a boat here."), &json!("/faqs"))
    );
    assert_eq!(groups(app.visitor(), "q=100%25").await?[0]["total"], 1);
    assert!(groups(app.visitor(), "q=%25%25").await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn modules_are_narrowed_by_name_and_by_feature() -> Result<()> {
    let app = App::start(&["ecommerce.products"]).await?;
    let user = app.user().await?;
    let found = groups(&user, "q=lamp").await?;
    assert!(
        found.iter().all(|group| group["module"] == "ecommerce") && names(&found).contains(&"products"),
        "{found:?}"
    );
    assert!(groups(&user, "q=lamp&modules=core,lms").await?.is_empty());
    assert_eq!(
        names(&groups(&user, "q=lamp&modules=core,%20ecommerce").await?),
        names(&found)
    );
    // Sellers have a feature of their own, which this session does not have.
    assert!(groups(&user, "q=hillside&modules=ecommerce").await?.is_empty());
    for (query, field) in [
        ("", "q"),
        ("q=a", "q"),
        ("q=ab&limit=21", "limit"),
        ("q=ab&modules=nope", "modules"),
        ("q=a+b+c+d+e+f+g+h+i", "q"),
    ] {
        assert_eq!(
            user.get(&format!("/api/v1/search?{query}")).await?.invalid_fields(),
            [field],
            "{query}"
        );
    }
    Ok(())
}
