//! The session's state machine: the only steps there are, and the words under which they are recorded.
//!
//! PENDING → PROVISIONING → READY → DROPPED, PROVISIONING → FAILED → DROPPED, PENDING → DROPPED,
//! PROVISIONING → DROPPED (control-plane.md section 2), READY → FAILED when the schema is gone (section 5). Each step is
//! one conditional UPDATE in `store.rs`: of two replicas that try, one wins and the other learns so.

use domain::SessionStatus::{self, Dropped, Failed, Pending, Provisioning, Ready};

/// A step: from any of some states to one.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Where it may start.
    pub from: &'static [SessionStatus],
    /// Where it leads.
    pub to: SessionStatus,
}

/// The provisioner is asked.
pub const BEGIN: Step = Step {
    from: &[Pending],
    to: Provisioning,
};
/// The schema is there.
pub const FINISH: Step = Step {
    from: &[Provisioning],
    to: Ready,
};
/// The provisioner refused for good.
pub const FAIL: Step = Step {
    from: &[Provisioning],
    to: Failed,
};
/// The provisioner does not have its schema any more.
pub const LOSE: Step = Step {
    from: &[Ready],
    to: Failed,
};
/// It is over. Also the undo of everything before.
pub const END: Step = Step {
    from: &[Pending, Provisioning, Ready, Failed],
    to: Dropped,
};

/// All steps.
pub const STEPS: [Step; 5] = [BEGIN, FINISH, FAIL, LOSE, END];

impl Step {
    /// The states it may start from, as the database spells them.
    #[must_use]
    pub fn from_words(&self) -> Vec<&'static str> {
        self.from.iter().map(|status| status.as_str()).collect()
    }
}

/// Why a step was taken, as recorded.
pub mod reason {
    /// A creation was admitted.
    pub const CREATED: &str = "created";
    /// The provisioner is asked: with the creation, or later when it was away or nobody wanted the session yet.
    pub const REQUESTED: &str = "preparation requested";
    /// The provisioner answered, with a pooled slot.
    pub const WARM: &str = "provisioned from the pool";
    /// The provisioner answered, with a slot made for it.
    pub const COLD: &str = "provisioned from nothing";
    /// Somebody who holds the token ended it.
    pub const ENDED: &str = "ended by its owner";
    /// An operator ended it.
    pub const OPERATOR: &str = "ended by an operator";
    /// Its time was over.
    pub const EXPIRED: &str = "expired";
    /// No traffic for too long.
    pub const IDLE: &str = "idle";
    /// The provisioner does not have its schema any more.
    pub const LOST: &str = "its schema is gone";
    /// The provisioner refused for good.
    pub const REFUSED: &str = "the provisioner refused";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_are_exactly_the_legal_transitions() {
        for from in SessionStatus::ALL {
            for to in SessionStatus::ALL {
                let taken = STEPS.iter().any(|step| step.to == to && step.from.contains(&from));
                assert_eq!(taken, from.can_become(to), "{from} to {to}");
            }
        }
    }
}
