//! What the tests share: a folder of its own for each test, and the real binary run in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up waiting for it.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder of its own, with a home in it.
pub struct Sandbox {
    directory: tempfile::TempDir,
}

/// What a command did.
#[derive(Debug)]
pub struct Output {
    /// Exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// Data.
    pub stdout: String,
    /// Talk.
    pub stderr: String,
}

/// Returns the repository's root.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the repository")
        .to_path_buf()
}

/// Returns the binary that was built together with the tests.
pub fn binary() -> PathBuf {
    let own = std::env::current_exe().expect("a test has a path");
    let folder = own.parent().and_then(Path::parent).expect("tests lie in target/PROFILE/deps");
    let binary = folder.join("converge");
    assert!(binary.is_file(), "`{}` is not built: cargo build --release", binary.display());
    binary
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Sandbox {
    /// A test that fails leaves no scheduler behind: it would take time from the tests after it.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let kill = |pid| signal(pid, nix::sys::signal::Signal::SIGKILL);
            self.processes().into_iter().for_each(kill);
        }
    }
}

impl Sandbox {
    /// Makes an empty folder.
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary folder can be made") }
    }

    /// Returns the folder.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the home.
    pub fn home(&self) -> PathBuf {
        self.path().join(".converge")
    }

    /// Writes a file and returns its path.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a file lies in a folder"))
            .expect("folders can be made");
        std::fs::write(&path, text).expect("files can be written");
        path
    }

    /// Makes the command `converge ARGUMENTS` in this folder, with its own home and no surroundings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        command.env_remove("CONVERGE_LOG").env("CONVERGE_HOME", self.home()).env("COLUMNS", "100");
        command
    }

    /// Runs `converge ARGUMENTS` to its end.
    pub fn converge(&self, arguments: &[&str]) -> Output {
        Output::of(&mut self.command(arguments))
    }

    /// Starts `converge ARGUMENTS`, its talk going to a file.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.spawn(&mut self.command(arguments))
    }

    /// Starts a command, its talk going to a file.
    pub fn spawn(&self, command: &mut Command) -> Child {
        let talk =
            std::fs::File::create(self.path().join("talk.log")).expect("files can be written");
        command.stdout(Stdio::null()).stderr(talk).spawn().expect("the binary starts")
    }

    /// Opens the database for reading.
    pub fn database(&self) -> rusqlite::Connection {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        rusqlite::Connection::open_with_flags(self.home().join("sweeps.db"), flags)
            .expect("there is a database")
    }

    /// Returns the rows of a query, each as its columns joined by `|`.
    pub fn rows(&self, query: &str) -> Vec<String> {
        let database = self.database();
        let mut statement = database.prepare(query).expect("the query is sound");
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            let text =
                |index| row.get::<_, rusqlite::types::Value>(index).map(|value| shown(&value));
            (0..columns).map(text).collect::<Result<Vec<_>, _>>().map(|columns| columns.join("|"))
        };
        statement
            .query_map([], row)
            .expect("the query runs")
            .collect::<Result<_, _>>()
            .expect("rows can be read")
    }

    /// Returns the one number that a query gives; none while there is no database yet.
    pub fn number(&self, query: &str) -> Option<i64> {
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let database =
            rusqlite::Connection::open_with_flags(self.home().join("sweeps.db"), flags).ok()?;
        database.query_row(query, [], |row| row.get(0)).ok()
    }

    /// Waits until a query gives at least `least`.
    pub fn wait_for(&self, query: &str, least: i64) {
        wait(query, || self.number(query).is_some_and(|number| number >= least));
    }

    /// Returns what the command said that was started last.
    pub fn talk(&self) -> String {
        std::fs::read_to_string(self.path().join("talk.log")).unwrap_or_default()
    }

    /// Returns the process ids of all schedulers and workers of this home, also of those that no database knows.
    pub fn processes(&self) -> Vec<i32> {
        let variable = format!("CONVERGE_HOME={}", self.home().display());
        let of_this_home = |pid: &i32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
        };
        std::fs::read_dir("/proc")
            .expect("there is a /proc")
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter(of_this_home)
            .filter(|pid| runs(*pid))
            .collect()
    }

    /// Kills all schedulers and workers of this home, as a power cut would.
    pub fn kill_all(&self) {
        wait("every process is gone", || {
            let processes = self.processes();
            processes.iter().for_each(|pid| signal(*pid, nix::sys::signal::Signal::SIGKILL));
            processes.is_empty()
        });
    }

    /// Returns the process ids of the workers that the database knows as running.
    pub fn worker_pids(&self) -> Vec<i32> {
        let query = "select pid from workers where ended_at_ms is null and pid is not null";
        self.rows(query).iter().filter_map(|pid| pid.parse().ok()).collect()
    }
}

/// Waits until something holds; the test fails if it never does.
pub fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal to a process that a test started.
pub fn signal(pid: i32, signal: nix::sys::signal::Signal) {
    // It may be gone already, which is what most tests want anyway.
    let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal);
}

/// Returns whether a process runs (a zombie does not).
pub fn runs(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z')
    })
}

impl Output {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the binary starts");
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asserts the exit code, showing everything if it is another.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Returns stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

fn shown(value: &rusqlite::types::Value) -> String {
    use rusqlite::types::Value;
    match value {
        Value::Null => "null".into(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => format!("{number:?}"),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => format!("{} bytes", bytes.len()),
    }
}
