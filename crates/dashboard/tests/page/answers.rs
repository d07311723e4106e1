//! What the API answers, and in which shape; what users named is data and nothing else.

use serde_json::json;

use crate::support::{Home, METRIC, Server};

#[test]
fn a_home_tells_where_its_sweeps_stand() {
    let mut home = Home::new("first", 2);
    home.complete(1, &[0.5, 0.75]);
    home.complete(3, &[0.5, 0.5]);
    let server = Server::over(&home);
    *server.notes.scheduler.lock().unwrap() = Some(42);
    let answer = server.json("home");
    assert_eq!((&answer["scheduler_pid"], &answer["actions"]), (&json!(42), &json!(true)));
    let sweep = &answer["sweeps"][0];
    assert_eq!(sweep["name"], "first");
    assert_eq!(sweep["state"], "running");
    assert_eq!(sweep["trials"]["completed"], 2);
    assert_eq!(sweep["trials"]["total"], 4);
    assert_eq!(sweep["objective"], json!({"metric": METRIC, "goal": "maximize", "at": "best"}));
    let best = &sweep["best"];
    assert_eq!(
        (&best["mean"], &best["replicates"], &best["trial"]),
        (&json!(0.625), &json!(2), &json!(1))
    );
    assert_eq!((&sweep["steps_done"], &sweep["steps_total"]), (&json!(200), &json!(400)));
    // Nobody holds the home any more: the sweep was killed.
    *server.notes.scheduler.lock().unwrap() = None;
    assert_eq!(server.json("home")["sweeps"][0]["state"], "killed");
    let detail = server.json("sweeps/1");
    assert_eq!(detail["metrics"], json!([METRIC]));
    assert_eq!(detail["source"]["overrides"], json!(["epochs=5"]));
}

#[test]
fn trials_come_as_columns() {
    let mut home = Home::new("first", 2);
    home.complete(2, &[0.25, f64::NAN]);
    let attempt = home.lease(1);
    home.observe(attempt, METRIC, 0, &[0.1]);
    let server = Server::over(&home);
    let trials = server.json("sweeps/1/trials");
    assert_eq!(trials["number"], json!([1, 2, 3, 4]));
    assert_eq!(trials["state"], json!(["running", "completed", "queued", "queued"]));
    assert_eq!(trials["configuration"], json!([0, 1, 0, 1]), "replicates share one");
    assert_eq!(trials["replicate"], json!([0, 0, 1, 1]));
    assert_eq!(trials["objective"], json!([0.1, 0.25, null, null]));
    assert_eq!(trials["step"], json!([1, 2, 0, 0]));
    assert_eq!(trials["parameters"]["optimizer"], json!(["adamw", "sgd", "adamw", "sgd"]));
    assert_eq!(trials["parameters"]["learning_rate"][0], json!(2e-5));
    let values = server.json("sweeps/1/values?metric=validation/accuracy");
    assert_eq!(values["number"], json!([1, 2]));
    assert_eq!((&values["max"], &values["last"]), (&json!([0.1, 0.25]), &json!([0.1, null])));
}

#[test]
fn a_trial_comes_whole() {
    let mut home = Home::new("first", 2);
    home.complete(1, &[0.5, f64::INFINITY]);
    home.complete(3, &[0.25]);
    let server = Server::over(&home);
    let trial = server.json("sweeps/1/trials/1");
    assert_eq!(trial["state"], "completed");
    assert_eq!(trial["objective"], "inf");
    assert_eq!(trial["configuration"], json!({"learning_rate": 2e-5, "optimizer": "adamw"}));
    let others: Vec<_> =
        trial["replicates"].as_array().unwrap().iter().map(|one| one["number"].clone()).collect();
    assert_eq!(others, [1, 3]);
    let setting = |key: &str| {
        let settings = trial["settings"].as_array().unwrap();
        settings.iter().find(|one| one["key"] == key).unwrap().clone()
    };
    assert_eq!(setting("learning_rate")["parameter"], true);
    assert_eq!(setting("epochs")["parameter"], false);
    assert_eq!(trial["attempts"][0]["ending"], "completed");
    assert_eq!(trial["attempts"][0]["device"], "cpu");
    assert_eq!(trial["metrics"][0]["max"], "inf");
    let curves = server.json("sweeps/1/trials/1/curves");
    assert_eq!(curves["curves"][METRIC]["values"], json!([0.5, "inf"]));
}

#[test]
fn a_log_is_told_from_its_end_and_goes_on_from_there() {
    let mut home = Home::new("first", 1);
    home.complete(1, &[0.5]);
    let server = Server::over(&home);
    *server.notes.log.lock().unwrap() = b"one <script>alert(1)</script>\n\xff".to_vec();
    let log = server.json("sweeps/1/trials/1/log");
    assert_eq!(log["text"], "one <script>alert(1)</script>\n\u{fffd}");
    assert_eq!(
        (&log["next"], &log["attempt"], &log["ended"]),
        (&json!(31), &json!(1), &json!(true))
    );
    server.notes.log.lock().unwrap().extend(b"two\n");
    assert_eq!(server.json("sweeps/1/trials/1/log?from=31")["text"], "two\n");
    assert_eq!(server.get("/api/v1/sweeps/1/trials/1/log?attempt=7").status, 404);
    assert_eq!(server.get("/api/v1/sweeps/1/trials/2/log").status, 404, "it has not run");
}

#[test]
fn hostile_names_stay_names() {
    let name = "</script><img src=x onerror=alert(1)>\"'&\u{202e}";
    let mut home = Home::new(name, 1);
    let metric = "validation/recall/<svg onload=alert(2)>";
    let attempt = home.lease(1);
    home.observe(attempt, metric, 0, &[0.5]);
    let server = Server::over(&home);
    for path in ["home", "sweeps/1", "sweeps/1/trials/1"] {
        let answer = server.get(&format!("/api/v1/{path}"));
        assert_eq!(answer.headers["content-type"], "application/json", "never a page");
        assert!(answer.text().contains("onerror=alert(1)"), "{path}");
    }
    assert_eq!(server.json("sweeps/1")["name"], name);
    assert_eq!(server.json("sweeps/1")["facts"][0]["labels"][1], "<b>positive</b>");
    let asked =
        "sweeps/1/curves?trials=1&metric=validation%2Frecall%2F%3Csvg%20onload%3Dalert(2)%3E";
    assert_eq!(server.json(asked)["curves"][0]["values"], json!([0.5]));
    // The pages themselves hold nothing that a user named: they are the same for every home.
    for path in ["/", "/sweeps/1", "/sweeps/1/trials/1"] {
        let page = server.get(path);
        assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
        assert!(!page.text().contains("onerror") && !page.text().contains("<script>"), "{path}");
    }
}

#[test]
fn what_is_not_there_or_not_understood_is_said_with_its_status() {
    let home = Home::new("first", 1);
    let server = Server::over(&home);
    for (path, status) in [
        ("nothing", 404),
        ("sweeps/7", 404),
        ("sweeps/x", 404),
        ("sweeps/7/trials", 404),
        ("sweeps/1/trials/9", 404),
        ("sweeps/1/trials/9/curves", 404),
        ("sweeps/1/curves", 400),
        ("sweeps/1/curves?metric=a&trials=one", 400),
        ("sweeps/1/curves?metric=a&trials=1,2&after=3", 400),
        ("sweeps/1/curves?metric=a&trials=1&points=1", 400),
        ("sweeps/1/values", 400),
        ("events?sweep=x", 400),
    ] {
        let answer = server.get(&format!("/api/v1/{path}"));
        assert_eq!(answer.status, status, "{path}");
        assert!(!answer.refusal().is_empty(), "{path}");
    }
    assert_eq!(server.get("/assets/../web.rs").status, 404);
    assert_eq!(server.get("/assets/nothing.js").status, 404);
    assert_eq!(
        server.json("sweeps/1/curves?metric=none&trials=1,9")["curves"][0]["steps"],
        json!([])
    );
}

#[test]
fn files_are_packed_and_not_sent_again_while_they_are_the_same() {
    let home = Home::new("first", 1);
    let server = Server::over(&home);
    let plain = server.get("/assets/main.js");
    let packed = server.ask("GET", "/assets/main.js", &[("Accept-Encoding", "br, gzip")], "");
    assert_eq!(packed.headers["content-encoding"], "gzip");
    assert!(packed.body.len() * 2 < plain.body.len() && packed.body.starts_with(&[0x1f, 0x8b]));
    let tag = plain.headers["etag"].as_str();
    let again = server.ask("GET", "/assets/main.js", &[("If-None-Match", tag)], "");
    assert_eq!((again.status, again.body.len()), (304, 0));
    // Every module that the page names is there.
    let index = server.get("/").text();
    for part in index.split("\"/assets/").skip(1) {
        let path = format!("/assets/{}", part.split('"').next().unwrap());
        assert_eq!(server.get(&path).status, 200, "{path}");
    }
}

#[test]
fn a_database_that_went_away_is_said_and_found_again() {
    let home = Home::new("first", 1);
    let server = Server::over(&home);
    assert_eq!(server.json("home")["sweeps"][0]["name"], "first");
    let (path, aside) =
        (home.directory.path().join("sweeps.db"), home.directory.path().join("aside"));
    std::fs::rename(&path, &aside).unwrap();
    assert_eq!(server.get("/api/v1/home").status, 503);
    std::fs::rename(&aside, &path).unwrap();
    assert_eq!(server.json("home")["sweeps"][0]["name"], "first");
}
