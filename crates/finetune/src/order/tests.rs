use super::*;

fn train(batch_size: u64, sampling: Sampling) -> TrainSettings {
    TrainSettings { batch_size, sampling, ..TrainSettings::defaults() }
}

fn epoch(order: &mut Order, number: u64) -> Vec<usize> {
    let steps = order.steps_per_epoch;
    (number * steps + 1..=(number + 1) * steps)
        .flat_map(|step| order.of_step(step).to_vec())
        .collect()
}

#[test]
fn every_epoch_shows_each_example_once_in_its_own_order() {
    for sampling in [Sampling::Shuffle, Sampling::Stratified] {
        let strata = [0, 1, 0, 1, 0, 1, 0, 1, 0, 2];
        let mut order = Order::new(Seed(3), &strata, &train(4, sampling));
        let (first, second) = (epoch(&mut order, 0), epoch(&mut order, 1));
        for order in [&first, &second] {
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(first, second);
        // A function of the step: asking in another order changes nothing.
        assert_eq!(epoch(&mut order, 0), first);
        assert_eq!(order.of_step(3).len(), 2);
    }
}

#[test]
fn a_shuffled_order_never_changes() {
    // Trainings of stored sweeps go on with it.
    let mut order = Order::new(Seed(3), &[0; 10], &train(4, Sampling::Shuffle));
    assert_eq!(epoch(&mut order, 0), permutation(Seed(3).stream("epoch", 0), 10));
    assert_eq!(epoch(&mut order, 5), permutation(Seed(3).stream("epoch", 5), 10));
}

/// 200 examples in shares of 70 %, 25 % and 5 %.
fn strata() -> Vec<u32> {
    (0..200)
        .map(|i| {
            if i % 20 < 14 {
                0
            } else if i % 20 < 19 {
                1
            } else {
                2
            }
        })
        .collect()
}

fn counts(positions: &[usize], strata: &[u32]) -> [f64; 3] {
    let mut counts = [0.0; 3];
    positions.iter().for_each(|position| counts[strata[*position] as usize] += 1.0);
    counts
}

#[test]
fn every_stratified_batch_has_its_share_of_each_class() {
    let strata = strata();
    let mut order = Order::new(Seed(1), &strata, &train(20, Sampling::Stratified));
    for step in 1..=50 {
        let found = counts(order.of_step(step), &strata);
        for (found, share) in found.iter().zip([14.0, 5.0, 1.0]) {
            assert!((found - share).abs() <= 1.0, "step {step}: {found} instead of {share}");
        }
    }
}

#[test]
fn every_balanced_batch_has_all_classes_equally_often_and_passes_over_all_examples() {
    let strata = strata();
    // 200 in batches of 16: the last step of an epoch has 8, as it has without balance.
    let mut order = Order::new(Seed(1), &strata, &train(16, Sampling::Balanced));
    let mut seen = vec![0; strata.len()];
    for step in 1..=13 * 6 {
        let positions = order.of_step(step);
        assert_eq!(positions.len(), if step % 13 == 0 { 8 } else { 16 });
        let found = counts(positions, &strata);
        let even = positions.len() as f64 / 3.0;
        assert!(found.iter().all(|found| (found - even).abs() <= 1.5), "step {step}: {found:?}");
        positions.iter().for_each(|position| seen[*position] += 1);
    }
    // 6 epochs of 200 are 400 of each class: 140, 50 and 10 examples, so 2.9, 8 and 40 passes.
    for (stratum, (least, most)) in (0..).zip([(2, 3), (8, 8), (40, 40)]) {
        let of = seen.iter().zip(&strata).filter(|(_, own)| **own == stratum);
        assert!(of.clone().all(|(seen, _)| (least..=most).contains(seen)), "class {stratum}");
    }
    assert_eq!(epoch(&mut order, 3), epoch(&mut order, 3));
    assert_ne!(epoch(&mut order, 3), epoch(&mut order, 4));
}

#[test]
fn nothing_to_order_does_no_harm() {
    for sampling in [Sampling::Shuffle, Sampling::Stratified, Sampling::Balanced] {
        let mut order = Order::new(Seed(1), &[], &train(16, sampling));
        assert_eq!(order.of_step(1), [0; 0]);
    }
}
