//! The binary `converge-worker`.

fn main() {}
