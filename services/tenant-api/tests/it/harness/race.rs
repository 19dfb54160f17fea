//! Races that happen. Requests that are merely sent together mostly run one after another: the pool has one warm
//! connection, and it is free again before a second one has been opened.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::task::JoinSet;

use super::Session;

impl Session {
    /// Runs requests of signed-in callers that are under way at the same time: each waits on a connection of its own,
    /// right before its first look at the database, until all of them do. No more than the pool has connections (16).
    pub async fn race<F, T>(&self, requests: impl IntoIterator<Item = F>) -> Result<Vec<T>>
    where
        F: Future<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        // Whoever is signed in is looked up here first.
        self.race_at("auth_sessions", requests).await
    }

    /// As [`Self::race`], for requests that wait right before their first look at this table.
    pub async fn race_at<F, T>(&self, table: &str, requests: impl IntoIterator<Item = F>) -> Result<Vec<T>>
    where
        F: Future<Output = Result<T>> + Send + 'static,
        T: Send + 'static,
    {
        let gate = self.host.database.connect().await?;
        let table = format!("{}.{table}", self.schema.quoted());
        gate.batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
            .await?;
        let mut running = JoinSet::new();
        for (place, request) in requests.into_iter().enumerate() {
            running.spawn(async move { request.await.map(|outcome| (place, outcome)) });
        }
        let waiting = format!("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass");
        for tries in 0.. {
            let count: i64 = gate.query_one(&waiting, &[]).await?.get(0);
            if count == i64::try_from(running.len())? {
                break;
            }
            ensure!(
                tries < 2000,
                "only {count} of {} requests came to the gate",
                running.len()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        gate.batch_execute("COMMIT").await?;
        let mut outcomes = running.join_all().await.into_iter().collect::<Result<Vec<_>>>()?;
        outcomes.sort_by_key(|(place, _)| *place);
        Ok(outcomes.into_iter().map(|(_, outcome)| outcome).collect())
    }
}
