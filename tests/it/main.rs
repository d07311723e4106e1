//! The whole, as a user meets it: the real binary, its files and its database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

/// Which crate may depend on which.
mod architecture;
/// What is wrong is told clearly, all at once, and nothing is lost or half-written.
mod bad_input;
/// What `plan` says of memory, and what `doctor --measure` finds.
mod capacity;
/// Other devices: which worker serves them, where its workers run, what is said when something is missing.
mod devices;
/// One scheduler to a home; homes that are read-only, full, or from a newer version.
mod homes;
/// Under which licences, and from where, all that is linked comes.
mod licences;
/// Killed at any moment and resumed, a sweep ends as if nothing had happened.
mod resume;
/// From a sweep file to the best configuration, with every reading command on the way.
mod smoke;
/// A stranger's files, names and words: refused or shown, never obeyed; a home is its owner's alone.
mod strangers;
/// The sweep files of this repository.
mod sweep_files;
/// Databases that an earlier converge wrote.
mod upgrades;
/// What a home can do without, what is wrong with it, and a database from its logs.
mod upkeep;
