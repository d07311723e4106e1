-- What is asked of a home with a hundred thousand finished trials, kept where it is found at once: the order of
-- configurations, how many trials are in each state, and which few of the finished ones still have files.
--
-- Why: `best` and `status` read every trial to answer, and so did `resume` before it started the first one. The
-- order of configurations is kept by the writer, since its rule is the program's (`core::ranking`), which fills
-- the table after this file. Counts are kept by triggers, so that they hold whoever writes a state.

CREATE TABLE configurations (
    trial INTEGER PRIMARY KEY REFERENCES trials (id),
    sweep INTEGER NOT NULL REFERENCES sweeps (id),
    first_trial INTEGER NOT NULL CHECK (first_trial >= 1),
    mean REAL,
    cost REAL,
    CHECK (cost IS NULL OR mean IS NOT NULL)
) STRICT;

CREATE INDEX configurations_ranked ON configurations (sweep, cost, first_trial);

CREATE TABLE trial_counts (
    sweep INTEGER NOT NULL REFERENCES sweeps (id),
    state TEXT NOT NULL,
    trials INTEGER NOT NULL CHECK (trials >= 0),
    steps INTEGER NOT NULL CHECK (steps >= 0),
    PRIMARY KEY (sweep, state)
) STRICT, WITHOUT ROWID;

INSERT INTO trial_counts (sweep, state, trials, steps)
SELECT sweep, state, count(*), sum(total_steps) FROM trials GROUP BY sweep, state;

CREATE TRIGGER trials_counted AFTER INSERT ON trials
BEGIN
    INSERT INTO trial_counts (sweep, state, trials, steps)
    VALUES (NEW.sweep, NEW.state, 1, NEW.total_steps)
    ON CONFLICT (sweep, state) DO UPDATE
    SET trials = trials + 1, steps = steps + excluded.steps;
END;

CREATE TRIGGER trials_recounted AFTER UPDATE OF state ON trials
WHEN NEW.state <> OLD.state
BEGIN
    UPDATE trial_counts SET trials = trials - 1, steps = steps - OLD.total_steps
    WHERE sweep = OLD.sweep AND state = OLD.state;
    INSERT INTO trial_counts (sweep, state, trials, steps)
    VALUES (NEW.sweep, NEW.state, 1, NEW.total_steps)
    ON CONFLICT (sweep, state) DO UPDATE
    SET trials = trials + 1, steps = steps + excluded.steps;
END;

CREATE INDEX attempts_of_worker ON attempts (worker);

CREATE INDEX trials_with_checkpoint ON trials (sweep) WHERE resume_step IS NOT NULL;

CREATE INDEX trials_with_weights ON trials (sweep) WHERE best_weights_step IS NOT NULL;

DROP VIEW best_configuration;

DROP INDEX trials_ranked;

-- A `+` keeps SQLite from an index that it takes for better than that of the fingerprint.
CREATE VIEW best_configuration AS
SELECT
    sweeps.name AS sweep,
    best.configuration AS configuration,
    best.fingerprint AS fingerprint,
    sweeps.objective_metric AS objective,
    sweeps.objective_goal AS goal,
    configurations.mean AS mean,
    (
        SELECT min(trials.objective_value) FROM trials
        WHERE trials.sweep = best.sweep AND trials.fingerprint = best.fingerprint
    ) AS min,
    (
        SELECT max(trials.objective_value) FROM trials
        WHERE trials.sweep = best.sweep AND trials.fingerprint = best.fingerprint
    ) AS max,
    (
        SELECT count(*) FROM trials
        WHERE trials.sweep = best.sweep
            AND trials.fingerprint = best.fingerprint
            AND +trials.state = 'completed'
    ) AS replicates,
    (
        SELECT count(*) FROM trials
        WHERE trials.sweep = best.sweep
            AND trials.fingerprint = best.fingerprint
            AND +trials.state = 'diverged'
    ) AS diverged_replicates,
    (
        SELECT json_group_array(number)
        FROM (
            SELECT trials.number AS number
            FROM trials
            WHERE trials.sweep = best.sweep
                AND trials.fingerprint = best.fingerprint
                AND +trials.state = 'completed'
            ORDER BY +trials.number
        )
    ) AS trials,
    best.number AS best_trial,
    best.objective_step AS best_step,
    best.best_weights_directory AS best_weights_directory
FROM sweeps
JOIN configurations ON configurations.trial = coalesce(
    (
        SELECT ranked.trial FROM configurations AS ranked
        WHERE ranked.sweep = sweeps.id AND ranked.cost IS NOT NULL
        ORDER BY ranked.cost, ranked.first_trial
        LIMIT 1
    ),
    (
        SELECT unsound.trial
        FROM configurations AS unsound
        JOIN sweeps AS own ON own.id = unsound.sweep
        WHERE unsound.sweep = sweeps.id AND unsound.cost IS NULL AND unsound.mean IS NOT NULL
        ORDER BY
            CASE own.objective_goal WHEN 'maximize' THEN -unsound.mean ELSE unsound.mean END,
            unsound.first_trial
        LIMIT 1
    )
)
JOIN trials AS best ON best.id = (
    SELECT replicate.id
    FROM trials AS named
    JOIN sweeps AS own ON own.id = named.sweep
    JOIN trials AS replicate
        ON replicate.sweep = named.sweep AND replicate.fingerprint = named.fingerprint
    WHERE named.id = configurations.trial AND +replicate.state = 'completed'
    ORDER BY
        CASE own.objective_goal
            WHEN 'maximize' THEN -replicate.objective_value
            ELSE replicate.objective_value
        END,
        replicate.number
    LIMIT 1
);
