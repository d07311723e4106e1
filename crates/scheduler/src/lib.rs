//! The scheduler: event, core decision, store, launcher.
//!
//! In reading order: [`reactor`] decides and does nothing; [`round`] is the order in which decisions are stored and
//! carried out; [`session`] carries events in and decisions out; [`recovery`] reads what a dead scheduler's workers left behind; [`preparation`] has model and data checked
//! before a sweep exists. Around them: [`home`] (the folder and its lock), [`mailbox`] (a worker's two logs),
//! [`launcher`] (the only place that starts or signals processes), [`housekeeping`] (files that are no longer
//! needed), [`machine`] and [`clock`] (what is read from the outside).

pub mod clock;
pub mod home;
pub mod housekeeping;
pub mod launcher;
pub mod machine;
pub mod mailbox;
pub mod preparation;
pub mod reactor;
pub mod recovery;
pub mod round;
pub mod session;
pub mod trials;
