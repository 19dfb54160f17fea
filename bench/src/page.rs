//! A page of the application: four requests of one visitor at once. The time until the last answer, against the same SQL
//! sent by hand over one connection, one statement after the other.

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use devstack::http::Client;
use futures::future::try_join_all;
use http::Request;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    load::Visitor,
    replay::{self, Exchange, Scope, Sender},
    sample::{Sample, median},
    stack::{SHOP, Session, Stack},
    table::{Table, figure},
};

/// What the shop's first page asks for.
const PATHS: [&str; 4] = [
    "/api/v1/config",
    "/api/v1/auth/me",
    "/api/v1/notifications",
    "/api/v1/ecommerce/products?page=1&limit=20",
];
/// Pages before anything counts, for each session.
const WARMUP: usize = 20;

/// What is measured.
#[derive(clap::Args)]
pub struct Options {
    /// Numbers of live sessions that take turns, rising
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10])]
    sessions: Vec<usize>,
    /// Pages a round
    #[arg(long, default_value_t = 300)]
    pages: usize,
    /// How often everything is run; the medians are printed
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// A session with somebody signed in, and what its page sends to PostgreSQL.
struct Guest {
    session: Session,
    bearer: String,
    exchanges: Vec<Exchange>,
}

/// Measures and prints.
pub async fn run(stack: &Stack, options: &Options) -> Result<()> {
    let most = options.sessions.iter().copied().max().unwrap_or(1).max(1);
    stack.settle(most + 8).await?;
    let mut guests = Vec::new();
    for session in stack.create_many(most, &SHOP).await? {
        guests.push(welcome(stack, session).await?);
    }
    stack.rest().await?;
    let mut table = Table::new(
        format!(
            "A page: {} requests at once, medians of {} rounds of {} pages",
            PATHS.len(),
            options.rounds,
            options.pages
        ),
        &[
            "live sessions",
            "page p50 ms",
            "page p99 ms",
            "SQL by hand p50 ms",
            "SQL by hand p99 ms",
            "page to SQL (p50)",
        ],
    );
    for &count in &options.sessions {
        let guests = &guests[..count.clamp(1, most)];
        let mut columns: [Vec<f64>; 5] = Default::default();
        for round in 1..=options.rounds {
            eprintln!("{count} live sessions, round {round} of {}", options.rounds);
            let (page, hand) = (
                pages(stack, guests, options.pages).await?,
                by_hand(stack, guests, options.pages).await?,
            );
            let row = [
                page.at(0.5),
                page.at(0.99),
                hand.at(0.5),
                hand.at(0.99),
                page.at(0.5) / hand.at(0.5),
            ];
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(value);
            }
        }
        table.row(
            [count.to_string()]
                .into_iter()
                .chain(columns.map(|column| figure(median(column)))),
        );
    }
    table.print();
    let statements: usize = guests[0]
        .exchanges
        .iter()
        .map(|exchange| exchange.statements.len())
        .sum();
    println!("\nA page is {statements} statements in {} transactions.", PATHS.len());
    let sessions: Vec<Session> = guests.into_iter().map(|guest| guest.session).collect();
    stack.end_all(&sessions).await
}

/// Signs somebody in and learns what the page sends.
async fn welcome(stack: &Stack, session: Session) -> Result<Guest> {
    let client = Client::new(Duration::from_secs(10));
    let body = json!({ "email": "aiko.tanabe@preview.local", "password": "Preview123!" });
    let request = Request::post(format!("{}/api/v1/auth/login", stack.tenant))
        .header("x-preview-session", &session.token)
        .header("content-type", "application/json")
        .body(body.to_string().into())?;
    let answer = client.send(request).await?.json();
    let token = answer["data"]["accessToken"]
        .as_str()
        .with_context(|| format!("nobody is signed in: {answer}"))?;
    let mut guest = Guest {
        bearer: format!("Bearer {token}"),
        session,
        exchanges: Vec::new(),
    };
    for path in PATHS {
        let ask = async || look(&guest, &mut Visitor::arrive(&stack.tenant).await?, path).await;
        guest.exchanges.push(replay::learn(stack, &guest.session, ask).await?);
    }
    Ok(guest)
}

async fn look(guest: &Guest, visitor: &mut Visitor, path: &str) -> Result<()> {
    let headers = [
        ("x-preview-session", guest.session.token.as_str()),
        ("authorization", guest.bearer.as_str()),
    ];
    let status = visitor.get(path, &headers).await?;
    if !status.is_success() {
        bail!("{path} answered {status}");
    }
    Ok(())
}

/// One page after another, the guests in turn.
async fn pages(stack: &Stack, guests: &[Guest], count: usize) -> Result<Sample> {
    let mut visitors = try_join_all(PATHS.iter().map(|_| Visitor::arrive(&stack.tenant))).await?;
    let warmup = WARMUP * guests.len();
    let mut sample = Sample::default();
    for (number, guest) in guests.iter().cycle().take(warmup + count).enumerate() {
        let started = Instant::now();
        let requests = visitors.iter_mut().zip(PATHS);
        try_join_all(requests.map(|(visitor, path)| look(guest, visitor, path))).await?;
        if number >= warmup {
            sample.add(started.elapsed());
        }
    }
    Ok(sample)
}

/// The same statements over one connection, in the tenant's scope.
async fn by_hand(stack: &Stack, guests: &[Guest], count: usize) -> Result<Sample> {
    let mut drivers = JoinSet::new();
    let client = Rc::new(stack.connect(&mut drivers).await?);
    let mut senders = Vec::new();
    for exchange in &guests[0].exchanges {
        senders.push(Sender::new(Rc::clone(&client), exchange, Scope::Tenant).await?);
    }
    let warmup = WARMUP * guests.len();
    let mut sample = Sample::default();
    for (number, guest) in guests.iter().cycle().take(warmup + count).enumerate() {
        let started = Instant::now();
        for (sender, exchange) in senders.iter().zip(&guest.exchanges) {
            sender.send(exchange).await?;
        }
        if number >= warmup {
            sample.add(started.elapsed());
        }
    }
    Ok(sample)
}
