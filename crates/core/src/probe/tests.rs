use super::*;
use crate::seed::Seed;

/// A ramp of 120 steps over six factors of ten whose loss falls between two rates and is back up at a third.
fn points(seed: u64, noise: f64, falls: f64, lowest: f64, back: f64) -> Vec<Point> {
    let ramp = Ramp { from: 1e-7, to: 1e-1 };
    let seed = Seed(seed);
    (0..STEPS)
        .map(|step| {
            let learning_rate = ramp.at(step, STEPS);
            let place = |rate: f64| (learning_rate / rate).log10();
            let fallen = (place(falls) / (lowest / falls).log10()).clamp(0.0, 1.0);
            let risen = (place(lowest) / (back / lowest).log10()).max(0.0);
            // The sum of twelve draws is as good as normal.
            let normal: f64 =
                (0..12).map(|part| seed.stream("noise", step).draw(part, "")).sum::<f64>() - 6.0;
            Point { learning_rate, loss: 0.7 - 0.3 * fallen + 0.3 * risen + noise * normal }
        })
        .collect()
}

#[test]
fn the_range_reaches_from_the_fall_to_a_tenth_of_the_blow_up() {
    for seed in 0..20 {
        let range = read(&points(seed, 0.03, 1e-5, 3e-3, 1e-2), false).range.unwrap();
        assert!((3e-6..5e-5).contains(&range.min), "seed {seed}: {range:?}");
        assert!((5e-4..2e-3).contains(&range.max), "seed {seed}: {range:?}");
        assert!(range.falls_from <= range.steepest, "{range:?}");
        assert!(range.steepest < range.lowest, "{range:?}");
    }
}

#[test]
fn a_short_fall_proposes_a_factor_of_ten_around_its_ends() {
    // As MiniLM's on film reviews: the two ends are 7.5e-5 and 1.2e-4.
    let range = read(&points(1, 0.01, 5e-5, 4.5e-4, 1.2e-3), false).range.unwrap();
    assert!((range.max / range.min - 10.0).abs() < 1.0, "{range:?}");
    assert!(range.min < 5e-5 && range.max > 2e-4 && range.max <= range.lowest * 1.1, "{range:?}");
}

#[test]
fn batches_alone_make_no_range() {
    let found = (0..60)
        .filter(|seed| {
            let flat = points(*seed, 0.05, 1.0, 2.0, 3.0);
            read(&flat, false).range.is_ok()
        })
        .count();
    // A chance of one in fifty or so: the lowest of sixty places is compared.
    assert!(found <= 2, "{found} of 60");
}

#[test]
fn a_loss_that_only_rises_makes_no_range() {
    let rising: Vec<Point> = points(3, 0.02, 1.0, 1e-3, 1e-2);
    let rising = rising
        .iter()
        .map(|point| Point { loss: 0.7 + point.learning_rate * 20.0, ..*point })
        .collect::<Vec<_>>();
    let Err(NoRange::NeverFell { blows_up: Some(rate) }) = read(&rising, false).range else {
        panic!("{:?}", read(&rising, false).range)
    };
    // Where 20 times the rate is a tenth of 0.7 and clear of the noise.
    assert!((2e-3..1e-2).contains(&rate), "{rate}");
}

#[test]
fn a_loss_that_is_no_number_is_the_blow_up() {
    let mut ramp = points(5, 0.01, 1e-5, 3e-3, 1.0);
    let end = ramp.iter().position(|point| point.learning_rate > 2e-3).unwrap();
    ramp[end].loss = f64::NAN;
    ramp.truncate(end + 1);
    let reading = read(&ramp, true);
    let range = reading.range.unwrap();
    assert_eq!(range.blows_up, Some(ramp[end].learning_rate));
    assert_eq!(reading.smoothed.len(), end);
    let short = read(&ramp[end - 5..], true);
    assert_eq!(short.range, Err(NoRange::TooFew(5)));
}

#[test]
fn without_a_blow_up_the_range_ends_where_the_loss_is_smallest() {
    let range = read(&points(7, 0.01, 1e-5, 1e-2, 1e3), false).range.unwrap();
    assert_eq!(range.blows_up, None);
    assert!((3e-3..3e-2).contains(&range.max), "{range:?}");
}

#[test]
fn a_ramp_that_ended_early_has_blown_up_at_its_end() {
    // Four times a smallest loss of nearly nothing is far below where it began.
    let mut ramp = points(9, 0.005, 1e-5, 1e-3, 1e-1);
    ramp.truncate(100);
    let range = read(&ramp, true).range.unwrap();
    assert_eq!(range.blows_up, Some(ramp[99].learning_rate));
    assert_eq!(read(&ramp, false).range.unwrap().blows_up, None);
}

fn sweep(text: &str) -> Sweep {
    let text = format!(
        "[sweep]\nname = \"x\"\n[model]\npreset = \"tiny\"\n[data]\ntrain = \"a.csv\"\n{text}"
    );
    crate::sweep_file::read(&text, "s.toml", &[]).unwrap()
}

#[test]
fn a_probe_takes_first_values_and_middles_and_leaves_the_rate_open() {
    let sweep = sweep(
        "[parameters]\nlearning_rate = [{ values = [1e-5], when = { optimizer = \"adamw\" } }, \
         { values = [1e-2], when = { optimizer = \"sgd\" } }]\n\
         optimizer = { values = [\"adamw\", \"sgd\"] }\nbatch_size = { values = [16] }\n\
         dropout = { min = 0.0, max = 0.4, step = 0.1 }\n\
         momentum = { values = [0.9, 0.0], when = { optimizer = \"sgd\" } }\n",
    );
    let shown = |choice: &Choice| {
        let values: Vec<String> =
            choice.configuration.iter().map(|(name, value)| format!("{name}={value}")).collect();
        values.join(" ")
    };
    let plain = choice(&sweep, &Configuration::new());
    assert_eq!(shown(&plain), "batch_size=16 dropout=0.2 optimizer=adamw");
    assert_eq!(plain.of_several.iter().collect::<Vec<_>>(), ["dropout", "optimizer"]);
    let given = Configuration::from([("optimizer".into(), Value::Text("sgd".into()))]);
    let other = choice(&sweep, &given);
    assert_eq!(shown(&other), "batch_size=16 dropout=0.2 momentum=0.9 optimizer=sgd");
}

#[test]
fn settings_without_a_ramp_are_written_as_before() {
    let text = serde_json::to_string(&sweep("").settings).unwrap();
    assert!(!text.contains("ramp"), "fingerprints from before must not change");
}
