//! `devstack`: what `make up` and `make test` run.

mod command;

use std::process::ExitCode;

use clap::Parser;

use command::Devstack;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Devstack::parse().run().await {
        Ok(code) => code,
        Err(error) => {
            // One sentence with its causes: who runs this wants to know what to do, not where it broke.
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
