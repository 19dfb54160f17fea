//! The orchestrator's process.

use std::process::ExitCode;

use domain::Clock;
use orchestrator::{app, config::Config};
use service::{
    config::from_process,
    lifecycle::{Drained, Lifecycle, Signals, exit},
    telemetry::Telemetry,
};

#[tokio::main]
async fn main() -> ExitCode {
    let about = "Creates, follows and ends preview sessions; tells the data plane where they live.";
    let config = from_process("orchestrator", about, Config::read);
    exit("orchestrator", serve(config).await)
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let telemetry = Telemetry::start("orchestrator", &config.telemetry)?;
    let result = run(config, signals, &telemetry).await;
    telemetry.flush();
    result
}

async fn run(config: Config, mut signals: Signals, telemetry: &Telemetry) -> anyhow::Result<()> {
    let lifecycle = Lifecycle::new();
    let grace = config.grace;
    let start = app::start(config, Clock::system(), telemetry.registry(), &lifecycle);
    if let Some(parts) = lifecycle.start(&mut signals, start).await? {
        lifecycle.spawn(parts.reconciler.run());
    }
    match lifecycle.run(signals, grace).await {
        Drained::All => tracing::info!("stopped"),
        Drained::Cut => tracing::warn!("stopped before everything was finished"),
    }
    Ok(())
}
