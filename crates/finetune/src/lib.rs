//! One fine-tune: data, batches, optimizer, schedule, loop, evaluation, checkpoint.
//!
//! A [`Job`] goes in, an [`Observer`] hears of every step, and an [`Ending`] or an error comes out.
//! Only numbers and strings cross this border: no type of Burn is part of it.
//!
//! Reading order: `train` is the loop, `start` what comes before it; `data` makes token numbers of
//! files, `order`, `batch`, `loss`, `gradients`, `optimizer` and `schedule` make a step, `evaluation` and
//! `travel` say where it led, `checkpoint` and `best` keep it. Afterwards: `trained` opens what was kept, `predict` and
//! `examination` ask it, `package` makes a folder of it that other programs open.
//!
//! # Exactness
//! A training that was stopped or killed and goes on from a checkpoint ends with the same bits as
//! one that was left alone: every random choice is a function of seeds and step, and no sum depends
//! on the number of threads. `train/seconds` is the only exception.

mod batch;
mod best;
mod checkpoint;
mod data;
mod device;
mod durable;
mod evaluation;
mod examination;
mod gradients;
mod hub;
mod job;
mod layer_groups;
mod loss;
mod loss_scale;
mod model_files;
mod optimizer;
mod order;
mod package;
mod permutation;
mod predict;
mod prepare;
mod regular_file;
mod schedule;
mod source;
mod start;
mod tokenizer_files;
mod train;
mod trained;
mod travel;
mod update_signals;
mod vocabulary;

pub use data::inspection::inspect;
pub use device::{DeviceInfo, Presence, class_of_panic, devices};
pub use examination::{Examination, Origin, Overlap, Scores, examine, test};
pub use job::{BestWeights, Control, Ending, FineTuneError, Job, Observer};
pub use package::{Package, Saved, save};
pub use predict::{Prediction, Texts};
pub use prepare::{PrepareRequest, prepare};
pub use train::fine_tune;
pub use trained::TrainedModel;
