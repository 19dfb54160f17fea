//! A small HTTP client for loopback: whole bodies, no TLS.
