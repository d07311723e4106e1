//! One fine-tune: data, batches, optimizer, schedule, loop, evaluation, checkpoint.
