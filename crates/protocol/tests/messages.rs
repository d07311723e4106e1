//! Every message comes back as it was, to the bit.

use std::collections::BTreeMap;

use converge_core::facts::{Facts, ModelFacts, SplitFacts};
use converge_core::failure::{Failure, FailureClass};
use converge_core::ids::AttemptId;
use converge_core::inspection::{Column, FileFormat, Inspection};
use converge_core::items::{Answers, ItemResults};
use converge_core::objective::{At, Goal, Objective};
use converge_core::problem::Problem;
use converge_core::script::{Script, ScriptEnd};
use converge_core::seed::{Seed, TrialSeeds};
use converge_core::settings::{
    ClassWeights, DataSettings, Freeze, MaxLength, ModelSettings, Precision, Preset, Sampling,
    Settings, TaskChoice, TrainSettings,
};
use converge_core::trial::AttemptEnding;
use converge_protocol::frame::{Hold, Reader, encode};
use converge_protocol::message::{Assignment, Best, Down, ResumeFrom, Up, Work};
use proptest::prelude::*;

fn settings() -> impl Strategy<Value = Settings> {
    let finite = any::<f64>().prop_filter("finite", |value| value.is_finite());
    let freeze = prop_oneof![
        Just(Freeze::None),
        Just(Freeze::Encoder),
        any::<u64>().prop_map(Freeze::Layers)
    ];
    let weights = prop_oneof![
        Just(ClassWeights::None),
        Just(ClassWeights::Balanced),
        Just(ClassWeights::Sqrt),
        prop::collection::vec(0.0..10.0, 1..4).prop_map(ClassWeights::Given)
    ];
    (finite, any::<u64>(), any::<Option<u64>>(), freeze, weights, any::<String>()).prop_map(
        |(learning_rate, batch_size, max_steps, freeze, class_weights, path)| Settings {
            train: TrainSettings {
                learning_rate,
                batch_size,
                max_steps,
                warmup_steps: max_steps,
                max_length: max_steps.map_or(MaxLength::Auto, MaxLength::Tokens),
                dropout: Some(0.1),
                freeze,
                class_weights,
                precision: if batch_size % 2 == 0 {
                    Precision::Float32
                } else {
                    Precision::BFloat16
                },
                head_init_std: max_steps.map(|steps| steps as f64 / 7.0),
                reinit_layers: batch_size % 3,
                reinit_pooler: batch_size % 2 == 0,
                layerwise_decay: 1.0 / (1.0 + (batch_size % 5) as f64),
                sampling: if batch_size % 3 == 0 { Sampling::Shuffle } else { Sampling::Balanced },
                ..TrainSettings::defaults()
            },
            model: ModelSettings { path: None, preset: Some(Preset::Tiny), layers: max_steps },
            data: DataSettings {
                validation: Some("none".into()),
                label: path.clone(),
                train_limit: max_steps,
                task: if batch_size % 2 == 0 { TaskChoice::Auto } else { TaskChoice::MultiLabel },
                label_separator: max_steps.map(|steps| steps.to_string()),
                ..DataSettings::defaults(path)
            },
        },
    )
}

fn ending() -> impl Strategy<Value = AttemptEnding> {
    let failure = (prop::sample::select(&FailureClass::ALL[..]), any::<String>())
        .prop_map(|(class, message)| AttemptEnding::Failed(Failure { class, message }));
    prop_oneof![
        Just(AttemptEnding::Completed),
        Just(AttemptEnding::Released),
        Just(AttemptEnding::Abandoned),
        (any::<u64>(), any::<String>())
            .prop_map(|(step, quantity)| AttemptEnding::Diverged { step, quantity }),
        failure,
    ]
}

fn facts() -> impl Strategy<Value = Facts> {
    (any::<u64>(), 0.0..1.0, any::<[u64; 4]>(), any::<Vec<String>>()).prop_map(
        |(examples, share, token_lengths, labels)| Facts {
            content_hashes: BTreeMap::from([("train".to_owned(), "ab".to_owned())]),
            task: converge_core::task::Task::Classes,
            task_reason: String::new(),
            labels,
            train: SplitFacts {
                examples,
                class_counts: token_lengths.to_vec(),
                targets: None,
                token_lengths,
                truncated_share: share,
                unknown_token_share: share,
            },
            validation: None,
            test: None,
            validation_answers: (share > 0.5).then(|| Answers::Classes { classes: vec![0, 1, 1] }),
            max_length: 128,
            duplicates_between_splits: 0,
            contradicted_between_splits: 0,
            truncated_validation: Vec::new(),
            bag_of_words: None,
            model: ModelFacts {
                parameters: 1,
                hidden_size: 2,
                layers: 3,
                heads: 4,
                intermediate_size: 5,
                vocabulary_size: 6,
                max_positions: 7,
            },
        },
    )
}

/// Any bits but those of the NaNs that are not `f64::NAN`.
fn number() -> impl Strategy<Value = f64> {
    let any_bits = any::<u64>().prop_map(|bits| {
        let value = f64::from_bits(bits);
        if value.is_nan() { f64::NAN } else { value }
    });
    prop_oneof![
        8 => any_bits,
        1 => prop::sample::select(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 5e-324][..]),
    ]
}

/// Losses that half precision has, so that they come back as they were.
fn items() -> impl Strategy<Value = ItemResults> {
    prop::collection::vec((any::<u32>(), 0..2048_u16, any::<u32>()), 0..5).prop_map(|items| {
        let losses = items.iter().map(|(_, loss, _)| f32::from(*loss) / 8.0).collect();
        let answers = match items.first() {
            Some((0..0x5555_5555, ..)) => {
                let numbers = items.iter().map(|(_, _, bits)| f32::from_bits(*bits & 0x7f7f_ffff));
                Answers::Numbers { numbers: numbers.collect() }
            }
            Some((0x5555_5555..0xaaaa_aaaa, ..)) => {
                let has =
                    items.iter().flat_map(|(_, _, bits)| [bits % 2 == 0, bits % 3 == 0, true]);
                Answers::Labels { labels: 3, has: has.collect() }
            }
            _ => Answers::Classes { classes: items.iter().map(|(class, ..)| *class).collect() },
        };
        ItemResults { answers, losses }
    })
}

fn up() -> impl Strategy<Value = Up> {
    let metrics = prop::collection::vec((any::<String>(), number()), 0..5);
    let best = (any::<u64>(), number(), any::<String>())
        .prop_map(|(step, value, directory)| Best { step, value, directory });
    let machine = prop::collection::btree_map(any::<String>(), any::<String>(), 0..4);
    let problem = (any::<String>(), any::<Option<String>>()).prop_map(|(message, hint)| Problem {
        place: String::new(),
        message,
        hint,
    });
    let attempt = any::<i64>().prop_map(AttemptId);
    prop_oneof![
        (any::<u32>(), any::<String>(), any::<u64>(), machine).prop_map(
            |(pid, device, threads, machine)| Up::Born {
                pid,
                version: "0.1.0".into(),
                device,
                threads,
                machine
            }
        ),
        prop::collection::vec(facts(), 0..3).prop_map(|facts| Up::Prepared { facts }),
        prop::collection::vec(problem, 0..3).prop_map(|problems| Up::Refused { problems }),
        (any::<u64>(), any::<String>(), any::<u32>()).prop_map(|(rows, name, words)| {
            let values = vec![(name.clone(), rows)];
            let mean_words = f64::from(words) / 7.0;
            let column = Column { name, mean_words, values, ..Column::default() };
            let columns = vec![column];
            let inspection = Inspection { format: FileFormat::Csv, rows, uneven: 0, columns };
            Up::Inspected { inspection }
        }),
        (attempt.clone(), any::<u64>())
            .prop_map(|(attempt, from_step)| Up::Started { attempt, from_step }),
        (attempt.clone(), any::<u64>(), metrics, prop::option::of(items()))
            .prop_map(|(attempt, step, metrics, items)| Up::Step { attempt, step, metrics, items }),
        (attempt.clone(), any::<u64>(), any::<String>())
            .prop_map(|(attempt, step, directory)| Up::Checkpoint { attempt, step, directory }),
        (attempt, any::<u64>(), ending(), prop::option::of(best), any::<Option<u64>>()).prop_map(
            |(attempt, step, ending, best, peak_memory_bytes)| Up::Ended {
                attempt,
                step,
                ending,
                best,
                peak_memory_bytes
            }
        ),
        Just(Up::Beat),
        Just(Up::Bye),
    ]
}

fn down() -> impl Strategy<Value = Down> {
    let objective =
        Objective { metric: "validation/accuracy".into(), goal: Goal::Maximize, at: At::Best };
    let scripted = objective.clone();
    let work = prop_oneof![
        (settings(), any::<u64>()).prop_map(move |(settings, seed)| Work::FineTune {
            settings,
            seeds: TrialSeeds::new(Seed(seed), 0),
            objective: objective.clone(),
            expected_hashes: BTreeMap::from([("model".to_owned(), "cd".to_owned())]),
        }),
        (settings(), any::<Option<u64>>()).prop_map(move |(settings, at_step)| Work::Scripted {
            script: Script { at_step, end: ScriptEnd::Hang, ..Script::default() },
            settings,
            objective: scripted.clone(),
        }),
    ];
    let resume = prop::option::of(
        (any::<u64>(), any::<String>())
            .prop_map(|(step, directory)| ResumeFrom { step, directory }),
    );
    let assign = (any::<i64>(), work, resume, any::<String>(), 0.0..1e6, any::<bool>()).prop_map(
        |(attempt, work, resume_from, attempt_directory, checkpoint_seconds, checkpointing)| {
            Down::Assign(Box::new(Assignment {
                attempt: AttemptId(attempt),
                trial: None,
                attempt_number: 1,
                work,
                resume_from,
                attempt_directory,
                cache_directory: "/cache".into(),
                checkpoint_seconds,
                until_step: None,
                patience: None,
                gradient_checkpointing: checkpointing,
                accumulation_factor: 1,
                timeout_seconds: 600,
            }))
        },
    );
    let prepare =
        (prop::collection::vec(settings(), 0..3), any::<u64>()).prop_map(|(cases, seed)| {
            Down::Prepare { cases, split_seed: Seed(seed), cache_directory: "/cache".into() }
        });
    let inspect = any::<String>().prop_map(|path| Down::Inspect { path });
    prop_oneof![assign, prepare, inspect, Just(Down::Release), Just(Down::Exit)]
}

proptest! {
    #[test]
    fn every_message_comes_back(ups in prop::collection::vec(up(), 0..6), downs in prop::collection::vec(down(), 0..4)) {
        let mut log = Vec::new();
        for (seq, message) in (1..).zip(&ups) {
            encode(seq, message, &mut log);
        }
        let read = Reader::default().feed::<Up>(&log);
        prop_assert_eq!(&read.hold, &None);
        let back: Vec<_> = read.frames.into_iter().map(|frame| frame.message).collect();
        // NaN is not equal to itself; its Debug form is. That form also tells -0.0 from 0.0, and is exact.
        prop_assert_eq!(format!("{back:?}"), format!("{ups:?}"));

        let mut log = Vec::new();
        for (seq, message) in (1..).zip(&downs) {
            encode(seq, message, &mut log);
        }
        let read = Reader::default().feed::<Down>(&log);
        prop_assert_eq!(&read.hold, &None);
        let back: Vec<_> = read.frames.into_iter().map(|frame| frame.message).collect();
        prop_assert_eq!(back, downs);
    }

    #[test]
    fn a_number_keeps_its_bits(value in number()) {
        let step = Up::Step { attempt: AttemptId(1), step: 1, metrics: vec![("x".into(), value)], items: None };
        let mut log = Vec::new();
        encode(1, &step, &mut log);
        let read = Reader::default().feed::<Up>(&log);
        let Up::Step { metrics, .. } = &read.frames[0].message else { panic!("{read:?}") };
        prop_assert_eq!(metrics[0].1.to_bits(), value.to_bits());
    }
}

#[test]
fn numbers_that_are_not_finite_travel_as_words() {
    let metrics = vec![
        ("a".into(), f64::NAN),
        ("b".into(), f64::INFINITY),
        ("c".into(), f64::NEG_INFINITY),
        ("d".into(), 0.1),
    ];
    let json =
        serde_json::to_string(&Up::Step { attempt: AttemptId(3), step: 2, metrics, items: None })
            .unwrap();
    assert_eq!(
        json,
        r#"{"type":"step","attempt":3,"step":2,"metrics":[["a","nan"],["b","inf"],["c","-inf"],["d",0.1]]}"#
    );
}

#[test]
fn an_unknown_field_is_refused() {
    for json in [
        r#"{"type":"started","attempt":1,"from_step":0,"colour":"red"}"#,
        r#"{"type":"step","attempt":1,"step":1,"metrics":[["a","infinite"]]}"#,
        r#"{"type":"paused"}"#,
    ] {
        let crc = crc32fast::hash(format!("1 {json}").as_bytes());
        let mut log = format!("1 {crc:08x} {json}\n").into_bytes();
        encode(2, &Up::Bye, &mut log);
        let read = Reader::default().feed::<Up>(&log);
        assert!(read.frames.is_empty(), "{read:?}");
        assert!(matches!(read.hold, Some(Hold::Foreign { seq: 1, .. })), "{read:?}");
    }
}
