//! Orders of everybody, for staff.

/// The resource's name; the orders themselves look at it to tell whose rows are asked for.
pub const NAME: &str = "admin-orders";
