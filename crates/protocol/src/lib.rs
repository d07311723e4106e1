//! Frames between scheduler and worker: encode and decode over bytes, no I/O.
//!
//! The two halves talk through two files in the worker's own folder, each with one writer for ever:
//! `up.log` (worker to scheduler, [`message::Up`]) and `down.log` (scheduler to worker,
//! [`message::Down`]). The scheduler makes both, empty, before it starts the worker.
//! A file is a row of frames, one to a line: `<seq> <crc32 of seq and JSON> <JSON>\n`, seq from 1
//! without gaps, appended in whole lines ([`frame::Writer`] says what bytes, the caller writes them).
//! After a short write the writer ends the torn line with `~\n` and repeats the same seq.
//! A reader keeps two numbers, the next seq and an offset ([`frame::Reader`]); it stores them together
//! with what the frames caused, so a crash on either side neither loses a frame nor takes one twice.
//! Torn lines and repeats are skipped; a seq too high or NULs mean "not visible yet": the reader holds.
//! Files are the truth; pipes are only door bells. A byte to the worker's stdin says "look at
//! `down.log`", a byte from its stdout "look at `up.log`"; the end of stdin says "the scheduler is gone".
//! A worker speaks first ([`message::Up::Born`]), works on one thing at a time, and leaves with
//! [`message::Up::Bye`].
//!
//! A worker that is asked about a trained model ([`inference`]) has no folder and no logs: one line with the question on
//! its stdin, lines with answers on its stdout. Nothing of it has to survive anything.

pub mod frame;
pub mod inference;
pub mod message;
pub mod number;
