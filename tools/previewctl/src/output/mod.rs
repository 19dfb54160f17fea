//! How answers are shown: tables for people, JSON for scripts.

mod json;
mod table;
mod words;

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use serde_json::Value;

use crate::failure::Failure;

pub use json::{happening, pool, session, slot};
pub use table::{Cell, Table};
pub use words::{Instant, bytes, instant, kind, slot_state, status};

/// A form of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// For scripts: one JSON document, or one a line for watch
    Json,
}

/// Where answers go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    format: Format,
    colours: bool,
}

impl Output {
    /// Output in that form; colours only on a terminal that does not object.
    pub fn new(format: Format, plain: bool) -> Self {
        Self {
            format,
            colours: !plain && io::stdout().is_terminal(),
        }
    }

    /// Shows an answer in its form.
    pub fn show(self, people: impl FnOnce() -> String, scripts: impl FnOnce() -> Value) -> Result<(), Failure> {
        let text = match self.format {
            Format::Table => people(),
            Format::Json => format!("{:#}\n", scripts()),
        };
        print(&text)
    }

    /// Shows one item of a stream as a line.
    pub fn line(self, people: impl FnOnce() -> String, scripts: impl FnOnce() -> Value) -> Result<(), Failure> {
        let text = match self.format {
            Format::Table => people(),
            Format::Json => scripts().to_string(),
        };
        print(&format!("{text}\n"))
    }

    /// A table of this output.
    pub fn table<const N: usize>(self, heads: [&'static str; N]) -> Table<N> {
        Table::new(heads, self.colours)
    }

    /// Whether people read it.
    pub fn is_for_people(self) -> bool {
        self.format == Format::Table
    }
}

fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}
