//! Matrix products of row-major `f32` matrices.
//!
//! The scheme of Goto and van de Geijn 2008, *Anatomy of High-Performance Matrix Multiplication*: a block of the right
//! matrix is packed so that it stays in the second-level cache, a panel of the left one so that it stays in the
//! first, and a tile of the product stays in registers while both run by.
//!
//! Each element of a product is summed over ascending `k` in blocks of fixed size, whatever the number of threads.

use std::cell::RefCell;
use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use crate::tasks;

/// Depth of a packed block.
const DEPTH: usize = 256;
/// Columns of a packed block of the right matrix: with [`DEPTH`], half a megabyte.
const COLUMNS: usize = 512;
/// Most rows of a tile.
const ROWS: usize = 12;
/// Most elements of a tile.
const EDGE: usize = ROWS * 32;

/// A matrix to read, or the transpose of one in memory.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    values: &'a [f32],
    /// Elements between the starts of two rows in memory.
    stride: usize,
    transposed: bool,
}

impl<'a> Matrix<'a> {
    /// Returns the matrix whose rows begin `stride` elements apart.
    pub fn new(values: &'a [f32], stride: usize) -> Self {
        Self { values, stride, transposed: false }
    }

    /// Returns the transpose of the matrix whose rows begin `stride` elements apart.
    pub fn transposed(values: &'a [f32], stride: usize) -> Self {
        Self { values, stride, transposed: true }
    }

    /// Returns the transpose.
    #[must_use]
    pub fn transpose(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }

    /// Returns the matrix without the rows before `row`.
    fn from_row(self, row: usize) -> Self {
        let skipped = if self.transposed { row } else { row * self.stride };
        Self { values: &self.values[skipped..], ..self }
    }

    /// Copies `across` elements of each of `deep` lines into lines of `WIDTH`, the rest of each zero.
    ///
    /// Lines run along `k`. `along` says whether `k` numbers the rows in memory.
    #[inline(always)]
    fn pack<const WIDTH: usize>(
        self,
        along: bool,
        deep: Range<usize>,
        across: Range<usize>,
        packed: &mut [f32],
    ) {
        let (lines, _) = packed.as_chunks_mut::<WIDTH>();
        let lines = &mut lines[..deep.len()];
        let count = across.len();
        if !along {
            if count < WIDTH {
                lines.fill([0.0; WIDTH]);
            }
            for (column, index) in across.enumerate() {
                let source = &self.values[index * self.stride..][deep.clone()];
                for (value, line) in source.iter().zip(lines.iter_mut()) {
                    line[column] = *value;
                }
            }
        } else if count == WIDTH {
            for (k, line) in deep.zip(lines) {
                let source = self.values[k * self.stride + across.start..].first_chunk();
                *line = *source.expect("a matrix holds its rows");
            }
        } else {
            for (k, line) in deep.zip(lines) {
                let source = &self.values[k * self.stride + across.start..][..count];
                line[..count].copy_from_slice(source);
                line[count..].fill(0.0);
            }
        }
    }
}

/// What is done with the former content of the product's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// It is overwritten.
    Replace,
    /// The product is added to it.
    Add,
}

/// Multiplications below which one thread is faster than several.
const PARALLEL: usize = 1 << 21;

/// Computes `product = left · right`, or adds to it.
///
/// # Shapes
/// - `left`: `[m, k]`, `right`: `[k, n]`
/// - `product`: `[m, n]`, its rows `stride` elements apart
///
/// # Panics
/// If a slice is too short for its shape.
pub fn multiply(
    left: Matrix<'_>,
    right: Matrix<'_>,
    [m, k, n]: [usize; 3],
    product: &mut [f32],
    stride: usize,
    fill: Fill,
) {
    let threads = if m * k * n >= PARALLEL && tasks::is_parallel() {
        rayon::current_num_threads()
    } else {
        1
    };
    let rows = m.div_ceil(threads).next_multiple_of(ROWS);
    if rows >= m {
        return multiply_on_one_thread(left, right, [m, k, n], product, stride, fill);
    }
    let pieces = product.chunks_mut(rows * stride).enumerate().take(m.div_ceil(rows)).collect();
    tasks::for_each(pieces, |(piece, product): (usize, &mut [f32])| {
        let first = piece * rows;
        let left = left.from_row(first);
        let rows = rows.min(m - first);
        multiply_on_one_thread(left, right, [rows, k, n], product, stride, fill);
    });
}

fn multiply_on_one_thread(
    left: Matrix<'_>,
    right: Matrix<'_>,
    [m, k, n]: [usize; 3],
    product: &mut [f32],
    stride: usize,
    fill: Fill,
) {
    // Taken out for the time of the product: code in a closure of the thread's key would not be compiled for the
    // instructions that were chosen.
    let (mut packed_left, mut packed_right) = PACKED.take();
    packed_left.resize(ROWS * DEPTH, 0.0);
    packed_right.resize(COLUMNS * DEPTH, 0.0);
    let packed = (packed_left.as_mut_slice(), packed_right.as_mut_slice());
    Arch::new().dispatch(Product { left, right, m, k, n, product, stride, fill, packed });
    PACKED.set((packed_left, packed_right));
}

struct Product<'a> {
    left: Matrix<'a>,
    right: Matrix<'a>,
    m: usize,
    k: usize,
    n: usize,
    product: &'a mut [f32],
    stride: usize,
    fill: Fill,
    packed: (&'a mut [f32], &'a mut [f32]),
}

thread_local! {
    static PACKED: RefCell<(Vec<f32>, Vec<f32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Tiles that fill the registers of AVX-512, AVX2 and NEON; the last one is for what has no vectors.
        match S::F32_LANES {
            16 => self.blocked::<S, ROWS, 2, 32>(simd),
            8 => self.blocked::<S, 6, 2, 16>(simd),
            4 => self.blocked::<S, 8, 2, 8>(simd),
            _ => self.blocked::<S, 4, 4, 4>(simd),
        }
    }
}

impl Product<'_> {
    /// Multiplies by tiles of `ROWS` rows and `WIDTH` columns, which are `VECTORS` vectors.
    #[inline(always)]
    fn blocked<S: Simd, const ROWS: usize, const VECTORS: usize, const WIDTH: usize>(
        self,
        simd: S,
    ) {
        assert_eq!(WIDTH, VECTORS * S::F32_LANES, "a tile is as wide as its vectors");
        let Self {
            left,
            right,
            m,
            k,
            n,
            product,
            stride,
            fill,
            packed: (packed_left, packed_right),
        } = self;
        let mut edge = [0.0; EDGE];
        for n0 in (0..n).step_by(COLUMNS) {
            let n1 = (n0 + COLUMNS).min(n);
            for k0 in (0..k).step_by(DEPTH) {
                let k1 = (k0 + DEPTH).min(k);
                let depth = k1 - k0;
                let panel = depth * WIDTH;
                for (number, column) in (n0..n1).step_by(WIDTH).enumerate() {
                    let packed = &mut packed_right[number * panel..][..panel];
                    let columns = column..(column + WIDTH).min(n1);
                    right.pack::<WIDTH>(!right.transposed, k0..k1, columns, packed);
                }
                let fresh = k0 == 0 && fill == Fill::Replace;
                for m0 in (0..m).step_by(ROWS) {
                    let m1 = (m0 + ROWS).min(m);
                    let packed_left = &mut packed_left[..depth * ROWS];
                    left.pack::<ROWS>(left.transposed, k0..k1, m0..m1, packed_left);
                    for (number, column) in (n0..n1).step_by(WIDTH).enumerate() {
                        let packed_right = &packed_right[number * panel..][..panel];
                        let columns = (column + WIDTH).min(n1) - column;
                        let target = &mut product[m0 * stride + column..];
                        if m1 - m0 == ROWS && columns == WIDTH {
                            tile::<S, ROWS, VECTORS>(
                                simd,
                                packed_left,
                                packed_right,
                                target,
                                stride,
                                fresh,
                            );
                        } else {
                            let edge = &mut edge[..ROWS * WIDTH];
                            tile::<S, ROWS, VECTORS>(
                                simd,
                                packed_left,
                                packed_right,
                                edge,
                                WIDTH,
                                true,
                            );
                            for (row, sums) in (0..m1 - m0).zip(edge.chunks(WIDTH)) {
                                add(&mut target[row * stride..][..columns], sums, fresh);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Multiplies a packed panel of the left matrix with one of the right, and stores the tile or adds it to `target`.
///
/// Sums are named by constants only, or the compiler would keep them in memory.
#[inline(always)]
fn tile<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    left: &[f32],
    right: &[f32],
    target: &mut [f32],
    stride: usize,
    fresh: bool,
) {
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
    let (left, _) = left.as_chunks::<ROWS>();
    let (right, _) = S::as_simd_f32s(right);
    let (right, _) = right.as_chunks::<VECTORS>();
    for (left, right) in left.iter().zip(right) {
        for row in 0..ROWS {
            let value = simd.splat_f32s(left[row]);
            for vector in 0..VECTORS {
                sums[row][vector] = simd.mul_add_f32s(value, right[vector], sums[row][vector]);
            }
        }
    }
    for row in 0..ROWS {
        let (target, _) =
            S::as_mut_simd_f32s(&mut target[row * stride..][..VECTORS * S::F32_LANES]);
        for vector in 0..VECTORS {
            let sum = sums[row][vector];
            target[vector] = if fresh { sum } else { simd.add_f32s(target[vector], sum) };
        }
    }
}

#[inline(always)]
fn add(target: &mut [f32], sums: &[f32], fresh: bool) {
    for (target, sum) in target.iter_mut().zip(sums) {
        *target = if fresh { *sum } else { *target + *sum };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, salt: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 37 + salt * 11) % 101) as f32 / 50.0 - 1.0).collect()
    }

    fn naive(left: &[f32], right: &[f32], [m, k, n]: [usize; 3]) -> Vec<f64> {
        let element = |row: usize, column: usize| -> f64 {
            (0..k).map(|i| f64::from(left[row * k + i]) * f64::from(right[i * n + column])).sum()
        };
        (0..m * n).map(|at| element(at / n, at % n)).collect()
    }

    fn transpose(matrix: &[f32], columns: usize) -> Vec<f32> {
        (0..columns).flat_map(|column| matrix[column..].iter().step_by(columns)).copied().collect()
    }

    fn assert_close(found: &[f32], expected: &[f64], what: &str) {
        for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
            let difference = (f64::from(*found) - expected).abs();
            assert!(difference < 2e-4, "{what}: {found} is not {expected} at {at}");
        }
    }

    /// Sizes around the edges of tiles, panels and blocks.
    const SIZES: [[usize; 3]; 8] = [
        [1, 1, 1],
        [12, 256, 32],
        [13, 257, 33],
        [5, 300, 7],
        [25, 3, 515],
        [7, 64, 31],
        [30, 513, 40],
        [3, 10, 1100],
    ];

    #[test]
    fn products_are_those_of_the_definition_for_both_layouts() {
        for size in SIZES {
            let [m, k, n] = size;
            let (left, right) = (numbers(m * k, 1), numbers(k * n, 2));
            let expected = naive(&left, &right, size);
            let (left_t, right_t) = (transpose(&left, k), transpose(&right, n));
            for (lhs, rhs) in [
                (Matrix::new(&left, k), Matrix::new(&right, n)),
                (Matrix::transposed(&left_t, m), Matrix::new(&right, n)),
                (Matrix::new(&left, k), Matrix::transposed(&right_t, k)),
                (Matrix::transposed(&left_t, m), Matrix::new(&right_t, k).transpose()),
            ] {
                let mut product = vec![7.0; m * n];
                multiply(lhs, rhs, size, &mut product, n, Fill::Replace);
                assert_close(&product, &expected, &format!("{size:?}"));
                multiply(lhs, rhs, size, &mut product, n, Fill::Add);
                let twice: Vec<f64> = expected.iter().map(|value| 2.0 * value).collect();
                assert_close(&product, &twice, &format!("added {size:?}"));
            }
        }
    }

    #[test]
    fn every_set_of_instructions_gives_the_product() {
        fn check(name: &str, simd: impl Simd) {
            for size in SIZES {
                let [m, k, n] = size;
                let (left, right) = (numbers(m * k, 3), numbers(k * n, 4));
                let mut product = vec![0.0; m * n];
                let (mut packed_left, mut packed_right) =
                    (vec![0.0; ROWS * DEPTH], vec![0.0; COLUMNS * DEPTH]);
                Product {
                    left: Matrix::new(&left, k),
                    right: Matrix::new(&right, n),
                    m,
                    k,
                    n,
                    product: &mut product,
                    stride: n,
                    fill: Fill::Replace,
                    packed: (&mut packed_left, &mut packed_right),
                }
                .with_simd(simd);
                assert_close(&product, &naive(&left, &right, size), &format!("{name}, {size:?}"));
            }
        }
        check("no vectors", pulp::Scalar);
        #[cfg(target_arch = "x86_64")]
        {
            pulp::x86::V3::try_new().into_iter().for_each(|simd| check("AVX2", simd));
            pulp::x86::V4::try_new().into_iter().for_each(|simd| check("AVX-512", simd));
        }
    }

    #[test]
    fn a_product_within_a_wider_matrix_leaves_the_rest_alone() {
        let (left, right) = (numbers(6, 1), numbers(6, 2));
        let mut product = vec![9.0; 2 * 10];
        let size = [2, 3, 2];
        multiply(
            Matrix::new(&left, 3),
            Matrix::new(&right, 2),
            size,
            &mut product[4..],
            10,
            Fill::Replace,
        );
        let expected = naive(&left, &right, size);
        assert_close(&[product[4], product[5], product[14], product[15]], &expected, "in place");
        let untouched = (0..20).filter(|at| ![4, 5, 14, 15].contains(at));
        assert!(untouched.into_iter().all(|at| product[at] == 9.0));
    }

    #[test]
    fn a_number_that_is_none_is_seen() {
        let (mut left, right) = (numbers(40, 1), numbers(40, 2));
        left[7] = f32::NAN;
        let mut product = vec![0.0; 16];
        multiply(
            Matrix::new(&left, 10),
            Matrix::new(&right, 4),
            [4, 10, 4],
            &mut product,
            4,
            Fill::Replace,
        );
        assert!(
            product[..4].iter().all(|value| value.is_nan())
                && product[4..].iter().all(|value| value.is_finite())
        );
    }
}
