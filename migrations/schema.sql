-- The schema as it should now be. A test holds it equal to the migrations applied from zero.
-- Rules are in README.md; words are those of the glossary.

-- A sweep: one search with all its trials.
CREATE TABLE sweeps (
    -- SweepId.
    id INTEGER PRIMARY KEY,
    -- Unique in the home; how users name it.
    name TEXT NOT NULL UNIQUE CHECK (name <> ''),
    -- SHA-256 (hex) over search space, settings, contents of data and model, seed, replicates, objective.
    identity TEXT NOT NULL CHECK (length(identity) = 64),
    -- The normalised sweep as JSON: defaults filled in, overrides applied. `resume` reads this, not the file.
    definition TEXT NOT NULL CHECK (json_valid(definition)),
    -- The sweep file, absolute; NULL if it came from elsewhere.
    source_path TEXT,
    -- Its text, comments and all.
    source_text TEXT NOT NULL,
    -- `KEY=VALUE` of the command line, a JSON list.
    overrides TEXT NOT NULL CHECK (json_valid(overrides)),
    -- Static facts, a JSON list: one entry per combination of model and data settings.
    facts TEXT NOT NULL CHECK (json_valid(facts)),
    -- Metric by which trials are ranked.
    objective_metric TEXT NOT NULL CHECK (objective_metric <> ''),
    -- Its direction.
    objective_goal TEXT NOT NULL CHECK (objective_goal IN ('maximize', 'minimize')),
    -- Which evaluation of a trial counts.
    objective_at TEXT NOT NULL CHECK (objective_at IN ('best', 'last')),
    -- `running` and `paused` also where the scheduler was killed: the home lock tells.
    state TEXT NOT NULL CHECK (state IN ('running', 'paused', 'interrupted', 'finished')),
    -- Unix milliseconds UTC, as all `..._at_ms`.
    created_at_ms INTEGER NOT NULL,
    -- Version of converge that made it.
    version TEXT NOT NULL
) STRICT;

-- One life of the scheduler process.
CREATE TABLE sessions (
    -- SessionId.
    id INTEGER PRIMARY KEY,
    -- What it worked on.
    sweep INTEGER NOT NULL REFERENCES sweeps (id),
    -- Its process id.
    pid INTEGER NOT NULL,
    -- The kernel's boot id: a pid means something only within one boot.
    boot_id TEXT NOT NULL,
    -- Name of the machine.
    host TEXT NOT NULL,
    -- Version of converge.
    version TEXT NOT NULL,
    -- CPU features, memory, devices: a JSON map.
    machine TEXT NOT NULL CHECK (json_valid(machine)),
    -- When it began.
    started_at_ms INTEGER NOT NULL,
    -- NULL: open, or killed.
    ended_at_ms INTEGER,
    -- How it ended, for people.
    exit TEXT,
    CHECK ((ended_at_ms IS NULL) = (exit IS NULL))
) STRICT;

-- The sessions of a sweep.
CREATE INDEX sessions_of_sweep ON sessions (sweep);

-- A worker process; the row is the intent to start it, and comes first.
CREATE TABLE workers (
    -- WorkerId.
    id INTEGER PRIMARY KEY,
    -- The scheduler's life that started it.
    session INTEGER NOT NULL REFERENCES sessions (id),
    -- Holds its two logs; relative to the home.
    directory TEXT NOT NULL UNIQUE,
    -- What it was started for.
    device TEXT NOT NULL,
    -- NULL: never started.
    pid INTEGER,
    -- Start time in clock ticks after boot; with pid and boot_id, one process for ever.
    process_start INTEGER,
    -- Boot in which it was started.
    boot_id TEXT,
    -- Version of converge that it said it is.
    version TEXT,
    -- What it said it runs on: a JSON map.
    machine TEXT CHECK (json_valid(machine)),
    -- Bytes of up.log whose frames are in this database.
    up_offset INTEGER NOT NULL DEFAULT 0 CHECK (up_offset >= 0),
    -- Sequence number wanted next from up.log.
    up_next_seq INTEGER NOT NULL DEFAULT 1 CHECK (up_next_seq >= 1),
    -- Sequence number of the next frame for down.log.
    down_next_seq INTEGER NOT NULL DEFAULT 1 CHECK (down_next_seq >= 1),
    -- Frames of ended attempts that were refused.
    stale_frames INTEGER NOT NULL DEFAULT 0 CHECK (stale_frames >= 0),
    -- Lines of up.log that were not whole.
    torn_lines INTEGER NOT NULL DEFAULT 0 CHECK (torn_lines >= 0),
    -- When the intent was written.
    started_at_ms INTEGER NOT NULL,
    -- NULL: not known to have ended.
    ended_at_ms INTEGER,
    -- How it ended, for people: `exit 0`, `signal 9`.
    exit TEXT,
    CHECK ((ended_at_ms IS NULL) = (exit IS NULL))
) STRICT;

-- The workers of a session.
CREATE INDEX workers_of_session ON workers (session);

-- A configuration with one seed, from first start to final state. Long columns last: lists do not read them.
CREATE TABLE sweep_trials (
    -- TrialId.
    id INTEGER PRIMARY KEY,
    -- Its sweep.
    sweep INTEGER NOT NULL REFERENCES sweeps (id),
    -- From 1 within the sweep; how users name it.
    number INTEGER NOT NULL CHECK (number >= 1),
    -- What it is for.
    kind TEXT NOT NULL CHECK (kind IN ('grid', 'random', 'enqueued', 'baseline', 'probe', 'refit')),
    -- Hash of configuration and sweep: equal for its replicates.
    fingerprint TEXT NOT NULL CHECK (fingerprint <> ''),
    -- Which seed, from 0.
    replicate INTEGER NOT NULL CHECK (replicate >= 0),
    -- Its entry in sweeps.facts.
    facts_index INTEGER NOT NULL CHECK (facts_index >= 0),
    -- Optimizer updates until it is complete.
    total_steps INTEGER NOT NULL CHECK (total_steps >= 0),
    -- Where it stands; `running` means: exactly one open attempt. `waiting`: at a rung, for whether it goes on.
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'waiting', 'completed', 'stopped', 'diverged', 'failed', 'cancelled')),
    -- Why it failed; NULL unless it did.
    failure_class TEXT
        CHECK (failure_class IN ('oom', 'panic', 'killed', 'timeout', 'data', 'config', 'disk_full')),
    -- The same for people.
    failure_message TEXT,
    -- Failures of attempts from this number on count against its retries; moved when a user queues it again.
    charged_from INTEGER NOT NULL DEFAULT 1 CHECK (charged_from >= 1),
    -- The sweep's objective, set when completed; NULL also if it was never a number.
    objective_value REAL,
    -- Step of that evaluation.
    objective_step INTEGER,
    -- Step of the best evaluation whose weights are on disk.
    best_weights_step INTEGER,
    -- The objective there; NULL also if it is NaN.
    best_weights_value REAL,
    -- Where they are; relative to the home.
    best_weights_directory TEXT,
    -- Step of the checkpoint from which the next attempt goes on; NULL: from the start.
    resume_step INTEGER,
    -- Where it is; relative to the home.
    resume_directory TEXT,
    -- When it was created.
    created_at_ms INTEGER NOT NULL,
    -- When it became final.
    ended_at_ms INTEGER,
    -- Parameter to value, a JSON map with sorted keys.
    configuration TEXT NOT NULL CHECK (json_type(configuration) = 'object'),
    -- Everything that decides what it computes, but for its seeds: JSON.
    settings TEXT NOT NULL CHECK (json_type(settings) = 'object'),
    UNIQUE (sweep, number),
    UNIQUE (sweep, fingerprint, replicate),
    CHECK ((state = 'failed') = (failure_class IS NOT NULL)),
    CHECK ((failure_class IS NULL) = (failure_message IS NULL)),
    CHECK ((state IN ('completed', 'stopped', 'diverged', 'failed', 'cancelled')) = (ended_at_ms IS NOT NULL)),
    CHECK ((best_weights_step IS NULL) = (best_weights_directory IS NULL)),
    CHECK ((resume_step IS NULL) = (resume_directory IS NULL))
) STRICT;

-- Counts by state, without reading the trials themselves.
CREATE INDEX trials_by_state ON sweep_trials (sweep, state);

-- Trials with a checkpoint to go on from; a finished one has it until it is cleaned up.
CREATE INDEX trials_with_checkpoint ON sweep_trials (sweep) WHERE resume_step IS NOT NULL;

-- Trials with best weights on disk: a few, of however many.
CREATE INDEX trials_with_weights ON sweep_trials (sweep) WHERE best_weights_step IS NOT NULL;

-- The few trials beside the search, which the counts below leave out.
CREATE INDEX trials_beside ON sweep_trials (sweep, state) WHERE kind IN ('baseline', 'probe', 'refit');

-- How many trials of a sweep's search are in each state: kept by the two triggers, so that nobody has to count them.
CREATE TABLE trial_counts (
    -- Of which sweep.
    sweep INTEGER NOT NULL REFERENCES sweeps (id),
    -- As sweep_trials.state.
    state TEXT NOT NULL,
    -- How many.
    trials INTEGER NOT NULL CHECK (trials >= 0),
    -- Sum of their total_steps.
    steps INTEGER NOT NULL CHECK (steps >= 0),
    PRIMARY KEY (sweep, state)
) STRICT, WITHOUT ROWID;

-- A new trial is counted,
CREATE TRIGGER trials_counted AFTER INSERT ON sweep_trials
WHEN NEW.kind NOT IN ('baseline', 'probe', 'refit')
BEGIN
    INSERT INTO trial_counts (sweep, state, trials, steps)
    VALUES (NEW.sweep, NEW.state, 1, NEW.total_steps)
    ON CONFLICT (sweep, state) DO UPDATE
    SET trials = trials + 1, steps = steps + excluded.steps;
END;

-- and counted elsewhere when its state changes.
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

-- Configurations with a completed or diverged trial, in their order (core::ranking): `best` reads the first of them.
CREATE TABLE configurations (
    -- TrialId of its first replicate, ended or not: what it is called by.
    trial INTEGER PRIMARY KEY REFERENCES sweep_trials (id),
    -- Its sweep.
    sweep INTEGER NOT NULL REFERENCES sweeps (id),
    -- Lowest number among its completed and diverged trials; breaks ties.
    first_trial INTEGER NOT NULL CHECK (first_trial >= 1),
    -- Mean objective of its completed trials; NULL where one of them has none.
    mean REAL,
    -- The mean, turned round for a goal of maximize so that less is better; NULL also where a trial diverged: last.
    cost REAL,
    CHECK (cost IS NULL OR mean IS NOT NULL)
) STRICT;

-- The order: those with a cost by it, the others behind them.
CREATE INDEX configurations_ranked ON configurations (sweep, cost, first_trial);

-- The parameters of a sweep that some trial has, and in Optuna's form what values they take: one distribution for all
-- trials and cases. It follows from the definition and the trials; the store writes it.
CREATE TABLE parameters (
    -- Of which sweep.
    sweep INTEGER NOT NULL REFERENCES sweeps (id),
    -- As in the keys of sweep_trials.configuration.
    name TEXT NOT NULL,
    -- In the order of the definition, from 0.
    position INTEGER NOT NULL CHECK (position >= 0),
    -- Such as {"name":"CategoricalDistribution","attributes":{"choices":[16,32]}}.
    distribution TEXT NOT NULL CHECK (json_type(distribution) = 'object'),
    PRIMARY KEY (sweep, name)
) STRICT, WITHOUT ROWID;

-- One process life of a trial. Its id is the fence: an attempt that has ended takes no more rows.
CREATE TABLE attempts (
    -- AttemptId, unique over all trials.
    id INTEGER PRIMARY KEY,
    -- Its trial.
    trial INTEGER NOT NULL REFERENCES sweep_trials (id),
    -- From 1 within the trial.
    number INTEGER NOT NULL CHECK (number >= 1),
    -- Who carried it out.
    worker INTEGER NOT NULL REFERENCES workers (id),
    -- Its own, so that a zombie cannot overwrite its successor; relative to the home.
    directory TEXT NOT NULL,
    -- Steps done before it: 0, or those of a committed checkpoint.
    from_step INTEGER NOT NULL CHECK (from_step >= 0),
    -- What it did after this step does not count: its successor began there. NULL: all counts.
    until_step INTEGER CHECK (until_step >= 0),
    -- Last step that it did.
    last_step INTEGER NOT NULL CHECK (last_step >= from_step),
    -- Sequence number in down.log of the frame that leased it.
    down_seq INTEGER NOT NULL CHECK (down_seq >= 1),
    -- Sequence number wanted from up.log at that time: its frames come at or after it.
    opened_seq INTEGER NOT NULL CHECK (opened_seq >= 1),
    -- Sequence number in up.log after which nothing was taken from it.
    closed_seq INTEGER,
    -- How it ended; NULL: open.
    ending TEXT CHECK (ending IN ('completed', 'diverged', 'released', 'paused', 'abandoned', 'failed')),
    -- Step that was not finite.
    diverged_step INTEGER,
    -- What was not finite.
    diverged_quantity TEXT,
    -- Why it failed; NULL unless it did.
    failure_class TEXT
        CHECK (failure_class IN ('oom', 'panic', 'killed', 'timeout', 'data', 'config', 'disk_full')),
    -- The same for people.
    failure_message TEXT,
    -- Peak memory of process or device; NULL: not known.
    peak_memory_bytes INTEGER,
    -- When it was leased.
    leased_at_ms INTEGER NOT NULL,
    -- When training began.
    started_at_ms INTEGER,
    -- When it ended, or was found to have ended.
    ended_at_ms INTEGER,
    -- Times the accumulation of the settings: more than 1 after the trial ran out of memory.
    accumulation_factor INTEGER NOT NULL DEFAULT 1 CHECK (accumulation_factor >= 1),
    UNIQUE (trial, number),
    CHECK ((ending IS NULL) = (ended_at_ms IS NULL)),
    CHECK ((ending IS NULL) = (closed_seq IS NULL)),
    CHECK ((ending IS 'diverged') = (diverged_step IS NOT NULL)),
    CHECK ((diverged_step IS NULL) = (diverged_quantity IS NULL)),
    CHECK ((ending IS 'failed') = (failure_class IS NOT NULL)),
    CHECK ((failure_class IS NULL) = (failure_message IS NULL))
) STRICT;

-- A trial has at most one open attempt,
CREATE UNIQUE INDEX attempts_one_open ON attempts (trial) WHERE ending IS NULL;

-- and at most one that completed.
CREATE UNIQUE INDEX attempts_one_completed ON attempts (trial) WHERE ending = 'completed';

-- What a worker may still be doing.
CREATE INDEX attempts_open_of_worker ON attempts (worker) WHERE ending IS NULL;

-- The last attempts of a worker, among a hundred thousand.
CREATE INDEX attempts_of_worker ON attempts (worker);

-- The rungs of early stopping that a trial has reached, and what was decided there.
CREATE TABLE rungs (
    -- Of which trial.
    trial INTEGER NOT NULL REFERENCES sweep_trials (id),
    -- Which rung: from 0.
    rung INTEGER NOT NULL CHECK (rung >= 0),
    -- Its step in this trial.
    step INTEGER NOT NULL CHECK (step >= 1),
    -- The objective up to there, by which trials are compared; NULL: none, or NaN.
    value REAL,
    -- What of its results on each example is needed to compare it in pairs (core::early_stop::Marks); NULL: nothing.
    marks BLOB,
    -- When the evaluation there was read.
    reached_at_ms INTEGER NOT NULL,
    -- What was decided; NULL: nothing yet.
    decision TEXT CHECK (decision IN ('promoted', 'stopped')),
    -- Its place among those that it was compared with: from 1.
    rank INTEGER CHECK (rank >= 1),
    -- How many those were, itself included.
    among INTEGER CHECK (among >= rank),
    -- Its place among those that were promoted there, from 0; 0 where it was stopped.
    place INTEGER CHECK (place >= 0),
    -- When it was decided.
    decided_at_ms INTEGER,
    PRIMARY KEY (trial, rung),
    CHECK ((decision IS NULL) = (rank IS NULL)),
    CHECK ((decision IS NULL) = (among IS NULL)),
    CHECK ((decision IS NULL) = (place IS NULL)),
    CHECK ((decision IS NULL) = (decided_at_ms IS NULL))
) STRICT;

-- What an attempt that failed, or was abandoned, left in its logs. Its exit stands with its worker.
CREATE TABLE evidence (
    -- Whose.
    attempt INTEGER PRIMARY KEY REFERENCES attempts (id),
    -- The last lines of its own log; empty: none.
    log TEXT NOT NULL,
    -- The last lines that its worker wrote to stderr; empty: none.
    stderr TEXT NOT NULL
) STRICT;

-- A checkpoint that was whole on disk; the files may be gone since.
CREATE TABLE checkpoints (
    -- Who wrote it.
    attempt INTEGER NOT NULL REFERENCES attempts (id),
    -- Steps done in it.
    step INTEGER NOT NULL CHECK (step >= 0),
    -- Where it was written; relative to the home.
    directory TEXT NOT NULL,
    -- Sequence number of its frame in up.log.
    seq INTEGER NOT NULL CHECK (seq >= 1),
    -- When it was committed here.
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (attempt, step)
) STRICT, WITHOUT ROWID;

-- Names of metrics, so that an observation holds a small number.
CREATE TABLE metrics (
    -- Small number.
    id INTEGER PRIMARY KEY,
    -- Such as `validation/accuracy`.
    name TEXT NOT NULL UNIQUE CHECK (name <> '')
) STRICT;

-- One value of one metric at one step. Rows are only added; the view `curves` says which count.
CREATE TABLE observations (
    -- Who observed it.
    attempt INTEGER NOT NULL REFERENCES attempts (id),
    -- Optimizer updates done, counted over the whole trial.
    step INTEGER NOT NULL,
    -- Of what.
    metric INTEGER NOT NULL REFERENCES metrics (id),
    -- NULL is NaN; infinities are kept.
    value REAL,
    -- Sequence number of its frame in up.log: with the attempt's closed_seq, proof that the fence held.
    seq INTEGER NOT NULL,
    PRIMARY KEY (attempt, step, metric)
) STRICT, WITHOUT ROWID;

-- What a model said of each validation example at one evaluation. As observations: which rows count, the attempt's
-- range of steps says. With a rowid: three rows of a kilobyte fit a page, without one each would take its own.
CREATE TABLE item_results (
    -- Only to have one.
    id INTEGER PRIMARY KEY,
    -- Who observed it.
    attempt INTEGER NOT NULL REFERENCES attempts (id),
    -- The evaluation, as in observations.
    step INTEGER NOT NULL,
    -- Answers and losses, packed as core's `packed` says: about 2.1 bytes an example of two classes.
    data BLOB NOT NULL,
    UNIQUE (attempt, step)
) STRICT;

-- How good a chosen trial is on the test split: computed once, after the choice. Rows are only added.
CREATE TABLE test_values (
    -- Only to have one.
    id INTEGER PRIMARY KEY,
    -- The chosen trial.
    trial INTEGER NOT NULL REFERENCES sweep_trials (id),
    -- The evaluation whose weights were asked.
    step INTEGER NOT NULL,
    -- Such as `test/accuracy`.
    metric TEXT NOT NULL CHECK (metric <> ''),
    -- NULL: not finite.
    value REAL,
    -- Examples of the test split.
    examples INTEGER NOT NULL CHECK (examples >= 1),
    -- The how manieth look at the test split of its sweep this was, from 1.
    look INTEGER NOT NULL CHECK (look >= 1),
    -- When it was looked at.
    at_ms INTEGER NOT NULL,
    UNIQUE (trial, look, metric)
) STRICT;

-- Extremes of a trial's metrics over what counts, kept as observations come: ranking reads no curve.
CREATE TABLE trial_metrics (
    -- Of which trial.
    trial INTEGER NOT NULL REFERENCES sweep_trials (id),
    -- Of which metric.
    metric INTEGER NOT NULL REFERENCES metrics (id),
    -- Smallest value, never NaN; NULL: NaN only.
    min REAL,
    -- First step that had it.
    min_step INTEGER,
    -- Largest value, likewise.
    max REAL,
    -- First step that had it.
    max_step INTEGER,
    -- Last value; NULL is NaN.
    last REAL,
    -- Its step.
    last_step INTEGER NOT NULL,
    PRIMARY KEY (trial, metric)
) STRICT, WITHOUT ROWID;

-- For people: the curves that count, attempt after attempt. `trial` and `attempt` are numbers, `sweep` is a name.
CREATE VIEW curves AS
SELECT
    sweeps.name AS sweep,
    sweep_trials.number AS trial,
    metrics.name AS metric,
    observations.step AS step,
    observations.value AS value,
    attempts.number AS attempt
FROM sweeps
JOIN sweep_trials ON sweep_trials.sweep = sweeps.id
JOIN attempts ON attempts.trial = sweep_trials.id
JOIN observations
    ON observations.attempt = attempts.id
    AND observations.step > attempts.from_step
    AND observations.step <= coalesce(attempts.until_step, 9223372036854775807)
JOIN metrics ON metrics.id = observations.metric;

-- For people: the best configuration of each sweep, by the mean over its completed replicates. One that also
-- diverged comes after those that did not; one with an objective that is not a number is left out; ties go to the
-- lower trial number. best_trial, best_step and best_weights_directory are those of its best replicate. A `+` keeps SQLite from an index
-- that it takes for better than that of the fingerprint.
CREATE VIEW best_configuration AS
SELECT
    sweeps.name AS sweep,
    best.configuration AS configuration,
    best.fingerprint AS fingerprint,
    sweeps.objective_metric AS objective,
    sweeps.objective_goal AS goal,
    configurations.mean AS mean,
    (
        SELECT min(sweep_trials.objective_value) FROM sweep_trials
        WHERE sweep_trials.sweep = best.sweep AND sweep_trials.fingerprint = best.fingerprint
    ) AS min,
    (
        SELECT max(sweep_trials.objective_value) FROM sweep_trials
        WHERE sweep_trials.sweep = best.sweep AND sweep_trials.fingerprint = best.fingerprint
    ) AS max,
    (
        SELECT count(*) FROM sweep_trials
        WHERE sweep_trials.sweep = best.sweep
            AND sweep_trials.fingerprint = best.fingerprint
            AND +sweep_trials.state = 'completed'
    ) AS replicates,
    (
        SELECT count(*) FROM sweep_trials
        WHERE sweep_trials.sweep = best.sweep
            AND sweep_trials.fingerprint = best.fingerprint
            AND +sweep_trials.state = 'diverged'
    ) AS diverged_replicates,
    (
        SELECT json_group_array(number)
        FROM (
            SELECT sweep_trials.number AS number
            FROM sweep_trials
            WHERE sweep_trials.sweep = best.sweep
                AND sweep_trials.fingerprint = best.fingerprint
                AND +sweep_trials.state = 'completed'
            ORDER BY +sweep_trials.number
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
JOIN sweep_trials AS best ON best.id = (
    SELECT replicate.id
    FROM sweep_trials AS named
    JOIN sweeps AS own ON own.id = named.sweep
    JOIN sweep_trials AS replicate
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

-- For people: a row per trial, a column per parameter. Here without any; the store adds them.
CREATE VIEW trials_wide AS
SELECT
    sweeps.name AS "sweep",
    sweep_trials.number AS "trial",
    sweep_trials.kind AS "kind",
    sweep_trials.state AS "state",
    sweep_trials.fingerprint AS "fingerprint",
    sweep_trials.replicate AS "replicate",
    sweeps.objective_metric AS "objective",
    sweep_trials.objective_value AS "objective_value",
    sweep_trials.objective_step AS "objective_step",
    sweep_trials.total_steps AS "total_steps",
    sweep_trials.failure_class AS "failure_class",
    sweep_trials.failure_message AS "failure_message",
    sweep_trials.best_weights_directory AS "best_weights_directory",
    sweep_trials.created_at_ms AS "created_at_ms",
    sweep_trials.ended_at_ms AS "ended_at_ms"
FROM sweep_trials
JOIN sweeps ON sweeps.id = sweep_trials.sweep;

-- For Optuna, as all that follow: names and columns are those of its schema 12. A study is a sweep.
CREATE VIEW studies AS
SELECT id AS study_id, name AS study_name
FROM sweeps;

-- Its goal; a sweep has one objective.
CREATE VIEW study_directions AS
SELECT id AS study_direction_id, upper(objective_goal) AS direction, id AS study_id, 0 AS objective
FROM sweeps;

-- Three things to know of it.
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

-- What its values are called.
CREATE VIEW study_system_attributes AS
SELECT
    id AS study_system_attribute_id,
    id AS study_id,
    'study:metric_names' AS "key",
    json_array(objective_metric) AS value_json
FROM sweeps;

-- Its trials, numbered from 0; times are UTC, as Optuna 5 has them. What diverged, was cancelled, or never had a number
-- has no value, and Optuna calls that FAIL; the attribute `state` tells them apart. What was stopped early is PRUNED. What ended without having begun
-- began then: Optuna wants a time. Trials outside of the ranking are left out.
CREATE VIEW trials AS
SELECT
    id AS trial_id,
    number - 1 AS number,
    sweep AS study_id,
    CASE
        WHEN state = 'queued' THEN 'WAITING'
        WHEN state IN ('running', 'waiting') THEN 'RUNNING'
        WHEN state = 'stopped' THEN 'PRUNED'
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

-- What else is known of a trial: `trial` is our number of it, `best_step` the step of its value.
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

-- None.
CREATE VIEW trial_system_attributes AS
SELECT 0 AS trial_system_attribute_id, 0 AS trial_id, '' AS "key", '' AS value_json
WHERE 0;

-- What the search chose: a number, or the index of a choice.
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

-- The objective of trials that have one.
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

-- The objective at each evaluation that counts; none where it is a loss of every training step. The joins are in the order
-- in which they are quick for a few trials.
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

-- None: the scheduler knows by itself who died.
CREATE VIEW trial_heartbeats AS
SELECT 0 AS trial_heartbeat_id, 0 AS trial_id, '' AS heartbeat
WHERE 0;

-- The schema that the views show, and the newest Optuna that was tried.
CREATE VIEW version_info AS
SELECT 1 AS version_info_id, 12 AS schema_version, '5.0.0' AS library_version;

-- The same for Optuna's migrations: unchanged since 3.2.
CREATE VIEW alembic_version AS
SELECT 'v3.2.0.a' AS version_num;
