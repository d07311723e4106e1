//! `converge init`: a data file is looked at, and a sweep is written that runs as it is.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use converge_core::draft::{Draft, Roles, Wishes, draft, roles};
use converge_core::facts::Facts;
use converge_core::inspection::Inspection;
use converge_core::materialise::{cases, trials};
use converge_core::sampler::sample;
use converge_core::sweep::Sweep;
use converge_core::task::Task;
use converge_dashboard::terminal::number::count;
use converge_scheduler::home::Home;
use converge_scheduler::machine;
use converge_scheduler::session::Interrupts;

use crate::arguments::{InitArguments, TaskWord};
use crate::budget::quoted;
use crate::drive::{self, Prepared};
use crate::exit_code::ExitCode;
use crate::home::working_directory;
use crate::report::Report;
use crate::{cost, output, sweep_source};

/// Any sweep: it names the device of the worker that looks at the file.
const ANY: &str =
    "[sweep]\nname = \"any\"\n[model]\npreset = \"tiny\"\n[data]\ntrain = \"any.csv\"\n";

/// Runs the command.
pub(crate) fn run(arguments: &InitArguments, home: &Home) -> Result<ExitCode, Report> {
    let (Some(data), Some(model)) = (&arguments.data, &arguments.model) else {
        return Err(what_it_needs(arguments));
    };
    let output = &arguments.output;
    if output.exists() && !arguments.force {
        return Err(Report::usage(
            format!("`{}` is there already, and nothing was changed", output.display()),
            "name another file with --output, or write over it with --force",
        ));
    }
    let (text, summary) = drive::runtime()?.block_on(async {
        let mut interrupts = Interrupts::listen()?;
        compose(arguments, data, model, home, &mut interrupts).await
    })?;
    write(output, &text, arguments.force)?;
    output::data(&summary);
    let file = quoted(&output.display().to_string());
    output::talk(&format!(
        "wrote {file}; see what it would do with `converge plan {file}`, start it with `converge run {file}`\n"
    ));
    Ok(ExitCode::Done)
}

fn what_it_needs(arguments: &InitArguments) -> Report {
    let missing = match (&arguments.data, &arguments.model) {
        (None, None) => "--data and --model are needed",
        (None, _) => "--data is needed",
        _ => "--model is needed",
    };
    Report::usage(
        missing,
        "converge init --data reviews.csv --model models/minilm\n\
         --data   a csv, tsv or jsonl file with a header: a column of texts, and a column of labels\n\
         --model  a Hugging Face folder, hf:org/name (fetched once), or tiny (random weights, no download)",
    )
}

/// Makes the text of the sweep file, and what there is to say about it.
async fn compose(
    arguments: &InitArguments,
    data: &Path,
    model: &str,
    home: &Home,
    interrupts: &mut Interrupts,
) -> Result<(String, String), Report> {
    let shown = data.display().to_string();
    let wishes = Wishes {
        text: arguments.text.clone(),
        text_pair: arguments.text_pair.clone(),
        label: arguments.label.clone(),
        task: arguments.task.map(task),
    };
    let run = sweep_source::unwritten(ANY, "any")?.run;
    let path = working_directory()?.join(data);
    let inspection = drive::inspect(&run, &path, home, interrupts).await?;
    let roles =
        roles(&shown, &inspection, &wishes).map_err(|problems| Report::problems(&problems))?;
    let output = arguments.output.display().to_string();
    let name = arguments.name.clone().unwrap_or_else(|| name_of(data));
    let sketch = Draft {
        name: &name,
        data: &shown,
        model,
        inspection: &inspection,
        roles: &roles,
        wishes: &wishes,
        facts: None,
        cost: "",
        output: &output,
    };
    // What model and data are like decides the grid, and the grid decides what it costs; model and data stay.
    let mut sweep = sweep_source::unwritten(&draft(&sketch), &output)?;
    let mut prepared = drive::prepare_sweep(&mut sweep, home, interrupts).await?;
    let facts = prepared.facts.clone();
    let facts = facts.first().ok_or_else(|| Report::usage("there is no trial", "report this"))?;
    let sketch = Draft { facts: Some(facts), ..sketch };
    let sweep = sweep_source::unwritten(&draft(&sketch), &output)?;
    prepared.sample = sample(&sweep);
    prepared.cases = cases(&sweep, &prepared.sample);
    let cost = cost(&sweep, &prepared);
    let text = draft(&Draft { cost: &cost, ..sketch });
    Ok((text, summary(&shown, &inspection, &roles, &wishes, facts, &cost)))
}

fn task(word: TaskWord) -> Task {
    match word {
        TaskWord::Classes => Task::Classes,
        TaskWord::MultiLabel => Task::MultiLabel,
        TaskWord::Regression => Task::Regression,
    }
}

/// Returns the name of a file as that of a sweep.
fn name_of(data: &Path) -> String {
    let stem = data.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let kept = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let name: String = stem.chars().map(kept).collect();
    if name.is_empty() { "sweep".into() } else { name }
}

/// Says what the trials cost: steps, and on a processor a guess of the time.
fn cost(sweep: &Sweep, prepared: &Prepared) -> String {
    let (planned, _) = trials(sweep, &prepared.sample, &prepared.cases, &prepared.facts);
    let steps: u64 = planned.iter().map(|trial| trial.total_steps).sum();
    let words = format!("{} trials, {} steps in all", planned.len(), count(steps));
    let Some(seconds) = cost::guessed_seconds(prepared, &planned) else { return words };
    let (cores, seconds) = (machine::look().cores, cost::rounded(seconds));
    format!("{words}: perhaps {seconds} on {cores} cores, guessed from sizes alone")
}

fn summary(
    file: &str,
    inspection: &Inspection,
    roles: &Roles,
    wishes: &Wishes,
    facts: &Facts,
    cost: &str,
) -> String {
    let mut text =
        format!("file    {file}: {}, {} rows\n", inspection.format.told(), count(inspection.rows));
    let mut say = |what: &str, name: &str, why: &str| {
        text += &format!("{what:<7} `{name}`, {why}\n");
    };
    say("text", &roles.text.name, roles.text.why);
    if let Some(pair) = &roles.text_pair {
        say("pair", &pair.name, pair.why);
    }
    say("label", &roles.label.name, roles.label.why);
    text += &format!("task    {}\n", converge_core::draft::task_words(facts));
    text += &format!(
        "model   {} parameters, {} layers, {} tokens at most\n",
        count(facts.model.parameters),
        facts.model.layers,
        facts.max_length
    );
    text += &format!("cost    {cost}\n");
    if roles.is_scale && facts.task == Task::Classes && wishes.task.is_none() {
        text += "note    the labels look like numbers of a scale: if that is what they are, say --task regression\n";
    }
    if inspection.uneven > 0 {
        text += &format!(
            "note    {} rows have more or fewer columns than the header\n",
            count(inspection.uneven)
        );
    }
    text
}

/// Writes the file whole or not at all; one that came into being meanwhile is not written over.
/// Writes a file, and the folders that it lies in; over one that is there only with `force`.
pub(crate) fn write(output: &Path, text: &str, force: bool) -> Result<(), Report> {
    let unwritten = |error: std::io::Error| {
        Report::usage(
            format!("cannot write `{}`: {error}", output.display()),
            "name another file with --output",
        )
    };
    if force {
        return fs::write(output, text).map_err(unwritten);
    }
    let directory: PathBuf = output.parent().unwrap_or(Path::new("")).into();
    if !directory.as_os_str().is_empty() {
        fs::create_dir_all(&directory).map_err(unwritten)?;
    }
    let mut file =
        fs::OpenOptions::new().write(true).create_new(true).open(output).map_err(unwritten)?;
    file.write_all(text.as_bytes()).map_err(unwritten)
}
