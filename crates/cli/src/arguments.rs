//! What can be written on the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const EXIT_CODES: &str = "\
Exit codes:
  0    all done
  1    a failure of converge or of the system
  2    wrong usage, sweep file, model or data
  3    finished, with failed trials
  4    interrupted; `converge resume` goes on
  130  interrupted twice: workers were killed; `converge resume` goes on";

/// Version, and the commit where it is known.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), env!("CONVERGE_COMMIT"));

/// Hyperparameter sweeps that fine-tune BERT classifiers: launched, resumed, stored, ranked.
#[derive(Debug, Parser)]
#[command(name = "converge", version = VERSION, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Arguments {
    /// Options of every command.
    #[command(flatten)]
    pub(crate) global: Global,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Folder of database, logs and cache [default: the nearest `.converge` upwards, else `./.converge`]
    #[arg(long, global = true, env = "CONVERGE_HOME", value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// More log lines on stderr: -v info, -vv debug. CONVERGE_LOG takes a filter in the form of RUST_LOG
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Look at a data file and write a commented sweep for it, which runs as it is
    ///
    /// Tells columns, classes and task from the file, says why, and asks where only you can know. The file that it
    /// writes has been checked against model and data, as by `converge plan`.
    Init(InitArguments),
    /// Check a sweep file, model and data, and show what would run; changes nothing but the cache
    ///
    /// The time is guessed from sizes until it is measured: `--measure` trains each cost class (trials that agree in batch
    /// size, optimizer, model, data and what else decides how long a step takes) for a moment, with as many workers as the
    /// sweep will have. What it finds is kept in the home, for this and other sweeps with such trials on this machine.
    Plan(PlanArguments),
    /// Find which learning rates are worth a search: one short training that climbs through them
    ///
    /// The learning rate rises from step to step, by the same factor, until the loss blows up or the steps are done. A
    /// plot shows the loss over the learning rate, with the range that it proposes and lines for the sweep file. Of other
    /// searched parameters the first value is taken, or the middle of the range; KEY=VALUE takes another.
    ///
    /// The probe of a FILE is kept in a sweep `NAME-probe`, so that the file can change; the probe of a stored SWEEP
    /// stands beside its search, is not ranked, not counted, and takes nothing of `[budget] max_steps`. Stopped or killed,
    /// it goes on with the same command or with `resume`; done, the same command shows it again.
    Probe(ProbeArguments),
    /// Run a sweep: start it, or go on where it stands; nothing is trained twice
    Run(RunArguments),
    /// Go on with a sweep as it is stored, or with one that is paused; or show what that would do
    Resume(ResumeArguments),
    /// Grow a stored sweep by a changed file: new values, replicates or draws become new trials, old trials stay
    Extend(ExtendArguments),
    /// Show where sweeps stand
    Status(ReadArguments),
    /// Ask the running sweep to checkpoint and stop
    Stop,
    /// Free CPU, GPU and memory for a while: workers checkpoint and leave, the scheduler stays
    ///
    /// A scheduler is `running`, `pausing` (its workers save their checkpoints) or `paused` (it has no workers, and
    /// starts none); `converge status` shows which. `converge resume` in any terminal lets a paused sweep go on in its
    /// own process. `converge stop` and Ctrl-C end it from each of these states.
    Pause,
    /// Take trials out of a sweep: those that wait are not run, those that run are stopped
    ///
    /// A cancelled trial is no failure and is ranked nowhere; its checkpoint is deleted, its curve stays. A trial that
    /// ends before it can be stopped keeps its result. Works while a scheduler runs, and without one.
    Cancel(CancelArguments),
    /// Watch a sweep on the whole screen: progress, trials with their curves, one trial's page; `?` shows its keys
    ///
    /// Opens running, finished and read-only homes alike. It locks nothing, and changes nothing but by the requests that
    /// `stop`, `pause` and `cancel` make, after a question. Where stdout is no terminal it prints one snapshot.
    Watch(WatchArguments),
    /// Rank configurations by the mean over their replicates, and tell how sure the first one is
    ///
    /// Under the ranking stand: the best configuration with an interval for the noise of seeds and of validation examples,
    /// its value without the luck of being chosen, the configurations that cannot be told apart from it and the cheapest of
    /// them, the gain over the defaults where a baseline trial ran, trials without a value, and the test value if it was
    /// computed.
    Best(BestArguments),
    /// Say which parameters mattered, how sure that is, and what to try next
    ///
    /// Shares of the variance for a full grid, importances for any other sweep; what came of each value at its best; a map
    /// of the two parameters that matter most; whether the best lies at an edge of what was tried, and whether more
    /// trials would help. docs/explain.md says what each number is, and what it is not.
    Explain(ExplainArguments),
    /// Say why trials did not converge, with the numbers that show it, and what to do
    ///
    /// Of one trial: its cause, how sure that is, the steps that show it, other trials of the sweep that differ in a
    /// single setting and work, and what mends it. Of a sweep: what works, what failed and why, and what limits the
    /// best. docs/diagnosis.md says how causes are told apart.
    Why(WhyArguments),
    /// Write the sweep file that comes after a sweep: around its best, with more seeds, without what made no difference
    ///
    /// Ranges lie around the best value, and reach further out where it was the smallest or largest tried; values at which
    /// nothing worked are left out. A parameter whose values are no further apart than shuffled results are is fixed at the
    /// best's value. The best configurations come first. The comments say why, line by line; nothing is run, and a file
    /// that is there is not changed.
    Next(NextArguments),
    /// Compare two trials: settings, metrics, and whether the difference is more than noise
    ///
    /// Two trials are compared example by example, as far as what they said of each validation example is kept: a paired
    /// bootstrap, and McNemar's test. Several trials on each side, such as the replicates of two configurations, are
    /// compared by the seeds that both have.
    Compare(CompareArguments),
    /// List trials
    Trials(TrialsArguments),
    /// Show one trial: settings, attempts, failures, final values
    Show(ShowArguments),
    /// Plot a metric of one or more trials in the terminal
    Curve(CurveArguments),
    /// Show sweeps, trials and curves in a browser, live; until Ctrl-C
    ///
    /// Reads the home's database, whether a sweep runs or not, and answers on this machine alone unless --host says
    /// otherwise. Sweeps are paused and stopped, and trials cancelled, only by who opens the address that is printed:
    /// it carries a token that changes with each start.
    Serve(ServeArguments),
    /// Write every observation of a sweep to stdout
    Export(ExportArguments),
    /// Save a trial's model as a folder that Hugging Face's `from_pretrained` opens
    ///
    /// With the tokenizer, a model card, and `converge.json`: configuration, settings, scores, hashes.
    Save(SaveArguments),
    /// Print what a trained model answers to each row of a file
    ///
    /// One line a row, in order, as they are computed. The label column need not be there. Problems of a file are all told
    /// with their lines before anything is printed.
    Predict(PredictArguments),
    /// Print how good a trained model is on a labelled file, and whether the file is new to it
    Evaluate(EvaluateArguments),
    /// Train a trial's configuration again, on training and validation data together
    ///
    /// For as many passes over the data as the trial had made at its best evaluation; the schedule ends there, and the
    /// weights of the last step are kept until `gc --refits` deletes them. The new trial stands beside the search: it is not
    /// ranked, not counted, and takes nothing of `[budget] max_steps`. Stopped or killed, it goes on with the same command
    /// or with `resume`.
    Refit(RefitArguments),
    /// Show files that the home can do without: checkpoints of finished trials, weights beyond the best; --yes deletes
    Gc(GcArguments),
    /// Show what is wrong with the home: rows, files, permissions; --yes mends it
    Repair(RepairArguments),
    /// Make a new database from the workers' logs, where the old one is lost or damaged; the old one stays beside it
    Rebuild(RebuildArguments),
    /// Look at devices and their workers, disk, database and downloads
    Doctor(DoctorArguments),
    /// Print a JSON Schema of the sweep file, for editors
    ///
    /// With Taplo or Even Better TOML: `converge schema > sweep.schema.json`, and `#:schema ./sweep.schema.json` as the
    /// first line of a sweep file.
    Schema,
    /// Print completions for a shell
    ///
    /// bash: `converge completions bash > ~/.local/share/bash-completion/completions/converge`.
    /// zsh: `converge completions zsh > DIR/_converge`, DIR being in $fpath.
    /// fish: `converge completions fish > ~/.config/fish/completions/converge.fish`.
    Completions(CompletionsArguments),
    /// Write a man page for each command
    #[command(hide = true)]
    Manual(ManualArguments),
    /// The process that trains; started by `run`
    #[command(hide = true)]
    Worker(WorkerArguments),
}

/// `init`.
#[derive(Debug, Args)]
pub(crate) struct InitArguments {
    /// Data file: csv, tsv or jsonl, with a header
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,
    /// Model: a Hugging Face folder, `hf:org/name`, or `tiny` (random weights, no download)
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Column of the text [default: told by name and content]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) text: Option<String>,
    /// Column of the second text, for two texts that belong together
    #[arg(long, value_name = "COLUMN")]
    pub(crate) text_pair: Option<String>,
    /// Column of the label [default: told by name and content]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label: Option<String>,
    /// What is learned [default: told by the labels]
    #[arg(long, value_enum)]
    pub(crate) task: Option<TaskWord>,
    /// Name of the sweep [default: that of the data file]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// File to write
    #[arg(short, long, value_name = "FILE", default_value = "sweep.toml")]
    pub(crate) output: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    pub(crate) force: bool,
}

/// A task on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum TaskWord {
    /// One class of two or more
    Classes,
    /// Any number of labels
    MultiLabel,
    /// A number
    Regression,
}

/// `completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// Shell
    pub(crate) shell: clap_complete::Shell,
}

/// `manual`.
#[derive(Debug, Args)]
pub(crate) struct ManualArguments {
    /// Folder to write into
    pub(crate) directory: PathBuf,
}

/// `plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArguments {
    /// Sweep file
    pub(crate) file: PathBuf,
    /// Overrides: `learning_rate=1e-5,2e-5 epochs=5 data.train=x.tsv run.device=cuda`; `~momentum` takes a key out
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// Measure what steps, evaluations and starts take, for a forecast of time and memory
    #[arg(long)]
    pub(crate) measure: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `probe`.
#[derive(Debug, Args)]
pub(crate) struct ProbeArguments {
    /// Sweep file, or the name of a stored sweep
    #[arg(value_name = "FILE|SWEEP")]
    pub(crate) target: String,
    /// Overrides, as for `run`; for a stored sweep one value each, such as `optimizer=sgd batch_size=32`
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// Steps of the climb; 100 to 200 are usual
    #[arg(long, default_value_t = converge_core::probe::STEPS)]
    pub(crate) steps: u64,
    /// Learning rate of the first step [default: 1e-7; sgd: 1e-5; adagrad: 1e-6]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub(crate) from: Option<f64>,
    /// Learning rate of the last step [default: 0.1; sgd: 10; adagrad: 1]
    #[arg(long, value_name = "RATE", allow_negative_numbers = true)]
    pub(crate) to: Option<f64>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `run`.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Sweep file
    pub(crate) file: PathBuf,
    /// Overrides: `learning_rate=1e-5,2e-5 epochs=5 data.train=x.tsv run.device=cuda`; `~momentum` takes a key out
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) overrides: Vec<String>,
    /// Another name for the sweep
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Workers at once [default: `[run] workers`]
    #[arg(long)]
    pub(crate) workers: Option<u64>,
}

/// `resume`.
#[derive(Debug, Args)]
pub(crate) struct ResumeArguments {
    /// Name of the sweep [default: the latest unfinished one]
    pub(crate) sweep: Option<String>,
    /// Workers at once [default: `[run] workers`]
    #[arg(long)]
    pub(crate) workers: Option<u64>,
    /// Queue trials again: `failed`, classes of failure such as `oom,killed`, `cancelled`, or `all`.
    /// Works for a finished sweep too
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    pub(crate) retry: Vec<String>,
    /// Show what would be done with each trial, and why; changes nothing, and needs nobody to stop
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long, requires = "dry_run")]
    pub(crate) json: bool,
}

/// `extend`.
#[derive(Debug, Args)]
#[command(
    override_usage = "converge extend [OPTIONS] [SWEEP] FILE [KEY=VALUE]...",
    after_help = "Without SWEEP, the sweep is the one that FILE names. Nothing is trained: `converge resume` goes on."
)]
pub(crate) struct ExtendArguments {
    /// Name of the sweep, if FILE has another one, then the changed sweep file
    #[arg(value_name = "[SWEEP] FILE")]
    pub(crate) first: String,
    /// Overrides, as for `run`; those that the sweep was started with have to be given again
    #[arg(value_name = "KEY=VALUE")]
    pub(crate) rest: Vec<String>,
    /// Show differences and effect; change nothing but the cache
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    pub(crate) yes: bool,
}

/// `cancel`.
#[derive(Debug, Args)]
pub(crate) struct CancelArguments {
    /// Trials: `3`, `1-5`, `1,4`, `last`, `best`, or conditions such as `state=queued`, `optimizer=sgd`,
    /// `learning_rate>1e-3`; all conditions have to hold, for one of the numbers if there are any
    #[arg(required = true, value_name = "TRIALS")]
    pub(crate) trials: Vec<String>,
    /// Name of the sweep [default: the latest]
    #[arg(long)]
    pub(crate) sweep: Option<String>,
}

/// Commands that read one sweep, or all.
#[derive(Debug, Args)]
pub(crate) struct ReadArguments {
    /// Name of the sweep [default: all of them]
    pub(crate) sweep: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArguments {
    /// Name of the sweep [default: the latest]
    pub(crate) sweep: Option<String>,
    /// Print one snapshot, and leave
    #[arg(long)]
    pub(crate) once: bool,
    /// Print one snapshot as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `best`.
#[derive(Debug, Args)]
pub(crate) struct BestArguments {
    /// Name of the sweep [default: the latest]
    pub(crate) sweep: Option<String>,
    /// Rank by another metric, such as validation/loss
    #[arg(long)]
    pub(crate) metric: Option<String>,
    /// Configurations to show
    #[arg(long, default_value_t = 10)]
    pub(crate) top: usize,
    /// Leave out how sure the first one is: intervals, ties, the luck of the choice
    #[arg(long)]
    pub(crate) quick: bool,
    /// Compute how good the winner is on the test split, once, and keep it; a second time it is only shown
    #[arg(long, conflicts_with_all = ["metric", "quick", "top"])]
    pub(crate) test: bool,
    /// With --test: look at the test split again, for a winner that has changed. Recorded as another look: the value of
    /// a winner that was chosen after a look is too good
    #[arg(long, requires = "test")]
    pub(crate) again: bool,
    /// With --test: device to compute on
    #[arg(long, default_value = "auto", requires = "test")]
    pub(crate) device: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// Name of the sweep [default: the latest]
    pub(crate) sweep: Option<String>,
    /// Explain another metric, such as validation/loss
    #[arg(long)]
    pub(crate) metric: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `why`.
#[derive(Debug, Args)]
pub(crate) struct WhyArguments {
    /// A trial: `3`, `last`; or the name of a sweep [default: the latest sweep as a whole]
    #[arg(value_name = "TRIAL|SWEEP")]
    pub(crate) what: Option<String>,
    /// Name of the trial's sweep [default: the latest]
    #[arg(long)]
    pub(crate) sweep: Option<String>,
    /// Print JSON, with the numbers of all signals
    #[arg(long)]
    pub(crate) json: bool,
}

/// `compare`.
#[derive(Debug, Args)]
pub(crate) struct CompareArguments {
    /// Trials: `3`, `best`, `last`; several such as `1,4` are one configuration's replicates
    #[arg(value_name = "A")]
    pub(crate) first: String,
    /// Those to compare them with
    #[arg(value_name = "B")]
    pub(crate) second: String,
    /// Name of the sweep [default: the latest]
    #[arg(long)]
    pub(crate) sweep: Option<String>,
    /// Compare by another metric, such as validation/loss
    #[arg(long)]
    pub(crate) metric: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `next`.
#[derive(Debug, Args)]
pub(crate) struct NextArguments {
    /// Name of the sweep [default: the latest]
    pub(crate) sweep: Option<String>,
    /// File to write [default: the new name, with `.toml`]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Name of the new sweep [default: the old one's with `-2`, or the next number]
    #[arg(long)]
    pub(crate) name: Option<String>,
}

/// `trials`.
#[derive(Debug, Args)]
pub(crate) struct TrialsArguments {
    /// Name of the sweep [default: the latest]
    pub(crate) sweep: Option<String>,
    /// Keep trials that fit, such as `state=failed`, `optimizer=sgd`, `learning_rate<1e-4`; may be repeated
    #[arg(long = "where", value_name = "CONDITION")]
    pub(crate) conditions: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// Number of the trial, or `best`, `refit`, `last`
    pub(crate) trial: String,
    /// Name of the sweep [default: the latest]
    #[arg(long)]
    pub(crate) sweep: Option<String>,
    /// Print the log of its last attempt
    #[arg(long, conflicts_with = "json")]
    pub(crate) log: bool,
    /// Print a Python script that trains the same with another library: `trainer`, of Hugging Face's transformers
    #[arg(long = "as", value_name = "LIBRARY", value_enum, conflicts_with_all = ["json", "log"])]
    pub(crate) as_library: Option<Library>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A library that could do the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Library {
    /// The Trainer of Hugging Face's transformers
    Trainer,
}

/// `curve`.
#[derive(Debug, Args)]
pub(crate) struct CurveArguments {
    /// Trials: `3`, `1-5`, `1,4`, `best`, `refit`, `last`
    pub(crate) trials: String,
    /// Metric, such as train/loss
    #[arg(default_value = "train/loss")]
    pub(crate) metric: String,
    /// Name of the sweep [default: the latest]
    #[arg(long)]
    pub(crate) sweep: Option<String>,
    /// Logarithmic values
    #[arg(long)]
    pub(crate) log: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `save`.
#[derive(Debug, Args)]
pub(crate) struct SaveArguments {
    /// Number of the trial, or `best` (the best replicate of the best configuration whose weights are there), or `refit`
    pub(crate) trial: String,
    /// Folder to make
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
    /// Name of the sweep [default: the latest]
    #[arg(long)]
    pub(crate) sweep: Option<String>,
    /// Replace an earlier model in that folder
    #[arg(long)]
    pub(crate) force: bool,
}

/// `predict`.
#[derive(Debug, Args)]
pub(crate) struct PredictArguments {
    /// Number of the trial, `best`, `refit`, or a folder that `save` made
    #[arg(value_name = "TRIAL|DIR")]
    pub(crate) model: String,
    /// csv, tsv or jsonl file with the sweep's text columns; `-`: one text a line from stdin
    pub(crate) file: PathBuf,
    /// Name of the sweep [default: the latest]
    #[arg(long)]
    pub(crate) sweep: Option<String>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = PredictFormat::Tsv)]
    pub(crate) format: PredictFormat,
    /// Column of the text [default: the sweep's]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) text: Option<String>,
    /// Column of the second text [default: the sweep's]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) text_pair: Option<String>,
    /// Device to compute on
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// Most rows computed together [default: 64, fewer where texts are long]
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) batch_size: Option<u64>,
}

/// Form of predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PredictFormat {
    /// A header, then label and probabilities
    Tsv,
    /// One JSON object a line, logits included
    Jsonl,
}

/// `evaluate`.
#[derive(Debug, Args)]
pub(crate) struct EvaluateArguments {
    /// Number of the trial, `best`, `refit`, or a folder that `save` made
    #[arg(value_name = "TRIAL|DIR")]
    pub(crate) model: String,
    /// csv, tsv or jsonl file with the sweep's columns
    pub(crate) file: PathBuf,
    /// Name of the sweep [default: the latest]
    #[arg(long)]
    pub(crate) sweep: Option<String>,
    /// Column of the text [default: the sweep's]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) text: Option<String>,
    /// Column of the second text [default: the sweep's]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) text_pair: Option<String>,
    /// Column of the label [default: the sweep's]
    #[arg(long, value_name = "COLUMN")]
    pub(crate) label: Option<String>,
    /// Device to compute on
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `refit`.
#[derive(Debug, Args)]
pub(crate) struct RefitArguments {
    /// Number of the trial, or `best`
    pub(crate) trial: String,
    /// Name of the sweep [default: the latest]
    #[arg(long)]
    pub(crate) sweep: Option<String>,
}

/// `serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Port; 0: any that is free
    #[arg(long, default_value_t = 7331)]
    pub(crate) port: u16,
    /// Address or name of this machine to listen on; 0.0.0.0 lets others on the network read everything
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// Show only: nothing can be stopped, paused or cancelled on the page
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Open the page in the default browser
    #[arg(long)]
    pub(crate) open: bool,
}

/// `export`.
#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// Name of the sweep [default: the latest]
    pub(crate) sweep: Option<String>,
    /// Form of the output
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    pub(crate) format: Format,
    /// File or folder to make, whole or not at all; csv and jsonl go to stdout without it
    #[arg(long, value_name = "PATH", required_if_eq_any([("format", "tensorboard"), ("format", "parquet"), ("format", "trackio")]))]
    pub(crate) to: Option<PathBuf>,
    /// Replace a file, or a folder that an export made
    #[arg(long, requires = "to")]
    pub(crate) force: bool,
}

/// Form of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One line an observation, with a header
    Csv,
    /// One JSON object a line
    Jsonl,
    /// A folder of event files, a run per trial, with hyperparameters: `tensorboard --logdir PATH`
    Tensorboard,
    /// A folder with trials.parquet and observations.parquet (needs a build with the feature `parquet`)
    Parquet,
    /// A project of trackio, a run per trial: PATH is its file, such as ~/.cache/huggingface/trackio/PROJECT.db
    Trackio,
}

/// `gc`.
#[derive(Debug, Args)]
pub(crate) struct GcArguments {
    /// Finished trials of each sweep whose best weights stay [default: `[run] keep_best`]
    #[arg(long, value_name = "N")]
    pub(crate) keep_best: Option<u64>,
    /// Most that the home may hold, such as 10GB or 500MiB: beyond it the worst-ranked weights go too. Database, logs,
    /// and the newest checkpoint of every unfinished trial stay
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_bytes: Option<u64>,
    /// Logs of finished sweeps' workers too: `rebuild` is not possible without them
    #[arg(long)]
    pub(crate) logs: bool,
    /// Weights of refits too: they stay otherwise, however many there are
    #[arg(long)]
    pub(crate) refits: bool,
    /// Only show what would go; this is what happens without --yes
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Delete; not while a sweep runs in this home
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Reads a size such as `10GB`.
fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 10] = [
        ("KIB", 1 << 10),
        ("MIB", 1 << 20),
        ("GIB", 1 << 30),
        ("TIB", 1 << 40),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("B", 1),
        ("", 1),
    ];
    let upper = text.trim().to_ascii_uppercase();
    let digits = upper.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = UNITS.iter().find(|(name, _)| *name == &upper[digits.len()..]);
    let number: Option<f64> = digits.trim().parse().ok().filter(|number: &f64| *number >= 0.0);
    match (number, unit) {
        (Some(number), Some((_, unit))) if number.is_finite() => Ok((number * *unit as f64) as u64),
        _ => Err("expected a size such as 500MB, 10GB or 2GiB".into()),
    }
}

/// `repair`.
#[derive(Debug, Args)]
pub(crate) struct RepairArguments {
    /// Only show what is wrong; this is what happens without --yes
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
    /// Mend what can be mended without guessing at results; not while a sweep runs in this home
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `rebuild`.
#[derive(Debug, Args)]
pub(crate) struct RebuildArguments {
    /// Say that it is meant
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// Train the first configuration of a sweep file for a moment with one worker, with two, and so on up to one per
    /// core, and let `run` use the fastest arrangement for this model from now on
    #[arg(long, value_name = "FILE")]
    pub(crate) measure: Option<PathBuf>,
    /// Overrides of that file: `batch_size=32`
    #[arg(value_name = "KEY=VALUE", requires = "measure")]
    pub(crate) overrides: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `worker`.
#[derive(Debug, Clone, Args)]
pub(crate) struct WorkerArguments {
    /// The worker's own folder, made by the scheduler
    #[arg(long, required_unless_present = "infer")]
    pub(crate) directory: Option<PathBuf>,
    /// Answer the question on stdin about a trained model
    #[arg(long, conflicts_with = "directory")]
    pub(crate) infer: bool,
    /// Device name
    #[arg(long, default_value = "cpu")]
    pub(crate) device: String,
    /// Threads
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in
            [("10GB", 10_000_000_000), ("1.5 MiB", 1_572_864), ("7", 7), ("2kb", 2_000), ("0", 0)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "GB", "-1GB", "10 parsecs", "nan", "inf"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
