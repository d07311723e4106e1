//! The process around one fine-tune: request in, signals, events to its log.
