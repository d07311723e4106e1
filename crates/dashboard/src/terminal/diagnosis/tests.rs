use converge_core::objective::{At, Goal};
use converge_diagnose::cause::Cause;
use converge_diagnose::rules::{Evidence, Fix};
use converge_diagnose::signals::Signals;
use converge_diagnose::standing::{By, Judged, Possible};

use super::*;

const PLAIN: Style = Style { colour: false, unicode: true };

fn objective() -> Objective {
    Objective { metric: "validation/accuracy".into(), goal: Goal::Maximize, at: At::Best }
}

fn claim() -> Claim {
    Claim {
        cause: Cause::LearningRateTooHigh,
        confidence: Confidence::Proven,
        evidence: vec![
            Evidence { text: "the loss rose to 1.9 times chance".into(), steps: Some((10, 20)) },
            Evidence {
                text: "trial 3, the same but learning_rate = 2e-5, reached 79.1 %".into(),
                steps: None,
            },
        ],
        fixes: vec![Fix {
            text: "learning_rate = 2e-5".into(),
            change: Default::default(),
            shown_by: Some(3),
        }],
    }
}

fn found(verdict: Verdict) -> Diagnosis {
    Diagnosis {
        trial: 7,
        judged: Judged {
            standing: Standing::AtChance,
            value: Some(0.504),
            constant: Some(0.504),
            possible: Some(Possible { value: 0.791, by: By::Trial(3) }),
            error: Some(0.02),
        },
        verdict,
        alternates: vec![Claim {
            cause: Cause::TooFewSteps,
            confidence: Confidence::Suspected,
            ..claim()
        }],
        counterfactuals: Vec::new(),
        signals: Signals::default(),
    }
}

#[test]
fn a_cause_is_told_with_what_shows_it_what_mends_it_and_where_there_is_more() {
    let loss: Vec<(u64, f64)> = (1..=40).map(|step| (step, 0.7 + 1.0 / step as f64)).collect();
    let text = diagnosis("s", &found(Verdict::Cause(claim())), &objective(), &loss, PLAIN, 80);
    insta::assert_snapshot!(text);
    assert!(text.lines().all(|line| unicode_width::UnicodeWidthStr::width(line) <= 80));
}

#[test]
fn what_nothing_explains_says_what_is_missing() {
    let verdict = Verdict::Inconclusive { missing: vec!["a trial that works".into()] };
    let text = diagnosis("s", &found(verdict), &objective(), &[], PLAIN, 60);
    assert!(text.contains("would need:\n- a trial that works\n"), "{text}");
}

#[test]
fn an_overview_counts_causes_and_says_where_they_lie() {
    let region = Region {
        parameter: "learning_rate".into(),
        values: Vec::new(),
        text: "learning_rate at least 0.001".into(),
    };
    let overview_found = Overview {
        converged: vec![1, 2],
        failed: vec![3, 4, 5],
        not_judged: vec![6],
        works: vec![Region { text: "learning_rate at most 1e-4".into(), ..region.clone() }],
        causes: vec![Group {
            cause: Cause::LearningRateTooHigh,
            trials: vec![3, 4],
            proven: 1,
            likely: 1,
            suspected: 0,
            region: vec![region],
        }],
        inconclusive: vec![5],
        limits: vec!["data: more of it".into()],
        diagnoses: Vec::new(),
    };
    insta::assert_snapshot!(overview("s", &overview_found, PLAIN, 80));
}
