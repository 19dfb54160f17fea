//! Taking a slot out by hand, to have it made anew.

use super::{
    Slots,
    store::{self, State},
};
use crate::error::Error;

/// What became of the wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// The schema is being dropped; the pool is filled again.
    Begun,
    /// The slot has another schema by now, or none.
    Done,
    /// A session lives in it.
    Claimed,
    /// There is no such slot.
    Unknown,
}

impl Slots {
    /// Takes a ready or gone slot out. Names of schemas never repeat, so a repeat finds nothing to do.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn renew(&self, id: i32, schema: &str) -> Result<Renewal, Error> {
        let connection = self.database.connection().await?;
        // A claim that is under way holds the row: this waits for it and then finds another state.
        let taken = connection
            .execute(
                "UPDATE provisioner.slots SET state = 'gone', discard = true, attempts = 0, retry_at = '-infinity',
                    updated_at = now()
                 WHERE id = $1 AND schema_name = $2 AND (state = 'ready' OR state = 'gone' AND NOT discard)",
                &[&id, &schema],
            )
            .await?;
        if taken == 1 {
            self.metrics.emptied("renewed");
            self.ended.notify_one();
            self.fill.notify_one();
            return Ok(Renewal::Begun);
        }
        Ok(match store::find(&connection, id).await? {
            None => Renewal::Unknown,
            Some(slot) if slot.state == State::Claimed => Renewal::Claimed,
            Some(_) => Renewal::Done,
        })
    }
}
