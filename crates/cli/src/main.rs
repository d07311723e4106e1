//! The binary `converge`.

fn main() {}
