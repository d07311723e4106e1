//! The store as its callers see it, on real files; and the database as SQLite sees it.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests too")]

mod apply;
mod configurations;
mod durability;
mod filesystems;
mod fixtures;
mod histories;
mod home;
mod items;
mod migrations;
mod optuna;
mod page;
mod reading;
mod records;
mod rungs;
mod sweeps;
mod views;
mod watched;
