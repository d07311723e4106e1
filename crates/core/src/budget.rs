//! Budgets of a sweep: totals for its whole life, and what has been used of them.
//!
//! What counts. Wall time: from the opening of each session to its end, the start of workers and pauses between
//! trials included; the check of model and data before a session does not count, nor does time in which no
//! scheduler ran. A session that was killed counts up to its workers' last word. Steps: those of every attempt,
//! failed and repeated ones included: work that was done is work that was paid for.

use serde::{Deserialize, Serialize};

/// `[budget]`: totals, never "so many more".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Configurations in all; random sweeps need it.
    pub max_trials: Option<u64>,
    /// Time that a scheduler works on the sweep.
    pub max_wall: Option<WallTime>,
    /// Optimizer updates of all attempts.
    pub max_steps: Option<u64>,
}

/// A length of time as a sweep file writes it: `8h`, `90m`, `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WallTime {
    seconds: u64,
}

/// A text that is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no length of time; write \"8h\", \"90m\", \"1h30m\" or \"45s\"")]
pub struct NoWallTime(String);

/// What a sweep has used, over all its sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Time that sessions were open. Unit: milliseconds.
    pub wall_ms: u64,
    /// Steps of all attempts.
    pub steps: u64,
}

/// A budget, and what was used of it before a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowance {
    /// The totals.
    pub budget: Budget,
    /// What earlier sessions used.
    pub used: Usage,
}

/// A total that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exhausted {
    /// `max_wall`.
    Wall {
        /// The total.
        limit: WallTime,
        /// Unit: milliseconds.
        used_ms: u64,
    },
    /// `max_steps`.
    Steps {
        /// The total.
        limit: u64,
        /// Steps.
        used: u64,
    },
}

/// Units of a length of time, largest first, with their seconds.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3600), ('m', 60), ('s', 1)];

impl Budget {
    /// Returns the totals that are reached.
    pub fn exhausted(&self, used: Usage) -> Vec<Exhausted> {
        let wall = self.max_wall.filter(|limit| used.wall_ms >= limit.milliseconds());
        let steps = self.max_steps.filter(|limit| used.steps >= *limit);
        let wall = wall.map(|limit| Exhausted::Wall { limit, used_ms: used.wall_ms });
        let steps = steps.map(|limit| Exhausted::Steps { limit, used: used.steps });
        wall.into_iter().chain(steps).collect()
    }
}

impl WallTime {
    /// Makes a length of time; zero is none.
    pub fn from_seconds(seconds: u64) -> Option<Self> {
        (seconds > 0).then_some(Self { seconds })
    }

    /// Returns it in seconds.
    pub fn seconds(self) -> u64 {
        self.seconds
    }

    /// Returns it in milliseconds.
    pub fn milliseconds(self) -> u64 {
        self.seconds.saturating_mul(1000)
    }
}

impl std::str::FromStr for WallTime {
    type Err = NoWallTime;

    /// Reads whole numbers with a unit each, larger units first: `1d`, `1h30m`.
    fn from_str(text: &str) -> Result<Self, NoWallTime> {
        let refused = || NoWallTime(text.to_string());
        let (mut rest, mut seconds, mut units) = (text.trim(), 0u64, UNITS.as_slice());
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(refused)?;
            let count: u64 = rest[..end].parse().map_err(|_| refused())?;
            let unit = rest[end..].chars().next().ok_or_else(refused)?;
            let place = units.iter().position(|(name, _)| *name == unit).ok_or_else(refused)?;
            let more = count.checked_mul(units[place].1).ok_or_else(refused)?;
            seconds = seconds.checked_add(more).ok_or_else(refused)?;
            units = &units[place + 1..];
            rest = &rest[end + unit.len_utf8()..];
        }
        Self::from_seconds(seconds).ok_or_else(refused)
    }
}

impl std::fmt::Display for WallTime {
    /// As a sweep file would write it.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut rest = self.seconds;
        for (name, length) in UNITS {
            if rest >= length {
                write!(formatter, "{}{name}", rest / length)?;
                rest %= length;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for WallTime {
    type Error = NoWallTime;

    fn try_from(text: String) -> Result<Self, NoWallTime> {
        text.parse()
    }
}

impl From<WallTime> for String {
    fn from(time: WallTime) -> Self {
        time.to_string()
    }
}

impl Exhausted {
    /// Returns the override that doubles the total.
    pub fn raised(&self) -> String {
        match self {
            Self::Wall { limit, .. } => {
                let more = WallTime { seconds: limit.seconds.saturating_mul(2) };
                format!("budget.max_wall={more}")
            }
            Self::Steps { limit, .. } => format!("budget.max_steps={}", limit.saturating_mul(2)),
        }
    }
}

impl std::fmt::Display for Exhausted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wall { limit, used_ms } => {
                let used = WallTime { seconds: used_ms / 1000 };
                write!(formatter, "the budget `max_wall` is used up ({used} of {limit})")
            }
            Self::Steps { limit, used } => {
                write!(formatter, "the budget `max_steps` is used up ({used} of {limit} steps)")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_and_written() {
        for (text, seconds, written) in [
            ("8h", 28_800, "8h"),
            ("90m", 5400, "1h30m"),
            ("1h30m", 5400, "1h30m"),
            (" 45s ", 45, "45s"),
            ("1d1s", 86_401, "1d1s"),
            ("36h", 129_600, "1d12h"),
        ] {
            let time: WallTime = text.parse().unwrap();
            assert_eq!((time.seconds(), time.to_string().as_str()), (seconds, written));
            assert_eq!(written.parse(), Ok(time));
        }
        for text in
            ["", "8", "h", "8 h", "-1h", "1.5h", "0s", "1h1h", "30m1h", "8x", "99999999999999999d"]
        {
            assert!(text.parse::<WallTime>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_total_is_reached_when_it_is_used_to_the_last() {
        let budget = Budget { max_trials: None, max_wall: "1m".parse().ok(), max_steps: Some(100) };
        let words = |wall_ms, steps| {
            let reached = budget.exhausted(Usage { wall_ms, steps });
            reached.iter().map(Exhausted::raised).collect::<Vec<_>>()
        };
        assert_eq!(words(59_999, 99), Vec::<String>::new());
        assert_eq!(words(60_000, 99), ["budget.max_wall=2m"]);
        assert_eq!(words(0, 100), ["budget.max_steps=200"]);
        assert_eq!(words(61_000, 130).len(), 2);
        assert_eq!(Budget::default().exhausted(Usage { wall_ms: u64::MAX, steps: u64::MAX }), []);
    }

    #[test]
    fn a_budget_is_stored_as_it_is_written_and_older_ones_are_read() {
        let budget = Budget { max_trials: Some(3), max_wall: "90m".parse().ok(), max_steps: None };
        let text = serde_json::to_string(&budget).unwrap();
        assert_eq!(text, r#"{"max_trials":3,"max_wall":"1h30m","max_steps":null}"#);
        assert_eq!(serde_json::from_str::<Budget>(&text).unwrap(), budget);
        let older: Budget = serde_json::from_str(r#"{"max_trials":3}"#).unwrap();
        assert_eq!(older, Budget { max_wall: None, ..budget });
    }
}
