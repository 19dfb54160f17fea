//! Measures a running stack from outside and prints tables in Markdown. `devstack run` starts the stack and tells where
//! it is; the scripts beside this crate put the two together.

mod cpu;
mod expiry;
mod load;
mod machine;
mod memory;
mod metrics;
mod page;
mod products;
mod rate;
mod replay;
mod sample;
mod scale;
mod sessions;
mod stack;
mod table;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::stack::Stack;

/// Measures a running stack.
#[derive(Parser)]
#[command(version)]
struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Session creation through the gateway: from the pool and without, one after another and many at once
    Sessions(sessions::Options),
    /// The product list over several numbers of sessions, and the same SQL by hand with and without tenant scope
    Products(products::Options),
    /// A page of the application, its four requests at once, and the same SQL by hand over one connection
    Page(page::Options),
    /// Creations at a fixed rate, and as many as go: creation, claim, end, recycling and dropping
    Rate(rate::Options),
    /// Creation, requests, connections and memory at 1, 100 and 1,000 live sessions
    Scale(scale::Options),
    /// Sessions that expire at the same moment, while others are visited
    Expiry(expiry::Options),
    /// Memory of the processes and PostgreSQL connections by live sessions
    Memory(memory::Options),
    /// Only the heading: machine, commit, PostgreSQL
    Machine,
    /// Fills the pool as a day of work would have, and ends
    Settle {
        /// Ready slots
        #[arg(long, default_value_t = 56)]
        slots: usize,
    },
}

// One thread is enough to wait for others, and leaves the processors to what is measured.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Bench::parse().what).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(what: What) -> Result<()> {
    let stack = Stack::find().await?;
    machine::print(&stack).await?;
    match what {
        What::Sessions(options) => sessions::run(&stack, &options).await,
        What::Products(options) => products::run(&stack, &options).await,
        What::Page(options) => page::run(&stack, &options).await,
        What::Rate(options) => rate::run(&stack, &options).await,
        What::Scale(options) => scale::run(&stack, &options).await,
        What::Expiry(options) => expiry::run(&stack, &options).await,
        What::Memory(options) => memory::run(&stack, &options).await,
        What::Machine => Ok(()),
        What::Settle { slots } => stack.settle(slots).await,
    }
}
