//! `tenant-api`: the process that serves the application of each preview.

use service::{config, lifecycle::Lifecycle, telemetry::Telemetry};
use tenant_api::{config::Config, server};

fn main() -> anyhow::Result<()> {
    let config = config::from_process(
        "tenant-api",
        "Serves the application of each preview session.",
        Config::read,
    );
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(config))
}

async fn run(config: Config) -> anyhow::Result<()> {
    let telemetry = Telemetry::start("tenant-api", &config.telemetry)?;
    let lifecycle = Lifecycle::new();
    let started = server::start(&config, &telemetry, &lifecycle).await;
    let result = match started {
        Ok(server) => {
            let drained = lifecycle.run(config.grace).await;
            server.close().await;
            drained.map(drop).map_err(Into::into)
        }
        Err(error) => Err(error),
    };
    telemetry.flush();
    result
}
