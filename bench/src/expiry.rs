//! Many sessions whose time is over at the same moment, while others are visited.

use std::{cell::Cell, time::Duration};

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use tokio::time::Instant;

use crate::{
    cpu,
    load::Visitor,
    sample::Sample,
    stack::{SHOP, Session, Stack},
    table::{Table, figure},
};

const PATH: &str = "/api/v1/ecommerce/products?page=1&limit=20";
/// How often it is looked how far things are.
const LOOK: Duration = Duration::from_millis(250);
/// When it is given up.
const LIMIT: Duration = Duration::from_secs(600);

/// What is measured.
#[derive(clap::Args)]
pub struct Options {
    /// Sessions that expire together
    #[arg(long, default_value_t = 1000)]
    sessions: usize,
    /// Sessions that go on and are visited
    #[arg(long, default_value_t = 20)]
    visited: usize,
    /// Requests a second to them, in all
    #[arg(long, default_value_t = 100)]
    rate: u32,
    /// Seconds of visits before anything expires
    #[arg(long, default_value_t = 20)]
    quiet: u64,
}

/// When each part of it was done, after the moment of expiry.
struct Progress {
    started: Instant,
    recorded: Option<Duration>,
    unnamed: Option<Duration>,
    emptied: Option<Duration>,
}

/// A visit, measured.
struct Visit {
    due: Instant,
    took: Duration,
    is_good: bool,
}

/// Measures and prints.
pub async fn run(stack: &Stack, options: &Options) -> Result<()> {
    eprintln!("creating {} sessions", options.visited + options.sessions);
    let visited = stack.create_many(options.visited, &SHOP).await?;
    let expiring = stack.create_many(options.sessions, &SHOP).await?;
    stack.rest().await?;

    eprintln!("visits alone");
    let time = Duration::from_secs(options.quiet);
    // Caches of the connections first.
    visit(stack, options, &visited, tokio::time::sleep(time / 4)).await?;
    let (before, ()) = visit(stack, options, &visited, tokio::time::sleep(time)).await?;

    eprintln!("{} sessions expire", options.sessions);
    let begun = cpu::Look::at(stack).await?;
    let (during, progress) = visit(stack, options, &visited, expire(stack, &expiring)).await?;
    let used = cpu::Look::at(stack).await?.since(&begun);
    print(options, &before, &during, &progress?);
    println!(
        "\nProcessor time, seconds: PostgreSQL {}, services {}.",
        figure(used.postgres.as_secs_f64()),
        figure(used.services.as_secs_f64())
    );
    stack.end_all(&visited).await
}

/// Ends the time of sessions, and watches them go.
async fn expire(stack: &Stack, sessions: &[Session]) -> Result<Progress> {
    let schemas: Vec<&str> = sessions.iter().map(|session| session.schema.as_str()).collect();
    let expired = stack
        .database()
        .execute(
            "UPDATE control.sessions SET expires_at = now() WHERE schema_name = ANY ($1)",
            &[&schemas],
        )
        .await?;
    ensure!(
        usize::try_from(expired)? == sessions.len(),
        "{expired} sessions expired"
    );
    let started = Instant::now();
    let mut progress = Progress {
        started,
        recorded: None,
        unnamed: None,
        emptied: None,
    };
    while progress.emptied.is_none() {
        ensure!(started.elapsed() < LIMIT, "they do not go within {LIMIT:?}");
        tokio::time::sleep(LOOK).await;
        let row = stack
            .database()
            .query_one(
                "SELECT (SELECT count(*) FROM control.sessions WHERE schema_name = ANY ($1) AND status <> 'DROPPED'),
                    (SELECT count(*) FROM pg_namespace WHERE nspname = ANY ($1)),
                    (SELECT count(*) FROM provisioner.slots WHERE state = 'gone')",
                &[&schemas],
            )
            .await?;
        let at = Some(started.elapsed());
        let is_done = |column: usize| row.get::<_, i64>(column) == 0;
        if is_done(0) {
            progress.recorded = progress.recorded.or(at);
        }
        if is_done(1) {
            progress.unnamed = progress.unnamed.or(at);
        }
        // Only then: before, none may be gone yet.
        if is_done(1) && is_done(2) {
            progress.emptied = at;
        }
    }
    Ok(progress)
}

/// Visits sessions at a fixed rate for as long as `work` takes; a late start counts as waiting.
async fn visit<T>(
    stack: &Stack,
    options: &Options,
    sessions: &[Session],
    work: impl Future<Output = T>,
) -> Result<(Vec<Visit>, T)> {
    let over = Cell::new(false);
    let start = Instant::now() + Duration::from_millis(100);
    let visitor = async |number: usize| -> Result<Vec<Visit>> {
        let (mut visits, mut visitor) = (Vec::new(), Visitor::arrive(&stack.tenant).await?);
        let headers = [("x-preview-session", sessions[number].token.as_str())];
        for turn in 0.. {
            let request = u32::try_from(number + turn * sessions.len()).context("too many visits")?;
            let due = start + Duration::from_secs(1) * request / options.rate;
            tokio::time::sleep_until(due).await;
            if over.get() {
                break;
            }
            let status = visitor.get(PATH, &headers).await?;
            visits.push(Visit {
                due,
                took: due.elapsed(),
                is_good: status.is_success(),
            });
        }
        Ok(visits)
    };
    let work = async {
        let done = work.await;
        over.set(true);
        Ok(done)
    };
    let visitors = try_join_all((0..sessions.len()).map(visitor));
    let (all, done) = futures::future::try_join(visitors, work).await?;
    Ok((all.into_iter().flatten().collect(), done))
}

fn print(options: &Options, before: &[Visit], during: &[Visit], progress: &Progress) {
    let mut table = Table::new(
        format!(
            "GET {PATH} {} times a second over {} sessions, milliseconds",
            options.rate, options.visited
        ),
        &["while", "n", "p50", "p90", "p99", "max", "failed"],
    );
    let expire = format!("{} others expire", options.sessions);
    let unnamed = progress.started + progress.unnamed.unwrap_or_default();
    let (naming, emptying): (Vec<_>, Vec<_>) = during.iter().partition(|visit| visit.due < unnamed);
    for (name, visits) in [
        ("nothing else happens", before.iter().collect()),
        (expire.as_str(), during.iter().collect()),
        ("of it, until all names are gone", naming),
        ("and after it, until all slots are emptied", emptying),
    ] {
        let mut sample = Sample::default();
        visits.iter().for_each(|visit| sample.add(visit.took));
        let at = |part| figure(sample.at(part));
        table.row([
            name.to_owned(),
            sample.count().to_string(),
            at(0.5),
            at(0.9),
            at(0.99),
            at(1.0),
            visits.iter().filter(|visit| !visit.is_good).count().to_string(),
        ]);
    }
    table.print();
    let seconds = |at: Option<Duration>| figure(at.map_or(f64::NAN, |at| at.as_secs_f64()));
    println!(
        "\nAfter the moment of expiry: recorded as over {} s, names gone {} s, slots emptied or dropped {} s. \
         The reconciler looks every 30 s.",
        seconds(progress.recorded),
        seconds(progress.unnamed),
        seconds(progress.emptied)
    );
}
