//! The whole, as a user meets it: the real binary, its files and its database.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

/// Which crate may depend on which.
mod architecture;
/// What is wrong is told clearly, all at once, and nothing is lost or half-written.
mod bad_input;
/// How sure the best configuration is, whether two trials differ, and one look at the test split.
mod best;
/// Budgets are totals for a sweep's life: reached, they stop it, say so, and are raised without losing anything.
mod budgets;
/// `cancel` and `pause`: with a scheduler and without, and what is left of the trials.
mod cancel_and_pause;
/// What `plan` says of memory, and what `doctor --measure` finds.
mod capacity;
/// Other devices: which worker serves them, where its workers run, what is said when something is missing.
mod devices;
/// `why`: what kept trials from converging, and the page about it.
mod diagnosis;
/// Early stopping: who is promoted, who is stopped, and that it is said everywhere.
mod early_stopping;
/// `explain`: what mattered in a sweep, in words, tables and JSON.
mod explaining;
/// `export`: files and folders for other programs.
mod exports;
/// `extend`: a changed file adds trials, old ones stay what they are, and what cannot be compared is refused.
mod extension;
/// Failures: their classes, what is tried again and how, when too many stop the sweep, and what is kept of them.
mod failures;
/// `init`: from a data file to a sweep that runs as it is.
mod first_sweep;
/// Sweeps that get trials while they run: draws that follow results, seeds for what is tied for best, the baseline.
mod growing;
/// One scheduler to a home; homes that are read-only, full, or from a newer version.
mod homes;
/// Under which licences, and from where, all that is linked comes.
mod licences;
/// The page of all metrics.
mod metrics_page;
/// Before a search and after it: which learning rates are worth one, how long it will take, and what comes next.
mod probing;
/// Killed at any moment and resumed, a sweep ends as if nothing had happened.
mod resume;
/// `resume` as a plan: what it would do, and failed trials that are tried again.
mod resumption;
/// Sweep files beyond values: bases, enqueued configurations, constraints, overrides; editors and shells.
mod search_files;
/// From a sweep file to the best configuration, with every reading command on the way.
mod smoke;
/// A stranger's files, names and words: refused or shown, never obeyed; a home is its owner's alone.
mod strangers;
/// The sweep files of this repository.
mod sweep_files;
/// Every task from its file to the ranking: classes, sentence pairs, several labels, numbers.
mod tasks;
/// Databases that an earlier converge wrote.
mod upgrades;
/// What a home can do without, what is wrong with it, and a database from its logs.
mod upkeep;
mod watching;
/// What a sweep was run for: its best model, saved, asked, judged, and trained once more on all data.
mod winner;
