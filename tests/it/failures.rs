//! Failures: their classes, what is tried again and how, when too many stop the sweep, and what is kept of them.

use converge_tests::{Sandbox, signal};
use nix::sys::signal::Signal;

use crate::smoke::SCRIPTED;

#[test]
fn a_trial_that_ran_out_of_memory_is_retried_with_smaller_micro_batches() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "s.toml",
        format!(
            "{SCRIPTED}[[run.script]]\nsteps = 20\nat_step = 12\nend = \"oom\"\nattempts = 2\n\
             checkpoint_every = 5\nwhen = {{ batch_size = 32 }}\n[failure]\nretries = {{ oom = 3 }}\n"
        ),
    );
    let run = sandbox.converge(&["run", "s.toml"]).expect_code(0);
    for division in ["2 micro-batches of 16", "4 micro-batches of 8"] {
        let told = format!("failed, trying again with {division} (oom: the script says");
        assert!(run.stderr.contains(&told), "{}", run.stderr);
    }
    let attempts = "select distinct a.number, a.accumulation_factor, a.from_step, a.ending from attempts a \
                    join sweep_trials t on t.id = a.trial where json_extract(t.configuration, '$.batch_size') = 32 \
                    order by a.number";
    assert_eq!(
        sandbox.rows(attempts),
        ["1|1|0|failed", "2|2|10|failed", "3|4|10|completed"],
        "from the last checkpoint of the attempt before"
    );
    let others = "select distinct a.accumulation_factor from attempts a \
                  join sweep_trials t on t.id = a.trial where json_extract(t.configuration, '$.batch_size') = 16";
    assert_eq!(sandbox.rows(others), ["1"]);
    let show = sandbox.converge(&["show", "2"]).expect_code(0).stdout;
    let told = "attempt 2 ran out of memory: attempt 3 was a retry with 4 micro-batches of 8";
    assert!(show.contains(told), "{show}");
    let json = sandbox.converge(&["show", "2", "--json"]).expect_code(0).json();
    let counts: Vec<u64> = json["attempt_list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt["micro_batches"].as_u64().unwrap())
        .collect();
    assert_eq!(counts, [1, 2, 4]);
    assert_eq!(json["configuration"]["batch_size"], 32, "the experiment is the same");
}

#[test]
fn a_resumed_sweep_remembers_how_far_a_trial_was_divided() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "s.toml",
        format!(
            "{SCRIPTED}[[run.script]]\nsteps = 100000\nstep_milliseconds = 5\nat_step = 2\nend = \"oom\"\n\
             attempts = 1\ncheckpoint_every = 1\n"
        ),
    );
    let mut child = sandbox.start(&["run", "s.toml"]);
    sandbox.wait_for("select count(*) from attempts where number = 2", 2);
    sandbox.wait_for(
        "select min(n) from (select count(o.step) as n from attempts a left join observations o \
                      on o.attempt = a.id where a.number = 2 group by a.id)",
        2,
    );
    signal(child.id().cast_signed(), Signal::SIGKILL);
    child.wait().unwrap();
    let mut child = sandbox.start(&["resume"]);
    sandbox.wait_for("select count(*) from attempts where number = 3", 2);
    signal(child.id().cast_signed(), Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(4));
    let factors = "select distinct number, accumulation_factor from attempts order by number";
    assert_eq!(sandbox.rows(factors)[..3], ["1|1", "2|2", "3|2"]);
}

#[test]
fn a_worker_that_hangs_is_killed_and_its_trial_tried_again() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "s.toml",
        format!(
            "{SCRIPTED}[[run.script]]\nsteps = 8\nat_step = 6\nend = \"hang\"\nattempts = 1\ncheckpoint_every = 2\n\
             when = {{ batch_size = 32, learning_rate = 1e-5 }}\n[failure]\ntimeout = \"2s\"\n"
        ),
    );
    let run = sandbox.converge(&["run", "s.toml"]).expect_code(0);
    let told = "attempt 1 failed, trying again (timeout: no progress for 2 s: hung, and killed)";
    assert!(run.stderr.contains(told), "{}", run.stderr);
    assert_eq!(
        sandbox.rows("select number, failure_class, from_step from attempts where trial = 2"),
        ["1|timeout|0", "2|null|4"]
    );
}

#[test]
fn what_went_wrong_is_kept_with_the_attempt_and_shown() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "s.toml",
        format!(
            "{SCRIPTED}[[run.script]]\nsteps = 8\nat_step = 3\nend = \"panic\"\nwhen = {{ learning_rate = 1e-5 }}\n\
             [[run.script]]\nsteps = 400\nstep_milliseconds = 5\nat_step = 300\nend = \"kill\"\nattempts = 1\n\
             when = {{ learning_rate = 1e-4, batch_size = 16 }}\n"
        ),
    );
    let run = sandbox.converge(&["run", "s.toml"]).expect_code(3);
    assert!(run.stderr.contains("2 trials failed"), "{}", run.stderr);
    // Every attempt that failed has its evidence, and no other.
    let kept = "select a.ending, count(*), count(e.attempt), count(a.peak_memory_bytes) from attempts a \
                left join evidence e on e.attempt = a.id group by a.ending order by a.ending";
    assert_eq!(sandbox.rows(kept), ["completed|4|0|4", "failed|5|5|5"]);
    let show = sandbox.converge(&["show", "1"]).expect_code(0).stdout;
    for told in [
        "panic: the script says panic at step 3",
        "attempt 2: its worker ended with exit code 101",
        "last lines of the log of attempt 2",
        "failed (panic): the script says panic at step 3",
    ] {
        assert!(show.contains(told), "{told}\n{show}");
    }
    assert_eq!(
        show.matches("failed (panic)").count(),
        1,
        "both logs say it, and once is enough: {show}"
    );
    // It could not say goodbye: its memory was seen from outside.
    let json = sandbox.converge(&["show", "3", "--json"]).expect_code(0).json();
    let killed = &json["attempt_list"][0];
    assert_eq!(killed["ending"]["failed"]["class"], "killed");
    assert!(killed["worker_exit"].as_str().unwrap().starts_with("signal 9"), "{killed}");
    assert!(killed["peak_memory_bytes"].as_u64().unwrap() > 1 << 20, "{killed}");
    assert!(killed["evidence"]["log"].as_str().unwrap().contains("attempt "), "{killed}");
    assert_eq!(json["attempt_list"][1]["evidence"], serde_json::Value::Null);
}

#[test]
fn the_evidence_of_workers_that_ended_with_their_scheduler_is_kept_too() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "s.toml",
        format!("{SCRIPTED}[[run.script]]\nsteps = 100000\nstep_milliseconds = 5\n"),
    );
    let mut child = sandbox.start(&["run", "s.toml"]);
    sandbox.wait_for("select count(distinct attempt) from observations", 2);
    let workers = sandbox.worker_pids();
    signal(child.id().cast_signed(), Signal::SIGKILL);
    workers.iter().for_each(|pid| signal(*pid, Signal::SIGKILL));
    child.wait().unwrap();
    let mut child = sandbox.start(&["resume"]);
    let left = "select count(*) from evidence e join attempts a on a.id = e.attempt \
                where a.ending = 'abandoned' and e.log <> ''";
    sandbox.wait_for(left, 2);
    // By now it listens for signals: before, one ends it as any other program.
    sandbox.wait_for("select count(*) from attempts where ending is null", 1);
    signal(child.id().cast_signed(), Signal::SIGTERM);
    assert_eq!(child.wait().unwrap().code(), Some(4));
}

#[test]
fn a_bug_that_fails_every_trial_does_not_burn_the_whole_grid() {
    let sandbox = Sandbox::new();
    let text = format!(
        "{SCRIPTED}[[run.script]]\nend = \"data\"\nat_step = 2\n[failure]\nmax_consecutive = 2\n"
    )
    .replace("workers = 2", "workers = 1");
    sandbox.write("s.toml", &text);
    let run = sandbox.converge(&["run", "s.toml"]).expect_code(4);
    for told in [
        "2 failed in a row (`max_consecutive` in [failure]), the last was trial 2 (data)",
        "`converge show 2` tells more",
        "4 of 6 trials left; go on with `converge resume scripted`",
    ] {
        assert!(run.stderr.contains(told), "{told}\n{}", run.stderr);
    }
    let states = "select state, count(*) from sweep_trials group by state";
    assert_eq!(sandbox.rows(states), ["failed|2", "queued|4"]);
    // A resume gets a fair try before it stops again.
    sandbox.converge(&["resume"]).expect_code(4);
    assert_eq!(sandbox.rows(states), ["failed|4", "queued|2"]);
    // The limit may change freely.
    sandbox.converge(&["run", "s.toml", "failure.max_consecutive=none"]).expect_code(3);
    assert_eq!(sandbox.rows(states), ["failed|6"]);
}

#[test]
fn so_many_failed_trials_in_all_stop_the_sweep() {
    let sandbox = Sandbox::new();
    let text = format!(
        "{SCRIPTED}[[run.script]]\nend = \"data\"\nat_step = 2\nwhen = {{ batch_size = 32 }}\n\
         [failure]\nmax_failed = 2\n"
    )
    .replace("workers = 2", "workers = 1");
    sandbox.write("s.toml", &text);
    let run = sandbox.converge(&["run", "s.toml"]).expect_code(4);
    assert!(run.stderr.contains("2 failed (`max_failed` in [failure])"), "{}", run.stderr);
    let states = "select state, count(*) from sweep_trials group by state";
    assert_eq!(sandbox.rows(states), ["completed|2", "failed|2", "queued|2"]);
    sandbox.converge(&["resume"]).expect_code(3);
    assert_eq!(sandbox.rows(states), ["completed|3", "failed|3"]);
}
