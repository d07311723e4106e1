//! Vector instructions for ordinary loops.

use pulp::{Arch, Simd, WithSimd};

struct Work<F>(F);

impl<R, F: FnMut() -> R> WithSimd for Work<F> {
    type Output = R;

    // Not pulp's own implementation for closures: that one calls them through a shim which is not inlined, so they
    // were compiled for the oldest processor, and six times as slow.
    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) -> R {
        (self.0)()
    }
}

/// Does work with the best vector instructions of this processor.
///
/// The work is to be an `#[inline(always)]` closure that changes something it captures, and what it calls is to be
/// `#[inline(always)]` too; anything else is compiled for the oldest processor.
pub fn vectorised<R>(work: impl FnMut() -> R) -> R {
    Arch::new().dispatch(Work(work))
}
