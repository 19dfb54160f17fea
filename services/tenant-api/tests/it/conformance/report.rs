//! What a test has found wrong, told together.

use std::fmt::Display;

use serde_json::Value;
use testkit::Reply;

/// Collects what is wrong.
#[derive(Default)]
pub struct Report {
    wrong: Vec<String>,
    asked: usize,
}

impl Report {
    /// Notes a line unless something holds.
    pub fn expect(&mut self, holds: bool, line: impl FnOnce() -> String) -> bool {
        self.asked += 1;
        if !holds {
            self.wrong.push(line());
        }
        holds
    }

    /// Expects a status.
    pub fn status(&mut self, what: &str, reply: &Reply, status: u16) -> bool {
        self.expect(reply.status() == status, || {
            format!("{what}: not {status}: {}", short(reply))
        })
    }

    /// Expects a refusal with a status and a code.
    pub fn refusal(&mut self, what: &str, reply: &Reply, status: u16, code: &str) -> bool {
        self.expect(reply.status() == status && self::code(reply) == code, || {
            format!("{what}: not {status} {code}: {}", short(reply))
        })
    }

    /// Expects 422 that names this field and no other.
    pub fn invalid(&mut self, what: &str, reply: &Reply, field: &str) -> bool {
        let is_right = reply.status() == 422 && code(reply) == "VALIDATION_ERROR" && details(reply) == [field];
        self.expect(is_right, || format!("{what}: not 422 on {field}: {}", short(reply)))
    }

    /// Expects that the fields of a request were taken, whatever came of it.
    pub fn taken(&mut self, what: &str, reply: &Reply) -> bool {
        let is_refused = matches!(reply.status().as_u16(), 400 | 413 | 415 | 429 | 500..);
        self.expect(!is_refused && code(reply) != "VALIDATION_ERROR", || {
            format!("{what}: refused: {}", short(reply))
        })
    }

    /// Passes when nothing was wrong and enough was asked.
    #[track_caller]
    pub fn finish(self, least: usize) {
        assert!(self.asked >= least, "only {} questions were asked", self.asked);
        assert!(
            self.wrong.is_empty(),
            "{} of {} are wrong:\n{}",
            self.wrong.len(),
            self.asked,
            self.wrong.join("\n")
        );
    }
}

/// The code of a refusal; empty for a success.
pub fn code(reply: &Reply) -> String {
    text(&reply.answer.json()["error"]["code"])
}

/// The fields that a refusal names, in order.
pub fn details(reply: &Reply) -> Vec<String> {
    let body = reply.answer.json();
    let details = body["error"]["details"].as_array().cloned().unwrap_or_default();
    details.iter().map(|detail| text(&detail["field"])).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// An answer short enough for a line.
pub fn short(reply: &impl Display) -> String {
    let line = reply.to_string();
    match line.char_indices().nth(260) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
