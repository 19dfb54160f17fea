//! Starts the provisioner, or prepares a database for it.

use std::process::ExitCode;

use provisioner::{
    app,
    command::{self, Task},
    config::Config,
    install,
};
use service::{lifecycle::Lifecycle, telemetry::Telemetry};

#[tokio::main]
async fn main() -> ExitCode {
    let done = match command::read() {
        Task::Install(config) => install::install(&config)
            .await
            .map(|database| println!("the database {database} is ready for Live Preview")),
        Task::Serve(config) => serve(&config).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("provisioner: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(config: &Config) -> anyhow::Result<()> {
    let telemetry = Telemetry::start("provisioner", &config.telemetry)?;
    let lifecycle = Lifecycle::new();
    let ran = match app::start(config, telemetry.registry(), &lifecycle).await {
        Ok(_running) => lifecycle.run(config.grace).await.map_err(Into::into),
        Err(error) => Err(error),
    };
    telemetry.flush();
    ran.map(|drained| tracing::info!(?drained, "stopped"))
}
