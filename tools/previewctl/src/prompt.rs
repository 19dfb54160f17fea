//! Asking before something is taken away.

use std::io::{self, IsTerminal, Write};

use crate::failure::{Failure, Kind};

/// Goes on when the user says yes, or said so before.
pub fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::new(
            Kind::Usage,
            "nobody can be asked here: add --yes to go on without a question",
        ));
    }
    eprint!("{question} [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim().to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::new(Kind::Failed, "nothing was done")),
    }
}
