//! PostgreSQL's protocol, as far as it takes to tell where a statement begins and where its answer ends.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::{Cut, Judge, Step, until_closed};

/// What `pg_terminate_backend` makes a backend say.
const TERMINATED: &[u8] = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0";
/// Instead of a version: does the server speak TLS?
const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();
/// More of a statement adds nothing.
const HEAD: usize = 110;
const TAIL: usize = 40;

/// Which answer belongs to which statement: there is one ReadyForQuery for each Query or Sync, and one for the start.
#[derive(Default)]
struct Ledger {
    sent: u64,
    answered: u64,
    /// The answer that does not get through, and whose it is.
    withheld: Option<(u64, Step)>,
}

/// Carries one connection to its end, or to where `judge` cuts it.
pub async fn carry(client: TcpStream, server: TcpStream, judge: &dyn Judge) -> Result<()> {
    let (mut client_read, mut client_write) = client.into_split();
    let (mut server_read, mut server_write) = server.into_split();
    let ledger = Mutex::new(Ledger::default());
    start(&mut client_read, &mut client_write, &mut server_write, &ledger).await?;
    let (step, cut) = tokio::select! {
        step = requests(&mut client_read, &mut server_write, &ledger, judge) => (step?, Cut::Request),
        step = answers(&mut server_read, &mut client_write, &ledger) => (step?, Cut::Answer),
    };
    if judge.struck(&step, cut) {
        until_closed(&mut client_read, &mut server_read).await;
    } else if cut == Cut::Request {
        let length = u32::try_from(TERMINATED.len() + 4)?;
        client_write
            .write_all(&[b"E", &length.to_be_bytes()[..], TERMINATED].concat())
            .await?;
    }
    Ok(())
}

/// The message that opens a connection has no type.
async fn start(
    client: &mut OwnedReadHalf,
    to_client: &mut OwnedWriteHalf,
    server: &mut OwnedWriteHalf,
    ledger: &Mutex<Ledger>,
) -> Result<()> {
    loop {
        let length = client.read_u32().await?;
        let mut body = vec![0; usize::try_from(length)?.saturating_sub(4)];
        client.read_exact(&mut body).await?;
        if body == SSL_REQUEST {
            to_client.write_all(b"N").await?;
            continue;
        }
        lock(ledger).sent = 1;
        server.write_all(&length.to_be_bytes()).await?;
        server.write_all(&body).await?;
        return Ok(());
    }
}

/// Forwards messages, a statement at a time, until one is not to arrive.
async fn requests(
    client: &mut OwnedReadHalf,
    server: &mut OwnedWriteHalf,
    ledger: &Mutex<Ledger>,
    judge: &dyn Judge,
) -> Result<Step> {
    let (mut trail, mut known) = (Trail::default(), HashMap::new());
    let (mut unit, mut statement) = (Vec::new(), None);
    loop {
        let (kind, message) = message(client).await?;
        unit.extend_from_slice(&message);
        let body = &message[5..];
        match kind {
            b'P' => {
                let mut parts = body.split(|byte| *byte == 0);
                known.insert(text(parts.next()), text(parts.next()));
                continue;
            }
            b'B' => {
                statement = known.get(&text(body.split(|byte| *byte == 0).nth(1))).cloned();
                continue;
            }
            b'Q' => statement = Some(text(body.split(|byte| *byte == 0).next())),
            b'S' | b'p' | b'X' => {}
            _ => continue,
        }
        // Preparing a statement changes nothing: the cut comes when it is carried out.
        let step = statement.take().map(|statement| trail.step(&statement));
        let cut = step.as_ref().and_then(|step| judge.judge(step));
        let withheld = match (step, cut) {
            (Some(step), Some(Cut::Request)) => return Ok(step),
            (Some(step), Some(Cut::Answer)) => Some(step),
            (_, _) => None,
        };
        let last = withheld.is_some();
        if matches!(kind, b'Q' | b'S') {
            let mut ledger = lock(ledger);
            ledger.withheld = withheld.map(|step| (ledger.sent, step));
            ledger.sent += 1;
        }
        server.write_all(&unit).await?;
        unit.clear();
        if last {
            pending::<()>().await;
        }
    }
}

/// Passes answers back until the one that is withheld is complete.
async fn answers(server: &mut OwnedReadHalf, client: &mut OwnedWriteHalf, ledger: &Mutex<Ledger>) -> Result<Step> {
    loop {
        let (kind, message) = message(server).await?;
        let withheld = {
            let mut ledger = lock(ledger);
            let answered = ledger.answered;
            ledger.answered += u64::from(kind == b'Z');
            ledger.withheld.clone().filter(|(number, _)| *number == answered)
        };
        match withheld {
            Some((_, step)) if kind == b'Z' => return Ok(step),
            Some(_) => {}
            None => client.write_all(&message).await?,
        }
    }
}

async fn message(from: &mut OwnedReadHalf) -> Result<(u8, Vec<u8>)> {
    let mut head = [0; 5];
    from.read_exact(&mut head).await?;
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    let Some(rest) = usize::try_from(length)?.checked_sub(4) else {
        bail!("a message of {length} bytes");
    };
    let mut message = vec![0; 5 + rest];
    message[..5].copy_from_slice(&head);
    from.read_exact(&mut message[5..]).await?;
    Ok((head[0], message))
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned()
}

/// The statements of a transaction so far.
#[derive(Default)]
struct Trail {
    statements: Vec<String>,
    writes: bool,
}

impl Trail {
    fn step(&mut self, statement: &str) -> Step {
        let begins = statement.starts_with("BEGIN") || statement.starts_with("START");
        if begins {
            *self = Self::default();
        }
        let ends = statement.ends_with("COMMIT") || statement.ends_with("ROLLBACK");
        let alone = self.statements.is_empty() && !begins;
        self.writes |= is_change(statement);
        self.statements.push(short(statement));
        let step = Step {
            text: self.statements.join(" › "),
            ends: ends || alone,
            writes: self.writes && !statement.ends_with("ROLLBACK"),
        };
        if step.ends {
            *self = Self::default();
        }
        step
    }
}

fn is_change(statement: &str) -> bool {
    [
        "INSERT", "UPDATE ", "DELETE", "ALTER", "CREATE", "DROP", "GRANT", "NOTIFY",
    ]
    .iter()
    .any(|verb| statement.replace("FOR UPDATE", "").contains(verb))
}

/// The statement without ids and numbers, its white space collapsed, its middle left out.
fn short(statement: &str) -> String {
    let mut words = Vec::new();
    for word in statement.split_whitespace() {
        words.push(without_numbers(word));
    }
    let text = words.join(" ");
    if text.starts_with("DROP TABLE") {
        // Batches of one drop differ in nothing but their tables.
        let last = if text.contains("DROP SCHEMA") {
            "; DROP SCHEMA …"
        } else {
            ""
        };
        return format!("DROP TABLE …{last}");
    }
    let text: Vec<char> = text.chars().collect();
    if text.len() <= HEAD + TAIL {
        return text.into_iter().collect();
    }
    let (head, tail) = (&text[..HEAD], &text[text.len() - TAIL..]);
    head.iter().chain(['…'].iter()).chain(tail).collect()
}

/// Ids of sessions are hexadecimal, with and without dashes; everything else that changes is a number.
fn without_numbers(word: &str) -> String {
    let mut short = String::new();
    for part in word.split_inclusive(|c: char| !c.is_ascii_alphanumeric()) {
        let (name, mark) = match part.char_indices().last() {
            Some((at, last)) if !last.is_ascii_alphanumeric() => part.split_at(at),
            _ => (part, ""),
        };
        let hexadecimal = name.len() % 4 == 0 && name.chars().all(|c| c.is_ascii_hexdigit());
        let number = name.chars().all(|c| c.is_ascii_digit());
        short.push_str(if !name.is_empty() && (hexadecimal || number) {
            "0"
        } else {
            name
        });
        short.push_str(mark);
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_named_by_its_transaction_without_what_differs_each_time() {
        let mut trail = Trail::default();
        let begin = trail.step("BEGIN; SELECT pg_advisory_xact_lock(1280339062, -77)");
        assert_eq!(
            (begin.text.as_str(), begin.ends, begin.writes),
            ("BEGIN; SELECT pg_advisory_xact_lock(0, -0)", false, false)
        );
        let rename = trail.step("ALTER SCHEMA \"slot_0001_2\" RENAME TO \"preview_019ab3c4d5e67f8091a2b3c4d5e6f708\"");
        assert!(
            rename
                .text
                .ends_with("› ALTER SCHEMA \"slot_0_0\" RENAME TO \"preview_0\"")
        );
        let commit = trail.step("COMMIT");
        assert!(commit.ends && commit.writes && commit.text.ends_with("› COMMIT"));
        let look = trail.step("SELECT id FROM t WHERE id = '019ab3c4-d5e6-7f80-91a2-b3c4d5e6f708' FOR UPDATE");
        assert_eq!(look.text, "SELECT id FROM t WHERE id = '0-0-0-0-0' FOR UPDATE");
        assert!(look.ends && !look.writes);
    }
}
