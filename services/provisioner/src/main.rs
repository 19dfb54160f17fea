//! Starts the provisioner, or prepares a database for it.

use std::process::ExitCode;

use provisioner::{
    app,
    command::{self, Task},
    config::Config,
    install,
};
use service::{
    lifecycle::{Lifecycle, Signals, exit},
    telemetry::Telemetry,
};

#[tokio::main]
async fn main() -> ExitCode {
    let done = match command::read() {
        Task::Install(config) => install::install(&config)
            .await
            .map(|database| println!("the database {database} is ready for Live Preview")),
        Task::Serve(config) => serve(&config).await,
    };
    exit("provisioner", done)
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    let (mut signals, lifecycle) = (Signals::listen()?, Lifecycle::new());
    let telemetry = Telemetry::start("provisioner", &config.telemetry)?;
    let start = app::start(config, telemetry.registry(), &lifecycle);
    let started = lifecycle.start(&mut signals, start).await;
    if started.is_ok() {
        let drained = lifecycle.run(signals, config.grace).await;
        tracing::info!(?drained, "stopped");
    }
    telemetry.flush();
    started.map(drop)
}
