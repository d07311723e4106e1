//! Fewer bits, and less memory: what they change, and what they must not.

use converge_bert::device::name_of_tests;
use converge_core::failure::FailureClass;
use converge_core::settings::Precision;
use converge_finetune::{Ending, Job, fine_tune, prepare};

use crate::support::{Recorder, job, request, settings, write_toy};

fn curves(job: &Job) -> Recorder {
    let mut recorder = Recorder::default();
    let ending = fine_tune(job, &mut recorder).unwrap();
    assert!(matches!(ending, Ending::Completed { .. }), "{ending:?}");
    recorder
}

/// On a processor no bit changes; elsewhere Burn adds gradients up in another order.
#[test]
fn gradient_checkpointing_changes_no_curve() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&write_toy(directory.path(), "train.tsv", 90));
    settings.train.max_steps = Some(12);
    let mut job = job(settings, directory.path());
    let kept = curves(&job);
    job.gradient_checkpointing = true;
    let again = curves(&job);
    if name_of_tests() == "cpu" {
        assert_eq!(kept.curves, again.curves);
    }
    for (kept, again) in kept.curve("train/loss").iter().zip(again.curve("train/loss")) {
        assert!((kept - again).abs() < 1e-3 * kept, "{kept} and {again}");
    }
}

/// On a device that has half precision: near the curve of single precision, and a stop changes no bit, with the loss
/// scale on its way down. On one that has none: refused before anything runs.
#[test]
fn half_precision_follows_single_precision_or_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(&write_toy(directory.path(), "train.tsv", 90));
    settings.train.max_steps = Some(12);
    settings.train.dropout = Some(0.0);
    let single = curves(&job(settings.clone(), directory.path())).curve("train/loss");
    let device = converge_bert::device::of_tests();
    for (precision, kind, tolerance) in [
        (Precision::BFloat16, converge_bert::Precision::BFloat16, 0.05),
        (Precision::Float16, converge_bert::Precision::Float16, 0.02),
    ] {
        settings.train.precision = precision;
        let mut job = job(settings.clone(), directory.path());
        if !kind.is_offered_by(&device) {
            let problems = prepare(&request(&[settings.clone()], directory.path())).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert_eq!(problems[0].place, "train.precision");
            let error = fine_tune(&job, &mut Recorder::default()).unwrap_err();
            assert_eq!(error.class(), FailureClass::Config, "{error}");
            continue;
        }
        let whole = curves(&job);
        let low = whole.curve("train/loss");
        assert_ne!(low, single, "{precision:?} computes as single precision does");
        for (low, single) in low.iter().zip(&single) {
            assert!((low - single).abs() < tolerance * single, "{precision:?}: {low}, {single}");
        }

        job.attempt_directory = directory.path().join("stopped");
        let mut stopped = Recorder { stop_after_step: Some(5), ..Recorder::default() };
        fine_tune(&job, &mut stopped).unwrap();
        job.resume_from = Some(stopped.checkpoints[0].1.clone());
        stopped.curves.extend(curves(&job).curves);
        if name_of_tests().starts_with("wgpu") {
            // Sums over more than one work group: the last bits of two runs differ there.
            let (all, whole) = (stopped.curve("train/loss"), whole.curve("train/loss"));
            assert_eq!(all.len(), whole.len());
            for (resumed, whole) in all.iter().zip(&whole) {
                assert!(
                    (resumed - whole).abs() < 1e-3 * whole,
                    "{precision:?}: {resumed}, {whole}"
                );
            }
        } else {
            assert_eq!(stopped.curves, whole.curves, "{precision:?}");
        }
    }
}
