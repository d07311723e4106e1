use std::collections::BTreeMap;

use super::*;
use crate::sweep_file;

/// A sweep of the tiny model.
fn sweep(text: &str) -> Sweep {
    let text = format!(
        "[sweep]\nname = \"old\"\n{text}\n[model]\npreset = \"tiny\"\n[data]\ntrain = \"a.csv\"\n"
    );
    sweep_file::read(&text, "s.toml", &[]).unwrap()
}

/// Runs every configuration of a sweep; `value`: none where it diverges.
fn run(sweep: &Sweep, value: impl Fn(&Configuration) -> Option<f64>) -> Vec<Tried> {
    let configurations = crate::sampler::sample(sweep).configurations;
    let tried = configurations.into_iter().zip(1..).map(|(configuration, trial)| {
        let value = value(&configuration);
        let lost = u64::from(value.is_none());
        Tried { trial, configuration, values: value.into_iter().collect(), lost }
    });
    tried.collect()
}

fn number(configuration: &Configuration, name: &str) -> f64 {
    configuration[name].number().unwrap()
}

/// Falls by a tenth for each factor of ten away from `best`.
fn peak(rate: f64, best: f64) -> f64 {
    0.8 - 0.1 * (rate / best).log10().abs()
}

struct Told {
    next: Next,
    read: Sweep,
}

fn told(sweep: &Sweep, tried: &[Tried]) -> Told {
    let path = |path: &str| path.into();
    let past = Past { sweep, tried, stopped: 0, examples: Some(500), name: "old-2", path: &path };
    let next = next(&past).unwrap();
    let read = sweep_file::read(&next.text, "old-2.toml", &[])
        .unwrap_or_else(|problems| panic!("{problems:?}\n{}", next.text));
    Told { next, read }
}

impl Told {
    /// What is searched, as text by name.
    fn searched(&self) -> BTreeMap<&str, String> {
        let all = &self.read.parameters;
        all.iter().map(|parameter| (parameter.name.as_str(), parameter.to_string())).collect()
    }

    fn why(&self, name: &str) -> &str {
        &self.next.decisions.iter().find(|decision| decision.name == name).unwrap().why
    }
}

#[test]
fn a_best_in_the_middle_is_looked_at_more_closely_with_more_seeds() {
    let sweep = sweep("[parameters]\nlearning_rate = { values = [1e-5, 1e-4, 1e-3] }");
    let tried = run(&sweep, |one| Some(peak(number(one, "learning_rate"), 1e-4)));
    let told = told(&sweep, &tried);
    assert_eq!(told.searched()["learning_rate"], "3.3e-5, 5.8e-5, 1e-4, 1.7e-4, 3e-4");
    assert_eq!((told.read.name.as_str(), told.read.replicates), ("old-2", 1));
    assert!(told.read.racing, "further seeds go where they decide something");
    assert_eq!(told.read.seed, sweep.seed);
    assert_eq!(told.read.enqueue.len(), 1);
    assert_eq!(told.read.enqueue[0]["learning_rate"], Value::Float(1e-4));
}

#[test]
fn a_best_on_an_edge_is_followed_beyond_it() {
    let sweep = sweep("[parameters]\nlearning_rate = { values = [1e-5, 3e-5, 1e-4] }");
    let rate = |one: &Configuration| number(one, "learning_rate");
    let up = told(&sweep, &run(&sweep, |one| Some(peak(rate(one), 1e-2))));
    assert_eq!(up.searched()["learning_rate"], "3.3e-5, 1e-4, 3e-4, 0.001");
    assert!(up.next.text.contains("the largest tried: further up"), "{}", up.next.text);
    let down = told(&sweep, &run(&sweep, |one| Some(peak(rate(one), 1e-7))));
    assert_eq!(down.searched()["learning_rate"], "1e-6, 3.3e-6, 1e-5, 3e-5");
}

#[test]
fn rates_at_which_everything_diverged_are_kept_away_from() {
    let sweep = sweep("[parameters]\nlearning_rate = { values = [1e-4, 1e-3, 2e-3] }");
    let rate = |one: &Configuration| number(one, "learning_rate");
    let tried = run(&sweep, |one| (rate(one) < 1.5e-3).then(|| peak(rate(one), 1e-2)));
    let told = told(&sweep, &tried);
    let Domain::Values(values) = &told.read.parameters[0].cases[0].domain else { panic!() };
    let largest = values.iter().filter_map(Value::number).fold(0.0, f64::max);
    assert!(largest < 1.5e-3, "{values:?}");
    assert!(told.next.text.contains("nothing worked at 0.002"), "{}", told.next.text);
}

#[test]
fn a_parameter_without_effect_is_fixed_at_the_best_ones_value() {
    let sweep = sweep(
        "[parameters]\nlearning_rate = { values = [1e-5, 1e-4, 1e-3] }\n\
         dropout = { values = [0.0, 0.1, 0.2] }\nbatch_size = { values = [16, 32] }",
    );
    let tried = run(&sweep, |one| {
        let by_size = if number(one, "batch_size") > 20.0 { 0.05 } else { 0.0 };
        Some(peak(number(one, "learning_rate"), 1e-4) + by_size)
    });
    let told = told(&sweep, &tried);
    let searched = told.searched();
    assert!(!searched.contains_key("dropout"), "{searched:?}");
    assert_eq!(told.read.settings.train.dropout, Some(0.0), "that of the first of equals");
    assert!(told.why("dropout").contains("made no difference"), "{}", told.why("dropout"));
    assert_eq!(searched["batch_size"], "16, 32, 64", "32 was the largest");
}

#[test]
fn what_differs_by_luck_alone_is_dropped_most_of_the_time_and_what_matters_never_is() {
    let sweep = sweep(
        "[parameters]\nlearning_rate = { values = [1e-5, 1e-4, 1e-3] }\n\
         pooling = { values = [\"cls\", \"mean\"] }\nwarmup_ratio = { values = [0.0, 0.1] }",
    );
    let (mut dropped, mut lost) = (0, 0);
    for seed in 0..100 {
        let noise = crate::seed::Seed(seed);
        let tried = run(&sweep, |one| {
            let luck: f64 = (0..12).map(|part| noise.draw(part, &format!("{one:?}"))).sum();
            let by_pooling = if one["pooling"] == Value::Text("mean".into()) { 0.06 } else { 0.0 };
            Some(peak(number(one, "learning_rate"), 1e-4) + by_pooling + 0.01 * (luck - 6.0))
        });
        let told = told(&sweep, &tried);
        let decision =
            |name: &str| told.next.decisions.iter().find(|one| one.name == name).unwrap();
        let no_effect = |name: &str| decision(name).why.contains("made no difference");
        dropped += u32::from(no_effect("warmup_ratio"));
        lost += u32::from(no_effect("pooling"));
    }
    assert!(dropped >= 60, "{dropped} of 100");
    assert_eq!(lost, 0);
}

#[test]
fn cases_stay_while_both_may_win_and_become_one_when_an_optimizer_is_out() {
    let text = "[parameters]\nlearning_rate = [{ values = [1e-5, 1e-4, 1e-3], when = { optimizer = \"adamw\" } }, \
                { values = [1e-3, 1e-2, 1e-1], when = { optimizer = \"sgd\" } }]\n\
                optimizer = { values = [\"adamw\", \"sgd\"] }\n\
                momentum = { values = [0.0, 0.9], when = { optimizer = \"sgd\" } }";
    let sweep = sweep(text);
    let is_sgd = |one: &Configuration| one["optimizer"] == Value::Text("sgd".into());
    let far = told(
        &sweep,
        &run(&sweep, |one| {
            let rate = number(one, "learning_rate");
            Some(if is_sgd(one) { 0.5 + 0.01 * rate } else { peak(rate, 1e-4) })
        }),
    );
    assert_eq!(far.searched().keys().copied().collect::<Vec<_>>(), ["learning_rate"]);
    assert_eq!(far.searched()["learning_rate"], "3.3e-5, 5.8e-5, 1e-4, 1.7e-4, 3e-4");
    assert_eq!(far.read.settings.train.optimizer, crate::settings::Optimizer::AdamW);
    assert_eq!(far.why("momentum"), "what it depended on is fixed");

    let near = told(
        &sweep,
        &run(&sweep, |one| {
            let rate = number(one, "learning_rate");
            let momentum = one.get("momentum").and_then(Value::number).unwrap_or(0.0);
            Some(if is_sgd(one) {
                peak(rate, 1e-2) - 0.01 - 0.3 * momentum
            } else {
                peak(rate, 1e-4)
            })
        }),
    );
    let searched = near.searched();
    assert_eq!(searched["optimizer"], "adamw, sgd");
    assert!(searched["learning_rate"].contains("when optimizer=adamw | "), "{searched:?}");
    assert!(searched["learning_rate"].ends_with("when optimizer=sgd"), "{searched:?}");
    assert_eq!(near.read.enqueue.len(), 2, "what may be as good comes first too");
}

#[test]
fn a_grid_that_would_grow_is_drawn_from() {
    let sweep = sweep(
        "[parameters]\nlearning_rate = { values = [1e-5, 1e-4, 1e-3] }\n\
         weight_decay = { values = [1e-3, 1e-2, 1e-1] }\nbatch_size = { values = [16, 32] }",
    );
    let tried = run(&sweep, |one| {
        let value = peak(number(one, "learning_rate"), 1e-4);
        let value = value + peak(number(one, "weight_decay"), 1e-2) / 2.0;
        Some(value - number(one, "batch_size") / 500.0)
    });
    let told = told(&sweep, &tried);
    assert_eq!(told.read.method, crate::sweep::Method::Sobol);
    assert_eq!(told.read.budget.max_trials, Some(18), "as many as before");
    assert!(told.next.text.contains("the grid would have 75 points"), "{}", told.next.text);
    assert_eq!(crate::sampler::sample(&told.read).configurations.len(), 18);
}

#[test]
fn a_sweep_that_draws_becomes_one_of_ranges() {
    let sweep = sweep(
        "method = \"random\"\n[budget]\nmax_trials = 30\n[parameters]\n\
         learning_rate = { distribution = \"log_uniform_values\", min = 1e-6, max = 1e-2 }\n\
         dropout = { min = 0.0, max = 0.5 }",
    );
    let tried =
        run(&sweep, |one| Some(peak(number(one, "learning_rate"), 1e-4) - number(one, "dropout")));
    let told = told(&sweep, &tried);
    let [rate, dropout] = told.read.parameters.as_slice() else { panic!("{}", told.next.text) };
    let Domain::LogUniform { min, max, .. } = rate.cases[0].domain else { panic!("{rate}") };
    assert!(min > 1e-6 && max < 1e-2 && (8.0..9.5).contains(&(max / min)), "{rate}");
    let Domain::Uniform { min, max, .. } = dropout.cases[0].domain else { panic!("{dropout}") };
    assert!((0.0..0.2).contains(&min) && max < 0.4, "{dropout}");
    assert_eq!(told.read.budget.max_trials, Some(12));
}

#[test]
fn a_sweep_of_one_configuration_becomes_its_replicates() {
    let sweep = sweep("[parameters]\nbatch_size = { values = [8] }");
    let told = told(&sweep, &run(&sweep, |_| Some(0.7)));
    assert!(told.read.parameters.is_empty() && told.read.enqueue.is_empty(), "{}", told.next.text);
    assert_eq!((told.read.settings.train.batch_size, told.read.replicates), (8, 3));
    assert!(!told.read.racing, "there is nobody to race");
}

#[test]
fn nothing_that_worked_is_said_and_nothing_is_written() {
    let sweep = sweep("[parameters]\nlearning_rate = { values = [1.0, 2.0] }");
    let tried = run(&sweep, |_| None);
    let past = Past {
        sweep: &sweep,
        tried: &tried,
        stopped: 0,
        examples: None,
        name: "x",
        path: &|path| path.into(),
    };
    assert_eq!(next(&past), Err(NoNext::NothingWorked { tried: 2 }));
}

#[test]
fn what_was_stopped_early_is_no_reason_and_is_counted() {
    let sweep = sweep(
        "[early_stop]\ntype = \"top_k\"\nkeep = 2\nties = false\nfirst = 2.0\n\
         [parameters]\nlearning_rate = { values = [1e-4, 1e-3] }\n\
         optimizer = { values = [\"adamw\", \"sgd\"] }",
    );
    let tried = &run(&sweep, |_| Some(0.7))[..1];
    let path = |path: &str| path.into();
    let past =
        Past { sweep: &sweep, tried, stopped: 3, examples: None, name: "old-2", path: &path };
    let next = next(&past).unwrap();
    assert_eq!(next.decisions[1].why, "had this value in all that were trained to the end");
    let read = sweep_file::read(&next.text, "old-2.toml", &[]);
    let read = read.unwrap_or_else(|problems| panic!("{problems:?}\n{}", next.text));
    assert_eq!(read.early_stop, sweep.early_stop);
    let opening = "# stopped  3 trials were stopped early and are left out\n";
    assert!(next.text.contains(opening), "{}", next.text);
    assert!(next.text.contains("from its one configuration."), "{}", next.text);
}

#[test]
fn all_else_is_carried_over_as_it_was() {
    let text = "objective = { metric = \"validation/loss\", goal = \"minimize\", at = \"last\" }\nseed = 7\n\
                replicates = 4\nracing = true\nmax_replicates = 5\nbaseline = true\n[parameters]\nlearning_rate = { values = [1e-4, 1e-3] }\n\
                \"data.train_limit\" = { values = [100, 200] }\n[train]\nepochs = 5\nclass_weights = [1.0, 2.5]\n\
                [budget]\nmax_steps = 5000\nmax_wall = \"90m\"\n[run]\nworkers = 2\ndevice = \"scripted\"\n\
                [[run.script]]\nsteps = 7\nend = \"diverge\"\nwhen = { learning_rate = 1e-3 }\n\
                [failure]\ntimeout = \"2m\"\nmax_consecutive = \"none\"\nretries = { oom = 3 }\n\
                [[constraints]]\nunless = \"learning_rate > 0.5\"";
    let sweep = sweep(text);
    let tried = run(&sweep, |one| Some(-number(one, "data.train_limit")));
    let told = told(&sweep, &tried);
    let read = &told.read;
    assert_eq!(read.objective, sweep.objective);
    assert_eq!((read.replicates, read.seed), (4, sweep.seed));
    assert_eq!((read.max_replicates, read.baseline), (5, true));
    assert_eq!(read.run, sweep.run);
    assert_eq!(read.failure, sweep.failure);
    assert_eq!(read.constraints, sweep.constraints);
    assert_eq!(read.budget, sweep.budget);
    assert_eq!(read.settings.train.epochs, 5);
    assert_eq!(read.settings.train.class_weights, sweep.settings.train.class_weights);
    assert_eq!(read.settings.model, sweep.settings.model);
}
