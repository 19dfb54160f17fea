//! Categories, products, their pictures and stock.

use anyhow::Result;
use serde_json::{Value, json};

use super::product;
use crate::harness::App;

const PRODUCTS: &str = "/api/v1/ecommerce/products";

fn names(rows: &[Value]) -> Vec<&str> {
    rows.iter().filter_map(|row| row["name"].as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_see_active_products_and_staff_the_draft_too() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let (rows, page) = app.visitor().get(PRODUCTS).await?.list();
    assert_eq!((rows.len(), page.total, page.total_pages), (11, 11, 1));
    assert!(rows.iter().all(|row| row["status"] == "active"));
    assert_eq!(app.staff().await?.get(PRODUCTS).await?.list().1.total, 12);
    app.visitor()
        .get(&format!("{PRODUCTS}/autumn-preview-set"))
        .await?
        .error(404, "NOT_FOUND");
    assert_eq!(
        app.staff()
            .await?
            .get(&format!("{PRODUCTS}/autumn-preview-set"))
            .await?
            .data(200)["status"],
        "draft"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_found_by_id_and_by_slug_with_everything_that_belongs_to_it() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let by_slug = app.visitor().get(&format!("{PRODUCTS}/oak-desk-lamp")).await?.data(200);
    let id = by_slug["id"].as_str().unwrap_or_default();
    assert_eq!(app.visitor().get(&format!("{PRODUCTS}/{id}")).await?.data(200), by_slug);
    assert_eq!(
        (&by_slug["price"], &by_slug["stock"], &by_slug["currency"]),
        (&json!("49.00"), &json!(25), &json!("USD"))
    );
    assert_eq!(by_slug["images"].as_array().map(Vec::len), Some(1));
    assert!(
        by_slug["imageUrl"]
            .as_str()
            .is_some_and(|url| url.starts_with("/api/v1/uploads/content/"))
    );
    assert_eq!(by_slug["category"]["id"], by_slug["categoryId"]);
    assert!(by_slug["category"].get("productCount").is_some());
    for wrong in ["not-a-product", "00000000-0000-7000-8000-000000000000", "%00"] {
        app.visitor()
            .get(&format!("{PRODUCTS}/{wrong}"))
            .await?
            .error(404, "NOT_FOUND");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_filter_sort_search_and_page() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let visitor = app.visitor();
    let get = async |query: &str| anyhow::Ok(visitor.get(&format!("{PRODUCTS}?{query}")).await?.list());
    let (by_price, _) = get("sort=price&limit=100").await?;
    let prices: Vec<f64> = by_price
        .iter()
        .filter_map(|row| row["price"].as_str()?.parse().ok())
        .collect();
    assert!(prices.windows(2).all(|pair| pair[0] <= pair[1]), "{prices:?}");
    let (down, _) = get("sort=-price&limit=3&page=2").await?;
    assert_eq!(down.len(), 3);
    assert_eq!(down[0]["price"], by_price[by_price.len() - 4]["price"]);
    let (cheap, _) = get("priceFrom=14.50&priceTo=14.50").await?;
    assert_eq!(names(&cheap), ["Stoneware mug"]);
    assert_eq!(names(&get("q=oak%20LAMP").await?.0), ["Oak desk lamp"]);
    assert_eq!(get("q=%25").await?.1.total, 0, "a percent sign is no wildcard");
    assert_eq!(names(&get("inStock=false").await?.0), ["Canvas weekender"]);
    let (past, page) = get("page=99").await?;
    assert_eq!((past.len(), page.total, page.page), (0, 11, 99));
    let all = get("category=home-and-desk&limit=100").await?.1.total;
    assert!(all > 0 && all < 11);
    assert_eq!(
        get("unknown=1").await?.1.total,
        11,
        "unknown parameters are passed over"
    );
    for wrong in [
        "sort=secret",
        "sort=-stock%20desc",
        "limit=0",
        "limit=101",
        "page=0",
        "page=x",
        "status=gone",
        "priceFrom=ten",
        "inStock=maybe",
        "categoryId=1",
    ] {
        visitor
            .get(&format!("{PRODUCTS}?{wrong}"))
            .await?
            .error(422, "VALIDATION_ERROR");
    }
    visitor.get(&format!("{PRODUCTS}?q=%")).await?.error(400, "BAD_REQUEST");
    visitor
        .get(&format!("{PRODUCTS}?lowStock=true"))
        .await?
        .error(403, "FORBIDDEN");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_field_is_named_at_once() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let body = json!({"name": " ", "price": 10, "stock": -1, "status": "sold", "categoryId": "x", "ratingCount": 5, "extra": true});
    let staff = app.staff().await?;
    let fields = staff.post(PRODUCTS, &body).await?.invalid_fields();
    for field in [
        "sku",
        "name",
        "price",
        "stock",
        "status",
        "categoryId",
        "ratingCount",
        "extra",
    ] {
        assert!(fields.contains(&field.to_owned()), "{field} in {fields:?}");
    }
    app.visitor().post(PRODUCTS, &body).await?.error(401, "UNAUTHORIZED");
    // Who may make none at all is told that first.
    app.user().await?.post(PRODUCTS, &body).await?.error(403, "FORBIDDEN");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_make_change_and_delete_a_product() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let staff = app.staff().await?;
    let category = app.value("SELECT id FROM ecommerce_categories LIMIT 1").await?;
    let body = json!({"sku": "NEW-1", "name": "Große Übung", "price": "12.5", "categoryId": category, "stock": 4});
    let reply = staff.post(PRODUCTS, &body).await?;
    let made = reply.data(201);
    let id = made["id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(reply.header("location"), format!("{PRODUCTS}/{id}"));
    assert_eq!(
        (&made["slug"], &made["price"], &made["version"], &made["status"]),
        (&json!("grosse-uebung"), &json!("12.50"), &json!(1), &json!("draft"))
    );
    assert_eq!(made["summary"], Value::Null);
    let moves = app.value(&format!("SELECT string_agg(reason || delta || '=' || stock_after, ',') FROM ecommerce_stock_movements WHERE product_id = '{id}'")).await?;
    assert_eq!(moves, "initial4=4");
    let taken = staff.post(PRODUCTS, &body).await?.error(409, "CONFLICT");
    assert_eq!(taken["details"][0]["field"], "sku");
    let again = staff
        .post(
            PRODUCTS,
            &json!({"sku": "NEW-2", "name": "Große Übung", "price": "1", "categoryId": category}),
        )
        .await?
        .data(201);
    assert_eq!(again["slug"], "grosse-uebung-2");

    let one = format!("{PRODUCTS}/{id}");
    let changed = staff
        .patch(&one, &json!({"status": "active", "summary": "Short", "version": 1}))
        .await?
        .data(200);
    assert_eq!((&changed["version"], &changed["summary"]), (&json!(2), &json!("Short")));
    staff
        .patch(&one, &json!({"name": "Late", "version": 1}))
        .await?
        .error(409, "VERSION_CONFLICT");
    assert_eq!(
        staff.patch(&one, &json!({"summary": null})).await?.data(200)["summary"],
        Value::Null
    );
    assert_eq!(
        staff.patch(&one, &json!({})).await?.data(200)["version"],
        3,
        "an empty change changes nothing"
    );
    staff
        .patch(&one, &json!({"name": null}))
        .await?
        .error(422, "VALIDATION_ERROR");
    staff
        .patch(&one, &json!({"stock": 5}))
        .await?
        .error(422, "VALIDATION_ERROR");
    staff
        .patch(&one, &json!({"compareAtPrice": "12.50"}))
        .await?
        .error(422, "VALIDATION_ERROR");
    staff
        .patch(&one, &json!({"categoryId": "00000000-0000-7000-8000-000000000000"}))
        .await?
        .error(422, "VALIDATION_ERROR");
    app.user()
        .await?
        .patch(&one, &json!({"name": "Mine"}))
        .await?
        .error(403, "FORBIDDEN");

    assert_eq!(staff.delete(&one).await?.data(200), json!({"id": id}));
    staff.get(&one).await?.error(404, "NOT_FOUND");
    staff.delete(&one).await?.error(404, "NOT_FOUND");
    let audit = app.value("SELECT string_agg(action, ',' ORDER BY created_at, id) FROM audit_logs WHERE entity_type = 'ecommerce.products' AND created_at > now() - interval '1 minute'").await?;
    assert!(
        audit.starts_with("ecommerce.products.create,ecommerce.products.create,ecommerce.products.update")
            && audit.ends_with("ecommerce.products.delete"),
        "{audit}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_stock_changes_all_count_and_none_goes_below_zero() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let staff = app.staff().await?;
    let path = format!("{PRODUCTS}/{}/stock", product(&app, "MUG-002").await?);
    staff
        .post(&path, &json!({"delta": 0}))
        .await?
        .error(422, "VALIDATION_ERROR");
    let take = || {
        let (staff, path) = (staff.clone(), path.clone());
        async move { staff.post(&path, &json!({"delta": -1, "note": "broken"})).await }
    };
    let (mut done, mut refused) = (0, 0);
    for reply in app.race((0..10).map(|_| take())).await? {
        if reply.status() == 200 {
            done += 1;
        } else {
            assert_eq!(reply.error(409, "OUT_OF_STOCK")["details"][0]["message"], "0");
            refused += 1;
        }
    }
    assert_eq!((done, refused), (3, 7), "three mugs were there");
    let agrees = "SELECT bool_and(p.stock = (SELECT sum(m.delta) FROM ecommerce_stock_movements m WHERE m.product_id = p.id)) FROM ecommerce_products p WHERE p.status <> 'draft'";
    assert_eq!(app.value(agrees).await?, "t");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn categories_have_two_levels_and_stay_while_they_are_used() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let staff = app.staff().await?;
    let categories = "/api/v1/ecommerce/categories";
    let (rows, page) = app.visitor().get(categories).await?.list();
    assert_eq!(page.total, 4);
    let child = rows
        .iter()
        .find(|row| !row["parentId"].is_null())
        .cloned()
        .unwrap_or_default();
    staff
        .post(categories, &json!({"name": "Third", "parentId": child["id"]}))
        .await?
        .error(422, "CATEGORY_DEPTH");
    let parent = format!("{categories}/{}", child["parentId"].as_str().unwrap_or_default());
    staff
        .patch(&parent, &json!({"parentId": child["parentId"]}))
        .await?
        .error(422, "CATEGORY_DEPTH");
    staff.delete(&parent).await?.error(409, "IN_USE");
    let top = app.visitor().get(&parent).await?.data(200);
    assert!(
        top["productCount"].as_i64() > child["productCount"].as_i64(),
        "children count too"
    );
    let made = staff.post(categories, &json!({"name": "Empty"})).await?.data(201);
    staff
        .delete(&format!("{categories}/{}", made["id"].as_str().unwrap_or_default()))
        .await?
        .data(200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_images_at_most_eight_and_the_lowest_is_the_cover() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let staff = app.staff().await?;
    let path = format!("{PRODUCTS}/{}/images", product(&app, "LAMP-001").await?);
    let uploads = app.sql("SELECT id FROM uploads ORDER BY filename LIMIT 12").await?;
    let (mut made, mut refused) = (0, 0);
    for row in &uploads {
        let reply = staff.post(&path, &json!({"uploadId": row[0]})).await?;
        match reply.status().as_u16() {
            201 => made += 1,
            409 => {}
            _ => {
                reply.error(422, "VALIDATION_ERROR");
                refused += 1;
            }
        }
    }
    assert_eq!(made, 7);
    assert!(refused > 0);
    let (images, _) = app.visitor().get(&path).await?.list();
    let positions: Vec<i64> = images.iter().filter_map(|row| row["position"].as_i64()).collect();
    assert_eq!(positions, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert!(images.iter().all(|row| row["uploadUrl"].is_string()));
    app.visitor()
        .get(&format!("{PRODUCTS}/00000000-0000-7000-8000-000000000000/images"))
        .await?
        .error(404, "NOT_FOUND");
    let noah = app.other_user().await?;
    noah.post(&path, &json!({"uploadId": uploads[0][0]}))
        .await?
        .error(403, "FORBIDDEN");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_costs_few_statements_whatever_its_length() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let staff = app.staff().await?;
    for path in [
        PRODUCTS,
        "/api/v1/ecommerce/products/oak-desk-lamp",
        "/api/v1/ecommerce/categories",
        "/api/v1/ecommerce/orders",
        "/api/v1/ecommerce/reviews",
        "/api/v1/ecommerce/customers",
        "/api/v1/ecommerce/sellers",
    ] {
        let before = app.statements();
        assert_eq!(staff.get(path).await?.status(), 200, "{path}");
        let sent = app.statements() - before;
        assert!(sent <= 6, "{path} sent {sent}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_pictures_sent_at_once_none_is_the_ninth_and_each_has_its_place() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let staff = app.staff().await?;
    let path = format!("{PRODUCTS}/{}/images", product(&app, "LAMP-001").await?);
    let uploads = "SELECT id FROM uploads WHERE id NOT IN (SELECT upload_id FROM ecommerce_product_images \
                   WHERE product_id = (SELECT id FROM ecommerce_products WHERE sku = 'LAMP-001')) LIMIT 10";
    let add = |upload: &Vec<Option<String>>| {
        let (staff, path, body) = (staff.clone(), path.clone(), json!({"uploadId": upload[0]}));
        async move { staff.post(&path, &body).await }
    };
    let replies = app.race(app.sql(uploads).await?.iter().map(add)).await?;
    let made = replies.iter().filter(|reply| reply.status() == 201).count();
    assert_eq!((made, replies.len()), (7, 10), "the seed has one");
    let (images, _) = app.visitor().get(&path).await?.list();
    let positions: Vec<i64> = images.iter().filter_map(|row| row["position"].as_i64()).collect();
    assert_eq!(positions, [0, 1, 2, 3, 4, 5, 6, 7]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_does_not_give_its_pending_seller_away() -> Result<()> {
    let app = App::start(&["ecommerce"]).await?;
    let staff = app.staff().await?;
    let card = format!("{PRODUCTS}/{}", product(&app, "CARD-009").await?);
    let pending = app
        .value("SELECT id FROM ecommerce_sellers WHERE status = 'pending'")
        .await?;
    let changed = staff.patch(&card, &json!({"sellerId": pending})).await?.data(200);
    assert_eq!(changed["seller"]["status"], "pending");
    let shown = app.visitor().get(&card).await?.data(200);
    assert_eq!(shown["seller"], Value::Null);
    let (listed, _) = app.visitor().get(&format!("{PRODUCTS}?q=CARD-009")).await?.list();
    assert_eq!(listed[0]["seller"], Value::Null);
    Ok(())
}
