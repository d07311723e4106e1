//! One BERT training step on a processor: the parts that take its time, forward and backward.
//!
//! No tensors, no graph, no model: slices of `f32` in, slices out. `converge-bert` makes Burn operations of them.
//!
//! - Tokens of a batch stand behind one another without padding ([`Sequences`]), so nothing is computed for padding.
//! - Vector instructions are chosen at run time (AVX-512, AVX2, or what the target has), without `unsafe`: loops in
//!   a closure given to [`pulp::Arch::dispatch`] are compiled once for each. Whatever is called there is
//!   `#[inline(always)]`, or it would be compiled for the oldest processor.
//! - Threads are those of rayon's pool. Work is split at places that do not depend on their number, and no sum is
//!   split by it, so the bits of a result do not depend on it either.
//! - Dropout masks are functions of a key ([`Dropout`]) and are made again in the backward pass.
//!
//! Reading order: [`embeddings`], [`encoder_layer`]; then what they are made of.

pub mod embeddings;
pub mod encoder_layer;
pub mod matmul;

mod activation;
mod attention;
mod dropout;
mod lanes;
mod norm;
mod sequences;
mod special;
pub mod tasks;
mod vectorised;

pub use activation::Activation;
pub use dropout::Dropout;
pub use norm::Norm;
pub use sequences::{Asking, Sequences};
pub use vectorised::vectorised;
