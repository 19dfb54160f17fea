//! The gRPC interface.

use anyhow::Result;
use fault::Fault;
use proto::v1::{
    ListSchemasRequest, PoolStatusRequest, ProvisionSchemaRequest, RecycleSlotRequest, SeedModulesRequest,
    SetPoolTargetRequest, Slot, SlotState, provisioner_service_client::ProvisionerServiceClient,
};
use service::grpc;
use tonic::Code;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::support::{Replica, database, exists, session, until, value};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_need_the_secret_and_health_does_not() -> Result<()> {
    let database = database().await?;
    let replica = Replica::start(&database, &[]).await?;
    let channel = grpc::channel(&format!("http://{}", replica.running.grpc))?;

    let mut calls = ProvisionerServiceClient::new(channel.clone());
    let refused = calls.pool_status(PoolStatusRequest {}).await.expect_err("no secret");
    assert_eq!(refused.code(), Code::Unauthenticated);

    let request = HealthCheckRequest {
        service: "livepreview.v1.ProvisionerService".into(),
    };
    let health = HealthClient::new(channel).check(request).await?.into_inner();
    assert_eq!(health.status, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_request_is_told_field_by_field() -> Result<()> {
    let database = database().await?;
    let replica = Replica::start(&database, &[]).await?;
    let request = ProvisionSchemaRequest {
        session_id: "'; DROP SCHEMA x".into(),
        modules: vec!["lms".into(), "nonsense".into()],
        currency: "usd".into(),
        generation: 0,
    };
    let refused = replica.calls()?.provision_schema(request).await.expect_err("all wrong");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(Fault::reason(&refused).0.as_deref(), Some("VALIDATION_ERROR"));
    let details = tonic_types::StatusExt::get_error_details(&refused);
    let fields: Vec<_> = details
        .bad_request()
        .map(|bad| bad.field_violations.iter().map(|v| v.field.as_str()).collect())
        .unwrap_or_default();
    assert_eq!(fields, ["modules[1]", "currency", "session_id"]);

    let target = SetPoolTargetRequest { target: 501 };
    let refused = replica.calls()?.set_pool_target(target).await.expect_err("too many");
    assert_eq!(refused.code(), Code::InvalidArgument);

    let large = ProvisionSchemaRequest {
        modules: vec!["x".repeat(80); 1_000],
        ..ProvisionSchemaRequest::default()
    };
    let refused = replica
        .calls()?
        .provision_schema(large)
        .await
        .expect_err("over the limit of a message");
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(Fault::reason(&refused).0.as_deref(), Some("PAYLOAD_TOO_LARGE"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn modules_met_later_are_seeded_once_and_into_what_the_visitor_left() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 1).await?;
    let id = session();
    let home = replica.provision(id, &[]).await?;
    let look = database.connect().await?;
    let users = format!("{}.users", home.schema_name);
    look.batch_execute(&format!(
        "DELETE FROM {users} WHERE role = 'USER'; UPDATE {users} SET name = 'Kept'"
    ))
    .await?;

    let request = || SeedModulesRequest {
        session_id: id.to_string(),
        modules: vec!["ecommerce".into()],
        currency: "EUR".into(),
    };
    let seeded = replica.calls()?.seed_modules(request()).await?.into_inner().seeded;
    assert_eq!(seeded, ["ecommerce"]);
    let again = replica.calls()?.seed_modules(request()).await?.into_inner().seeded;
    assert!(again.is_empty());
    assert_eq!(
        value::<i64>(&look, &format!("SELECT count(*) FROM {users} WHERE name <> 'Kept'")).await?,
        0
    );
    let products = format!("SELECT count(*) FROM {}.ecommerce_products", home.schema_name);
    assert!(value::<i64>(&look, &products).await? > 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeding_a_session_without_a_schema_is_not_found() -> Result<()> {
    let database = database().await?;
    let replica = Replica::start(&database, &[]).await?;
    let request = SeedModulesRequest {
        session_id: session().to_string(),
        modules: vec!["lms".into()],
        currency: "USD".into(),
    };
    let refused = replica.calls()?.seed_modules(request).await.expect_err("no schema");
    assert_eq!(refused.code(), Code::NotFound);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_shows_who_lives_where() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 1).await?;
    let id = session();
    let home = replica.provision(id, &["ecommerce"]).await?;
    let slots = replica
        .calls()?
        .list_schemas(ListSchemasRequest::default())
        .await?
        .into_inner()
        .slots;
    let mine: Vec<_> = slots.iter().filter(|slot| slot.session_id == id.to_string()).collect();
    assert_eq!(mine.len(), 1);
    assert_eq!(mine[0].state(), SlotState::Claimed);
    assert_eq!(mine[0].schema_name, home.schema_name);
    assert_eq!(mine[0].role_name, home.role_name);
    assert_eq!(mine[0].modules, ["core", "ecommerce"]);
    assert_eq!(mine[0].fingerprint, modules::fingerprint());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_can_be_narrowed_and_measured() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 2).await?;
    let id = session();
    replica.provision(id, &["ecommerce"]).await?;
    let one = ListSchemasRequest {
        session_ids: vec![id.to_string()],
        with_bytes: true,
        ..ListSchemasRequest::default()
    };
    let slots = replica.calls()?.list_schemas(one).await?.into_inner().slots;
    assert_eq!(slots.len(), 1);
    assert_eq!(slots[0].session_id, id.to_string());
    let look = database.connect().await?;
    let truth: i64 = value(
        &look,
        &format!(
            "SELECT sum(pg_total_relation_size(quote_ident(schemaname) || '.' || quote_ident(tablename)))::bigint
             FROM pg_tables WHERE schemaname = '{}'",
            slots[0].schema_name
        ),
    )
    .await?;
    assert_eq!(slots[0].bytes, Some(truth));

    let page = ListSchemasRequest {
        after: 1,
        most: 2,
        ..ListSchemasRequest::default()
    };
    let slots = replica.calls()?.list_schemas(page).await?.into_inner().slots;
    assert_eq!(
        slots.iter().map(|slot| (slot.id, slot.bytes)).collect::<Vec<_>>(),
        [(2, None), (3, None)]
    );
    let nonsense = ListSchemasRequest {
        session_ids: vec!["x".to_owned()],
        ..ListSchemasRequest::default()
    };
    let refused = replica.calls()?.list_schemas(nonsense).await.expect_err("malformed");
    assert_eq!(refused.code(), Code::InvalidArgument);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_table_costs_its_size_and_not_the_answer() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 1).await?;
    let home = replica.provision(session(), &[]).await?;
    let look = database.connect().await?;
    look.batch_execute(&format!(
        "BEGIN; LOCK TABLE {}.users IN ACCESS EXCLUSIVE MODE",
        home.schema_name
    ))
    .await?;
    let all = ListSchemasRequest {
        with_bytes: true,
        ..ListSchemasRequest::default()
    };
    let slots = replica.calls()?.list_schemas(all).await?.into_inner().slots;
    let claimed = slots.iter().find(|slot| slot.schema_name == home.schema_name);
    assert_eq!(claimed.map(|slot| slot.bytes), Some(None));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ready_slot_is_made_anew_once_and_a_claimed_one_never() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 2).await?;
    let look = database.connect().await?;
    let home = replica.provision(session(), &[]).await?;
    replica.wait("the pool is full", |pool| pool.ready == 2).await?;
    let slots = replica
        .calls()?
        .list_schemas(ListSchemasRequest::default())
        .await?
        .into_inner()
        .slots;
    let of = |slot: &Slot| RecycleSlotRequest {
        slot_id: slot.id,
        schema_name: slot.schema_name.clone(),
    };
    let claimed = slots
        .iter()
        .find(|slot| slot.schema_name == home.schema_name)
        .expect("claimed");
    let refused = replica.calls()?.recycle_slot(of(claimed)).await.expect_err("lived in");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert_eq!(Fault::reason(&refused).0.as_deref(), Some("INVALID_STATE"));
    assert!(exists(&look, &home.schema_name).await?);

    let ready = slots
        .iter()
        .find(|slot| slot.state() == SlotState::Ready)
        .expect("ready");
    assert!(replica.calls()?.recycle_slot(of(ready)).await?.into_inner().begun);
    let gone = "SELECT to_regnamespace($1) IS NULL";
    until("its schema is dropped", &look, gone, &[&ready.schema_name]).await?;
    replica.wait("the pool is full again", |pool| pool.ready == 2).await?;
    let again = replica.calls()?.recycle_slot(of(ready)).await?.into_inner();
    assert!(!again.begun, "a repeat does not meet the schema that was made since");
    assert_eq!(replica.pool().await?.ready, 2);

    let nowhere = RecycleSlotRequest {
        slot_id: 9_999,
        schema_name: "slot_9999_1".to_owned(),
    };
    let refused = replica.calls()?.recycle_slot(nowhere).await.expect_err("no such slot");
    assert_eq!(refused.code(), Code::NotFound);
    Ok(())
}
