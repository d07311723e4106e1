use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use converge_tests::{Output, Sandbox, binary, runs, signal, wait};
use nix::sys::signal::Signal;

use crate::smoke::smoke;

/// A copy of `converge` in a folder of its own, beside which worker programs can be put.
struct Installation {
    sandbox: Sandbox,
}

impl Installation {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let own = sandbox.write("bin/converge", "");
        std::fs::remove_file(&own).unwrap();
        // A link keeps 100 MB from being copied, where the folder of the tests lies on the same disk.
        std::fs::hard_link(binary(), &own)
            .or_else(|_| std::fs::copy(binary(), &own).map(|_| ()))
            .unwrap();
        smoke(&sandbox);
        Self { sandbox }
    }

    /// Puts a shell script beside `converge`.
    fn worker(&self, name: &str, script: &str) -> PathBuf {
        let path = self.sandbox.write(&format!("bin/{name}"), format!("#!/bin/sh\n{script}\n"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn converge(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(self.sandbox.path().join("bin/converge"));
        command.args(arguments).current_dir(self.sandbox.path()).env("COLUMNS", "100");
        command.env("CONVERGE_HOME", self.sandbox.home()).env_remove("CUDA_VISIBLE_DEVICES");
        Output::of(&mut command)
    }
}

/// Plays a worker for two GPUs: notes what it sees of them and trains on the processor.
fn two_gpus(installation: &Installation) {
    let folder = installation.sandbox.path().display().to_string();
    installation.worker(
        "converge-worker-libtorch",
        &format!(
            r#"if [ "$1" = --devices ]; then
  printf 'cuda:0\tpresent\ta GPU\ncuda:1\tpresent\ta GPU\nlibtorch\tpresent\tthe processor\n'
  exit
fi
echo "$CUDA_VISIBLE_DEVICES $4 $OMP_NUM_THREADS $MKL_NUM_THREADS" >>{folder}/seen
exec {folder}/bin/converge worker "$1" "$2" --device cpu "$5" "$6""#
        ),
    );
}

#[test]
fn every_gpu_gets_a_worker_that_sees_it_alone() {
    let installation = Installation::new();
    two_gpus(&installation);
    let output = installation.converge(&["run", "sweeps/smoke.toml"]).expect_code(0);
    let first = "2 workers on cuda";
    assert!(output.stderr.contains(first) && output.stderr.contains("2 GPUs"), "{}", output.stderr);
    let seen = std::fs::read_to_string(installation.sandbox.path().join("seen")).unwrap();
    let mut seen: Vec<&str> = seen.lines().collect();
    // The first prepares, on the first GPU and with all cores.
    let preparation = seen.remove(0);
    assert!(preparation.starts_with("0 cuda "), "{preparation}");
    seen.sort_unstable();
    assert!(seen[0].starts_with("0 cuda ") && seen[1].starts_with("1 cuda "), "{seen:?}");
    let devices = installation.sandbox.rows("select distinct device from workers order by device");
    assert_eq!(devices, ["cuda:0", "cuda:1"]);
}

#[test]
fn small_models_may_share_a_gpu() {
    let installation = Installation::new();
    two_gpus(&installation);
    let arguments = ["run", "sweeps/smoke.toml", "run.device=cuda:1", "run.workers_per_gpu=2"];
    let output = installation.converge(&arguments).expect_code(0);
    assert!(output.stderr.contains("2 workers on cuda:1"), "{}", output.stderr);
    assert_eq!(installation.sandbox.rows("select distinct device from workers"), ["cuda:1"]);
}

#[test]
fn kernels_that_burn_compiles_stay_in_the_home() {
    let installation = Installation::new();
    let folder = installation.sandbox.path().display().to_string();
    installation.worker(
        "converge-worker-wgpu",
        &format!(
            r#"if [ "$1" = --devices ]; then
  printf 'wgpu:0\tpresent\ta GPU\n'
  exit
fi
pwd >>{folder}/seen
exec {folder}/bin/converge worker "$1" "$2" --device cpu "$5" "$6""#
        ),
    );
    installation.converge(&["run", "sweeps/smoke.toml", "run.device=wgpu"]).expect_code(0);
    let home = installation.sandbox.home();
    let written = std::fs::read_to_string(home.join("cubecl.toml")).unwrap();
    assert!(written.contains(&home.join("cache/kernels").display().to_string()), "{written}");
    // Where the library looks for it: upwards from where a worker runs.
    let seen = std::fs::read_to_string(installation.sandbox.path().join("seen")).unwrap();
    let place = seen.lines().last().unwrap();
    assert!(place.starts_with(&home.join("workers").display().to_string()), "{seen}");
}

#[test]
fn doctor_lists_workers_and_what_they_lack() {
    let installation = Installation::new();
    two_gpus(&installation);
    let words =
        "error while loading shared libraries: libvulkan.so.1: cannot open shared object file";
    installation.worker("converge-worker-wgpu", &format!("echo '{words}' >&2; exit 127"));
    let output = installation.converge(&["doctor"]).expect_code(0);
    for expected in ["by converge-worker-libtorch: cuda:0, cuda:1, libtorch", words] {
        assert!(output.stdout.contains(expected), "{}", output.stdout);
    }
}

#[test]
fn a_missing_library_is_named_with_what_to_do() {
    let installation = Installation::new();
    let words =
        "error while loading shared libraries: libtorch_cpu.so: cannot open shared object file";
    installation.worker("converge-worker-libtorch", &format!("echo '{words}' >&2; exit 127"));
    let arguments = ["run", "sweeps/smoke.toml", "run.device=libtorch"];
    let output = installation.converge(&arguments).expect_code(2);
    assert!(output.stderr.contains(words), "{}", output.stderr);
    assert!(output.stderr.contains("hint: PyTorch's libraries are not where"), "{}", output.stderr);
    assert!(!installation.sandbox.home().exists(), "nothing was begun");
    // What was not asked for by name does not stand in the way.
    let output = installation.converge(&["run", "sweeps/smoke.toml"]).expect_code(0);
    assert!(
        output.stderr.contains(words) && output.stderr.contains("training on cpu"),
        "{}",
        output.stderr
    );
}

#[test]
fn a_worker_that_is_not_there_says_how_to_get_it() {
    let installation = Installation::new();
    for (device, script) in [("cuda:0", "setup-libtorch"), ("wgpu", "setup-wgpu")] {
        let argument = format!("run.device={device}");
        let output = installation.converge(&["run", "sweeps/smoke.toml", &argument]).expect_code(2);
        assert!(
            output.stderr.contains(&format!("device `{device}` is not built")),
            "{}",
            output.stderr
        );
        assert!(output.stderr.contains(script), "{}", output.stderr);
    }
    let output =
        installation.converge(&["run", "sweeps/smoke.toml", "run.device=abacus"]).expect_code(2);
    assert!(output.stderr.contains("there is no device `abacus`"), "{}", output.stderr);
}

/// Curves by trial, metric and step.
type Curves = BTreeMap<String, f64>;

fn curves(sandbox: &Sandbox) -> Curves {
    let query = "select trial, metric, step, value from curves where metric <> 'train/seconds'";
    let row = |row: String| {
        let (key, value) = row.rsplit_once('|').unwrap();
        (key.to_string(), value.parse().unwrap())
    };
    sandbox.rows(query).into_iter().map(row).collect()
}

/// On the device that `CONVERGE_TEST_DEVICE` names: the smoke sweep, undisturbed and killed twice. Orders of addition
/// are the device's own there, so what is demanded is nearness.
#[test]
fn a_killed_sweep_ends_nearly_the_same_on_another_device() {
    let device = std::env::var("CONVERGE_TEST_DEVICE").unwrap_or_default();
    if matches!(device.as_str(), "" | "cpu") {
        println!("not run: CONVERGE_TEST_DEVICE names no other device");
        return;
    }
    let device = format!("run.device={device}");
    // Half of the sweep: a software GPU takes a second for what takes the processor a few milliseconds.
    let arguments = [
        "run",
        "sweeps/smoke.toml",
        "batch_size=8",
        &device,
        "run.workers=1",
        "run.checkpoint_seconds=0.5",
    ];
    let whole = Sandbox::new();
    smoke(&whole);
    whole.converge(&arguments).expect_code(0);
    let expected = curves(&whole);

    let killed = Sandbox::new();
    smoke(&killed);
    // The kernels that the first sweep has compiled: minutes, for some devices.
    std::fs::create_dir_all(killed.home()).unwrap();
    let cache = whole.home().join("cache");
    let copied = std::process::Command::new("cp").arg("-r").arg(cache).arg(killed.home()).status();
    assert!(copied.unwrap().success());
    let mut child = killed.start(&arguments);
    for percent in [20, 60] {
        let moment = expected.len() as i64 * percent / 100;
        wait("it goes on", || {
            killed.number("select count(*) from observations").is_some_and(|count| count >= moment)
        });
        signal(child.id().cast_signed(), Signal::SIGKILL);
        let workers = killed.worker_pids();
        workers.iter().for_each(|pid| signal(*pid, Signal::SIGKILL));
        child.wait().unwrap();
        wait("workers are gone", || workers.iter().all(|pid| !runs(*pid)));
        child = killed.start(&["resume"]);
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(killed.rows("select distinct state from sweep_trials"), ["completed"]);
    assert!(killed.number("select count(*) from attempts where ending = 'abandoned'") > Some(0));
    let found = curves(&killed);
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    let difference = |(key, expected): (&String, &f64)| (found[key] - expected).abs();
    let worst = expected.iter().map(difference).fold(0.0, f64::max);
    let differing = expected.iter().map(difference).filter(|difference| *difference > 0.0).count();
    println!("{differing} of {} values differ, by at most {worst:.1e}", expected.len());
    assert!(worst <= 1e-3, "a value differs by {worst}");
}
