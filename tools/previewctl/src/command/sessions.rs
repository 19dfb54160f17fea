//! `previewctl sessions`.

use clap::{Subcommand, ValueEnum};
use domain::SessionId;
use proto::v1::{
    DescribeSessionRequest, DescribeSessionResponse, DropSessionRequest, ExtendSessionRequest, OperatedSession,
    OperatorServiceListSessionsRequest, SessionRef, SessionStatus, session_ref::By,
};
use serde_json::{Value, json};

use crate::{
    connection::Clients,
    failure::Failure,
    output::{self, Cell, Instant, Output, instant},
    prompt::confirm,
};

/// Sessions of one call.
const PAGE: i32 = 200;

#[derive(Subcommand)]
pub enum Command {
    /// List sessions, newest first
    #[command(after_help = "Examples:
  previewctl sessions list
  previewctl sessions list --status pending,provisioning
  previewctl --output json sessions list --limit 1000 | jq -r '.sessions[].id'")]
    List {
        /// Only these states, a comma list
        #[arg(long, value_enum, ignore_case = true, value_delimiter = ',', value_name = "STATUS")]
        status: Vec<Status>,
        /// Most sessions; the newest
        #[arg(long, default_value_t = 100, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
    },
    /// Show one session with all that happened to it
    #[command(after_help = "Example:\n  previewctl sessions show 01a20605-ac1a-7979-a6ec-06153a019408")]
    Show {
        /// The session's id
        id: SessionId,
    },
    /// End sessions: from the answer on visitors are refused, and their data are taken away
    #[command(after_help = "Examples:
  previewctl sessions end 01a20605-ac1a-7979-a6ec-06153a019408 --reason 'abuse, ticket 4711'
  previewctl -o json sessions list --status failed | jq -r '.sessions[].id' | xargs -r previewctl sessions end --yes")]
    End {
        /// Ids of sessions
        #[arg(required = true)]
        ids: Vec<SessionId>,
        /// Recorded with the session, up to 200 characters
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// Move a session's end to now + PREVIEW_TTL_HOURS, at most MAX_SESSION_LIFETIME_HOURS after its creation
    #[command(after_help = "Example:\n  previewctl sessions extend 01a20605-ac1a-7979-a6ec-06153a019408")]
    Extend {
        /// The session's id
        id: SessionId,
    },
}

/// A state to filter by.
#[derive(Clone, Copy, ValueEnum)]
pub enum Status {
    Pending,
    Provisioning,
    Ready,
    Failed,
    Dropped,
}

impl Status {
    fn wire(self) -> i32 {
        match self {
            Self::Pending => SessionStatus::Pending,
            Self::Provisioning => SessionStatus::Provisioning,
            Self::Ready => SessionStatus::Ready,
            Self::Failed => SessionStatus::Failed,
            Self::Dropped => SessionStatus::Dropped,
        }
        .into()
    }
}

impl Command {
    pub async fn run(self, clients: Clients, output: Output) -> Result<(), Failure> {
        match self {
            Self::List { status, limit } => {
                let statuses = status.into_iter().map(Status::wire).collect();
                let sessions = list(clients, statuses, limit).await?;
                output.show(
                    || table(output, &sessions),
                    || json!({ "sessions": sessions.iter().map(output::session).collect::<Vec<_>>() }),
                )
            }
            Self::Show { id } => show(clients, output, id).await,
            Self::End { ids, reason, yes } => end(clients, output, &ids, &reason, yes).await,
            Self::Extend { id } => extend(clients, output, id).await,
        }
    }
}

async fn list(mut clients: Clients, statuses: Vec<i32>, limit: u32) -> Result<Vec<OperatedSession>, Failure> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let (mut sessions, mut page_token) = (Vec::new(), String::new());
    loop {
        let left = i32::try_from(limit - sessions.len()).unwrap_or(PAGE);
        let request = clients.ask(OperatorServiceListSessionsRequest {
            statuses: statuses.clone(),
            page_size: left.min(PAGE),
            page_token,
        });
        let page = clients.operators.list_sessions(request).await;
        let page = page.map_err(|status| clients.failure(&status))?.into_inner();
        sessions.extend(page.sessions);
        page_token = page.next_page_token;
        if page_token.is_empty() || sessions.len() >= limit {
            return Ok(sessions);
        }
    }
}

fn table(output: Output, sessions: &[OperatedSession]) -> String {
    let heads = [
        "ID",
        "STATUS",
        "CREATED (UTC)",
        "AGE",
        "EXPIRES",
        "SIZE",
        "TIER",
        "MODULES",
        "NETWORK",
    ];
    let mut table = output.table(heads);
    for operated in sessions {
        let session = operated.session.clone().unwrap_or_default();
        let (status, colour) = output::status(session.status());
        let created = instant(session.created_at.as_ref());
        let relative = |at: Option<Instant>| at.map(Instant::relative).unwrap_or_default();
        let expires = match session.status() {
            SessionStatus::Dropped => "-".to_owned(),
            _ => relative(instant(session.expires_at.as_ref())),
        };
        table.row([
            session.id.into(),
            Cell::coloured(status, colour),
            created.map(Instant::absolute).unwrap_or_default().into(),
            relative(created).into(),
            expires.into(),
            output::bytes(operated.schema_bytes).into(),
            session.tier.into(),
            session.modules.join(",").into(),
            operated.client_network.clone().into(),
        ]);
    }
    table.text("No sessions.")
}

async fn show(mut clients: Clients, output: Output, id: SessionId) -> Result<(), Failure> {
    let request = clients.ask(DescribeSessionRequest {
        session_id: id.to_string(),
    });
    let answer = clients.operators.describe_session(request).await;
    let described = answer.map_err(|status| clients.failure(&status))?.into_inner();
    output.show(|| description(output, &described), || document(&described))
}

fn document(described: &DescribeSessionResponse) -> Value {
    let mut session = described.session.as_ref().map(output::session).unwrap_or_default();
    session["history"] = described.history.iter().map(output::happening).collect();
    session
}

fn description(output: Output, described: &DescribeSessionResponse) -> String {
    let operated = described.session.clone().unwrap_or_default();
    let session = operated.session.unwrap_or_default();
    let both = |at: Option<&proto::Timestamp>| instant(at).map_or_else(|| "-".to_owned(), Instant::both);
    let mut facts = vec![
        ("Session", session.id.clone()),
        ("Status", output::status(session.status()).0.to_owned()),
        ("Schema", some(operated.schema_name)),
        ("Size", output::bytes(operated.schema_bytes)),
        ("Features", some(session.selected_features.join(", "))),
        ("Ignored", some(session.ignored_features.join(", "))),
        ("Modules", some(session.modules.join(", "))),
        ("Tier", session.tier.clone()),
        ("Template", some(session.template_slug.clone().unwrap_or_default())),
        ("Currency", session.currency.clone()),
        ("Network", operated.client_network),
        ("Created", both(session.created_at.as_ref())),
        ("Ready", both(session.ready_at.as_ref())),
        ("Last access", both(session.last_accessed_at.as_ref())),
        ("Expires", both(session.expires_at.as_ref())),
    ];
    if let Some(failure) = &session.failure {
        facts.push(("Failure", format!("{} ({})", failure.message, failure.code)));
    }
    let mut text: String = facts
        .iter()
        .map(|(name, value)| format!("{name:<12} {value}\n"))
        .collect();
    let mut table = output.table(["AT (UTC)", "", "WHAT", "WHY", "REPLICA"]);
    for happening in &described.history {
        let at = instant(happening.at.as_ref());
        table.row([
            at.map(Instant::absolute).unwrap_or_default().into(),
            at.map(Instant::relative).unwrap_or_default().into(),
            super::watch::what(happening).into(),
            happening.reason.clone().into(),
            happening.replica.clone().into(),
        ]);
    }
    text.push('\n');
    text.push_str(&table.text("Nothing is recorded of it."));
    text
}

fn some(text: String) -> String {
    if text.is_empty() { "-".to_owned() } else { text }
}

async fn end(mut clients: Clients, output: Output, ids: &[SessionId], reason: &str, yes: bool) -> Result<(), Failure> {
    let question = match ids {
        [id] => format!("End session {id} and throw its data away?"),
        _ => format!("End {} sessions and throw their data away?", ids.len()),
    };
    confirm(&question, yes)?;
    let (mut ended, mut failures) = (Vec::new(), Vec::new());
    for id in ids {
        let request = clients.ask(DropSessionRequest {
            session_id: id.to_string(),
            reason: reason.to_owned(),
        });
        match clients.operators.drop_session(request).await {
            Ok(answer) => ended.push((id, answer.into_inner().ended_now)),
            Err(status) => {
                let why = clients.failure(&status);
                let passing = why.is_passing();
                failures.push((id, why));
                // The next one would wait in vain too.
                if passing {
                    break;
                }
            }
        }
    }
    let word = |now: bool| if now { "ended" } else { "was over already" };
    output.show(
        || {
            ended
                .iter()
                .map(|(id, now)| format!("Session {id} {}.\n", word(*now)))
                .collect()
        },
        || {
            let all = ended
                .iter()
                .map(|(id, now)| json!({ "id": id.to_string(), "endedNow": now }));
            json!({ "sessions": all.collect::<Vec<_>>() })
        },
    )?;
    let left = ids.len() - ended.len();
    if ids.len() > 1 {
        for (id, why) in &failures {
            eprintln!("Session {id} was not ended: {why}");
        }
    }
    match failures.into_iter().next() {
        None => Ok(()),
        Some((_, why)) if ids.len() == 1 => Err(why),
        Some((_, why)) => Err(why.in_short(format!("{left} of {} sessions were not ended", ids.len()))),
    }
}

async fn extend(mut clients: Clients, output: Output, id: SessionId) -> Result<(), Failure> {
    let by = Some(SessionRef {
        by: Some(By::Id(id.to_string())),
    });
    let request = clients.ask(ExtendSessionRequest { session: by });
    let answer = clients.sessions.extend_session(request).await;
    let session = answer.map_err(|status| clients.failure(&status))?.into_inner().session;
    let expires = instant(session.as_ref().and_then(|session| session.expires_at.as_ref()));
    output.show(
        || {
            let until = expires.map_or_else(|| "-".to_owned(), Instant::both);
            format!("Session {id} expires {until}.\n")
        },
        || json!({ "id": id.to_string(), "expiresAt": expires.map(Instant::rfc3339) }),
    )
}
