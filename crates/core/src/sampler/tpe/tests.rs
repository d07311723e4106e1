use super::*;
use crate::sweep_file::read;
use crate::value::Value;

fn sweep(head: &str) -> Sweep {
    let text = format!(
        "[sweep]\nname = \"x\"\nmethod = \"tpe\"\n{head}\n[model]\npreset = \"tiny\"\n[data]\ntrain = \"a.csv\"\n\
         [budget]\nmax_trials = 90\n[parameters]\nepochs = {{ min = 1, max = 90 }}\n"
    );
    read(&text, "s.toml", &[]).unwrap()
}

/// Returns the places of the outcomes that count as good.
fn good(sweep: &Sweep, outcomes: &[Outcome], finished: usize) -> Vec<i64> {
    let configurations: Vec<Configuration> = (0..outcomes.len())
        .map(|place| Configuration::from([("epochs".to_string(), Value::Integer(place as i64))]))
        .collect();
    let history: Vec<Known<'_>> = configurations
        .iter()
        .zip(outcomes)
        .map(|(configuration, outcome)| Known { configuration, outcome: *outcome })
        .collect();
    let (good, others) = split(sweep, &history, finished);
    let without = outcomes.iter().filter(|outcome| **outcome == Outcome::Without).count();
    assert_eq!(good.len() + others.len() + without, outcomes.len());
    let place = |one: &&Configuration| one["epochs"].number().unwrap() as i64;
    good.iter().map(place).collect()
}

#[test]
fn only_those_with_a_value_can_be_good_and_the_best_come_first() {
    let outcomes = [
        Outcome::Worst,
        Outcome::Value(0.1),
        Outcome::Value(0.2),
        Outcome::Pending,
        Outcome::Value(f64::NAN),
        Outcome::Value(0.5),
        Outcome::Without,
        Outcome::Value(0.3),
    ];
    let larger = sweep("objective = { metric = \"validation/accuracy\" }");
    let smaller = sweep("objective = { metric = \"validation/loss\" }");
    for (finished, expected) in
        [(10, vec![5]), (20, vec![5, 7]), (30, vec![2, 5, 7]), (90, vec![1, 2, 5, 7])]
    {
        assert_eq!(good(&larger, &outcomes, finished), expected, "{finished}");
    }
    assert_eq!(good(&smaller, &outcomes, 10), [1]);
    assert_eq!(good(&smaller, &outcomes, 30), [1, 2, 7]);
}

#[test]
fn equal_values_are_ranked_by_their_trials() {
    let outcomes = [Outcome::Value(0.5); 12];
    assert_eq!(good(&sweep(""), &outcomes, 12), [0, 1]);
}
