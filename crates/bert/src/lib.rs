//! BERT in Burn: configuration, forward pass, published weights, classification head.
