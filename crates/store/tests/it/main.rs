//! The store as its callers see it, on real files; and the database as SQLite sees it.

mod apply;
mod durability;
mod filesystems;
mod histories;
mod home;
mod migrations;
mod reading;
mod sweeps;
mod views;
