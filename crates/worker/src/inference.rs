//! A worker that is asked about a trained model: one question in, answers out, no folder and no logs.

use std::io::{BufRead, BufReader, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, sync_channel};

use converge_core::problem::Problem;
use converge_finetune::{Control, Examination, Package, Prediction, Texts, TrainedModel};
use converge_protocol::inference::{Answer, Input, Model, Origin, Overlap, Question};

/// Lines of stdin that are judged together, if so many are there.
const LINES: usize = 64;
/// Lines of stdin that may wait.
const WAITING: usize = 4096;

/// Answers the question on stdin and leaves.
///
/// Exit code: 0 after all answers, also where nobody wanted to read them to the end; 1 after a refusal; 2 where there was
/// no question.
pub fn infer(device: &str, threads: u64) -> ExitCode {
    let threads = usize::try_from(threads).unwrap_or(1);
    // Without a pool of its own size, the library's default serves.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    let mut stdin = BufReader::new(std::io::stdin());
    let mut line = String::new();
    let question = stdin.read_line(&mut line).ok().and_then(|_| serde_json::from_str(&line).ok());
    let Some(question) = question else { return ExitCode::from(2) };
    let mut mouth = Mouth { out: std::io::stdout(), listened_to: true };
    let answered = catch_unwind(AssertUnwindSafe(|| answer(question, device, stdin, &mut mouth)));
    let problems = match answered {
        Ok(Ok(())) => {
            mouth.say(&Answer::Done);
            return ExitCode::SUCCESS;
        }
        Ok(Err(problems)) => problems,
        Err(panic) => vec![told(panic.as_ref())],
    };
    mouth.say(&Answer::Refused { problems });
    ExitCode::FAILURE
}

/// Where answers go, as long as somebody listens.
struct Mouth {
    out: std::io::Stdout,
    listened_to: bool,
}

impl Mouth {
    /// Says something, and whether it was heard.
    fn say(&mut self, answer: &Answer) -> Control {
        // Plain data always serialises.
        let mut line = serde_json::to_vec(answer).unwrap_or_default();
        line.push(b'\n');
        self.listened_to &= self.out.write_all(&line).and_then(|()| self.out.flush()).is_ok();
        if self.listened_to { Control::Continue } else { Control::Stop }
    }
}

fn answer(
    question: Question,
    device: &str,
    stdin: impl Read + Send + 'static,
    mouth: &mut Mouth,
) -> Result<(), Vec<Problem>> {
    match question {
        Question::Predict { model, input, batch_size } => {
            let batch_size = batch_size.and_then(|size| usize::try_from(size).ok());
            let texts = match input {
                Input::File { path, columns } => {
                    let path = PathBuf::from(path);
                    Some(Texts::of_file(&path, &columns.text, columns.text_pair.as_deref()))
                }
                Input::Lines => None,
            };
            let (model, texts) = both(open(&model, device), texts)?;
            ready(&model, mouth);
            let mut each = |prediction| mouth.say(&row(&prediction));
            match texts {
                Some(texts) => model.predict(&texts, batch_size, &mut each).map(drop),
                None => predict_lines(&model, stdin, batch_size, &mut each),
            }
        }
        Question::Evaluate { model, file, columns, label, origin } => {
            let examination = Examination {
                file: file.into(),
                text: columns.text,
                text_pair: columns.text_pair,
                label,
                model: PathBuf::from(&model.directory),
                origin: origin.map(|origin| origin_of(*origin)),
            };
            let model = open(&model, device)?;
            ready(&model, mouth);
            let scores =
                converge_finetune::examine(&model, &examination, &mut || mouth.say(&Answer::Beat))?;
            if let Some(converge_finetune::Scores { examples, metrics, overlap }) = scores {
                let converge_finetune::Overlap { same_file, in_training, in_validation, unknown } =
                    overlap;
                let overlap = Overlap { same_file, in_training, in_validation, unknown };
                mouth.say(&Answer::Scores { examples, metrics, overlap });
            }
            Ok(())
        }
        Question::Test { model: named, origin } => {
            let model = open(&named, device)?;
            ready(&model, mouth);
            let folder = PathBuf::from(&named.directory);
            let mut control = || mouth.say(&Answer::Beat);
            let scores =
                converge_finetune::test(&model, &folder, &origin_of(*origin), &mut control)?;
            if let Some(converge_finetune::Scores { examples, metrics, .. }) = scores {
                mouth.say(&Answer::Scores { examples, metrics, overlap: Overlap::default() });
            }
            Ok(())
        }
        Question::Save { model, directory, replace, card, description } => {
            let package = Package {
                model: model.directory.into(),
                directory: directory.into(),
                replace,
                card,
                description,
            };
            let converge_finetune::Saved { weights, bytes } = converge_finetune::save(&package)?;
            mouth.say(&Answer::Saved { weights, bytes });
            Ok(())
        }
    }
}

fn origin_of(origin: Origin) -> converge_finetune::Origin {
    let Origin { settings, split_seed, hashes, cache_directory } = origin;
    let cache_directory = cache_directory.into();
    converge_finetune::Origin { settings, split_seed, hashes, cache_directory }
}

fn open(model: &Model, device: &str) -> Result<TrainedModel, Vec<Problem>> {
    TrainedModel::open(model.directory.as_ref(), model.weights.as_deref(), device)
}

/// Returns both, or the problems of both.
fn both<A, B>(
    one: Result<A, Vec<Problem>>,
    other: Option<Result<B, Vec<Problem>>>,
) -> Result<(A, Option<B>), Vec<Problem>> {
    match (one, other.transpose()) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (one, other) => Err(one.err().into_iter().chain(other.err()).flatten().collect()),
    }
}

fn ready(model: &TrainedModel, mouth: &mut Mouth) {
    mouth.say(&Answer::Ready { task: model.task(), labels: model.labels().to_vec() });
}

fn row(prediction: &Prediction) -> Answer {
    let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect();
    Answer::Row { logits: wide(&prediction.logits), probabilities: wide(&prediction.probabilities) }
}

/// Answers line by line: what has come is judged together, and nothing waits for more.
fn predict_lines(
    model: &TrainedModel,
    stdin: impl Read + Send + 'static,
    batch_size: Option<usize>,
    each: &mut dyn FnMut(Prediction) -> Control,
) -> Result<(), Vec<Problem>> {
    let lines = lines(stdin);
    let mut number = 1;
    while let Ok(first) = lines.recv() {
        let more = lines.try_iter().take(LINES - 1);
        let mut texts = Vec::new();
        let mut problems = Vec::new();
        for (line, place) in std::iter::once(first).chain(more).zip(number..) {
            match line {
                Ok(line) => texts.push(line),
                Err(message) => problems.push(Problem::new(format!("stdin:{place}"), message)),
            }
        }
        let count = texts.len() as u64;
        if model.predict(&Texts::of_lines(texts, number), batch_size, each)? == Control::Stop {
            return Ok(());
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        number += count;
    }
    Ok(())
}

/// Reads lines on a thread of their own; it ends with its input, or with whoever listens.
fn lines(stdin: impl Read + Send + 'static) -> Receiver<Result<String, String>> {
    let (sender, lines) = sync_channel(WAITING);
    std::thread::spawn(move || {
        let mut stdin = BufReader::new(stdin);
        loop {
            let mut bytes = Vec::new();
            let line = match stdin.read_until(b'\n', &mut bytes) {
                Ok(0) => return,
                Ok(_) => {
                    let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
                    let line = line.strip_suffix(b"\r").unwrap_or(line);
                    String::from_utf8(line.to_vec()).map_err(|_| "is not UTF-8".to_owned())
                }
                Err(error) => Err(format!("cannot be read: {error}")),
            };
            let last = line.is_err();
            if sender.send(line).is_err() || last {
                return;
            }
        }
    });
    lines
}

/// Tells of a panic.
fn told(panic: &(dyn std::any::Any + Send)) -> Problem {
    let message = panic.downcast_ref::<String>().map(String::as_str);
    let message =
        message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("(no message)");
    let problem = Problem::new("", format!("the worker panicked: {message}"));
    match converge_finetune::class_of_panic(message) {
        converge_core::failure::FailureClass::Oom => {
            problem.hint("a smaller --batch-size needs less memory")
        }
        _ => problem.hint("this is a defect of converge: please report it"),
    }
}
