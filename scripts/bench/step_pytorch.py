"""Times whole training steps of PyTorch: forward, backward, clipping and AdamW, dropout on.

    python step_pytorch.py MODEL_DIRECTORY BATCH LENGTH STEPS

The counterpart of crates/finetune/examples/step.rs; prints the median seconds of a step as JSON.
"""

import json
import statistics
import sys
import time

import torch
from transformers import BertForSequenceClassification

WARM_UP = 3

model_directory, (batch, length, steps) = sys.argv[1], map(int, sys.argv[2:5])
torch.set_num_threads(1)
torch.manual_seed(42)
model = BertForSequenceClassification.from_pretrained(
    model_directory,
    num_labels=2,
    hidden_dropout_prob=0.1,
    attention_probs_dropout_prob=0.1,
)
model.train()


def decays(name):
    return not name.endswith(".bias") and "LayerNorm" not in name


named = list(model.named_parameters())
optimizer = torch.optim.AdamW(
    [
        {"params": [p for n, p in named if decays(n)], "weight_decay": 0.01},
        {"params": [p for n, p in named if not decays(n)], "weight_decay": 0.0},
    ],
    lr=2e-5,
)
inputs = {
    "input_ids": torch.randint(1000, model.config.vocab_size, (batch, length)),
    "token_type_ids": torch.zeros(batch, length, dtype=torch.long),
    "attention_mask": torch.ones(batch, length, dtype=torch.long),
    "labels": torch.arange(batch) % 2,
}
seconds = []
for _ in range(WARM_UP + steps):
    begin = time.perf_counter()
    optimizer.zero_grad()
    loss = model(**inputs).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    loss.item()
    seconds.append(time.perf_counter() - begin)
print(json.dumps({"seconds": statistics.median(seconds[WARM_UP:]), "steps": steps}))
