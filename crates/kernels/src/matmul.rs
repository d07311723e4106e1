//! Matrix products of row-major `f32` matrices.
//!
//! The scheme of Goto and van de Geijn 2008, *Anatomy of High-Performance Matrix Multiplication*: a block of the right
//! matrix is packed so that it stays in the second-level cache, a panel of the left one so that it stays in the
//! first, and a tile of the product stays in registers while both run by.
//!
//! Each element of a product is summed over ascending `k` in blocks of fixed size, whatever the number of threads.

use std::cell::RefCell;

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

    /// Copies `across` elements of each of `deep` lines into lines of `width`, the rest of each zero.
    ///
    /// Lines run along `k`. `along` says whether `k` is the row in memory.
    #[inline(always)]
    fn pack(
        self,
        along: bool,
        deep: std::ops::Range<usize>,
        across: std::ops::Range<usize>,
        width: usize,
        packed: &mut [f32],
    ) {
        let count = across.len();
        if along {
            for (k, line) in deep.zip(packed.chunks_exact_mut(width)) {
                let source = &self.values[k * self.stride + across.start..][..count];
                line[..count].copy_from_slice(source);
                line[count..].fill(0.0);
            }
        } else {
            let depth = deep.len();
            if count < width {
                packed[..depth * width].fill(0.0);
            }
            for (column, index) in across.enumerate() {
                let source = &self.values[index * self.stride + deep.start..][..depth];
                for (value, line) in source.iter().zip(packed.chunks_exact_mut(width)) {
                    line[column] = *value;
                }
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
        if S::F32_LANES >= 16 {
            self.blocked::<S, ROWS, 2>(simd);
        } else if S::F32_LANES >= 8 {
            self.blocked::<S, 6, 2>(simd);
        } else {
            self.blocked::<S, 4, 2>(simd);
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn blocked<S: Simd, const ROWS: usize, const VECTORS: usize>(self, simd: S) {
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
        let width = VECTORS * S::F32_LANES;
        let mut edge = [0.0; EDGE];
        for n0 in (0..n).step_by(COLUMNS) {
            let n1 = (n0 + COLUMNS).min(n);
            for k0 in (0..k).step_by(DEPTH) {
                let k1 = (k0 + DEPTH).min(k);
                let depth = k1 - k0;
                let panel = depth * width;
                for (number, column) in (n0..n1).step_by(width).enumerate() {
                    let packed = &mut packed_right[number * panel..][..panel];
                    right.pack(
                        !right.transposed,
                        k0..k1,
                        column..(column + width).min(n1),
                        width,
                        packed,
                    );
                }
                let fresh = k0 == 0 && fill == Fill::Replace;
                for m0 in (0..m).step_by(ROWS) {
                    let m1 = (m0 + ROWS).min(m);
                    let packed_left = &mut packed_left[..depth * ROWS];
                    left.pack(left.transposed, k0..k1, m0..m1, ROWS, packed_left);
                    for (number, column) in (n0..n1).step_by(width).enumerate() {
                        let packed_right = &packed_right[number * panel..][..panel];
                        let columns = (column + width).min(n1) - column;
                        let target = &mut product[m0 * stride + column..];
                        if m1 - m0 == ROWS && columns == width {
                            tile::<S, ROWS, VECTORS>(
                                simd,
                                packed_left,
                                packed_right,
                                target,
                                stride,
                                fresh,
                            );
                        } else {
                            let edge = &mut edge[..ROWS * width];
                            tile::<S, ROWS, VECTORS>(
                                simd,
                                packed_left,
                                packed_right,
                                edge,
                                width,
                                true,
                            );
                            for (row, sums) in (0..m1 - m0).zip(edge.chunks(width)) {
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
