use super::*;

fn classes(count: u32, examples: u32) -> ItemResults {
    ItemResults {
        answers: Answers::Classes {
            classes: (0..examples).map(|example| example * 7 % count).collect(),
        },
        losses: (0..examples).map(|example| (example as f32 * 0.37).sin().abs()).collect(),
    }
}

fn all() -> Vec<ItemResults> {
    let labels = |labels: u32, examples: u32| ItemResults {
        answers: Answers::Labels {
            labels,
            has: (0..labels * examples).map(|place| place % 3 == 1).collect(),
        },
        losses: vec![0.5; examples as usize],
    };
    let numbers = ItemResults {
        answers: Answers::Numbers { numbers: vec![1.5, f32::MIN, f32::NAN, -0.0, 1e-40] },
        losses: vec![0.0, f32::INFINITY, f32::NAN, 1e12, 1.0],
    };
    let mut all = vec![numbers, labels(1, 9), labels(5, 13), labels(70, 3), labels(3, 0)];
    for count in [1, 2, 3, 4, 5, 150, 1000] {
        all.push(classes(count, 0));
        all.push(classes(count, 1));
        all.push(classes(count, 777));
    }
    all
}

#[test]
fn what_was_packed_is_read_again() {
    for before in all() {
        let bytes = items(&before).unwrap();
        let after = items_of(&bytes).unwrap();
        // NaN differs from itself.
        let shown = |answers: &Answers| format!("{answers:?}");
        assert_eq!(shown(&after.answers), shown(&before.answers));
        for (after, before) in after.losses.iter().zip(&before.losses) {
            let close = (after - before).abs() <= before.abs() / 2048.0 + 3e-8;
            let same = after.to_bits() == before.to_bits() || after.is_nan() && before.is_nan();
            // Where one loss is 10^12, another of 1 is less than half a unit.
            assert!(close || same || before.abs() < 2.0 && after.abs() < 2.0, "{before} {after}");
        }
        assert_eq!(items(&after).unwrap(), bytes, "once more, nothing changes");
        let right = answers(&before.answers).unwrap();
        assert_eq!(shown(&answers_of(&right).unwrap()), shown(&before.answers));
    }
}

#[test]
fn a_class_takes_the_bits_that_it_needs_and_a_loss_two_bytes() {
    for (count, bits) in [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (150, 8), (1000, 10)] {
        let packed = items(&classes(count, 512)).unwrap();
        assert_eq!(packed.len(), HEAD + 512 * bits / 8 + 1 + 1024, "{count} classes");
    }
}

#[test]
fn bytes_that_do_not_fit_together_are_refused() {
    for before in all() {
        let bytes = items(&before).unwrap();
        for length in 0..bytes.len().min(200) {
            assert!(items_of(&bytes[..length]).is_err(), "{length} of {}", bytes.len());
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(items_of(&longer), Err(PackedError::Damaged));
        let other = [&[9], &bytes[1..]].concat();
        assert_eq!(items_of(&other), Err(PackedError::Version(9)));
        // Whatever a byte of the head says, nothing is made of it that the bytes do not hold.
        for place in 1..HEAD.min(bytes.len()) {
            for byte in [0, 1, 2, 3, 0x7f, 0xff] {
                let mut wrong = bytes.clone();
                wrong[place] = byte;
                if let Ok(items) = items_of(&wrong) {
                    assert!(
                        items.losses.len() <= bytes.len()
                            && items.answers.len() == items.losses.len()
                    );
                }
                let _ = answers_of(&wrong[..wrong.len() - 2 * before.losses.len() - 1]);
            }
        }
    }
    assert_eq!(answers_of(&vec![1; MOST_BYTES + 1]), Err(PackedError::Long));
    let endless = [1, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    assert_eq!(answers_of(&endless), Err(PackedError::Damaged));
}

#[test]
fn what_is_too_much_or_uneven_is_not_packed() {
    assert!(items(&classes(2, 120_000)).is_some());
    assert!(items(&classes(2, 130_000)).is_none());
    let uneven = ItemResults { losses: vec![0.0; 3], ..classes(2, 4) };
    assert!(items(&uneven).is_none());
    assert!(answers(&Answers::Labels { labels: 3, has: vec![true; 4] }).is_none());
}

#[test]
fn as_json_they_are_text_or_absent() {
    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Both {
        #[serde(with = "answers_text", default, skip_serializing_if = "Option::is_none")]
        answers: Option<Answers>,
        #[serde(with = "items_text", default, skip_serializing_if = "Option::is_none")]
        items: Option<ItemResults>,
    }
    let items = ItemResults {
        answers: Answers::Classes { classes: vec![0, 1, 1] },
        losses: vec![0.5, 0.25, 2.0],
    };
    let both = Both { answers: Some(items.answers.clone()), items: Some(items) };
    let json = serde_json::to_string(&both).unwrap();
    assert_eq!(json, r#"{"answers":"AQADAAAAAQAAAAY","items":"AQADAAAAAQAAAAYAADgANABA"}"#);
    assert_eq!(serde_json::from_str::<Both>(&json).unwrap(), both);
    let neither = Both { answers: None, items: None };
    assert_eq!(serde_json::to_string(&neither).unwrap(), "{}");
    assert_eq!(serde_json::from_str::<Both>("{}").unwrap(), neither);
    for wrong in [
        r#"{"items":"AQ"}"#,
        r#"{"items":"?"}"#,
        r#"{"items":7}"#,
        r#"{"answers":"AQADAAAAAQAAAAYAADgANABA"}"#,
    ] {
        serde_json::from_str::<Both>(wrong).unwrap_err();
    }
}
