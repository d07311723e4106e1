//! Two simulated clocks: one only goes forward, the other jumps as people and time servers set it.

/// The clocks of the machine.
#[derive(Debug)]
pub(crate) struct Clock {
    /// Milliseconds since some beginning.
    pub(crate) now: i64,
    wall: i64,
    /// The wall clock is left alone: nothing that is decided may differ for it.
    steady: bool,
}

impl Clock {
    pub(crate) fn new(steady: bool) -> Self {
        Self { now: 0, wall: 1_700_000_000_000, steady }
    }

    /// Returns the time of day, for the record. Unit: milliseconds since 1970.
    pub(crate) fn unix_ms(&self) -> i64 {
        self.wall + self.now
    }

    /// Sets the wall clock forward, or back.
    pub(crate) fn jump(&mut self, by: i64) {
        if !self.steady {
            self.wall += by;
        }
    }
}
