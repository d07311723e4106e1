//! Who is answered, and with which headers.

use converge_dashboard::web::operator::Action;

use crate::support::{Home, Server, TOKEN};

#[test]
fn a_stranger_s_name_for_this_machine_is_refused() {
    let home = Home::new("first", 1);
    let server = Server::over(&home);
    for host in ["evil.example", "evil.example:7331", "localhost.evil.example", "192.168.1.7:7331"]
    {
        for path in ["/", "/assets/main.js", "/api/v1/home"] {
            let answer = server.ask("GET", path, &[("Host", host)], "");
            assert_eq!(answer.status, 403, "{host} {path}");
            assert!(answer.refusal().contains(host.split(':').next().unwrap()));
        }
    }
    for host in ["localhost", "localhost:1", "127.0.0.1", "[::1]:7331"] {
        assert_eq!(server.ask("GET", "/", &[("Host", host)], "").status, 200, "{host}");
    }
}

#[test]
fn another_site_s_page_gets_nothing_from_the_api() {
    let home = Home::new("first", 1);
    let server = Server::over(&home);
    for site in ["cross-site", "same-site"] {
        let answer = server.ask("GET", "/api/v1/home", &[("Sec-Fetch-Site", site)], "");
        assert_eq!(answer.status, 403, "{site}");
    }
    let answer = server.ask("GET", "/api/v1/home", &[("Sec-Fetch-Site", "same-origin")], "");
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
}

#[test]
fn nothing_changes_without_the_token() {
    let home = Home::new("first", 1);
    let server = Server::over(&home);
    let paths =
        ["stop", "pause", "resume", "sweeps/1/cancel"].map(|path| format!("/api/v1/{path}"));
    let own = format!("http://{}", server.address);
    for path in &paths {
        let body = r#"{"trials":[1]}"#;
        for headers in [
            vec![],
            vec![("X-Converge-Token", "")],
            vec![("X-Converge-Token", "0123456789abcdee")],
            vec![("X-Converge-Token", TOKEN), ("Origin", "http://evil.example")],
            vec![("X-Converge-Token", TOKEN), ("Origin", "null")],
            vec![("X-Converge-Token", TOKEN), ("Sec-Fetch-Site", "cross-site")],
        ] {
            let answer = server.ask("POST", path, &headers, body);
            assert_eq!(answer.status, 403, "{path} {headers:?}");
        }
        assert_eq!(
            server.get(path).status,
            405,
            "{path}: an image or a link can get, and gets nothing"
        );
    }
    assert_eq!(*server.notes.asked.lock().unwrap(), []);
    for path in &paths {
        let headers = [("X-Converge-Token", TOKEN), ("Origin", own.as_str())];
        let answer = server.ask("POST", path, &headers, r#"{"trials":[1]}"#);
        assert_eq!(
            (answer.status, answer.json()["message"].as_str()),
            (200, Some("done")),
            "{path}"
        );
    }
    let cancel = Action::Cancel { sweep: "first".into(), trials: vec![1] };
    let asked = [Action::Stop, Action::Pause, Action::Resume, cancel];
    assert_eq!(*server.notes.asked.lock().unwrap(), asked);
}

#[test]
fn a_read_only_page_has_no_actions_at_all() {
    let home = Home::new("first", 1);
    let server = Server::with(&home, None);
    assert_eq!(server.json("home")["actions"], false);
    for path in ["stop", "pause", "resume", "sweeps/1/cancel"] {
        let answer =
            server.ask("POST", &format!("/api/v1/{path}"), &[("X-Converge-Token", "")], "{}");
        assert_eq!(answer.status, 403, "{path}");
        assert_eq!(server.get(&format!("/api/v1/{path}")).status, 404, "{path}");
    }
    assert_eq!(*server.notes.asked.lock().unwrap(), []);
}

#[test]
fn every_answer_forbids_scripts_that_are_no_files_of_the_page() {
    let home = Home::new("first", 1);
    let server = Server::over(&home);
    for path in ["/", "/assets/style.css", "/api/v1/home", "/nothing", "/sweeps/1/trials/2"] {
        let answer = server.get(path);
        let policy = &answer.headers["content-security-policy"];
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer", "{path}");
        assert_eq!(answer.headers["x-frame-options"], "DENY", "{path}");
        assert_eq!(answer.headers["cross-origin-resource-policy"], "same-origin", "{path}");
    }
}
