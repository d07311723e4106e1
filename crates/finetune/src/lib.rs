//! One fine-tune: data, batches, optimizer, schedule, loop, evaluation, checkpoint.

mod device;
mod job;
mod prepare;
mod train;

pub use device::{DeviceInfo, devices};
pub use job::{BestWeights, Control, Ending, FineTuneError, Job, Observer};
pub use prepare::{PrepareRequest, prepare};
pub use train::fine_tune;
