//! What operators rely on: settings, probes, logs, traces, figures, and a stop that finishes what is under way.

mod collector;
mod configuration;
mod logs;
mod probes;
mod shutdown;
mod tls;
mod traces;
