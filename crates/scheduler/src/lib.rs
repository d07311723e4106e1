//! The scheduler: event, core decision, store, launcher.
//!
//! In reading order: [`reactor`] decides and does nothing; [`round`] is the order in which decisions are stored and
//! carried out; [`session`] carries events in and decisions out;
//! [`recovery`] reads what a dead scheduler's workers left behind, and [`foresight`] says what it would find there;
//! [`preparation`] has model and data checked before a sweep exists. Around them: [`home`] (the folder and its lock),
//! [`mailbox`] (a worker's two logs), [`launcher`] (the only place that starts or signals processes), [`housekeeping`]
//! (files that are no longer needed), [`usage`] (of the budget), [`machine`], [`oom_killer`], [`evidence`] and [`clock`]
//! (what is read from the outside), [`requests`] (what other commands ask of a running scheduler) and [`cancellation`]
//! (the same where none runs). After the fact: [`inventory`] (what lies in a home), [`surplus`] (what of it can go),
//! [`repair`] (what is wrong with it), [`rebuild`] (a database from the logs and the [`worker_notes`] beside them).

pub mod cancellation;
pub mod clock;
pub mod evidence;
pub mod foresight;
pub mod growing;
pub mod home;
pub mod housekeeping;
pub mod inventory;
pub mod launcher;
pub mod machine;
pub mod mailbox;
pub mod oom_killer;
pub mod preparation;
pub mod reactor;
pub mod rebuild;
pub mod recovery;
pub mod repair;
pub mod requests;
pub mod round;
pub mod session;
pub mod surplus;
pub mod trials;
pub mod usage;
pub mod worker_notes;
