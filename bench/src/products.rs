//! The product list: over HTTP for several numbers of live sessions, and its SQL by hand with and without the tenant's
//! scope.

use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use devstack::http::Client;
use http::Request;

use crate::{
    cpu::{self, Used},
    load::{self, Run},
    replay::{self, Exchange, Scope},
    sample::median,
    stack::{SHOP, Session, Stack},
    table::{Table, figure},
};

const PATH: &str = "/api/v1/ecommerce/products?page=1&limit=20";
const WARMUP: Duration = Duration::from_secs(2);

/// What is measured.
#[derive(clap::Args)]
pub struct Options {
    /// Numbers of live sessions, rising
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 50])]
    sessions: Vec<usize>,
    /// HTTP connections
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// PostgreSQL connections of the SQL by hand; the tenant-api's DB_POOL_SIZE
    #[arg(long, default_value_t = 16)]
    pool: usize,
    /// Length of each run
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// How often everything is run; the medians are printed
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

/// Figures of one row, one of each round.
#[derive(Default)]
struct Row {
    rates: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    /// Milliseconds of processor time a request: PostgreSQL's, the services'.
    cpu: [Vec<f64>; 2],
    failed: usize,
}

impl Row {
    fn add(&mut self, run: &Run, used: Used) {
        self.rates.push(run.rate);
        self.p50.push(run.sample.at(0.5));
        self.p99.push(run.sample.at(0.99));
        self.failed += run.failed;
        for (figures, used) in self.cpu.iter_mut().zip([used.postgres, used.services]) {
            #[expect(clippy::cast_precision_loss, reason = "some ten thousand answers")]
            figures.push(used.as_secs_f64() * 1_000.0 / run.all as f64);
        }
    }
}

/// Measures and prints.
pub async fn run(stack: &Stack, options: &Options) -> Result<()> {
    let most = options.sessions.iter().copied().max().unwrap_or(1).max(1);
    stack.settle(most + 8).await?;
    let sessions = stack.create_many(most, &SHOP).await?;
    let url = format!("{}{PATH}", stack.tenant);
    let mut exchanges = Vec::new();
    for session in &sessions {
        exchanges.push(replay::learn(stack, session, async || visit(&url, session).await).await?);
    }
    stack.rest().await?;
    let (rows, alone) = measure(stack, options, &url, &sessions, &exchanges).await?;
    print(options, &exchanges[0], &rows, &alone);
    stack.end_all(&sessions).await
}

/// Asks once, as the load does, and looks at the answer.
async fn visit(url: &str, session: &Session) -> Result<()> {
    let request = Request::get(url).header("x-preview-session", &session.token);
    let answer = Client::new(Duration::from_secs(10))
        .send(request.body(Bytes::new())?)
        .await?;
    let body = answer.json();
    if body["data"].as_array().is_none_or(Vec::is_empty) {
        bail!("{url} answered {} without products: {body}", answer.status);
    }
    Ok(())
}

/// By hand without scope, then for each number of sessions: over HTTP, and by hand in the tenant's scope.
type Rows = (Row, Vec<(usize, Row, Row)>);

async fn measure(
    stack: &Stack,
    options: &Options,
    url: &str,
    sessions: &[Session],
    exchanges: &[Exchange],
) -> Result<(Rows, Row)> {
    let time = Duration::from_secs(options.seconds);
    let mut bare = Row::default();
    let mut scoped: Vec<(usize, Row, Row)> = options
        .sessions
        .iter()
        .map(|&count| (count.clamp(1, sessions.len()), Row::default(), Row::default()))
        .collect();
    let mut alone = Row::default();
    // Taken in turn, so that a noisy moment does not hit one row alone.
    for round in 1..=options.rounds {
        eprintln!("round {round} of {}", options.rounds);
        let by_hand = |exchanges, scope| replay::run(stack, exchanges, scope, options.pool, WARMUP, time);
        let over_http = async |url: &str, tokens: &[&str], row: &mut Row| -> Result<()> {
            let before = cpu::Look::at(stack).await?;
            let run = load::get(url, tokens, options.connections, WARMUP, time).await?;
            row.add(&run, cpu::Look::at(stack).await?.since(&before));
            Ok(())
        };
        let (run, used) = by_hand(&exchanges[..1], Scope::None).await?;
        bare.add(&run, used);
        for (count, http, hand) in &mut scoped {
            let tokens: Vec<&str> = sessions[..*count]
                .iter()
                .map(|session| session.token.as_str())
                .collect();
            over_http(url, &tokens, http).await?;
            let (run, used) = by_hand(&exchanges[..*count], Scope::Tenant).await?;
            hand.add(&run, used);
        }
        let health = format!("{}/health", stack.tenant);
        over_http(&health, &[sessions[0].token.as_str()], &mut alone).await?;
    }
    Ok(((bare, scoped), alone))
}

fn print(options: &Options, exchange: &Exchange, (bare, scoped): &Rows, alone: &Row) {
    let mut table = Table::new(
        format!(
            "GET {PATH}, {} HTTP connections, {} PostgreSQL connections by hand, medians of {} rounds of {} s",
            options.connections, options.pool, options.rounds, options.seconds
        ),
        &[
            "what",
            "live sessions",
            "req/s",
            "p50 ms",
            "p99 ms",
            "failed",
            "PostgreSQL CPU ms/req",
            "services' CPU ms/req",
            "req/s to no scope",
        ],
    );
    let mut add = |name: &str, count: Option<usize>, row: &Row, compare: bool| {
        let ratios = row.rates.iter().zip(&bare.rates).map(|(rate, bare)| rate / bare);
        table.row([
            name.to_owned(),
            count.map_or_else(String::new, |count| count.to_string()),
            figure(median(row.rates.clone())),
            figure(median(row.p50.clone())),
            figure(median(row.p99.clone())),
            row.failed.to_string(),
            figure(median(row.cpu[0].clone())),
            figure(median(row.cpu[1].clone())),
            if compare {
                figure(median(ratios.collect()))
            } else {
                String::new()
            },
        ]);
    };
    add("SQL by hand, no scope, one schema", None, bare, true);
    for (count, _, row) in scoped {
        add("SQL by hand, tenant's scope", Some(*count), row, true);
    }
    for (count, row, _) in scoped {
        add("HTTP through the tenant-api", Some(*count), row, true);
    }
    add("GET /health (no session, no database)", None, alone, false);
    table.print();
    println!(
        "\nOne request is {} statements inside one transaction, opened by one message and ended by another.",
        exchange.statements.len()
    );
}
