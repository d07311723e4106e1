//! Models other than BERT, from their files to their best weights.

use converge_bert::Architecture;
use converge_core::objective::{At, Goal};
use converge_core::settings::{MaxLength, Pooling};
use converge_finetune::{Ending, fine_tune, prepare};

use crate::support::{Recorder, job, objective, request, settings, write_model, write_toy};

#[test]
fn every_architecture_is_trained_measured_and_kept() {
    for architecture in Architecture::ALL {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = settings(&write_toy(directory.path(), "train.tsv", 60));
        settings.model.preset = None;
        settings.model.path = Some(write_model(directory.path(), architecture));
        settings.model.layers = Some(1);
        settings.train.max_steps = Some(4);
        for pooling in [Pooling::Cls, Pooling::Mean] {
            settings.train.pooling = pooling;
            let facts = prepare(&request(std::slice::from_ref(&settings), directory.path()));
            let facts = facts.unwrap().remove(0);
            let roles: Vec<&str> = facts.content_hashes.keys().map(String::as_str).collect();
            assert_eq!(roles, ["config", "model", "tokenizer", "train"]);
            let behind_padding =
                matches!(architecture, Architecture::Roberta | Architecture::XlmRoberta);
            assert_eq!(facts.model.max_positions, if behind_padding { 62 } else { 64 });
            assert_eq!(facts.train.unknown_token_share, 0.0);

            let mut job = job(settings.clone(), directory.path());
            job.objective = objective("validation/loss", Goal::Minimize, At::Best);
            job.attempt_directory = directory.path().join(format!("{pooling:?}"));
            let mut recorder = Recorder::default();
            let ending = fine_tune(&job, &mut recorder).unwrap();
            let Ending::Completed { steps: 4, best: Some(best) } = ending else {
                panic!("{architecture:?}: {ending:?}");
            };
            for group in ["embeddings", "middle", "head"] {
                for name in ["travel", "train/gradient_norm"] {
                    let value = recorder.value(4, &format!("{name}/{group}")).unwrap();
                    assert!(value > 0.0, "{architecture:?}: {name}/{group} is {value}");
                }
            }

            // The best weights are a model of the same architecture.
            let text = std::fs::read_to_string(best.directory.join("config.json")).unwrap();
            let config: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(config["model_type"], architecture.model_type());
            let class = match pooling {
                Pooling::Cls => architecture.classifier_class(),
                Pooling::Mean => architecture.encoder_class(),
            };
            assert_eq!(config["architectures"][0], class);
            let mut again = settings.clone();
            again.model.path = Some(best.directory.to_string_lossy().into_owned());
            again.model.layers = None;
            let found = prepare(&request(&[again], directory.path())).unwrap().remove(0);
            assert_eq!(found.model, facts.model);
            assert_eq!(found.content_hashes["tokenizer"], facts.content_hashes["tokenizer"]);
        }
    }
}

#[test]
fn a_sequence_longer_than_the_usable_positions_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&write_toy(directory.path(), "train.tsv", 30));
    settings.model.preset = None;
    settings.model.path = Some(write_model(directory.path(), Architecture::Roberta));
    settings.train.max_length = MaxLength::Tokens(62);
    prepare(&request(std::slice::from_ref(&settings), directory.path())).unwrap();
    settings.train.max_length = MaxLength::Tokens(63);
    let problems = prepare(&request(&[settings], directory.path())).unwrap_err();
    assert_eq!(problems[0].message, "is 63: the model has positions for 62 tokens");
}
