//! Vocabulary and decisions of converge: no I/O, no clock, no environment.
