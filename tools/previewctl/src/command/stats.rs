//! `previewctl stats`.

use proto::v1::{SessionStatus, StatsRequest, StatsResponse};
use serde_json::json;

use super::slots::levels;
use crate::{
    connection::Clients,
    failure::Failure,
    output::{self, Output},
};

pub async fn run(mut clients: Clients, output: Output) -> Result<(), Failure> {
    let request = clients.ask(StatsRequest {});
    let answer = clients.operators.stats(request).await;
    let stats = answer.map_err(|status| clients.failure(&status))?.into_inner();
    output.show(
        || text(&stats),
        || {
            json!({
                "sessions": stats.sessions_by_status,
                "live": live(&stats),
                "maxSchemas": stats.max_schemas,
                "createdLastHour": stats.created_last_hour,
                "pool": stats.pool.as_ref().map(output::pool),
            })
        },
    )
}

fn live(stats: &StatsResponse) -> u32 {
    let takes_room = [
        SessionStatus::Pending,
        SessionStatus::Provisioning,
        SessionStatus::Ready,
    ];
    let count = |status: SessionStatus| stats.sessions_by_status.get(output::status(status).0);
    takes_room.into_iter().filter_map(count).sum()
}

fn text(stats: &StatsResponse) -> String {
    let mut states: Vec<_> = stats.sessions_by_status.iter().collect();
    states.sort();
    let states: Vec<_> = states
        .iter()
        .map(|(status, count)| format!("{count} {status}"))
        .collect();
    let pool = match &stats.pool {
        Some(pool) => levels(pool),
        None => "Pool         unknown: the provisioner is away\n".to_owned(),
    };
    format!(
        "Live         {} of {} sessions\nRecorded     {}\nLast hour    {} created\n{pool}",
        live(stats),
        stats.max_schemas,
        states.join(", "),
        stats.created_last_hour,
    )
}
