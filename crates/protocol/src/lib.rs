//! Frames between scheduler and worker: encode and decode over bytes, no I/O.
