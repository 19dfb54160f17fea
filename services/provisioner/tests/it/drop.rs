//! Dropping slots for good.

use anyhow::Result;
use proto::v1::SetPoolTargetRequest;

use crate::support::{Replica, assert_in_order, database, until, value};

/// Holds every drop at the last of its ten tables until ten are there (or 20 s have passed), and then for as long as
/// it takes to count their locks. A lock to wait for would not do: drops give up on those after a moment.
const TOGETHER: &str = "
    CREATE FUNCTION public.together() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE tables int := coalesce(nullif(current_setting('gate.tables', true), ''), '0')::int + 1;
    BEGIN
        PERFORM pg_catalog.set_config('gate.tables', tables::text, true);
        IF tables <> 10 OR clock_timestamp() > (SELECT until FROM public.gate) THEN RETURN; END IF;
        PERFORM pg_advisory_xact_lock_shared(10);
        WHILE (SELECT NOT open AND clock_timestamp() < until FROM public.gate) LOOP
            PERFORM pg_sleep(0.005);
        END LOOP;
    END $$;
    CREATE TABLE public.gate (open bool, until timestamptz);
    INSERT INTO public.gate VALUES (false, clock_timestamp() + interval '20 s');
    CREATE EVENT TRIGGER together ON ddl_command_end WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION public.together()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_drops_at_once_need_fewer_locks_than_the_defaults_give() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 10).await?;
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(Replica::start(&database, &[("POOL_TARGET", "10"), ("DB_POOL_SIZE", "4")]).await?);
    }
    let look = database.connect().await?;
    look.batch_execute(TOGETHER).await?;
    replica
        .calls()?
        .set_pool_target(SetPoolTargetRequest { target: 0 })
        .await?;

    let ten = "SELECT count(*) = 10 FROM pg_locks WHERE locktype = 'advisory' AND objid = 10 AND granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    until("ten drops are at work", &look, ten, &[]).await?;
    let locks: i64 = value(&look, "SELECT count(*) FROM pg_locks WHERE NOT fastpath").await?;
    look.batch_execute("UPDATE public.gate SET open = true").await?;
    println!("{locks} locks");
    assert!(locks < 64 * 100, "{locks} locks");

    let dropped = "SELECT count(*) = 0 FROM provisioner.slots WHERE state <> 'empty'";
    until("all are dropped", &look, dropped, &[]).await?;
    let empty = "SELECT count(*) FROM provisioner.slots WHERE state = 'empty' AND attempts = 0";
    assert_eq!(value::<i64>(&look, empty).await?, 64);
    assert_in_order(&look).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_in_use_only_delays_its_own_schema() -> Result<()> {
    let database = database().await?;
    let replica = Replica::filled(&database, 2).await?;
    let reader = database.connect().await?;
    reader.batch_execute("BEGIN; SELECT FROM slot_0001_1.users").await?;
    replica
        .calls()?
        .set_pool_target(SetPoolTargetRequest { target: 0 })
        .await?;
    let look = database.connect().await?;
    let is_empty = "SELECT state = 'empty' FROM provisioner.slots WHERE id = $1";
    until("the free one is dropped", &look, is_empty, &[&2]).await?;
    assert_eq!(
        value::<i64>(&reader, "SELECT count(*) FROM slot_0001_1.users").await?,
        0
    );
    reader.batch_execute("COMMIT").await?;
    until("the other one follows", &look, is_empty, &[&1]).await?;
    assert_in_order(&look).await
}
