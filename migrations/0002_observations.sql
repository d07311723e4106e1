-- What was seen: metrics, observations, their extremes, and the views for people with pandas or DuckDB.
--
-- Why apart from 0001: these tables take a thousand times the rows, so their shape was measured. Without a row
-- id, and with the metric as a small number, an observation costs under 40 bytes; trial_metrics spares `best`
-- from reading them at all.

CREATE TABLE metrics (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE CHECK (name <> '')
) STRICT;

CREATE TABLE observations (
    attempt INTEGER NOT NULL REFERENCES attempts (id),
    step INTEGER NOT NULL,
    metric INTEGER NOT NULL REFERENCES metrics (id),
    value REAL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (attempt, step, metric)
) STRICT, WITHOUT ROWID;

CREATE TABLE trial_metrics (
    trial INTEGER NOT NULL REFERENCES trials (id),
    metric INTEGER NOT NULL REFERENCES metrics (id),
    min REAL,
    min_step INTEGER,
    max REAL,
    max_step INTEGER,
    last REAL,
    last_step INTEGER NOT NULL,
    PRIMARY KEY (trial, metric)
) STRICT, WITHOUT ROWID;

CREATE VIEW curves AS
SELECT
    sweeps.name AS sweep,
    trials.number AS trial,
    metrics.name AS metric,
    observations.step AS step,
    observations.value AS value,
    attempts.number AS attempt
FROM sweeps
JOIN trials ON trials.sweep = sweeps.id
JOIN attempts ON attempts.trial = trials.id
JOIN observations
    ON observations.attempt = attempts.id
    AND observations.step > attempts.from_step
    AND observations.step <= coalesce(attempts.until_step, 9223372036854775807)
JOIN metrics ON metrics.id = observations.metric;

CREATE VIEW best_configuration AS
WITH configurations AS (
    SELECT
        sweep,
        fingerprint,
        avg(objective_value) AS mean,
        min(objective_value) AS min,
        max(objective_value) AS max,
        count(*) FILTER (WHERE state = 'completed') AS replicates,
        count(*) FILTER (WHERE state = 'diverged') AS diverged_replicates,
        min(number) AS first_trial
    FROM trials
    WHERE state IN ('completed', 'diverged')
    GROUP BY sweep, fingerprint
    HAVING replicates > 0 AND replicates = count(objective_value) AND mean IS NOT NULL
),
ranked AS (
    SELECT
        configurations.*,
        row_number() OVER (
            PARTITION BY configurations.sweep
            ORDER BY
                diverged_replicates > 0,
                CASE sweeps.objective_goal WHEN 'maximize' THEN -mean ELSE mean END,
                first_trial
        ) AS place
    FROM configurations
    JOIN sweeps ON sweeps.id = configurations.sweep
),
replicates AS (
    SELECT
        trials.sweep,
        trials.fingerprint,
        trials.number,
        trials.configuration,
        trials.objective_step,
        trials.best_weights_directory,
        row_number() OVER (
            PARTITION BY trials.sweep, trials.fingerprint
            ORDER BY
                CASE sweeps.objective_goal
                    WHEN 'maximize' THEN -trials.objective_value
                    ELSE trials.objective_value
                END,
                trials.number
        ) AS place
    FROM trials
    JOIN sweeps ON sweeps.id = trials.sweep
    WHERE trials.state = 'completed'
)
SELECT
    sweeps.name AS sweep,
    best.configuration AS configuration,
    ranked.fingerprint AS fingerprint,
    sweeps.objective_metric AS objective,
    sweeps.objective_goal AS goal,
    ranked.mean AS mean,
    ranked.min AS min,
    ranked.max AS max,
    ranked.replicates AS replicates,
    ranked.diverged_replicates AS diverged_replicates,
    (
        SELECT json_group_array(number)
        FROM (
            SELECT trials.number AS number
            FROM trials
            WHERE trials.sweep = ranked.sweep
                AND trials.fingerprint = ranked.fingerprint
                AND trials.state = 'completed'
            ORDER BY trials.number
        )
    ) AS trials,
    best.number AS best_trial,
    best.objective_step AS best_step,
    best.best_weights_directory AS best_weights_directory
FROM ranked
JOIN sweeps ON sweeps.id = ranked.sweep
JOIN replicates AS best
    ON best.sweep = ranked.sweep
    AND best.fingerprint = ranked.fingerprint
    AND best.place = 1
WHERE ranked.place = 1;

CREATE VIEW trials_wide AS
SELECT
    sweeps.name AS "sweep",
    trials.number AS "trial",
    trials.kind AS "kind",
    trials.state AS "state",
    trials.fingerprint AS "fingerprint",
    trials.replicate AS "replicate",
    sweeps.objective_metric AS "objective",
    trials.objective_value AS "objective_value",
    trials.objective_step AS "objective_step",
    trials.total_steps AS "total_steps",
    trials.failure_class AS "failure_class",
    trials.failure_message AS "failure_message",
    trials.best_weights_directory AS "best_weights_directory",
    trials.created_at_ms AS "created_at_ms",
    trials.ended_at_ms AS "ended_at_ms"
FROM trials
JOIN sweeps ON sweeps.id = trials.sweep;
