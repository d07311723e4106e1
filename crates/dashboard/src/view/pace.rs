//! How often a log that nobody watches live gets a line.

/// Decides which lines are written, by given times.
///
/// Ends of trials are all written as long as they come slowly; thousands of short trials are summed up.
#[derive(Debug, Clone)]
pub struct LinePace {
    /// Lines that may be written at once.
    lines: f64,
    /// When `lines` was last brought up to date. Unit: seconds.
    counted_at: f64,
    /// When the last line was written. Unit: seconds.
    written_at: f64,
    /// Ends since the last line that were not written.
    skipped: u64,
}

impl Default for LinePace {
    fn default() -> Self {
        Self { lines: Self::BURST, counted_at: 0.0, written_at: 0.0, skipped: 0 }
    }
}

impl LinePace {
    /// So many lines may come at once.
    const BURST: f64 = 20.0;
    /// And then so many a second.
    const LINES_PER_SECOND: f64 = 1.0;

    /// Asks for a line about the end of a trial: none, or the number of ends skipped before it.
    pub fn end(&mut self, now_seconds: f64) -> Option<u64> {
        let seconds = (now_seconds - self.counted_at).max(0.0);
        self.lines = (self.lines + seconds * Self::LINES_PER_SECOND).min(Self::BURST);
        self.counted_at = now_seconds;
        if self.lines < 1.0 {
            self.skipped += 1;
            return None;
        }
        self.lines -= 1.0;
        self.written_at = now_seconds;
        Some(std::mem::take(&mut self.skipped))
    }

    /// Asks for a line that sums up the sweep: none, or the number of ends skipped before it.
    ///
    /// It comes when nothing was written for a while: 15 s at first, later a twentieth of the time run,
    /// at most 10 min, so that a night's log stays readable.
    pub fn summary(&mut self, now_seconds: f64) -> Option<u64> {
        let silence = (now_seconds / 20.0).clamp(15.0, 600.0);
        if now_seconds - self.written_at < silence {
            return None;
        }
        self.written_at = now_seconds;
        Some(std::mem::take(&mut self.skipped))
    }

    /// Returns the ends that were not written, once and for all.
    pub fn finish(self) -> u64 {
        self.skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_trials_are_all_written() {
        let mut pace = LinePace::default();
        for minute in 0..100 {
            assert_eq!(pace.end(f64::from(minute) * 60.0), Some(0));
        }
    }

    #[test]
    fn a_flood_is_summed_up() {
        let mut pace = LinePace::default();
        let written: Vec<u64> =
            (0..2000).filter_map(|trial| pace.end(f64::from(trial) * 0.005)).collect();
        assert_eq!(written.len(), 29, "a burst of 20, then one a second for 10 s");
        assert_eq!(written.iter().take(20).sum::<u64>(), 0);
        assert_eq!(written.iter().sum::<u64>() + written.len() as u64 + pace.finish(), 2000);
    }

    #[test]
    fn a_silent_sweep_is_summed_up_ever_more_rarely() {
        let mut pace = LinePace::default();
        let hour: Vec<u32> =
            (0..3600).filter(|second| pace.summary(f64::from(*second)).is_some()).collect();
        assert_eq!(hour.iter().take(3).copied().collect::<Vec<_>>(), [15, 30, 45]);
        assert_eq!(hour.len(), 67);
        let day = (3600..86_400).filter(|second| pace.summary(f64::from(*second)).is_some());
        assert!(day.count() < 200);
    }

    #[test]
    fn an_end_puts_off_the_summary() {
        let mut pace = LinePace::default();
        assert_eq!(pace.end(10.0), Some(0));
        assert_eq!(pace.summary(20.0), None);
        assert_eq!(pace.summary(25.0), Some(0));
    }
}
