//! `devstack down`.

use std::process::ExitCode;

use anyhow::Result;
use devstack::checkout::Checkout;

use super::record::Record;

pub fn run() -> Result<ExitCode> {
    let record = Record::of(&Checkout::find()?)?;
    let running = record.running();
    if running.is_empty() {
        println!("nothing runs from this checkout");
    } else {
        record.stop_all()?;
        let names: Vec<_> = running.iter().map(|(name, _)| name.as_str()).collect();
        println!("stopped {}", names.join(", "));
    }
    Ok(ExitCode::SUCCESS)
}
