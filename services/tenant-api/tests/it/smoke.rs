//! The harness itself.

use anyhow::Result;

use crate::harness::App;

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_served_and_knows_only_its_own_people() -> Result<()> {
    let app = App::start(&[]).await?;
    app.bare().get("/health").await?.data(200);
    app.bare().get("/api/v1/config").await?.error(401, "SESSION_REQUIRED");
    assert_eq!(app.value("SELECT count(*) FROM users").await?, "6");
    let admin = app.admin().await?;
    admin.get("/api/v1/no-such-route").await?.error(404, "NOT_FOUND");
    app.end().await?;
    admin.get("/api/v1/config").await?.error(410, "SESSION_EXPIRED");
    Ok(())
}
