//! A fine-tune as the worker sees it: through the public interface, on real files.

mod exactness;
mod problems;
mod support;
mod training;
