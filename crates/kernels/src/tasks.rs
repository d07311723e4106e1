//! Work in pieces: one after the other on one thread, side by side on several.
//!
//! Pieces never depend on the number of threads, so neither does any result.

use rayon::prelude::*;

/// Elements of an elementwise piece: some hundred microseconds at most.
const BLOCK: usize = 16 * 1024;

/// Says whether there is more than one thread to work on.
///
/// A pool of one is not used: handing work to it costs more than it brings.
pub fn is_parallel() -> bool {
    rayon::current_num_threads() > 1
}

/// Calls `work` for every item.
pub fn for_each<T: Send>(items: Vec<T>, work: impl Fn(T) + Sync + Send) {
    if is_parallel() && items.len() > 1 {
        items.into_par_iter().for_each(work);
    } else {
        items.into_iter().for_each(work);
    }
}

/// Calls `work` for every item and returns what it made, in order.
pub fn map<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync + Send) -> Vec<R> {
    if is_parallel() && items.len() > 1 {
        items.into_par_iter().map(work).collect()
    } else {
        items.into_iter().map(work).collect()
    }
}

/// Calls `work` for pieces of a slice to read and the pieces at the same place of one to write.
pub(crate) fn for_blocks_of_two(
    read: &[f32],
    write: &mut [f32],
    work: impl Fn(&[f32], &mut [f32]) + Sync + Send,
) {
    let pieces = read.chunks(BLOCK).zip(write.chunks_mut(BLOCK)).collect();
    for_each(pieces, |(read, write)| work(read, write));
}

/// Calls `work` for the pieces at the same place of two slices to write.
pub(crate) fn for_blocks_of_both(
    left: &mut [f32],
    right: &mut [f32],
    work: impl Fn(&mut [f32], &mut [f32]) + Sync + Send,
) {
    let pieces = left.chunks_mut(BLOCK).zip(right.chunks_mut(BLOCK)).collect();
    for_each(pieces, |(left, right)| work(left, right));
}
