//! Arithmetic on whole rows: elementwise, and sums in an order that suits vector units and that nothing but the number of elements decides.

/// Sums kept side by side.
const LANES: usize = 16;

/// Multiplies each value by the factor at its place.
#[inline(always)]
pub(crate) fn multiply(values: &mut [f32], factors: &[f32]) {
    for (value, factor) in values.iter_mut().zip(factors) {
        *value *= factor;
    }
}

/// Adds to each value the one at its place.
#[inline(always)]
pub(crate) fn add(values: &mut [f32], added: &[f32]) {
    for (value, added) in values.iter_mut().zip(added) {
        *value += added;
    }
}

/// Returns the sum of the terms made of each element.
#[inline(always)]
pub(crate) fn sum(values: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            sums[lane] += term(chunk[lane]);
        }
    }
    fold(sums) + rest.iter().map(|value| term(*value)).sum::<f32>()
}

/// Returns the sum of the products of elements at the same place.
#[inline(always)]
pub(crate) fn dot(left: &[f32], right: &[f32]) -> f32 {
    let (left, left_rest) = left.as_chunks::<LANES>();
    let (right, right_rest) = right.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for (left, right) in left.iter().zip(right) {
        for lane in 0..LANES {
            sums[lane] = left[lane].mul_add(right[lane], sums[lane]);
        }
    }
    fold(sums) + left_rest.iter().zip(right_rest).map(|(left, right)| left * right).sum::<f32>()
}

/// Returns the largest element, NaN where there is one: a loss that is not a number must be seen.
#[inline(always)]
pub(crate) fn max(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut largest = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for lane in 0..LANES {
            largest[lane] = larger(largest[lane], chunk[lane]);
        }
    }
    largest.iter().chain(rest).fold(f32::NEG_INFINITY, |kept, value| larger(kept, *value))
}

/// Returns the larger of two numbers: the first one only if it is at least the second, which it is not for NaN.
#[inline(always)]
fn larger(kept: f32, value: f32) -> f32 {
    if kept >= value { kept } else { value }
}

/// Adds up the sums of the lanes by halves.
#[inline(always)]
fn fold(mut sums: [f32; LANES]) -> f32 {
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
    }
    sums[0]
}
