//! `devstack status`.

use std::fs;
use std::io::{Write, stdout};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use devstack::checkout::Checkout;
use devstack::http::Client;

use super::record::Record;

pub async fn run() -> Result<ExitCode> {
    let checkout = Checkout::find()?;
    // Who closed our output wants to hear nothing more.
    let mut out = stdout();
    let running = Record::of(&checkout)?.running();
    if running.is_empty() {
        let _ = writeln!(out, "nothing runs from this checkout: make up starts it");
        return Ok(ExitCode::FAILURE);
    }
    for (name, identity) in &running {
        let _ = writeln!(out, "{name:<24} pid {}", identity.pid());
    }
    let client = Client::new(Duration::from_secs(2));
    let addresses = fs::read_to_string(checkout.state()?.join("addresses")).unwrap_or_default();
    for (name, url) in addresses.lines().filter_map(|line| line.split_once('=')) {
        let mut said = String::new();
        if name.ends_with("_ADMIN_URL") {
            said = match client.get(&format!("{url}/readyz")).await {
                Ok(answer) => answer.text().trim().to_owned(),
                Err(_) => "no answer".to_owned(),
            };
        }
        let _ = writeln!(out, "{name:<24} {url}  {said}");
    }
    Ok(ExitCode::SUCCESS)
}
