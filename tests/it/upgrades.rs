//! Homes whose database an earlier converge wrote: the next run upgrades it and goes on.

use std::path::Path;

use converge_tests::{Sandbox, repository};

/// Puts a kept database, and the checkpoints that it names, into a sandbox's home.
fn home_of(sandbox: &Sandbox, database: &Path) {
    let home = sandbox.home();
    std::fs::create_dir_all(&home).unwrap();
    let text = std::fs::read_to_string(database).unwrap();
    let connection = rusqlite::Connection::open(home.join("sweeps.db")).unwrap();
    connection.execute_batch(&text).unwrap();
    drop(connection);
    let points = "select resume_directory, resume_step from {trials} where resume_step is not null";
    for point in sandbox.rows(&of(sandbox, points)) {
        let (directory, step) = point.split_once('|').unwrap();
        let directory = home.join(directory);
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join("step"), format!("{step}\n")).unwrap();
    }
    for directory in sandbox.rows("select directory from workers") {
        let directory = home.join(directory);
        std::fs::create_dir_all(&directory).unwrap();
    }
}

/// Returns a query with the name of the table of trials: 0006 renamed it.
fn of(sandbox: &Sandbox, query: &str) -> String {
    let renamed =
        "select count(*) from sqlite_schema where type = 'table' and name = 'sweep_trials'";
    let name = if sandbox.number(renamed) == Some(1) { "sweep_trials" } else { "trials" };
    query.replace("{trials}", name)
}

#[test]
fn a_sweep_of_any_earlier_schema_is_resumed_to_its_end() {
    let folder = repository().join("tests/fixtures/databases");
    let mut resumed = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let database = entry.unwrap().path();
        if database.extension().is_none_or(|extension| extension != "sql") {
            continue;
        }
        let sandbox = Sandbox::new();
        home_of(&sandbox, &database);
        let point = sandbox.number(&of(&sandbox, "select max(resume_step) from {trials}")).unwrap();
        let final_before = sandbox.rows(&of(&sandbox, FINAL));
        let version = sandbox.number("select user_version from pragma_user_version").unwrap();
        // What an upgrade has not reached yet can only be written, and readers say so.
        let status = sandbox.converge(&["status"]);
        let upgraded = status.code == Some(0);
        assert!(upgraded || status.stderr.contains("`converge resume` upgrades it"), "{status:?}");

        // Two trials fail, as their script says.
        let resume = sandbox.converge(&["resume"]).expect_code(3);
        assert!(resume.stdout.contains("sweep `fixture`"), "{}", resume.stdout);
        assert_eq!(
            sandbox.rows("select state, count(*) from sweep_trials group by state"),
            ["completed|6", "diverged|2", "failed|2"],
            "{}",
            database.display()
        );
        let from = "select count(*) from attempts where from_step > 0 and ending = 'completed'";
        assert!(sandbox.number(from).unwrap() > 0, "from step {point}, not from the start");
        let kept = sandbox.rows(&of(&sandbox, FINAL));
        assert!(final_before.iter().all(|row| kept.contains(row)), "{final_before:?} {kept:?}");
        let newest = sandbox.number("select user_version from pragma_user_version").unwrap();
        let copy = sandbox.home().join(format!("sweeps.db.v{version}"));
        assert_eq!(copy.is_file(), version < newest);
        resumed += 1;
    }
    assert!(resumed >= 2, "{resumed} databases are kept");
}

/// What is final stays as it is.
const FINAL: &str = "select number, state, objective_value, objective_step from {trials} \
                     where state in ('completed', 'diverged', 'failed') order by number";
