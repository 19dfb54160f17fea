//! `previewctl`: what operators see and do, over `OperatorService`.

mod command;
mod connection;
mod failure;
mod output;
mod prompt;

use std::process::ExitCode;

use clap::Parser;

use command::Previewctl;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Previewctl::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
