//! `previewctl watch`.

use std::time::Duration;

use clap::Args;
use domain::SessionId;
use proto::v1::{Happening, HappeningKind, SessionStatus, WatchHappeningsRequest};
use tokio::time::{Instant as Moment, sleep, timeout};
use tonic::{Request, Status};

use crate::{
    connection::Clients,
    failure::{Failure, Kind},
    output::{self, Instant, Output, instant},
};

pub const AFTER: &str = "\
Examples:
  previewctl watch
  previewctl --output json watch | jq 'select(.to == \"FAILED\")'
  previewctl watch --session 01a20605-ac1a-7979-a6ec-06153a019408

A connection that breaks is made again, and nothing is missed; after --timeout without success the command gives up.";

/// Between two tries to connect again.
const PAUSE: Duration = Duration::from_millis(500);

#[derive(Args)]
pub struct Options {
    /// Begin behind this happening (the id of the last one seen) instead of now
    #[arg(long, value_name = "ID", default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    after: i64,
    /// Only what happens to this session
    #[arg(long, value_name = "ID")]
    session: Option<SessionId>,
}

impl Options {
    pub async fn run(mut self, mut clients: Clients, output: Output) -> Result<(), Failure> {
        let mut gives_up = Moment::now() + clients.timeout();
        loop {
            let (heard, end) = self.follow(&mut clients, output).await?;
            let failure = match end {
                Some(status) => clients.failure(&status),
                // A replica that stops ends its streams; another one goes on.
                None => Failure::new(Kind::Unavailable, "the control plane ended the stream"),
            };
            // Who has been heard once is trusted, however the stream ended.
            if heard {
                gives_up = Moment::now() + clients.timeout();
            } else if !failure.is_passing() || Moment::now() > gives_up {
                return Err(failure);
            }
            sleep(PAUSE).await;
        }
    }

    /// One stream: whether it was opened, and what ended it. Fails only when the output does.
    async fn follow(&mut self, clients: &mut Clients, output: Output) -> Result<(bool, Option<Status>), Failure> {
        let request = Request::new(WatchHappeningsRequest { after: self.after });
        let opening = timeout(clients.timeout(), clients.operators.watch_happenings(request));
        let mut stream = match opening.await {
            Ok(Ok(answer)) => answer.into_inner(),
            Ok(Err(status)) => return Ok((false, Some(status))),
            Err(_) => return Ok((false, Some(Status::deadline_exceeded("no answer")))),
        };
        loop {
            match stream.message().await {
                Ok(Some(message)) => {
                    if let Some(happening) = message.happening {
                        self.after = self.after.max(happening.id);
                        self.tell(&happening, output)?;
                    } else {
                        eprintln!("watching");
                    }
                }
                Ok(None) => return Ok((true, None)),
                Err(status) => return Ok((true, Some(status))),
            }
        }
    }

    fn tell(&self, happening: &Happening, output: Output) -> Result<(), Failure> {
        let is_other = |id: &SessionId| id.to_string() != happening.session_id;
        if self.session.as_ref().is_some_and(is_other) {
            return Ok(());
        }
        output.line(|| line(happening), || output::happening(happening))
    }
}

fn line(happening: &Happening) -> String {
    let at = instant(happening.at.as_ref())
        .map(Instant::absolute)
        .unwrap_or_default();
    let what = what(happening);
    let Happening {
        session_id,
        reason,
        replica,
        ..
    } = happening;
    let why = if reason.is_empty() {
        String::new()
    } else {
        format!("  {reason}")
    };
    format!("{at}  {session_id}  {what:<24}{why}  [{replica}]")
}

/// What happened, in a few words.
pub fn what(happening: &Happening) -> String {
    let word = |status: SessionStatus| output::status(status).0;
    match happening.kind() {
        HappeningKind::Transition if happening.from() == SessionStatus::Unspecified => word(happening.to()).to_owned(),
        HappeningKind::Transition => format!("{} to {}", word(happening.from()), word(happening.to())),
        kind => output::kind(kind).to_owned(),
    }
}
