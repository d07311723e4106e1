-- The database as Optuna sees it: read-only views with the names and columns of its tables, so that Optuna, its
-- command line and optuna-dashboard open the file while a sweep runs.
--
-- Why views: nothing has to be exported, and nothing can be out of date. They are those of Optuna's schema 12, which
-- is the same from Optuna 3.2 to 5.0. Its table of trials has the name that ours had, so ours is called
-- `sweep_trials` from now on. SQLite rewrites every foreign key, index, trigger and view that names a renamed table,
-- and puts the new name in quotes; they are taken out again, so that the schema reads as `schema.sql` has it.
--
-- What a parameter's values are drawn from cannot be told in SQL from a sweep's definition, so the store writes it
-- (`parameters`), when it makes a sweep and after this file.

ALTER TABLE trials RENAME TO sweep_trials;

PRAGMA writable_schema = ON;

UPDATE sqlite_schema SET sql = replace(sql, '"sweep_trials"', 'sweep_trials');

PRAGMA writable_schema = RESET;

CREATE TABLE parameters (
    sweep INTEGER NOT NULL REFERENCES sweeps (id),
    name TEXT NOT NULL,
    position INTEGER NOT NULL CHECK (position >= 0),
    distribution TEXT NOT NULL CHECK (json_type(distribution) = 'object'),
    PRIMARY KEY (sweep, name)
) STRICT, WITHOUT ROWID;

CREATE VIEW studies AS
SELECT id AS study_id, name AS study_name
FROM sweeps;

CREATE VIEW study_directions AS
SELECT id AS study_direction_id, upper(objective_goal) AS direction, id AS study_id, 0 AS objective
FROM sweeps;

CREATE VIEW study_user_attributes AS
SELECT
    sweeps.id * 4 + attribute.place AS study_user_attribute_id,
    sweeps.id AS study_id,
    attribute.name AS "key",
    json_quote(
        CASE attribute.place
            WHEN 0 THEN sweeps.objective_at
            WHEN 1 THEN sweeps.identity
            ELSE sweeps.version
        END
    ) AS value_json
FROM sweeps
CROSS JOIN (
    SELECT 0 AS place, 'objective_at' AS name
    UNION ALL SELECT 1, 'identity'
    UNION ALL SELECT 2, 'version'
) AS attribute;

CREATE VIEW study_system_attributes AS
SELECT
    id AS study_system_attribute_id,
    id AS study_id,
    'study:metric_names' AS "key",
    json_array(objective_metric) AS value_json
FROM sweeps;

CREATE VIEW trials AS
SELECT
    id AS trial_id,
    number - 1 AS number,
    sweep AS study_id,
    CASE
        WHEN state = 'queued' THEN 'WAITING'
        WHEN state = 'running' THEN 'RUNNING'
        WHEN state = 'completed' AND objective_value IS NOT NULL THEN 'COMPLETE'
        ELSE 'FAIL'
    END AS state,
    CASE
        WHEN state <> 'queued' THEN strftime(
            '%Y-%m-%d %H:%M:%f000',
            coalesce(
                (
                    SELECT attempts.leased_at_ms FROM attempts
                    WHERE attempts.trial = sweep_trials.id
                    ORDER BY attempts.number
                    LIMIT 1
                ),
                ended_at_ms
            ) / 1000.0,
            'unixepoch'
        )
    END AS datetime_start,
    strftime('%Y-%m-%d %H:%M:%f000', ended_at_ms / 1000.0, 'unixepoch') AS datetime_complete
FROM sweep_trials
WHERE kind NOT IN ('baseline', 'probe', 'refit');

CREATE VIEW trial_user_attributes AS
SELECT
    sweep_trials.id * 8 + attribute.place AS trial_user_attribute_id,
    sweep_trials.id AS trial_id,
    attribute.name AS "key",
    json_quote(
        CASE attribute.place
            WHEN 0 THEN sweep_trials.number
            WHEN 1 THEN sweep_trials.state
            WHEN 2 THEN sweep_trials.kind
            WHEN 3 THEN sweep_trials.replicate
            WHEN 4 THEN sweep_trials.fingerprint
            WHEN 5 THEN sweep_trials.objective_step
            ELSE sweep_trials.failure_class
        END
    ) AS value_json
FROM sweep_trials
CROSS JOIN (
    SELECT 0 AS place, 'trial' AS name
    UNION ALL SELECT 1, 'state'
    UNION ALL SELECT 2, 'kind'
    UNION ALL SELECT 3, 'replicate'
    UNION ALL SELECT 4, 'fingerprint'
    UNION ALL SELECT 5, 'best_step'
    UNION ALL SELECT 6, 'failure_class'
) AS attribute
WHERE sweep_trials.kind NOT IN ('baseline', 'probe', 'refit')
    AND (attribute.place <> 5 OR sweep_trials.objective_step IS NOT NULL)
    AND (attribute.place <> 6 OR sweep_trials.failure_class IS NOT NULL);

CREATE VIEW trial_system_attributes AS
SELECT 0 AS trial_system_attribute_id, 0 AS trial_id, '' AS "key", '' AS value_json
WHERE 0;

CREATE VIEW trial_params AS
SELECT
    sweep_trials.id * 4096 + parameters.position AS param_id,
    sweep_trials.id AS trial_id,
    parameters.name AS param_name,
    CASE json_extract(parameters.distribution, '$.name')
        WHEN 'CategoricalDistribution' THEN (
            SELECT choice."key"
            FROM json_each(parameters.distribution, '$.attributes.choices') AS choice
            WHERE choice.value = chosen.value
                AND (choice.type = chosen.type OR chosen.type = 'array')
        )
        ELSE chosen.value
    END AS param_value,
    parameters.distribution AS distribution_json
FROM sweep_trials
CROSS JOIN json_each(sweep_trials.configuration) AS chosen
CROSS JOIN parameters ON parameters.sweep = sweep_trials.sweep AND parameters.name = chosen."key"
WHERE sweep_trials.kind NOT IN ('baseline', 'probe', 'refit');

CREATE VIEW trial_values AS
SELECT
    id AS trial_value_id,
    id AS trial_id,
    0 AS objective,
    CASE WHEN abs(objective_value) <= 1.7976931348623157e308 THEN objective_value END AS value,
    CASE
        WHEN objective_value > 1.7976931348623157e308 THEN 'INF_POS'
        WHEN objective_value < -1.7976931348623157e308 THEN 'INF_NEG'
        ELSE 'FINITE'
    END AS value_type
FROM sweep_trials
WHERE state = 'completed'
    AND objective_value IS NOT NULL
    AND kind NOT IN ('baseline', 'probe', 'refit');

CREATE VIEW trial_intermediate_values AS
SELECT
    sweep_trials.id * 2147483648 + observations.step AS trial_intermediate_value_id,
    sweep_trials.id AS trial_id,
    observations.step AS step,
    CASE
        WHEN abs(observations.value) <= 1.7976931348623157e308 THEN observations.value
    END AS intermediate_value,
    CASE
        WHEN observations.value IS NULL THEN 'NAN'
        WHEN observations.value > 1.7976931348623157e308 THEN 'INF_POS'
        WHEN observations.value < -1.7976931348623157e308 THEN 'INF_NEG'
        ELSE 'FINITE'
    END AS intermediate_value_type
FROM sweep_trials
CROSS JOIN sweeps ON sweeps.id = sweep_trials.sweep
CROSS JOIN metrics ON metrics.name = sweeps.objective_metric
CROSS JOIN attempts ON attempts.trial = sweep_trials.id
CROSS JOIN observations
    ON observations.attempt = attempts.id
    AND observations.step > attempts.from_step
    AND observations.step <= coalesce(attempts.until_step, 9223372036854775807)
    AND observations.metric = metrics.id
WHERE sweep_trials.kind NOT IN ('baseline', 'probe', 'refit')
    AND sweeps.objective_metric NOT LIKE 'train/%';

CREATE VIEW trial_heartbeats AS
SELECT 0 AS trial_heartbeat_id, 0 AS trial_id, '' AS heartbeat
WHERE 0;

CREATE VIEW version_info AS
SELECT 1 AS version_info_id, 12 AS schema_version, '5.0.0' AS library_version;

CREATE VIEW alembic_version AS
SELECT 'v3.2.0.a' AS version_num;
