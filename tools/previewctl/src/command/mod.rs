//! The commands.

mod sessions;
mod slots;
mod stats;
mod watch;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::{
    connection::Connection,
    failure::Failure,
    output::{Format, Output},
};

const AFTER: &str = "\
Examples:
  previewctl --secret-file .devstack/secrets stats
  previewctl sessions list --status ready
  previewctl --output json slots list | jq '.slots[] | select(.state == \"GONE\")'
  kubectl port-forward svc/orchestrator 50051 & previewctl watch

Exit codes:
  0  done
  1  failed, or the question was answered with no
  2  called wrongly
  3  there is no such session or slot
  4  the control plane, or a part of it, cannot be reached; try again later
  5  the secret or the certificate was not accepted
  6  the session or the slot is not in a state that allows it";

/// Looks after Live Preview: sessions, slots, figures
#[derive(Parser)]
#[command(name = "previewctl", version, after_help = AFTER, propagate_version = true)]
pub struct Previewctl {
    #[command(flatten)]
    connection: Connection,
    /// How answers are shown
    #[arg(
        long,
        short,
        global = true,
        value_enum,
        default_value = "table",
        value_name = "FORMAT"
    )]
    output: Format,
    /// No colours; nor are there any when the output is no terminal
    #[arg(long, alias = "no-color", global = true, env = "NO_COLOR", value_parser = clap::builder::FalseyValueParser::new(), action = clap::ArgAction::SetTrue)]
    no_colour: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Look at sessions, end and extend them
    #[command(subcommand)]
    Sessions(sessions::Command),
    /// Look at slots, change the pool, empty everything
    #[command(subcommand)]
    Slots(slots::Command),
    /// Figures at a glance
    #[command(after_help = "Example:\n  previewctl --output json stats | jq .pool.ready")]
    Stats,
    /// Follow what happens to sessions, on all replicas, until Ctrl-C
    #[command(after_help = watch::AFTER)]
    Watch(watch::Options),
    /// Print the completion of a shell
    #[command(after_help = "Examples:
  previewctl completion bash > /etc/bash_completion.d/previewctl
  previewctl completion zsh > \"${fpath[1]}/_previewctl\"
  previewctl completion fish > ~/.config/fish/completions/previewctl.fish")]
    Completion {
        /// Which one
        shell: Shell,
    },
}

impl Previewctl {
    /// Runs the command that was given.
    pub async fn run(self) -> Result<(), Failure> {
        let output = Output::new(self.output, self.no_colour);
        let open = || self.connection.open();
        match self.command {
            Command::Sessions(command) => command.run(open()?, output).await,
            Command::Slots(command) => command.run(open()?, output).await,
            Command::Stats => stats::run(open()?, output).await,
            Command::Watch(options) => options.run(open()?, output).await,
            Command::Completion { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Self::command(), "previewctl", &mut script);
                std::io::Write::write_all(&mut std::io::stdout(), &script)?;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound_and_every_command_has_an_example() {
        fn check(command: &clap::Command) {
            if command.has_subcommands() {
                command.get_subcommands().for_each(check);
            } else {
                let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(after.contains("Example"), "{}", command.get_name());
            }
        }
        Previewctl::command().debug_assert();
        check(&Previewctl::command());
    }

    #[test]
    fn no_option_takes_the_secret_itself() {
        let mut command = Previewctl::command();
        command.build();
        assert!(command.get_arguments().all(|option| option.get_id() != "secret"));
    }
}
