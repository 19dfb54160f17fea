//! The services as processes.
