//! Prints `docs/sweep-file.md`: `cargo run --release -p converge-core --example sweep_file_reference > docs/sweep-file.md`.

#![expect(clippy::print_stdout, reason = "that is what it is for")]

fn main() {
    print!("{}", converge_core::sweep_file::reference::reference());
}
