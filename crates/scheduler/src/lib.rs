//! The loop: event, core decision, store, launcher.
