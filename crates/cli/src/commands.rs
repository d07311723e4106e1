//! One file for each command.

pub(crate) mod best;
pub(crate) mod cancel;
pub(crate) mod curve;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod extend;
pub(crate) mod gc;
pub(crate) mod measure;
pub(crate) mod pause;
pub(crate) mod plan;
pub(crate) mod rebuild;
pub(crate) mod repair;
pub(crate) mod resume;
pub(crate) mod run;
pub(crate) mod show;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod trials;
pub(crate) mod watch;
pub(crate) mod worker;
