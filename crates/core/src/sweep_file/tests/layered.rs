//! `extends`.

use super::shown;
use crate::sweep_file::{Base, Layer, base, read, read_layers};

const BASE: &str = "\
[sweep]
name = \"base\"
seed = 7
[parameters]
learning_rate = { values = [1e-5, 2e-5] }
dropout = { values = [0.1] }
[train]
epochs = 5
[model]
preset = \"tiny\"
[data]
train = \"a.csv\"
[failure]
retries = { oom = 2 }
";

fn layered(texts: &[&str]) -> Result<crate::sweep::Sweep, String> {
    let names = ["top.toml", "middle.toml", "base.toml"];
    let names = &names[names.len() - texts.len()..];
    let layers: Vec<_> = names.iter().zip(texts).map(|(file, text)| Layer { file, text }).collect();
    read_layers(&layers, &[]).map_err(|problems| shown(&problems))
}

#[test]
fn what_the_upper_file_says_counts_key_by_key() {
    let middle = "extends = \"base.toml\"\n[sweep]\nseed = 8\n[parameters]\ndropout = { min = 0.0, max = 0.2, step = 0.1 }\n";
    let top = "extends = \"middle.toml\"\n[sweep]\nname = \"top\"\n[train]\nlearning_rate = 3e-5\n[parameters]\nepochs = { values = [1, 2] }\n[model]\npath = \"m\"\n[failure]\ntimeout = 60\n";
    let sweep = layered(&[top, middle, BASE]).unwrap();
    assert_eq!((sweep.name.as_str(), sweep.seed.0), ("top", 8));
    // A fixed value takes a parameter's place, a parameter a fixed value's, a path a preset's.
    let names: Vec<_> = sweep.parameters.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["0 to 0.2 in steps of 0.1", "1, 2"]);
    assert_eq!(sweep.settings.train.learning_rate, 3e-5);
    assert_eq!(sweep.settings.model.path.as_deref(), Some("m"));
    assert_eq!(sweep.settings.model.preset, None);
    assert_eq!(sweep.failure.timeout_seconds, 60);
    assert_eq!(sweep.failure.retries.0[&crate::failure::FailureClass::Oom], 2);
}

#[test]
fn a_file_over_its_base_is_the_file_with_both_in_it() {
    let top = "extends = \"base.toml\"\n[[constraints]]\nunless = \"dropout > 0.3\"\n";
    let base = format!("{BASE}[[constraints]]\nunless = \"learning_rate > 1e-3\"\n");
    let one = format!("{base}[[constraints]]\nunless = \"dropout > 0.3\"\n");
    assert_eq!(layered(&[top, &base]), read(&one, "x", &[]).map_err(|problems| shown(&problems)));
}

#[test]
fn problems_name_the_file_where_they_stand() {
    let wrong = BASE.replace("epochs = 5", "epochs = \"five\"");
    let top = "extends = \"base.toml\"\n[train]\nbatch_size = 0\n";
    assert_eq!(
        layered(&[top, &wrong]).unwrap_err(),
        "base.toml:8: [train] `epochs`: expected a whole number of 1 or more, found \"five\"\n\
         middle.toml:3: [train] `batch_size`: expected a whole number of 1 or more, found 0"
    );
    assert!(layered(&[top, "[sweep\n"]).unwrap_err().starts_with("base.toml:1: "));
}

#[test]
fn what_a_file_extends_is_told_with_its_place() {
    let of = |text| base(Layer { file: "s.toml", text });
    assert_eq!(of(BASE), Ok(None));
    let found = Base { path: "../b.toml".into(), place: "s.toml:2".into() };
    assert_eq!(of("# x\nextends = \"../b.toml\"\n"), Ok(Some(found)));
    assert_eq!(
        shown(&[of("extends = [\"a\"]\n").unwrap_err()]),
        "s.toml:1: `extends`: expected a path, found a list (write extends = \"base.toml\", one file; that one may extend another)"
    );
    let alone = read("extends = \"b.toml\"\n", "s.toml", &[]).unwrap_err();
    assert_eq!(shown(&alone), "s.toml:1: what it `extends` is not at hand");
}
