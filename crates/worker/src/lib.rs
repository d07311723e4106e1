//! The process around one fine-tune: request in, signals, events to its log.
//!
//! [`infer`] answers questions about trained models and has nothing to do with the rest.
//! [`run`] is the whole life of a worker process. In reading order: what it is given
//! ([`Arguments`]), the loop that decides (`process`), what it hears (`ears`: door bell, `down.log`,
//! signals), what it says (`up_log`), the thread that works (`work`) and the trainer that only
//! pretends to (`scripted`).
//!
//! Five threads: the main thread decides and never computes; `work` trains; `up_log` writes;
//! `ears-stdin` and `ears-signals` listen. So a worker in the middle of a long step still hears that
//! its scheduler is gone, and a full disk does not stop a training before its next checkpoint.

mod arguments;
mod ears;
mod inference;
mod journal;
mod machine;
mod process;
mod scripted;
mod up_log;
mod work;

pub use arguments::{Arguments, Calling, UsageError};
pub use converge_finetune::{DeviceInfo, Presence, devices};
pub use inference::infer;
pub use process::run;
