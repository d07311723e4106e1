-- Trials beside the search (the defaults, probes, refits) are not counted with it.
--
-- Why: how far a sweep is, and whether it is done, is asked of its search. What stands beside it is looked up apart,
-- through an index of those few.

DROP TRIGGER trials_counted;

DROP TRIGGER trials_recounted;

CREATE TRIGGER trials_counted AFTER INSERT ON sweep_trials
WHEN NEW.kind NOT IN ('baseline', 'probe', 'refit')
BEGIN
    INSERT INTO trial_counts (sweep, state, trials, steps)
    VALUES (NEW.sweep, NEW.state, 1, NEW.total_steps)
    ON CONFLICT (sweep, state) DO UPDATE
    SET trials = trials + 1, steps = steps + excluded.steps;
END;

CREATE TRIGGER trials_recounted AFTER UPDATE OF state ON sweep_trials
WHEN NEW.state <> OLD.state AND NEW.kind NOT IN ('baseline', 'probe', 'refit')
BEGIN
    UPDATE trial_counts SET trials = trials - 1, steps = steps - OLD.total_steps
    WHERE sweep = OLD.sweep AND state = OLD.state;
    INSERT INTO trial_counts (sweep, state, trials, steps)
    VALUES (NEW.sweep, NEW.state, 1, NEW.total_steps)
    ON CONFLICT (sweep, state) DO UPDATE
    SET trials = trials + 1, steps = steps + excluded.steps;
END;

CREATE INDEX trials_beside ON sweep_trials (sweep, state) WHERE kind IN ('baseline', 'probe', 'refit');
