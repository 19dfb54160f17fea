//! What services share, seen from outside.

mod tls;
