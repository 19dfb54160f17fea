//! Session creation, as a studio's browser sees it: from the request to the answer that says READY.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::join_all;

use crate::{
    cpu::{self, Used},
    metrics::Look,
    sample::Sample,
    stack::{ALL, SHOP, Session, Stack},
    table::{Table, figure},
};

/// What is measured.
#[derive(clap::Args)]
pub struct Options {
    /// Creations at once
    #[arg(long, default_value_t = 20)]
    at_once: usize,
    /// Rounds of that many creations for each kind of warm creation
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Cold creations one after another
    #[arg(long, default_value_t = 10)]
    cold: usize,
}

/// One kind of creation, measured.
struct Creations {
    name: String,
    sample: Sample,
    failed: usize,
    /// Of each round, when they came at once.
    whole: Sample,
    phases: Phases,
    /// While they were created.
    used: Used,
}

/// Means in milliseconds, as the services time themselves.
struct Phases {
    creation: f64,
    provision: f64,
    claim: f64,
    seed: f64,
}

/// Measures and prints.
pub async fn run(stack: &Stack, options: &Options) -> Result<()> {
    let at_once = options.at_once;
    stack.settle(at_once + 4).await?;
    let mut results = Vec::new();
    for (name, features) in [("two modules", &SHOP[..]), ("all modules", &ALL[..])] {
        eprintln!("warm, {name}");
        // Caches of the connections and of the file system; the first requests after a start.
        one_by_one(stack, "", features, at_once, 1).await?;
        results.push(one_by_one(stack, &format!("warm, {name}"), features, at_once, options.rounds).await?);
        results.push(
            together(
                stack,
                &format!("warm, {name}, {at_once} at once"),
                features,
                at_once,
                options.rounds,
            )
            .await?,
        );
    }
    if options.cold > 0 {
        stack.set_pool_target(0).await?;
        eprintln!("cold: every session has its tables made");
        results.push(one_by_one(stack, "cold, two modules", &SHOP, 1, options.cold).await?);
        results.push(
            together(
                stack,
                &format!("cold, two modules, {at_once} at once"),
                &SHOP,
                at_once,
                1,
            )
            .await?,
        );
    }
    print(&results);
    Ok(())
}

async fn one_by_one(stack: &Stack, name: &str, features: &[&str], count: usize, rounds: usize) -> Result<Creations> {
    let mut measured = Measured::begin(stack).await?;
    for _ in 0..rounds {
        let mut sessions = Vec::new();
        let begun = cpu::Look::at(stack).await?;
        for _ in 0..count {
            measured.add(stack.create(features).await, &mut sessions);
        }
        measured.used += cpu::Look::at(stack).await?.since(&begun);
        stack.end_all(&sessions).await?;
    }
    measured.end(stack, name).await
}

async fn together(stack: &Stack, name: &str, features: &[&str], count: usize, rounds: usize) -> Result<Creations> {
    let mut measured = Measured::begin(stack).await?;
    for _ in 0..rounds {
        let mut sessions = Vec::new();
        let begun = cpu::Look::at(stack).await?;
        let started = Instant::now();
        let created = join_all((0..count).map(|_| stack.create(features))).await;
        measured.whole.add(started.elapsed());
        for made in created {
            measured.add(made, &mut sessions);
        }
        measured.used += cpu::Look::at(stack).await?.since(&begun);
        stack.end_all(&sessions).await?;
    }
    measured.end(stack, name).await
}

struct Measured {
    sample: Sample,
    whole: Sample,
    failed: usize,
    used: Used,
    before: Look,
}

impl Measured {
    async fn begin(stack: &Stack) -> Result<Self> {
        Ok(Self {
            sample: Sample::default(),
            whole: Sample::default(),
            failed: 0,
            used: Used::default(),
            before: Look::at(stack).await?,
        })
    }

    fn add(&mut self, made: Result<(Session, Duration)>, sessions: &mut Vec<Session>) {
        match made {
            Ok((session, took)) => {
                self.sample.add(took);
                sessions.push(session);
            }
            Err(error) => {
                eprintln!("{error:#}");
                self.failed += 1;
            }
        }
    }

    async fn end(self, stack: &Stack, name: &str) -> Result<Creations> {
        let after = Look::at(stack).await?;
        let step = |label: &str| after.mean(&self.before, "provisioner_step_duration_seconds", label);
        let phases = Phases {
            creation: after.mean(&self.before, "session_creation_seconds", "outcome=\"ready\""),
            provision: after.mean(&self.before, "session_provision_seconds", ""),
            claim: step("step=\"claim\""),
            seed: step("step=\"seed\""),
        };
        Ok(Creations {
            name: name.to_owned(),
            sample: self.sample,
            failed: self.failed,
            whole: self.whole,
            phases,
            used: self.used,
        })
    }
}

fn print(results: &[Creations]) {
    let mut times = Table::new(
        "Session creation, milliseconds from the request to READY",
        &["creation", "n", "p50", "p90", "p99", "max", "all of a round", "failed"],
    );
    let mut phases = Table::new(
        "Where the time goes, mean milliseconds as the services time themselves",
        &[
            "creation",
            "gateway, all",
            "records",
            "call to the provisioner",
            "of it: taking the slot",
            "rename, seed, commit",
            "CPU of PostgreSQL",
            "CPU of the services",
        ],
    );
    for result in results {
        let at = |part| figure(result.sample.at(part));
        let whole = if result.whole.count() > 0 {
            figure(result.whole.at(0.5))
        } else {
            String::new()
        };
        times.row([
            result.name.clone(),
            result.sample.count().to_string(),
            at(0.5),
            at(0.9),
            at(0.99),
            at(1.0),
            whole,
            result.failed.to_string(),
        ]);
        #[expect(clippy::cast_precision_loss, reason = "some hundred creations")]
        let each = |time: Duration| figure(time.as_secs_f64() * 1_000.0 / result.sample.count() as f64);
        let Phases {
            creation,
            provision,
            claim,
            seed,
        } = result.phases;
        phases.row([
            result.name.clone(),
            figure(creation),
            // A caller that is answered with PROVISIONING waits for less than the whole.
            figure(if creation > provision {
                creation - provision
            } else {
                f64::NAN
            }),
            figure(provision),
            figure(claim - seed),
            figure(seed),
            each(result.used.postgres),
            each(result.used.services),
        ]);
    }
    times.print();
    phases.print();
    if let [warm, ..] = results
        && let Some(cold) = results.iter().find(|result| result.name.starts_with("cold"))
    {
        println!(
            "\nA cold creation takes {} times as long as a warm one (p50).",
            figure(cold.sample.at(0.5) / warm.sample.at(0.5))
        );
    }
}
