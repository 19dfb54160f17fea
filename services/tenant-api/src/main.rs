//! `tenant-api`: the process that serves the application of each preview.

use std::process::ExitCode;

use service::{
    config,
    lifecycle::{Lifecycle, Signals, exit},
    telemetry::Telemetry,
};
use tenant_api::{config::Config, server};

fn main() -> ExitCode {
    let config = config::from_process(
        "tenant-api",
        "Serves the application of each preview session.",
        Config::read,
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let done = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(config)));
    exit("tenant-api", done)
}

async fn run(config: Config) -> anyhow::Result<()> {
    let (mut signals, lifecycle) = (Signals::listen()?, Lifecycle::new());
    let telemetry = Telemetry::start("tenant-api", &config.telemetry)?;
    let start = server::start(&config, &telemetry, &lifecycle);
    let started = lifecycle.start(&mut signals, start).await;
    if let Ok(server) = &started {
        lifecycle.run(signals, config.grace).await;
        if let Some(server) = server {
            server.close().await;
        }
    }
    telemetry.flush();
    started.map(drop)
}
