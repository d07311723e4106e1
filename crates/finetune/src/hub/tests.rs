use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use converge_bert::WeightFormat;

use super::*;
use crate::model_files::TokenizerFiles;

/// A hub on the loopback device with the files of one model, `org/name`.
struct Server {
    endpoint: String,
    requests: Arc<AtomicUsize>,
}

fn serve(files: &'static [(&'static str, &'static str)]) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    // Ends with the process: nothing waits for it.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            counter.fetch_add(1, Ordering::SeqCst);
            answer(stream.unwrap(), files);
        }
    });
    Server { endpoint, requests }
}

fn answer(mut stream: TcpStream, files: &[(&str, &str)]) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut request = String::new();
    reader.read_line(&mut request).unwrap();
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 2 {
        line.clear();
    }
    let path = request.split(' ').nth(1).unwrap();
    let found = files.iter().find(|(name, _)| path == format!("/org/name/resolve/main/{name}"));
    let response = match found {
        Some((name, content)) => format!(
            "HTTP/1.1 200 OK\r\netag: \"{name}-tag\"\r\nx-repo-commit: c0ffee\r\n\
             content-range: bytes 0-0/{length}\r\ncontent-length: {length}\r\n\
             connection: close\r\n\r\n{content}",
            length = content.len(),
        ),
        None => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".into(),
    };
    // The client may hang up once it has seen the headers.
    let _ = stream.write_all(response.as_bytes());
}

fn hub(directory: &Path, endpoint: &str, offline: bool) -> Hub {
    Hub {
        cache: Cache::new(directory.to_owned()),
        endpoint: Some(endpoint.to_owned()),
        token: None,
        offline,
    }
}

const WHOLE: [(&str, &str); 3] =
    [("config.json", "{}"), ("tokenizer.json", "tokens"), ("model.safetensors", "weights")];

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn what_was_fetched_once_is_taken_from_the_cache() {
    static FILES: &[(&str, &str)] = &WHOLE;
    let server = serve(FILES);
    let directory = tempfile::tempdir().unwrap();
    let online = hub(directory.path(), &server.endpoint, false);
    let files = online.fetch("org/name").unwrap();
    assert_eq!(read(&files.config), "{}");
    assert_eq!(read(&files.weights.paths[0]), "weights");

    let requests = server.requests.load(Ordering::SeqCst);
    assert!(requests > 0);
    let offline = hub(directory.path(), &server.endpoint, true);
    for hub in [online, offline] {
        assert_eq!(hub.fetch("org/name").unwrap(), files);
    }
    assert_eq!(server.requests.load(Ordering::SeqCst), requests);
}

#[test]
fn what_exists_of_an_old_model_is_fetched_once() {
    let server = serve(&[
        ("config.json", "{}"),
        ("vocab.txt", "[PAD]"),
        ("tokenizer_config.json", "{}"),
        (
            "pytorch_model.bin.index.json",
            r#"{"weight_map": {"a": "pytorch_model-00001-of-00002.bin", "b": "pytorch_model-00002-of-00002.bin"}}"#,
        ),
        ("pytorch_model-00001-of-00002.bin", "first"),
        ("pytorch_model-00002-of-00002.bin", "second"),
    ]);
    let directory = tempfile::tempdir().unwrap();
    let hub = hub(directory.path(), &server.endpoint, false);
    let files = hub.fetch("org/name").unwrap();
    let parts: Vec<String> = files.weights.paths.iter().map(|path| read(path)).collect();
    assert_eq!(parts, ["first", "second"]);
    assert_eq!(files.weights.format, WeightFormat::PyTorch);
    let TokenizerFiles::WordPieces { vocabulary, settings } = &files.tokenizer else {
        panic!("{files:?}");
    };
    assert_eq!(
        (read(vocabulary), settings.config.as_deref().map(read)),
        ("[PAD]".into(), Some("{}".into()))
    );
    let requests = server.requests.load(Ordering::SeqCst);
    assert_eq!(hub.fetch("org/name").unwrap(), files);
    assert_eq!(server.requests.load(Ordering::SeqCst), requests);
}

#[test]
fn offline_says_what_the_cache_lacks() {
    let directory = tempfile::tempdir().unwrap();
    let hub = hub(directory.path(), "http://127.0.0.1:9", true);
    let problems = hub.fetch("org/name").unwrap_err();
    let said = problems[0].to_string();
    assert!(said.starts_with("hf:org/name: HF_HUB_OFFLINE is set and the cache"), "{said}");
    assert!(said.ends_with("lacks config.json, tokenizer.json, model.safetensors"), "{said}");
}

#[test]
fn files_that_the_model_lacks_are_named_at_once() {
    let server = serve(&[("config.json", "{}")]);
    let directory = tempfile::tempdir().unwrap();
    let hub = hub(directory.path(), &server.endpoint, false);
    let problems = hub.fetch("org/name").unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
    for (problem, file) in problems.iter().zip(["tokenizer.json", "model.safetensors"]) {
        assert!(problem.message.ends_with(&format!(" has no {file}")), "{problems:?}");
        assert!(problem.hint.as_deref().unwrap().ends_with("give its directory"), "{problems:?}");
    }
    let problems = hub.fetch("org/other").unwrap_err();
    assert_eq!(problems[0].hint.as_deref(), Some("check the name of the model"));
}

#[test]
fn a_hub_out_of_reach_is_a_problem_with_a_way_on() {
    // Nothing listens: the port was free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let directory = tempfile::tempdir().unwrap();
    let hub = hub(directory.path(), &format!("http://127.0.0.1:{port}"), false);
    let problems = hub.fetch("org/name").unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].hint.as_deref().unwrap().contains("give its directory"), "{problems:?}");
}

#[test]
fn names_cannot_leave_the_cache() {
    let directory = tempfile::tempdir().unwrap();
    let hub = hub(directory.path(), "http://127.0.0.1:9", true);
    for name in ["", "../x", "a/../b", "a/b/c", "a/b@../c", "a b", "/a"] {
        let problems = hub.fetch(name).unwrap_err();
        assert_eq!(problems[0].message, "is not the name of a model", "{name}");
    }
    assert!(repository("bert-base-uncased").is_some());
    assert!(repository("org/name@refs/pr/1").is_some());
}
