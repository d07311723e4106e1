//! Server-sent events: what changed, and that the scheduler went.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Home, METRIC, Server};

/// A connection that hears.
struct Ear(BufReader<TcpStream>);

impl Ear {
    fn to(server: &Server, query: &str) -> Self {
        let stream = server.send("GET", &format!("/api/v1/events{query}"), &[], "");
        Self(BufReader::new(stream))
    }

    /// Returns the next event of this name for which `fits` holds; fails when none comes for a minute.
    fn hear(&mut self, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let (mut event, mut line) = (String::new(), String::new());
        let begun = Instant::now();
        loop {
            line.clear();
            // Lines that keep the connection alive come all the time.
            assert!(begun.elapsed() < Duration::from_secs(60), "no such `{name}` came");
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the connection ended");
            if let Some(word) = line.strip_prefix("event: ") {
                event = word.trim_end().to_owned();
            } else if let Some(data) = line.strip_prefix("data: ")
                && event == name
            {
                let data = serde_json::from_str(data).unwrap();
                if fits(&data) {
                    return data;
                }
            }
        }
    }
}

#[test]
fn a_sweep_s_page_hears_of_the_rows_that_changed_and_of_no_others() {
    let mut home = Home::new("first", 3);
    home.complete(1, &[0.5]);
    let server = Server::over(&home);
    let mut ear = Ear::to(&server, "?sweep=1");
    let first = ear.hear("trials", |_| true);
    assert_eq!(first["marker"], server.json("sweeps/1/trials")["marker"]);
    assert_eq!(first["rows"], json!([]), "nothing runs");
    let attempt = home.lease(2);
    let leased = ear.hear("trials", |event| event["rows"] != json!([]));
    assert_eq!(leased["rows"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&leased["rows"][0]["number"], &leased["rows"][0]["state"]),
        (&json!(2), &json!("running"))
    );
    home.observe(attempt, METRIC, 0, &[0.25, 0.75]);
    let moved = ear.hear("trials", |event| event["rows"][0]["step"] == 2);
    assert_eq!(moved["rows"][0]["objective"], 0.75);
    assert_eq!(moved["marker"], server.json("sweeps/1/trials")["marker"]);
    home.complete(3, &[0.9]);
    // Where the sweep stands is told before its rows.
    let sweep = ear.hear("sweep", |event| event["trials"]["completed"] == 2);
    assert_eq!(sweep["best"]["trial"], 3);
    let ended = ear.hear("trials", |event| event["rows"][0]["state"] == "completed");
    assert_eq!(ended["rows"].as_array().unwrap().len(), 1);
}

#[test]
fn a_page_hears_that_the_scheduler_went() {
    let home = Home::new("first", 1);
    let server = Server::over(&home);
    *server.notes.scheduler.lock().unwrap() = Some(42);
    let mut ear = Ear::to(&server, "");
    assert_eq!(ear.hear("home", |_| true)["scheduler_pid"], 42);
    assert_eq!(ear.hear("sweep", |_| true)["state"], "running");
    *server.notes.scheduler.lock().unwrap() = None;
    assert_eq!(ear.hear("home", |_| true)["scheduler_pid"], json!(null));
    assert_eq!(ear.hear("sweep", |_| true)["state"], "killed");
}

#[test]
fn a_trial_s_page_hears_of_its_steps() {
    let mut home = Home::new("first", 1);
    let server = Server::over(&home);
    let mut ear = Ear::to(&server, "?sweep=1&trial=1");
    assert_eq!(ear.hear("trial", |_| true)["state"], "queued");
    let attempt = home.lease(1);
    assert_eq!(ear.hear("trial", |_| true)["state"], "running");
    home.observe(attempt, METRIC, 0, &[0.5]);
    assert_eq!(ear.hear("trial", |event| event["step"] == 1)["objective"], 0.5);
    home.observe(attempt, METRIC, 1, &[0.6]);
    ear.hear("trial", |event| event["step"] == 2);
    let added = server.json("sweeps/1/trials/1/curves?after=1");
    assert_eq!(added["curves"][METRIC]["steps"], json!([2]), "a page asks for what was added");
}
