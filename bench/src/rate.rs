//! A pool under steady work: creations that arrive at a fixed rate whether or not the last is done, then as many
//! creations and ends as go, then what ending costs behind the scenes.

use std::{
    cell::RefCell,
    time::{Duration, Instant},
};

use anyhow::Result;
use futures::future::join_all;

use crate::{
    cpu,
    metrics::Look,
    sample::Sample,
    stack::{SHOP, Session, Stack},
    table::{Table, figure},
};

const STEPS: &str = "provisioner_step_duration_seconds";

/// What is measured.
#[derive(clap::Args)]
pub struct Options {
    /// Creations a second
    #[arg(long, default_value_t = 45)]
    rate: u32,
    /// For so many seconds
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Seconds that each session lives
    #[arg(long, default_value_t = 2)]
    life: u64,
    /// Each session puts something in its cart, so that its slot must be emptied; otherwise it only looks
    #[arg(long)]
    shop: bool,
    /// Slots in the pool at the start
    #[arg(long, default_value_t = 150)]
    slots: u32,
    /// Callers that create and end without a pause, in the second part
    #[arg(long, default_value_t = 4)]
    callers: usize,
}

/// Times of one part.
#[derive(Default)]
struct Times {
    created: Sample,
    ended: Sample,
    failed: usize,
}

/// Measures and prints.
pub async fn run(stack: &Stack, options: &Options) -> Result<()> {
    stack.set_pool_target(options.slots).await?;
    stack.settle(usize::try_from(options.slots)?).await?;
    // Demo data follows what the last sessions chose.
    let recent = stack.create_many(32, &SHOP).await?;
    stack.end_all(&recent).await?;
    tokio::time::sleep(Duration::from_secs(10)).await;

    eprintln!("{} creations a second for {} s", options.rate, options.seconds);
    let before = Look::at(stack).await?;
    let times = at_a_rate(stack, options).await;
    let after = Look::at(stack).await?;
    print_rate(options, &times, &before, &after);
    stack.rest().await?;

    eprintln!("{} callers, creating and ending", options.callers);
    let (before, begun) = (Look::at(stack).await?, cpu::Look::at(stack).await?);
    let times = without_a_pause(stack, options).await;
    let used = cpu::Look::at(stack).await?.since(&begun);
    let after = Look::at(stack).await?;
    print_pace(options, &times, used, &before, &after);
    stack.rest().await?;

    eprintln!("dropping {} slots", options.slots);
    let (before, started) = (Look::at(stack).await?, Instant::now());
    stack.set_pool_target(0).await?;
    let took = started.elapsed().as_secs_f64();
    let after = Look::at(stack).await?;
    let batches = after.count(&before, STEPS, "step=\"drop\"");
    println!(
        "\nDropping the pool took {} s: {} transactions of ten tables, {} ms each.",
        figure(took),
        figure(batches),
        figure(after.mean(&before, STEPS, "step=\"drop\""))
    );
    Ok(())
}

/// Sessions that are due at their moments; a late start counts as waiting.
async fn at_a_rate(stack: &Stack, options: &Options) -> Times {
    let times = RefCell::new(Times::default());
    let start = tokio::time::Instant::now() + Duration::from_millis(100);
    let visit = async |number: u32| {
        let due = start + Duration::from_secs(1) * number / options.rate;
        tokio::time::sleep_until(due).await;
        match stack.create(&SHOP).await {
            Ok((session, _)) => {
                times.borrow_mut().created.add(due.elapsed());
                tokio::time::sleep(Duration::from_secs(options.life)).await;
                leave(stack, options, &session, &times).await;
            }
            Err(error) => fail(&error, &times),
        }
    };
    join_all((0..options.rate * options.seconds).map(visit)).await;
    times.into_inner()
}

async fn without_a_pause(stack: &Stack, options: &Options) -> Times {
    let times = RefCell::new(Times::default());
    let until = Instant::now() + Duration::from_secs(options.seconds.into());
    let caller = async || {
        while Instant::now() < until {
            match stack.create(&SHOP).await {
                Ok((session, took)) => {
                    times.borrow_mut().created.add(took);
                    leave(stack, options, &session, &times).await;
                }
                Err(error) => fail(&error, &times),
            }
        }
    };
    join_all((0..options.callers).map(|_| caller())).await;
    times.into_inner()
}

async fn leave(stack: &Stack, options: &Options, session: &Session, times: &RefCell<Times>) {
    if options.shop
        && let Err(error) = stack.shop(session).await
    {
        fail(&error, times);
    }
    match stack.end(session).await {
        Ok(took) => times.borrow_mut().ended.add(took),
        Err(error) => fail(&error, times),
    }
}

fn fail(error: &anyhow::Error, times: &RefCell<Times>) {
    eprintln!("{error:#}");
    times.borrow_mut().failed += 1;
}

fn print_rate(options: &Options, times: &Times, before: &Look, after: &Look) {
    let mut table = Table::new(
        format!(
            "{} creations a second for {} s, each session {} and ends after {} s; a pool of {}; milliseconds",
            options.rate,
            options.seconds,
            if options.shop {
                "puts something in its cart"
            } else {
                "is left as it was"
            },
            options.life,
            options.slots
        ),
        &["what", "n", "p50", "p90", "p99", "max", "failed"],
    );
    for (name, sample) in [
        ("creation, from the moment it is due to READY", &times.created),
        ("end, until it is answered", &times.ended),
    ] {
        let at = |part| figure(sample.at(part));
        table.row([
            name.to_owned(),
            sample.count().to_string(),
            at(0.5),
            at(0.9),
            at(0.99),
            at(1.0),
            times.failed.to_string(),
        ]);
    }
    let at = |part| format!("≤ {}", figure(after.quantile(before, STEPS, "step=\"claim\"", part)));
    let claims = figure(after.count(before, STEPS, "step=\"claim\""));
    table.row([
        "claim, as the provisioner times it".to_owned(),
        claims,
        at(0.5),
        at(0.9),
        at(0.99),
        String::new(),
        String::new(),
    ]);
    table.print();
    let cold = after.gained(before, "provisioner_provisioned_total", "from=\"cold\"");
    println!("\n{} of the sessions found the pool empty.", figure(cold));
}

fn print_pace(options: &Options, times: &Times, used: cpu::Used, before: &Look, after: &Look) {
    #[expect(clippy::cast_precision_loss, reason = "some thousand sessions")]
    let count = times.created.count() as f64;
    let mut table = Table::new(
        format!(
            "{} callers that create and end for {} s",
            options.callers, options.seconds
        ),
        &["what", "figure"],
    );
    let mean = |step: &str| figure(after.mean(before, STEPS, &format!("step=\"{step}\"")));
    for (name, value) in [
        ("sessions a second", figure(count / f64::from(options.seconds))),
        ("creation p50, ms", figure(times.created.at(0.5))),
        ("creation p99, ms", figure(times.created.at(0.99))),
        ("end p50, ms", figure(times.ended.at(0.5))),
        ("claim, mean ms", mean("claim")),
        ("furnishing, mean ms", mean("furnish")),
        ("taking the name away, mean ms", mean("release")),
        ("emptying and checking, mean ms", mean("recycle")),
        (
            "CPU of PostgreSQL a session, ms",
            figure(used.postgres.as_secs_f64() * 1_000.0 / count),
        ),
        (
            "CPU of the services a session, ms",
            figure(used.services.as_secs_f64() * 1_000.0 / count),
        ),
        ("failed", times.failed.to_string()),
    ] {
        table.row([name.to_owned(), value]);
    }
    table.print();
}
