//! `previewctl slots`.

use clap::{Subcommand, ValueEnum};
use proto::v1::{
    DrainAllRequest, ListSlotsRequest, OperatorServicePoolStatusRequest, OperatorServiceRecycleSlotRequest,
    OperatorServiceSetPoolTargetRequest, PoolStatusResponse, Slot, SlotState,
};
use serde_json::json;

use crate::{
    connection::Clients,
    failure::{Failure, Kind},
    output::{self, Cell, Output},
    prompt::confirm,
};

/// Slots of one call.
const PAGE: i32 = 200;

#[derive(Subcommand)]
pub enum Command {
    /// List slots by number
    #[command(after_help = "Examples:
  previewctl slots list
  previewctl slots list --state ready,gone")]
    List {
        /// Only these states, a comma list; without it all but empty ones
        #[arg(long, value_enum, ignore_case = true, value_delimiter = ',', value_name = "STATE")]
        state: Vec<State>,
    },
    /// Show the pool's levels, or change how many ready slots are kept
    #[command(after_help = "Examples:
  previewctl slots target
  previewctl slots target 20

The number is stored and wins over POOL_TARGET, also after a restart. 0 turns the pool off.")]
    Target {
        /// Ready slots to keep, 0 to 500
        number: Option<u32>,
    },
    /// Have a ready or gone slot dropped and the pool filled again; a slot that a session lives in stays
    #[command(after_help = "Example:\n  previewctl slots recycle 7")]
    Recycle {
        /// The slot's number
        slot: i32,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
    /// End all sessions that are there now, batch by batch, and have their slots emptied
    #[command(
        after_help = "Example:\n  previewctl slots drain --reason 'moving to another cluster' --yes

Visitors who arrive meanwhile get sessions: to stop that, take the gateway out first."
    )]
    Drain {
        /// Recorded with the sessions, up to 200 characters
        #[arg(long, default_value = "", value_name = "TEXT")]
        reason: String,
        /// Sessions of one batch
        #[arg(long, default_value_t = 50, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1000))]
        batch: u32,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

/// A state to filter by.
#[derive(Clone, Copy, ValueEnum)]
pub enum State {
    Empty,
    Preparing,
    Ready,
    Claimed,
    Gone,
}

impl State {
    fn wire(self) -> SlotState {
        match self {
            Self::Empty => SlotState::Empty,
            Self::Preparing => SlotState::Preparing,
            Self::Ready => SlotState::Ready,
            Self::Claimed => SlotState::Claimed,
            Self::Gone => SlotState::Gone,
        }
    }
}

impl Command {
    pub async fn run(self, mut clients: Clients, output: Output) -> Result<(), Failure> {
        match self {
            Self::List { state } => list(&mut clients, output, &state).await,
            Self::Target { number } => target(clients, output, number).await,
            Self::Recycle { slot, yes } => recycle(clients, output, slot, yes).await,
            Self::Drain { reason, batch, yes } => drain(clients, output, &reason, batch, yes).await,
        }
    }
}

async fn all(clients: &mut Clients) -> Result<Vec<Slot>, Failure> {
    let (mut slots, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = clients.ask(ListSlotsRequest {
            page_size: PAGE,
            page_token,
        });
        let page = clients.operators.list_slots(request).await;
        let page = page.map_err(|status| clients.failure(&status))?.into_inner();
        slots.extend(page.slots);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(slots);
        }
    }
}

async fn list(clients: &mut Clients, output: Output, states: &[State]) -> Result<(), Failure> {
    let wanted = |slot: &Slot| match states {
        [] => slot.state() != SlotState::Empty,
        states => states.iter().any(|state| state.wire() == slot.state()),
    };
    let slots: Vec<Slot> = all(clients).await?.into_iter().filter(wanted).collect();
    output.show(
        || {
            let mut table = output.table(["SLOT", "STATE", "SCHEMA", "SIZE", "SESSION", "MODULES"]);
            for slot in &slots {
                let (state, colour) = output::slot_state(slot.state());
                table.row([
                    slot.id.to_string().into(),
                    Cell::coloured(state, colour),
                    slot.schema_name.clone().into(),
                    output::bytes(slot.bytes).into(),
                    slot.session_id.clone().into(),
                    slot.modules.join(",").into(),
                ]);
            }
            table.text("No slots.")
        },
        || json!({ "slots": slots.iter().map(output::slot).collect::<Vec<_>>() }),
    )
}

async fn target(mut clients: Clients, output: Output, number: Option<u32>) -> Result<(), Failure> {
    let status = match number {
        Some(target) => {
            let request = clients.ask(OperatorServiceSetPoolTargetRequest { target });
            let answer = clients.operators.set_pool_target(request).await;
            answer.map_err(|status| clients.failure(&status))?.into_inner().status
        }
        None => {
            let request = clients.ask(OperatorServicePoolStatusRequest {});
            let answer = clients.operators.pool_status(request).await;
            answer.map_err(|status| clients.failure(&status))?.into_inner().status
        }
    };
    let status = status.unwrap_or_default();
    output.show(|| levels(&status), || output::pool(&status))
}

/// The pool's levels in one line.
pub fn levels(pool: &PoolStatusResponse) -> String {
    format!(
        "Pool         {} of {} ready, {} preparing, {} claimed, {} gone, {} empty\n",
        pool.ready, pool.target, pool.preparing, pool.claimed, pool.gone, pool.empty
    )
}

async fn recycle(mut clients: Clients, output: Output, number: i32, yes: bool) -> Result<(), Failure> {
    let slots = all(&mut clients).await?;
    let slot = slots.iter().find(|slot| slot.id == number);
    let Some(slot) = slot else {
        return Err(Failure::new(Kind::NotFound, format!("There is no slot {number}.")));
    };
    if slot.schema_name.is_empty() {
        return Err(Failure::new(
            Kind::State,
            format!("Slot {number} has no schema to make anew."),
        ));
    }
    // A claimed one is refused by the other side, which knows better than this list.
    if slot.state() != SlotState::Claimed {
        confirm(&format!("Drop schema {} of slot {number}?", slot.schema_name), yes)?;
    }
    let request = clients.ask(OperatorServiceRecycleSlotRequest {
        slot_id: number,
        schema_name: slot.schema_name.clone(),
    });
    let answer = clients.operators.recycle_slot(request).await;
    let begun = answer.map_err(|status| clients.failure(&status))?.into_inner().begun;
    let word = if begun {
        "is dropped and the pool filled again"
    } else {
        "is on its way already"
    };
    output.show(
        || format!("Slot {number}: {} {word}.\n", slot.schema_name),
        || json!({ "slot": number, "schema": slot.schema_name, "begun": begun }),
    )
}

async fn drain(mut clients: Clients, output: Output, reason: &str, batch: u32, yes: bool) -> Result<(), Failure> {
    confirm("End all sessions and throw their data away?", yes)?;
    let (mut ended, mut created_until) = (0, None);
    let remaining = loop {
        let request = clients.ask(DrainAllRequest {
            reason: reason.to_owned(),
            most: batch,
            created_until,
        });
        let answer = clients.operators.drain_all(request).await;
        let answer = answer.map_err(|status| clients.failure(&status))?.into_inner();
        ended += answer.ended;
        created_until = answer.created_until;
        if answer.remaining == 0 || answer.ended == 0 {
            break answer.remaining;
        }
        if output.is_for_people() {
            eprintln!("{ended} ended, {} to go", answer.remaining);
        }
    };
    output.show(
        || format!("{ended} sessions ended, {remaining} remain.\n"),
        || json!({ "ended": ended, "remaining": remaining }),
    )
}
