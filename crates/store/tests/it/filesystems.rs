//! Where nothing can be written, and where there is no room left. Each test runs in a mount namespace of its own.

use std::path::Path;
use std::process::Command;

use converge_core::ids::TrialId;
use converge_store::{Change, OpenError, ReadError, Reader, Store};

use crate::home::{Home, METRIC, observed, query, raw};

/// Set in the process that is inside the namespace: a directory to mount over.
const INSIDE: &str = "CONVERGE_STORE_NAMESPACE";

/// Runs `test` in a mount namespace, in a process of its own, or says why it cannot.
fn in_namespace(name: &str, test: impl FnOnce(&Path)) {
    if let Ok(directory) = std::env::var(INSIDE) {
        return test(Path::new(&directory));
    }
    let probe = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "x", "/tmp"]).output();
    match probe {
        Ok(probe) if probe.status.success() => {}
        Ok(probe) => {
            return println!("skipped: {}", String::from_utf8_lossy(&probe.stderr));
        }
        Err(error) => return println!("skipped: unshare: {error}"),
    }
    let directory = tempfile::tempdir().unwrap();
    let status = Command::new("unshare")
        .arg("-rm")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("filesystems::{name}"), "--nocapture"])
        .env(INSIDE, directory.path())
        .status()
        .unwrap();
    assert!(status.success(), "inside the namespace: {status}");
}

fn mount(arguments: &[&str], directory: &Path) {
    let status = Command::new("mount").args(arguments).arg(directory).status().unwrap();
    assert!(status.success(), "mount {arguments:?}");
}

/// Makes a directory read-only, for root too.
fn make_read_only(directory: &Path) {
    mount(&["--bind", directory.to_str().unwrap()], directory);
    mount(&["-o", "remount,bind,ro"], directory);
    assert!(std::fs::write(directory.join("x"), "x").is_err());
}

/// Copies a home's database as a killed writer leaves it, with the given files beside it.
fn copy(home: &Home, to: &Path, suffixes: &[&str]) {
    for suffix in suffixes {
        let name = format!("sweeps.db{suffix}");
        std::fs::copy(home.directory.path().join(&name), to.join(&name)).unwrap();
    }
}

#[test]
fn a_read_only_home_can_be_read() {
    in_namespace("a_read_only_home_can_be_read", |directory| {
        let mut home = Home::new(1);
        home.complete(1, &[0.5]);
        let path = directory.join("odd name?mode=rw#%41");
        let original = home.path();
        drop(home.store);
        std::fs::copy(original, &path).unwrap();
        make_read_only(directory);
        let reader = Reader::open(&path).unwrap();
        assert_eq!(reader.sweeps().unwrap()[0].best, Some(0.5));
        assert_eq!(reader.curve(TrialId(1), METRIC).unwrap().len(), 1);
        let error = Store::create_or_open(&path).unwrap_err();
        assert!(matches!(error, OpenError::ReadOnly { .. }), "{error:?}");
    });
}

#[test]
fn a_read_only_home_with_an_empty_log_can_be_read() {
    in_namespace("a_read_only_home_with_an_empty_log_can_be_read", |directory| {
        let home = Home::new(1);
        let original = home.path();
        drop(home.store);
        let path = directory.join("sweeps.db");
        std::fs::copy(original, &path).unwrap();
        std::fs::write(directory.join("sweeps.db-wal"), "").unwrap();
        make_read_only(directory);
        assert_eq!(Reader::open(&path).unwrap().sweeps().unwrap().len(), 1);
    });
}

#[test]
fn a_log_that_cannot_be_read_is_an_error_not_an_old_answer() {
    in_namespace("a_log_that_cannot_be_read_is_an_error_not_an_old_answer", |directory| {
        let mut home = Home::new(1);
        home.complete(1, &[0.5]);
        copy(&home, directory, &["", "-wal"]);
        make_read_only(directory);
        let path = directory.join("sweeps.db");
        let error = Reader::open(&path).unwrap_err();
        assert!(matches!(error, ReadError::LogUnreadable { .. }), "{error:?}");
    });
}

#[test]
fn a_killed_writers_log_is_read_where_its_index_is_left() {
    in_namespace("a_killed_writers_log_is_read_where_its_index_is_left", |directory| {
        let mut home = Home::new(1);
        home.complete(1, &[0.5]);
        copy(&home, directory, &["", "-wal", "-shm"]);
        make_read_only(directory);
        let reader = Reader::open(directory.join("sweeps.db")).unwrap();
        assert_eq!(reader.sweeps().unwrap()[0].best, Some(0.5));
    });
}

#[test]
fn a_full_disk_is_said_and_the_same_batch_goes_in_once_there_is_room() {
    let name = "a_full_disk_is_said_and_the_same_batch_goes_in_once_there_is_room";
    in_namespace(name, |directory| {
        mount(&["-t", "tmpfs", "-o", "size=3m", "tmpfs"], directory);
        // What Home makes lies elsewhere; the store under test is on the small disk.
        let mut home = Home::new(1);
        let path = directory.join("sweeps.db");
        home.store = Store::create_or_open(&path).unwrap();
        let trials = vec![crate::home::trial("a", 0)];
        let new = crate::home::sweep("first", converge_core::objective::Goal::Maximize, trials);
        let sweep = home.store.create_sweep(&new, 1).unwrap();
        let session = home.store.open_session(&crate::home::new_session(sweep), 1).unwrap();
        let worker = home.store.new_worker(session, "cpu", |id| format!("w/{id}"), 1).unwrap();
        let lease = home.lease(TrialId(1), 1, 0);
        home.apply(&[lease]);
        let filler = directory.join("filler");
        std::fs::write(&filler, vec![1; 1_000_000]).unwrap();

        let batch = |number: u64| {
            let steps = number * 100 + 1..=(number + 1) * 100;
            let mut batch: Vec<Change> =
                steps.map(|step| observed(1, step, &[(METRIC, 0.5), ("x/new", 1.0)])).collect();
            let next_seq = number + 2;
            batch.push(Change::LogRead { worker, offset: number, next_seq, torn_lines: 0 });
            batch
        };
        let mut refused = None;
        for number in 0..10_000 {
            if let Err(error) = home.store.apply(&batch(number), 2) {
                assert!(error.is_disk_full(), "{error:?}");
                refused = Some(number);
                break;
            }
        }
        let number = refused.expect("the disk was filled");
        assert!(home.store.apply(&batch(number), 2).unwrap_err().is_disk_full());
        let kept = home.store.read().curve(TrialId(1), METRIC).unwrap().len() as u64;
        assert_eq!(kept, number * 100, "nothing of the batch was kept");

        std::fs::remove_file(&filler).unwrap();
        home.store.apply(&batch(number), 3).unwrap();
        home.store.apply(&batch(number + 1), 3).unwrap();
        let kept = home.store.read().curve(TrialId(1), METRIC).unwrap().len() as u64;
        assert_eq!(kept, (number + 2) * 100);
        assert_eq!(query(&path, "PRAGMA integrity_check"), ["ok"]);
        drop(home.store);
        assert_eq!(
            raw(&path).query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)),
            Ok("ok".into())
        );
    });
}
