//! Draws test, validation and training split, stratified and by seed.
//!
//! What is called a class here is the stratum of any task: the class, the rarest label that an example has (those
//! without any are a stratum of their own), or the tenth of the numbers that the training file holds.

use converge_core::seed::Seed;

use crate::permutation::permutation;

/// What to draw from one file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shares {
    /// Share of the file held out for the test.
    pub(crate) test: f64,
    /// Share of the file held out for validation.
    pub(crate) validation: f64,
}

/// Examples of one file by their place in it, each in at most one split.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Split {
    pub(crate) train: Vec<usize>,
    pub(crate) validation: Vec<usize>,
    pub(crate) test: Vec<usize>,
}

/// Splits a file whose examples have these classes.
///
/// The test split is drawn first, then validation; the rest is for training. The order within a
/// split is that of the draw, so every beginning of it is stratified too.
pub(crate) fn split(classes: &[u32], shares: Shares, seed: Seed) -> Split {
    let order = stratified_order(classes, seed.stream("held_out", 0), false);
    let examples = classes.len();
    let test = share_of(shares.test, examples);
    let validation = share_of(shares.validation, examples).min(examples - test);
    let (test, rest) = order.split_at(test);
    let (validation, train) = rest.split_at(validation);
    Split { train: train.to_vec(), validation: validation.to_vec(), test: test.to_vec() }
}

fn share_of(share: f64, examples: usize) -> usize {
    // A share out of [0, 1] is reported as a problem elsewhere; here it must not do harm.
    ((share * examples as f64).round() as usize).min(examples)
}

/// Keeps at most `limit` of `examples`: stratified, and a part of what any larger limit keeps.
///
/// Every class is kept as long as the limit has room for it.
pub(crate) fn limit(
    examples: Vec<usize>,
    classes: &[u32],
    limit: Option<u64>,
    seed: Seed,
) -> Vec<usize> {
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    if limit >= examples.len() {
        return examples;
    }
    let own: Vec<u32> = examples.iter().map(|example| classes[*example]).collect();
    let order = stratified_order(&own, seed.stream("limit", 0), true);
    order[..limit].iter().map(|place| examples[*place]).collect()
}

/// Orders examples so that every beginning holds each class in proportion.
///
/// The k-th of the n examples of a class stands at (k + 1/2) / n; with `every_class_first`, the
/// first example of each class comes before all others.
fn stratified_order(classes: &[u32], seed: Seed, every_class_first: bool) -> Vec<usize> {
    let count = classes.iter().max().map_or(0, |largest| *largest as usize + 1);
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (example, class) in classes.iter().enumerate() {
        members[*class as usize].push(example);
    }
    let mut placed = Vec::with_capacity(classes.len());
    for (class, members) in members.iter().enumerate() {
        let order = permutation(seed.stream("class", class as u64), members.len());
        for (k, place) in order.into_iter().enumerate() {
            let early = every_class_first && k == 0;
            let position = (k as f64 + 0.5) / members.len() as f64;
            placed.push((!early, position, class, members[place]));
        }
    }
    placed.sort_by(|left, right| {
        (left.0.cmp(&right.0)).then(left.1.total_cmp(&right.1)).then(left.2.cmp(&right.2))
    });
    placed.into_iter().map(|(.., example)| example).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// 300 examples in shares of 50 %, 40 % and 10 %.
    fn classes() -> Vec<u32> {
        (0..300).map(|i| [0, 1, 0, 1, 0, 1, 0, 1, 0, 2][i % 10]).collect()
    }

    fn counts(examples: &[usize], classes: &[u32]) -> [usize; 3] {
        let mut counts = [0; 3];
        for example in examples {
            counts[classes[*example] as usize] += 1;
        }
        counts
    }

    const SHARES: Shares = Shares { test: 0.1, validation: 0.2 };

    #[test]
    fn splits_are_stratified_and_disjoint() {
        let classes = classes();
        let split = split(&classes, SHARES, Seed(1));
        assert_eq!(counts(&split.test, &classes), [15, 12, 3]);
        assert_eq!(counts(&split.validation, &classes), [30, 24, 6]);
        assert_eq!(counts(&split.train, &classes), [105, 84, 21]);
        let all = [split.train, split.validation, split.test].concat();
        assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), 300);
    }

    #[test]
    fn the_seed_alone_decides() {
        let classes = classes();
        assert_eq!(split(&classes, SHARES, Seed(1)), split(&classes, SHARES, Seed(1)));
        assert_ne!(split(&classes, SHARES, Seed(1)), split(&classes, SHARES, Seed(2)));
    }

    #[test]
    fn limits_are_stratified_and_nested() {
        let classes = classes();
        let train = split(&classes, SHARES, Seed(1)).train;
        let mut larger = BTreeSet::from_iter(train.clone());
        for size in (3..=210).rev() {
            let kept = limit(train.clone(), &classes, Some(size), Seed(1));
            assert_eq!(kept.len(), size as usize);
            let [a, b, c] = counts(&kept, &classes);
            for (count, share) in [(a, 0.5), (b, 0.4), (c, 0.1)] {
                assert!((count as f64 - size as f64 * share).abs() <= 2.0, "{a} {b} {c}");
                assert!(count > 0);
            }
            let kept = BTreeSet::from_iter(kept);
            assert!(kept.is_subset(&larger));
            larger = kept;
        }
        assert_eq!(limit(train.clone(), &classes, None, Seed(1)), train);
        assert_eq!(limit(train.clone(), &classes, Some(9999), Seed(1)), train);
    }

    #[test]
    fn a_rare_class_stays_in_training() {
        let mut classes = vec![0; 100];
        classes[7] = 1;
        assert!(split(&classes, SHARES, Seed(3)).train.contains(&7));
    }

    #[test]
    fn extremes_do_no_harm() {
        let nothing = split(&[], SHARES, Seed(1));
        assert_eq!(nothing, Split::default());
        let too_much = split(&[0, 1], Shares { test: 7.0, validation: f64::NAN }, Seed(1));
        assert_eq!(too_much.test.len(), 2);
        let negative = split(&[0, 1], Shares { test: -7.0, validation: f64::INFINITY }, Seed(1));
        assert_eq!(negative.validation.len(), 2);
    }
}
