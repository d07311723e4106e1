//! The model against the reference, as other crates see it. One binary, because linking is dear.

mod golden;
mod loading;
mod minilm;
mod reference;
mod training_mode;
