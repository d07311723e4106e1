//! What holds for every draw of every method.
