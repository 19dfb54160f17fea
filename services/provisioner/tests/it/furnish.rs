//! Demo data in the pool, ahead of its session.

use anyhow::Result;
use domain::SessionId;
use proto::v1::{ProvisionSchemaRequest, ProvisionSchemaResponse, SeedModulesRequest, SetPoolTargetRequest};
use testkit::TestDatabase;
use tokio_postgres::Client;

use crate::support::{Replica, assert_in_order, database, session, until, value};

/// A replica with a pool of `target` slots, where one session has chosen the shop before.
async fn furnished(database: &TestDatabase, target: u32) -> Result<(Replica, Client)> {
    let target = target.to_string();
    let replica = Replica::start(database, &[("POOL_TARGET", &target), ("POOL_FRESH_SECONDS", "600")]).await?;
    let id = session();
    replica.provision(id, &["ecommerce"]).await?;
    replica.drop_schema(id).await?;
    let look = database.connect().await?;
    until_furnished(&look).await?;
    Ok((replica, look))
}

/// Waits until every slot of the pool holds the shop.
async fn until_furnished(look: &Client) -> Result<()> {
    let all = "SELECT coalesce(bool_and(state = 'ready' AND modules = '{core,ecommerce}'), false)
        FROM provisioner.slots WHERE state <> 'empty'";
    until("the pool is furnished", look, all, &[]).await
}

/// What the demo data of all slots in a state was made from.
fn seeds_in(state: &str) -> String {
    format!("SELECT array_agg(seed) FROM provisioner.slots WHERE state = '{state}'")
}

async fn count(look: &Client, home: &ProvisionSchemaResponse, table: &str) -> Result<i64> {
    value(look, &format!("SELECT count(*) FROM {}.{table}", home.schema_name)).await
}

/// What a session finds in an unfurnished slot is what it must find in a furnished one.
async fn assert_as_if_seeded_at_once(look: &Client, home: &ProvisionSchemaResponse, modules: &[&str]) -> Result<()> {
    let plain = database().await?;
    let replica = Replica::filled(&plain, 1).await?;
    let model = replica.provision(session(), modules).await?;
    let beside = plain.connect().await?;
    for table in modules::table_names() {
        assert_eq!(
            count(look, home, table).await?,
            count(&beside, &model, table).await?,
            "rows of {table}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_chooses_what_the_last_one_chose_finds_it_there() -> Result<()> {
    let database = database().await?;
    let (replica, look) = furnished(&database, 2).await?;
    let seeds: Vec<uuid::Uuid> = value(&look, &seeds_in("ready")).await?;
    // Whatever is seeded now would fail.
    look.batch_execute("ALTER FUNCTION provisioner.without_checks() RENAME TO gone")
        .await?;

    let (one, other) = (
        replica.provision(session(), &["ecommerce"]).await?,
        replica.provision(session(), &["ecommerce"]).await?,
    );

    assert!(one.warm && other.warm);
    let kept: Vec<uuid::Uuid> = value(&look, &seeds_in("claimed")).await?;
    assert!(kept.len() == 2 && kept.iter().all(|seed| seeds.contains(seed)));
    let shared = format!(
        "SELECT count(*) FROM {}.ecommerce_products JOIN {}.ecommerce_products USING (id)",
        one.schema_name, other.schema_name
    );
    assert_eq!(value::<i64>(&look, &shared).await?, 0, "two sessions share no id");
    assert_as_if_seeded_at_once(&look, &one, &["ecommerce"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn modules_without_demo_data_add_nothing_to_a_claim() -> Result<()> {
    let database = database().await?;
    let (replica, look) = furnished(&database, 1).await?;
    // Whatever is seeded now would fail.
    look.batch_execute("ALTER FUNCTION provisioner.without_checks() RENAME TO gone")
        .await?;
    let without = modules::MODULES.iter().filter(|module| !module.has_data());
    let chosen: Vec<&str> = without.map(|module| module.id).chain(["ecommerce"]).collect();
    assert!(replica.provision(session(), &chosen).await?.warm);
    let known = "SELECT cardinality(modules) FROM provisioner.slots WHERE state = 'claimed'";
    assert_eq!(value::<i32>(&look, known).await?, i32::try_from(chosen.len() + 1)?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_session_did_not_choose_is_cleared_away() -> Result<()> {
    let database = database().await?;
    let (replica, look) = furnished(&database, 1).await?;
    let home = replica.provision(session(), &[]).await?;
    assert!(home.warm);
    assert_as_if_seeded_at_once(&look, &home, &[]).await?;
    assert_in_order(&look).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_currency_than_the_last_session_had_is_honoured() -> Result<()> {
    let database = database().await?;
    let (replica, look) = furnished(&database, 1).await?;
    let request = ProvisionSchemaRequest {
        session_id: session().to_string(),
        modules: vec!["ecommerce".into()],
        currency: "EUR".into(),
        generation: 0,
    };
    let home = replica.calls()?.provision_schema(request).await?.into_inner();
    let currencies = format!("SELECT array_agg(DISTINCT currency) FROM {}.orders", home.schema_name);
    assert_eq!(value::<Vec<String>>(&look, &currencies).await?, ["EUR"]);
    assert_as_if_seeded_at_once(&look, &home, &["ecommerce"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn modules_met_later_fit_what_was_there_before() -> Result<()> {
    let database = database().await?;
    let replica = Replica::start(&database, &[("POOL_TARGET", "1"), ("POOL_FRESH_SECONDS", "600")]).await?;
    let look = database.connect().await?;
    let core = "SELECT count(*) = 1 FROM provisioner.slots WHERE state = 'ready' AND modules = '{core}'";
    until("the slot holds core's demo data", &look, core, &[]).await?;
    let id = session();
    let home = replica.provision(id, &[]).await?;
    let request = SeedModulesRequest {
        session_id: id.to_string(),
        modules: vec!["ecommerce".into()],
        currency: "USD".into(),
    };
    replica.calls()?.seed_modules(request).await?;
    let strangers = format!(
        "SELECT count(*) FROM {0}.orders o WHERE user_id NOT IN (SELECT id FROM {0}.users)",
        home.schema_name
    );
    assert_eq!(value::<i64>(&look, &strangers).await?, 0);
    assert_as_if_seeded_at_once(&look, &home, &["ecommerce"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_data_in_the_pool_is_renewed_before_it_is_old() -> Result<()> {
    let database = database().await?;
    let (replica, look) = furnished(&database, 1).await?;
    let before: Vec<uuid::Uuid> = value(&look, &seeds_in("ready")).await?;
    look.batch_execute("UPDATE provisioner.slots SET furnished_at = now() - interval '601 s' WHERE state = 'ready'")
        .await?;
    let renewed = "SELECT bool_and(seed <> ALL ($1)) FROM provisioner.slots WHERE state = 'ready'";
    until("it is renewed", &look, renewed, &[&before]).await?;
    let home = replica.provision(session(), &["ecommerce"]).await?;
    assert_as_if_seeded_at_once(&look, &home, &["ecommerce"]).await
}

/// A session that chose the shop comes, does something, and goes. Returns what the slot's demo data was made from before
/// and after.
async fn visit(replica: &Replica, look: &Client, what: &str) -> Result<(uuid::Uuid, uuid::Uuid)> {
    let id = session();
    let home = replica.provision(id, &["ecommerce"]).await?;
    let slot = look
        .query_one(
            "SELECT id, seed FROM provisioner.slots WHERE session_id = $1",
            &[&id.uuid()],
        )
        .await?;
    look.batch_execute(&format!(
        "SET search_path = {}; {what}; RESET search_path",
        home.schema_name
    ))
    .await?;
    replica.drop_schema(id).await?;
    until_furnished(look).await?;
    let after = look
        .query_one(
            "SELECT seed FROM provisioner.slots WHERE id = $1",
            &[&slot.get::<_, i32>(0)],
        )
        .await?;
    Ok((slot.get(1), after.get(0)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_data_that_the_last_session_only_looked_at_stays() -> Result<()> {
    let database = database().await?;
    let (replica, look) = furnished(&database, 1).await?;
    let (before, after) = visit(&replica, &look, "SELECT FROM users FOR UPDATE").await?;
    assert_eq!(before, after);
    let home = replica.provision(session(), &["ecommerce"]).await?;
    assert_as_if_seeded_at_once(&look, &home, &["ecommerce"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_claim_had_to_add_stays_too() -> Result<()> {
    let database = database().await?;
    let replica = Replica::start(&database, &[("POOL_TARGET", "1"), ("POOL_FRESH_SECONDS", "600")]).await?;
    let look = database.connect().await?;
    let core = "SELECT count(*) = 1 FROM provisioner.slots WHERE state = 'ready' AND modules = '{core}'";
    until("the slot holds core's demo data", &look, core, &[]).await?;
    let (before, after) = visit(&replica, &look, "SELECT").await?;
    assert_eq!(before, after);
    let home = replica.provision(session(), &["ecommerce"]).await?;
    assert_as_if_seeded_at_once(&look, &home, &["ecommerce"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_seeded_later_does_not_hide_what_is_missing() -> Result<()> {
    let database = database().await?;
    let (replica, look) = furnished(&database, 1).await?;
    let id = session();
    let home = replica.provision(id, &["ecommerce"]).await?;
    let seed = format!("SELECT seed FROM provisioner.slots WHERE session_id = '{id}'");
    let before: uuid::Uuid = value(&look, &seed).await?;
    look.batch_execute(&format!("DELETE FROM {}.faqs", home.schema_name))
        .await?;
    let request = SeedModulesRequest {
        session_id: id.to_string(),
        modules: vec!["lms".into()],
        currency: "USD".into(),
    };
    replica.calls()?.seed_modules(request).await?;
    replica.drop_schema(id).await?;
    let back = "SELECT count(*) = 0 FROM provisioner.slots WHERE state NOT IN ('ready', 'empty')";
    until("it is in the pool again", &look, back, &[]).await?;
    let kept = "SELECT seed = $1 FROM provisioner.slots WHERE state = 'ready'";
    assert!(
        !look
            .query(kept, &[&before])
            .await?
            .iter()
            .any(|row| row.get::<_, Option<bool>>(0) == Some(true))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demo_data_that_the_last_session_touched_is_made_anew() -> Result<()> {
    let database = database().await?;
    let (replica, look) = furnished(&database, 1).await?;
    for what in [
        "UPDATE users SET name = name WHERE email = 'admin@preview.local'",
        "DELETE FROM faqs WHERE id = (SELECT id FROM faqs LIMIT 1)",
        "INSERT INTO number_sequences VALUES (gen_random_uuid(), 'of the visitor', 1)",
        "WITH gone AS (DELETE FROM faqs WHERE id = (SELECT id FROM faqs LIMIT 1) RETURNING *) INSERT INTO faqs SELECT * FROM gone",
        "INSERT INTO tasks_projects (id, name, key) VALUES (gen_random_uuid(), 'mine', 'MINE'); DELETE FROM faqs WHERE id = (SELECT id FROM faqs LIMIT 1)",
    ] {
        let (before, after) = visit(&replica, &look, what).await?;
        assert_ne!(before, after, "{what}");
        let next = session();
        let home = replica.provision(next, &["ecommerce"]).await?;
        assert_as_if_seeded_at_once(&look, &home, &["ecommerce"]).await?;
        replica.drop_schema(next).await?;
        until_furnished(&look).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_chooses_any_more_makes_room_for_what_is_chosen_now() -> Result<()> {
    let database = database().await?;
    let (_replica, look) = furnished(&database, 2).await?;
    look.batch_execute("UPDATE provisioner.slots SET wanted = '{core,lms}' WHERE wanted IS NOT NULL")
        .await?;
    let all = "SELECT bool_and(modules = '{core,lms}') FROM provisioner.slots WHERE state = 'ready'";
    until("the pool follows", &look, all, &[]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_cannot_be_furnished_is_not_given_out() -> Result<()> {
    let database = database().await?;
    let (replica, look) = furnished(&database, 1).await?;
    replica
        .calls()?
        .set_pool_target(SetPoolTargetRequest { target: 1 })
        .await?;
    look.batch_execute(
        "DO $$ BEGIN EXECUTE format('ALTER TABLE %I.users DROP COLUMN phone', (
            SELECT schema_name FROM provisioner.slots WHERE state = 'ready')); END $$;
         UPDATE provisioner.slots SET furnished_at = now() - interval '601 s' WHERE state = 'ready'",
    )
    .await?;
    let another = "SELECT count(*) = 1 FROM provisioner.slots WHERE state = 'ready' AND (id, generation) <> (1, 1)";
    until("another takes its place", &look, another, &[]).await?;
    until_furnished(&look).await?;
    assert_in_order(&look).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_and_furnishing_at_once_leave_every_session_whole() -> Result<()> {
    let database = database().await?;
    let (replica, look) = furnished(&database, 4).await?;
    for _ in 0..6 {
        let ids: Vec<SessionId> = (0..6).map(|_| session()).collect();
        let mixes: [&[&str]; 3] = [&[], &["ecommerce"], &["ecommerce", "lms"]];
        let homes = futures::future::try_join_all(
            ids.iter()
                .zip(mixes.iter().cycle())
                .map(|(id, mix)| replica.provision(*id, mix)),
        )
        .await?;
        for (home, mix) in homes.iter().zip(mixes.iter().cycle()) {
            assert_eq!(count(&look, home, "users").await?, 6);
            let products = if mix.contains(&"ecommerce") { 12 } else { 0 };
            assert_eq!(count(&look, home, "ecommerce_products").await?, products);
        }
        for id in ids {
            replica.drop_schema(id).await?;
        }
    }
    replica
        .wait("nothing is under way", |pool| pool.gone + pool.preparing == 0)
        .await?;
    assert_in_order(&look).await
}
