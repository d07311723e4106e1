//! `KEY=VALUE`.

use super::{shown, with_parameters};
use crate::sampler::sample;
use crate::sweep::Sweep;
use crate::sweep_file::read;

fn overridden(overrides: &[&str]) -> Result<Sweep, String> {
    let text = with_parameters(
        "learning_rate = { values = [1e-5, 2e-5] }\nmomentum = { values = [0.0, 0.9], when = { optimizer = \"sgd\" } }\n[train]\nbatch_size = 8\n[[constraints]]\nunless = \"dropout > 0.3\"\n",
    );
    let overrides: Vec<String> = overrides.iter().map(ToString::to_string).collect();
    read(&text, "s.toml", &overrides).map_err(|problems| shown(&problems))
}

fn axes(sweep: &Sweep) -> Vec<String> {
    sweep.parameters.iter().map(|one| format!("{}: {one}", one.name)).collect()
}

#[test]
fn a_tilde_takes_a_key_out_of_the_file() {
    let sweep = overridden(&["~momentum", "~train.batch_size", "~constraints"]).unwrap();
    assert_eq!(axes(&sweep), ["learning_rate: 1e-5, 2e-5"]);
    assert_eq!(sweep.settings.train.batch_size, 16);
    assert!(sweep.constraints.is_empty());
    assert_eq!(
        overridden(&["~epochs", "~momentum=0.9", "~run"]).unwrap_err(),
        "override `~epochs`: `epochs` does not stand in the file (nothing has to be taken out: its default holds)\n\
         override `~momentum=0.9`: takes a name alone (write `~momentum`)\n\
         override `~run`: unknown key `run` (name one of its keys, such as `run.workers`; the rest belongs in the file)"
    );
}

#[test]
fn a_range_and_cases_can_be_given_too() {
    let sweep = overridden(&[
        "learning_rate={ min = 1e-5, max = 1e-3, distribution = \"log_uniform_values\", count = 3 }",
        "batch_size=8,16",
        "dropout=[{ values = [0.1], when = { batch_size = 8 } }, { values = [0.2], when = { batch_size = 16 } }]",
        "~momentum",
    ])
    .unwrap();
    assert_eq!(
        axes(&sweep),
        [
            "learning_rate: 1e-5 to 0.001 in the logarithm, 3 points",
            "batch_size: 8, 16",
            "dropout: 0.1 when batch_size=8 | 0.2 when batch_size=16",
        ]
    );
    assert_eq!(sample(&sweep).configurations.len(), 6);
}

#[test]
fn texts_are_taken_as_they_are_and_quotes_keep_commas() {
    let sweep = overridden(&[
        "sweep.name=2026-11-25",
        "data.text=\"title, body\"",
        "data.label=7",
        "data.train=it's.tsv",
        "model.path=a,b",
        "run.device=cuda:0",
        "failure.retries.oom=4",
        "budget.max_wall=8h",
    ])
    .unwrap();
    assert_eq!(
        (sweep.name.as_str(), sweep.settings.data.text.as_str()),
        ("2026-11-25", "title, body")
    );
    assert_eq!(
        (sweep.settings.data.label.as_str(), sweep.settings.data.train.as_str()),
        ("7", "it's.tsv")
    );
    assert_eq!(axes(&sweep)[2], "model.path: a, b");
    assert_eq!(sweep.failure.retries.0[&crate::failure::FailureClass::Oom], 4);
    let sweep = overridden(&["data.text='a \"b\"'"]).unwrap();
    assert_eq!(sweep.settings.data.text, "a \"b\"");
}

#[test]
fn what_cannot_be_an_override_says_what_would_be_right() {
    for (text, expected) in [
        ("epochs", "expected KEY=VALUE (such as `epochs=5`)"),
        ("epochs=", "there is no value (`~epochs` takes a key out of the file)"),
        (
            "+epochs=5",
            "a key takes no `+` in front (write `epochs=5`, whether the file has it or not)",
        ),
        ("++epochs=5", "a key takes no `+` in front (write `epochs=5`"),
        ("learning_rate=1e-5,", "there is nothing before or after a comma"),
        (
            "learning_rate=[1e-5,2e-5]",
            "a list in brackets is one value (to search over its values, write `learning_rate=1e-5,2e-5`)",
        ),
        ("learning_rate=[1e-5", "a bracket is not closed"),
        ("data.text=\"a", "a quote is not closed"),
        (
            "learning_rate=choice(1e-5,2e-5)",
            "functions of Hydra's are not read (write the values side by side: `learning_rate=A,B`)",
        ),
        (
            "batch_size=range(8,32,8)",
            "functions of Hydra's are not read (write `batch_size={ min = A, max = B, step = C }`",
        ),
        ("epohcs=5", "unknown key `epohcs` (did you mean `epochs`?)"),
        ("run.wrokers=5", "[run]: unknown key `wrokers` (did you mean `workers`?)"),
        ("learning_rate={ min = 1e-5 }", "`min` and `max` go together"),
        ("class_weights=[a]", "the value cannot be read as TOML"),
    ] {
        let told = overridden(&[text]).expect_err(text);
        assert!(told.starts_with(&format!("override `{text}`: ")), "{told}");
        assert!(told.contains(expected), "{text}\n  told: {told}\n  expected: {expected}");
    }
}
