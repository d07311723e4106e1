//! Defects that tests switch on.

/// A known defect, each in one place of the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// A log's offset is committed in another transaction than the rows made from it.
    OffsetApart,
    /// Frames of attempts that are over are taken.
    NoFence,
    /// A checkpoint gets its name before its files are synced.
    RenameBeforeSync,
    /// A worker begins in a folder where another has written.
    NoBornCheck,
    /// A point of the grid may be stored twice.
    NoUniqueGrid,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::OffsetApart,
        Self::NoFence,
        Self::RenameBeforeSync,
        Self::NoBornCheck,
        Self::NoUniqueGrid,
    ];

    /// The word for it, as `CONVERGE_MUTANT` takes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::OffsetApart => "offset_apart",
            Self::NoFence => "no_fence",
            Self::RenameBeforeSync => "rename_before_sync",
            Self::NoBornCheck => "no_born_check",
            Self::NoUniqueGrid => "no_unique_grid",
        }
    }
}

#[cfg(feature = "enabled")]
mod switch {
    use std::sync::OnceLock;

    use super::Mutant;

    static ON: OnceLock<Option<Mutant>> = OnceLock::new();

    /// Switches a mutant on in this process, for good; before anything asked for it.
    ///
    /// # Panics
    /// If another one, or none, was settled before.
    pub fn switch_on(mutant: Mutant) {
        let on = *ON.get_or_init(|| Some(mutant));
        assert_eq!(on, Some(mutant), "it is settled already which mutant is on");
    }

    /// Returns whether the defect is to be shown: switched on here, or named by `CONVERGE_MUTANT`.
    pub fn is_on(mutant: Mutant) -> bool {
        let named = || {
            let word = std::env::var("CONVERGE_MUTANT").ok()?;
            Mutant::ALL.into_iter().find(|mutant| mutant.word() == word)
        };
        *ON.get_or_init(named) == Some(mutant)
    }
}

#[cfg(not(feature = "enabled"))]
mod switch {
    use super::Mutant;

    /// Does nothing: this build has no mutants.
    pub fn switch_on(_: Mutant) {}

    /// Returns false: this build has no mutants.
    #[inline]
    pub fn is_on(_: Mutant) -> bool {
        false
    }
}

pub use switch::{is_on, switch_on};
