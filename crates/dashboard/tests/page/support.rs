//! A home with trials in it, a server over it, and as much of an HTTP client as the tests need.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use converge_core::facts::{Facts, ModelFacts, SplitFacts};
use converge_core::ids::{AttemptId, TrialId, WorkerId};
use converge_core::objective::{At, Goal, Objective};
use converge_core::settings::{Preset, Settings};
use converge_core::task::Task;
use converge_core::trial::{AttemptEnding, TrialKind, TrialState};
use converge_core::value::Value;
use converge_dashboard::web::operator::{Action, LogPart, LogText, Operator};
use converge_dashboard::web::{Host, Page, serve};
use converge_store::{Change, NewSession, NewSweep, NewTrial, Store};
use serde_json::Value as Json;

pub(crate) const METRIC: &str = "validation/accuracy";
pub(crate) const TOKEN: &str = "0123456789abcdef";

/// A database that tests write to, as the scheduler would.
pub(crate) struct Home {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) store: Store,
    worker: WorkerId,
    now_ms: i64,
    attempts: i64,
}

impl Home {
    /// A sweep of this name with trials of two configurations, `replicates` of each.
    pub(crate) fn new(name: &str, replicates: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::create_or_open(directory.path().join("sweeps.db")).unwrap();
        let trials = (0..replicates)
            .flat_map(|replicate| ["adamw", "sgd"].map(|optimizer| trial(optimizer, replicate)))
            .collect();
        let sweep = store.create_sweep(&new_sweep(name, trials), 1_000).unwrap();
        let session = NewSession {
            sweep,
            pid: 100,
            boot_id: "boot".into(),
            host: "laptop".into(),
            version: "0.1.0".into(),
            machine: BTreeMap::new(),
        };
        let session = store.open_session(&session, 1_001).unwrap();
        let worker = store.new_worker(session, "cpu", |id| format!("workers/{id}"), 1_002).unwrap();
        Self { directory, store, worker, now_ms: 2_000, attempts: 0 }
    }

    pub(crate) fn apply(&mut self, changes: &[Change]) {
        self.now_ms += 1_000;
        self.store.apply(changes, self.now_ms).unwrap();
    }

    /// Leases a trial and returns its attempt.
    pub(crate) fn lease(&mut self, trial: i64) -> AttemptId {
        self.attempts += 1;
        let attempt = AttemptId(self.attempts);
        self.apply(&[
            Change::Leased {
                attempt,
                trial: TrialId(trial),
                number: 1,
                worker: self.worker,
                from_step: 0,
                directory: format!("attempts/{attempt}"),
                down_seq: self.attempts as u64,
                accumulation_factor: 1,
            },
            Change::Started { attempt },
        ]);
        attempt
    }

    /// Adds a curve to an attempt, from its `after`th step on.
    pub(crate) fn observe(&mut self, attempt: AttemptId, metric: &str, after: u64, values: &[f64]) {
        let changes: Vec<Change> = (after + 1..)
            .zip(values)
            .map(|(step, value)| Change::Observed {
                attempt,
                step,
                seq: step + 10,
                metrics: vec![(metric.to_owned(), *value)],
                items: None,
            })
            .collect();
        self.apply(&changes);
    }

    /// Runs a trial to its end.
    pub(crate) fn complete(&mut self, trial: i64, values: &[f64]) {
        let attempt = self.lease(trial);
        self.observe(attempt, METRIC, 0, values);
        self.apply(&[
            Change::AttemptEnded {
                attempt,
                ending: AttemptEnding::Completed,
                last_step: 0,
                closed_seq: 1_000_000,
                best: None,
                peak_memory_bytes: Some(1 << 30),
            },
            Change::TrialState { trial: TrialId(trial), state: TrialState::Completed },
        ]);
    }
}

pub(crate) fn new_sweep(name: &str, trials: Vec<NewTrial>) -> NewSweep {
    NewSweep {
        name: name.into(),
        identity: "ab".repeat(32),
        definition: r#"{"sweep":{"method":"grid"}}"#.into(),
        source_path: Some("/home/me/sweep.toml".into()),
        source_text: "[sweep]\n# <script>alert(1)</script>\n".into(),
        overrides: vec!["epochs=5".into()],
        facts: vec![facts()],
        objective: Objective { metric: METRIC.into(), goal: Goal::Maximize, at: At::Best },
        version: "0.1.0".into(),
        trials,
    }
}

fn trial(optimizer: &str, replicate: u64) -> NewTrial {
    NewTrial {
        kind: TrialKind::Grid,
        configuration: BTreeMap::from([
            ("learning_rate".to_owned(), Value::Float(2e-5)),
            ("optimizer".to_owned(), Value::Text(optimizer.to_owned())),
        ]),
        settings: Settings::defaults(Preset::Tiny.into(), "/data/train.tsv"),
        fingerprint: optimizer.into(),
        replicate,
        facts_index: 0,
        total_steps: 100,
    }
}

fn facts() -> Facts {
    let split = SplitFacts {
        examples: 10,
        class_counts: vec![4, 6],
        targets: None,
        token_lengths: [3, 8, 20, 31],
        truncated_share: 0.1,
        unknown_token_share: 0.0,
    };
    Facts {
        content_hashes: BTreeMap::new(),
        task: Task::Classes,
        task_reason: String::new(),
        labels: vec!["negative".into(), "<b>positive</b>".into()],
        train: split.clone(),
        validation: Some(split),
        test: None,
        validation_answers: None,
        max_length: 32,
        duplicates_between_splits: 0,
        contradicted_between_splits: 0,
        truncated_validation: Vec::new(),
        bag_of_words: None,
        model: ModelFacts {
            parameters: 1_000,
            hidden_size: 32,
            layers: 2,
            heads: 2,
            intermediate_size: 64,
            vocabulary_size: 100,
            max_positions: 128,
        },
    }
}

/// Notes what it is asked for.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) asked: Mutex<Vec<Action>>,
    pub(crate) scheduler: Mutex<Option<u32>>,
    pub(crate) log: Mutex<Vec<u8>>,
}

impl Operator for Notes {
    fn scheduler(&self) -> Option<u32> {
        *self.scheduler.lock().unwrap()
    }

    fn log(&self, directory: &str, part: LogPart) -> std::io::Result<LogText> {
        assert!(directory.starts_with("attempts/"));
        let log = self.log.lock().unwrap();
        let from = match part {
            LogPart::Tail(most) => log.len().saturating_sub(most as usize),
            LogPart::From(from, _) => (from as usize).min(log.len()),
        };
        Ok(LogText { bytes: log[from..].to_vec(), from: from as u64, length: log.len() as u64 })
    }

    fn carry_out(&self, action: Action) -> Result<String, String> {
        self.asked.lock().unwrap().push(action);
        Ok("done".into())
    }
}

/// A server over a home; it ends with the process.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) notes: Arc<Notes>,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Server {
    pub(crate) fn over(home: &Home) -> Self {
        Self::with(home, Some(TOKEN))
    }

    pub(crate) fn with(home: &Home, token: Option<&str>) -> Self {
        let notes = Arc::new(Notes::default());
        let page = Page {
            database: home.directory.path().join("sweeps.db"),
            home: home.directory.path().display().to_string(),
            version: "0.1.0",
            operator: Arc::<Notes>::clone(&notes),
            token: token.map(str::to_owned),
            host: Host { address: "127.0.0.1".parse().unwrap(), name: None },
        };
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                serve(listener, page).await
            })
        });
        Self { address: receiver.recv().unwrap(), notes }
    }

    /// Sends a request as it stands, and returns where its answer comes.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request += &format!("Host: {}\r\n", self.address);
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{request}\r\n{body}").as_bytes()).unwrap();
        stream
    }

    pub(crate) fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut reader = BufReader::new(self.send(method, path, headers, body));
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut headers = BTreeMap::new();
        loop {
            line.clear();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let mut body = Vec::new();
        reader.read_to_end(&mut body).unwrap();
        Answer { status, headers, body }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    /// Gets JSON of the API.
    pub(crate) fn json(&self, path: &str) -> Json {
        let answer = self.get(&format!("/api/v1/{path}"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Json {
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The sentence of a refusal.
    pub(crate) fn refusal(&self) -> String {
        let json = self.json();
        assert_eq!(json["error"]["status"], self.status);
        json["error"]["message"].as_str().unwrap().to_owned()
    }
}
