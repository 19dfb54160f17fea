//! The shop comes to a session that has lived: accounts, coupons and orders are no longer as seeded.

use anyhow::Result;
use modules::CORE;
use uuid::Uuid;

use crate::claims::SHOP;
use crate::seeds::{hold, shop};
use crate::slot::Slot;

#[tokio::test]
async fn an_admin_stands_in_for_accounts_that_are_gone() -> Result<()> {
    let slot = Slot::prepared().await?;
    let session = Uuid::now_v7();
    slot.seed(session, &[CORE]).await?;
    slot.client
        .batch_execute(
            "UPDATE users SET role = 'ADMIN', email = 'mira@elsewhere.example' WHERE name = 'Mira Solberg'; \
             DELETE FROM users WHERE name IN ('Ada Preview', 'Aiko Tanabe', 'Noah Okafor', 'Lena Brandt')",
        )
        .await?;
    slot.seed(session, &[shop()]).await?;
    hold(&slot, SHOP).await?;
    let buyers = slot
        .texts("SELECT DISTINCT users.name FROM orders JOIN users ON users.id = user_id")
        .await?;
    assert_eq!(buyers, ["Mira Solberg"]);
    assert_eq!(slot.count("ecommerce_customers").await?, 1);
    // Two people had reviewed the lamp and three the mug; one person has one review each.
    assert_eq!(slot.count("ecommerce_reviews").await?, 7);
    Ok(())
}

#[tokio::test]
async fn order_numbers_go_on_from_what_was_sold() -> Result<()> {
    let slot = Slot::prepared().await?;
    let session = Uuid::now_v7();
    slot.seed(session, &[CORE]).await?;
    slot.client
        .batch_execute(
            "INSERT INTO number_sequences (id, name, next_value) VALUES (gen_random_uuid(), 'orders', 1004); \
             INSERT INTO orders (id, number, customer_name, email, source, currency, subtotal, total) \
             SELECT gen_random_uuid(), 'ORD-' || n, 'Somebody', 'somebody@example.com', 'lms', 'EUR', 0, 0 \
             FROM generate_series(1001, 1003) AS n",
        )
        .await?;
    slot.seed(session, &[shop()]).await?;
    let numbers = slot
        .texts("SELECT number FROM orders WHERE source = 'ecommerce' ORDER BY created_at")
        .await?;
    assert_eq!(numbers.first().map(String::as_str), Some("ORD-1004"));
    assert_eq!(numbers.last().map(String::as_str), Some("ORD-1015"));
    assert_eq!(
        slot.one::<i32>("SELECT next_value FROM number_sequences WHERE name = 'orders'")
            .await?,
        1016
    );
    Ok(())
}

#[tokio::test]
async fn a_coupon_that_is_gone_or_capped_too_low_is_left_alone() -> Result<()> {
    for change in ["DELETE FROM coupons", "UPDATE coupons SET max_uses = 1"] {
        let slot = Slot::prepared().await?;
        let session = Uuid::now_v7();
        slot.seed(session, &[CORE]).await?;
        slot.client.batch_execute(change).await?;
        slot.seed(session, &[shop()]).await?;
        hold(&slot, SHOP).await?;
        assert_eq!(slot.count("coupon_redemptions").await?, 0, "{change}");
        assert_eq!(slot.count("coupons WHERE used_count > 0").await?, 0, "{change}");
        assert_eq!(
            slot.count("orders WHERE coupon_code = 'WELCOME10'").await?,
            2,
            "{change}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_refused_seed_leaves_nothing() -> Result<()> {
    let slot = Slot::prepared().await?;
    assert!(
        slot.seed(Uuid::now_v7(), &[shop()]).await.is_err(),
        "the shop came without core"
    );
    slot.client.batch_execute("ROLLBACK").await?;
    assert_eq!(slot.count("uploads").await? + slot.count("orders").await?, 0);
    Ok(())
}
