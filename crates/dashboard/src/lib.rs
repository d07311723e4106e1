//! Read-only views folded from stored events: view (pure) and terminal.
