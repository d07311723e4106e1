-- What was said of each validation example, and the test values that were looked at.
--
-- Why: whether one configuration is better than another is told by comparing them example by example. A blob of a
-- kilobyte fits a page of a table with a rowid three times; of one without, it would take a page of its own.
-- A test value is computed for a chosen trial, after the choice: it is kept apart from what the choice is made by.

CREATE TABLE item_results (
    id INTEGER PRIMARY KEY,
    attempt INTEGER NOT NULL REFERENCES attempts (id),
    step INTEGER NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (attempt, step)
) STRICT;

CREATE TABLE test_values (
    id INTEGER PRIMARY KEY,
    trial INTEGER NOT NULL REFERENCES sweep_trials (id),
    step INTEGER NOT NULL,
    metric TEXT NOT NULL CHECK (metric <> ''),
    value REAL,
    examples INTEGER NOT NULL CHECK (examples >= 1),
    look INTEGER NOT NULL CHECK (look >= 1),
    at_ms INTEGER NOT NULL,
    UNIQUE (trial, look, metric)
) STRICT;
