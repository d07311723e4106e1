//! Numbers that name things; no two kinds can be confused.

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}

number!(
    /// A sweep of this home.
    SweepId(i64)
);
number!(
    /// A trial of this home: unique over all its sweeps.
    TrialId(i64)
);
number!(
    /// An attempt of this home: unique over all trials, never used again; the fence of late frames.
    AttemptId(i64)
);
number!(
    /// A worker process of this home.
    WorkerId(i64)
);
