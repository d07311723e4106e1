-- Our trials make room for Optuna's: the table `trials` is called `sweep_trials` from now on.
--
-- Why: Optuna, its command line and optuna-dashboard read a table named `trials`. SQLite rewrites every foreign key,
-- index, trigger and view that names a renamed table, and puts the new name in quotes; they are taken out again, so
-- that the schema reads as `schema.sql` has it.

ALTER TABLE trials RENAME TO sweep_trials;

PRAGMA writable_schema = ON;

UPDATE sqlite_schema SET sql = replace(sql, '"sweep_trials"', 'sweep_trials');

PRAGMA writable_schema = RESET;
