use super::*;

#[test]
fn it_is_a_net_in_every_dimension() {
    let names: Vec<String> = (0..directions::DIMENSIONS).map(|place| place.to_string()).collect();
    let sequence = Sequence::of(Seed(1), names.iter().map(String::as_str));
    for place in 0..names.len() {
        // Any aligned run of 2^k draws has one in each of 2^k strata.
        for (start, count) in [(0u64, 64u64), (64, 64), (1024, 1024)] {
            let mut strata: Vec<u64> = (start..start + count)
                .map(|index| (sequence.unit(index, place) * count as f64) as u64)
                .collect();
            strata.sort_unstable();
            assert!(strata.into_iter().eq(0..count), "dimension {place} from {start}");
        }
    }
}

#[test]
fn every_key_can_have_a_dimension() {
    assert!(crate::key::KEYS.len() <= directions::DIMENSIONS);
}
