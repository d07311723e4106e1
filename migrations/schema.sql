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
CREATE TABLE trials (
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
    -- Where it stands; `running` means: exactly one open attempt.
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'completed', 'diverged', 'failed', 'cancelled')),
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
    CHECK ((state IN ('completed', 'diverged', 'failed', 'cancelled')) = (ended_at_ms IS NOT NULL)),
    CHECK ((best_weights_step IS NULL) = (best_weights_directory IS NULL)),
    CHECK ((resume_step IS NULL) = (resume_directory IS NULL))
) STRICT;

-- Counts by state, without reading the trials themselves.
CREATE INDEX trials_by_state ON trials (sweep, state);

-- Trials with a checkpoint to go on from; a finished one has it until it is cleaned up.
CREATE INDEX trials_with_checkpoint ON trials (sweep) WHERE resume_step IS NOT NULL;

-- Trials with best weights on disk: a few, of however many.
CREATE INDEX trials_with_weights ON trials (sweep) WHERE best_weights_step IS NOT NULL;

-- The few trials beside the search, which the counts below leave out.
CREATE INDEX trials_beside ON trials (sweep, state) WHERE kind IN ('baseline', 'probe', 'refit');

-- How many trials of a sweep's search are in each state: kept by the two triggers, so that nobody has to count them.
CREATE TABLE trial_counts (
    -- Of which sweep.
    sweep INTEGER NOT NULL REFERENCES sweeps (id),
    -- As trials.state.
    state TEXT NOT NULL,
    -- How many.
    trials INTEGER NOT NULL CHECK (trials >= 0),
    -- Sum of their total_steps.
    steps INTEGER NOT NULL CHECK (steps >= 0),
    PRIMARY KEY (sweep, state)
) STRICT, WITHOUT ROWID;

-- A new trial is counted,
CREATE TRIGGER trials_counted AFTER INSERT ON trials
WHEN NEW.kind NOT IN ('baseline', 'probe', 'refit')
BEGIN
    INSERT INTO trial_counts (sweep, state, trials, steps)
    VALUES (NEW.sweep, NEW.state, 1, NEW.total_steps)
    ON CONFLICT (sweep, state) DO UPDATE
    SET trials = trials + 1, steps = steps + excluded.steps;
END;

-- and counted elsewhere when its state changes.
CREATE TRIGGER trials_recounted AFTER UPDATE OF state ON trials
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
    trial INTEGER PRIMARY KEY REFERENCES trials (id),
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

-- One process life of a trial. Its id is the fence: an attempt that has ended takes no more rows.
CREATE TABLE attempts (
    -- AttemptId, unique over all trials.
    id INTEGER PRIMARY KEY,
    -- Its trial.
    trial INTEGER NOT NULL REFERENCES trials (id),
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
    ending TEXT CHECK (ending IN ('completed', 'diverged', 'released', 'abandoned', 'failed')),
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

-- Extremes of a trial's metrics over what counts, kept as observations come: ranking reads no curve.
CREATE TABLE trial_metrics (
    -- Of which trial.
    trial INTEGER NOT NULL REFERENCES trials (id),
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

-- For people: a row per trial, a column per parameter. Here without any; the store adds them.
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
