//! Every step that was seen, and which of them were struck.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use devstack::stack::Service;
use e2e::proxy::{Cut, Judge, Step};
use tokio::sync::mpsc;

/// How the names of links to the database end.
const POSTGRESQL: &str = "PostgreSQL";

/// What happens at each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its connection is cut; the process goes on.
    Cut,
    /// The process is killed.
    Kill,
}

/// All steps of sessions and slots, and what their statement is known by. Each must have been committed without that
/// anybody was told.
pub const STEPS: [(&str, &str); 29] = [
    ("a creation is admitted", "WITH known AS ( SELECT session_id"),
    ("a deferred session is asked for", "SET deferred = false WHERE id"),
    ("a preparation begins", "SET status = 'PROVISIONING'"),
    (
        "a preparation is taken up again",
        "SET worked_at = $0 WHERE id IN ( SELECT id FROM control.sessions WHERE status IN ('PEN",
    ),
    ("a slot is claimed", "RENAME TO \"preview_0\""),
    ("a session is READY", "SET status = 'READY'"),
    ("a session fails", "SET status = 'FAILED'"),
    ("a heartbeat", "SET last_accessed_at"),
    ("traffic is noted", "WITH seen AS"),
    ("a module met for the first time is seeded", "SET modules = modules"),
    ("features change", "WITH target AS ( SELECT id, (selected_features"),
    ("the end is moved", "WITH target AS ( SELECT id, expires_at AS was"),
    ("a restart begins", "SET restarting_since = $0"),
    ("a restart is over", "SET restarting_since = NULL"),
    ("a session is ended", "WITH target AS ( SELECT id, status AS was"),
    ("sessions are ended by time", "WITH due AS"),
    ("a schema loses its name", "RENAME TO \"slot_0_0\""),
    ("a drop is noted", "SET drop_due = false"),
    ("roles are made", "CREATE ROLE"),
    ("a slot is reserved", "SET state = 'preparing'"),
    ("a slot is made", "CREATE SCHEMA \"slot_0_0\""),
    ("a slot is ready", "SET state = 'ready', imprint"),
    ("a slot is furnished", "UPDATE provisioner.slots SET modules = '{"),
    ("a slot is emptied", "DELETE FROM uploads"),
    ("a slot is recycled", "SET state = 'ready', attempts"),
    ("a slot is discarded", "SET discard = true"),
    ("a slot is surplus", "SET state = 'gone', discard = true"),
    ("tables of a slot are dropped", "› DROP TABLE"),
    ("a slot is dropped", "DROP SCHEMA"),
];

/// A step of one process, and the way in which it is interrupted.
pub type Point = (&'static str, String, Cut);

/// The steps of all links.
pub struct Steps {
    fault: Fault,
    state: Mutex<State>,
    struck: mpsc::UnboundedSender<Service>,
}

#[derive(Default)]
struct State {
    armed: bool,
    /// A process is being killed.
    busy: bool,
    /// What the visitor does, for requests between processes, which do not tell.
    doing: &'static str,
    requests: usize,
    /// In the order in which they were struck.
    points: Vec<Point>,
    seen: BTreeSet<Point>,
}

impl Steps {
    /// None seen yet. The receiver hears which process is to be killed.
    pub fn new(fault: Fault) -> (Arc<Self>, mpsc::UnboundedReceiver<Service>) {
        let (struck, kills) = mpsc::unbounded_channel();
        let state = Mutex::default();
        (Arc::new(Self { fault, state, struck }), kills)
    }

    /// The judge over the messages of one process.
    pub fn of(self: &Arc<Self>, service: Service, link: &'static str) -> Arc<Link> {
        Arc::new(Link {
            steps: self.clone(),
            service,
            link,
        })
    }

    /// What is done to steps.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// From now on, or no longer.
    pub fn arm(&self, armed: bool) {
        self.state().armed = armed;
    }

    /// The killed process is on its way again.
    pub fn recovered(&self) {
        self.state().busy = false;
    }

    /// What the visitor does now.
    pub fn doing(&self, what: &'static str) {
        let mut state = self.state();
        state.doing = what;
        state.requests = 0;
    }

    /// The points that were struck, in order.
    pub fn points(&self) -> Vec<Point> {
        self.state().points.clone()
    }

    /// Those of [`STEPS`] of which no answer was lost.
    pub fn missed(&self) -> Vec<&'static str> {
        let state = self.state();
        let met = |mark: &str| {
            let mut points = state.points.iter();
            points.any(|(_, text, cut)| *cut == Cut::Answer && text.contains(mark))
        };
        let missed = STEPS.iter().filter(|(_, mark)| !met(mark));
        missed.map(|(name, _)| *name).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The messages of one process to one other part.
pub struct Link {
    steps: Arc<Steps>,
    service: Service,
    link: &'static str,
}

impl Link {
    fn text(&self, state: &mut State, step: &Step) -> String {
        if self.link.ends_with(POSTGRESQL) {
            return step.text.clone();
        }
        // More requests for one thing are repeats.
        state.requests = (state.requests + 1).min(4);
        format!("{} {} of {}", step.text, state.requests, state.doing)
    }
}

impl Judge for Link {
    fn judge(&self, step: &Step) -> Option<Cut> {
        let mut state = self.steps.state();
        if !state.armed || state.busy {
            return None;
        }
        let text = self.text(&mut state, step);
        let lost_for_good = step.ends && step.writes;
        let cuts: &[Cut] = match self.steps.fault {
            // An answer that tells nothing new may as well be a request that did not arrive.
            Fault::Cut if lost_for_good => &[Cut::Request, Cut::Answer],
            Fault::Cut => &[Cut::Request],
            // Whatever was not committed is rolled back: one kill before the commit stands for all. A request to the
            // provisioner comes right after a commit of the one, and right before a commit of the other.
            Fault::Kill if lost_for_good && self.link.ends_with(POSTGRESQL) => &[Cut::Request, Cut::Answer],
            Fault::Kill => return None,
        };
        for cut in cuts {
            let point = (self.link, text.clone(), *cut);
            if state.seen.insert(point.clone()) {
                state.points.push(point);
                state.busy = self.steps.fault == Fault::Kill;
                return Some(*cut);
            }
        }
        None
    }

    fn struck(&self, _: &Step, _: Cut) -> bool {
        let kill = self.steps.fault == Fault::Kill;
        if kill {
            let _ = self.steps.struck.send(self.service);
        }
        kill
    }
}
