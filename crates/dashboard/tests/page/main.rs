//! The page as a browser has it: a real server on a loopback port, asked over TCP.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod answers;
mod guard;
mod live;
mod support;
mod thinning;
