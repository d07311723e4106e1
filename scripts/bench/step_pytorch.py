"""Whole training steps of PyTorch: forward, backward, clipping and AdamW, dropout on.

    python step_pytorch.py MODEL_DIRECTORY eager|tuned|compiled     obeys lines of JSON on its standard input
    python step_pytorch.py --make DIRECTORY LAYERS HIDDEN           writes a BERT with random weights

The counterpart of crates/finetune/examples/step.rs. Lines understood, each answered by one line of JSON:
    {"batch": 16, "length": 32, "threads": 1}      makes a batch and warms up
    {"seconds": 3}                                 steps for so long: {"seconds": median, "steps": n, "peak_bytes": n}
"""

import json
import os
import pathlib
import shutil
import statistics
import sys
import time

import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel

WARM_UP, FEWEST = 3, 3


def make(directory, layers, hidden):
    """Writes a BERT with MiniLM's vocabulary and random weights."""
    torch.manual_seed(42)
    config = BertConfig(
        vocab_size=30522,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=max(1, hidden // 64),
        intermediate_size=4 * hidden,
    )
    BertModel(config).save_pretrained(directory)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copy(pathlib.Path("models/minilm") / name, directory)


def peak_bytes():
    for line in pathlib.Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def decays(name):
    return not name.endswith(".bias") and "LayerNorm" not in name


class Trainer:
    def __init__(self, directory, variant, device="cpu", precision=torch.float32):
        torch.manual_seed(42)
        self.device, self.precision, self.warm = device, precision, False
        self.model = BertForSequenceClassification.from_pretrained(
            directory, num_labels=2, hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1
        ).to(device)
        self.model.train()
        named = list(self.model.named_parameters())
        groups = [
            {"params": [p for n, p in named if decays(n)], "weight_decay": 0.01},
            {"params": [p for n, p in named if not decays(n)], "weight_decay": 0.0},
        ]
        fused = {} if variant == "eager" else {"fused": True}
        self.optimizer = torch.optim.AdamW(groups, lr=2e-5, eps=1e-8, **fused)
        self.forward = torch.compile(self.model) if variant == "compiled" else self.model

    def prepare(self, batch, length):
        tokens = torch.randint(1000, self.model.config.vocab_size, (batch, length))
        self.inputs = {
            "input_ids": tokens.to(self.device),
            "token_type_ids": torch.zeros_like(tokens).to(self.device),
            "attention_mask": torch.ones_like(tokens).to(self.device),
            "labels": (torch.arange(batch) % 2).to(self.device),
        }
        # A new number of threads needs no more than one step to settle.
        for _ in range(1 if self.warm else WARM_UP):
            self.step()
        self.warm = True

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        kind = torch.device(self.device).type
        with torch.autocast(kind, self.precision, enabled=self.precision != torch.float32):
            loss = self.forward(**self.inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()

    def measure(self, seconds):
        times = []
        end = time.perf_counter() + seconds
        while len(times) < FEWEST or time.perf_counter() < end:
            begin = time.perf_counter()
            self.step()
            times.append(time.perf_counter() - begin)
        return {"seconds": statistics.median(times), "steps": len(times), "peak_bytes": peak_bytes()}


def main():
    if sys.argv[1:2] == ["--make"]:
        make(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
        return
    # Whatever a library prints must not stand among the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    trainer = Trainer(sys.argv[1], sys.argv[2])
    for line in sys.stdin:
        order = json.loads(line)
        if "threads" in order:
            torch.set_num_threads(order["threads"])
            trainer.prepare(order["batch"], order["length"])
            answer = {"ready": True, "peak_bytes": peak_bytes()}
        else:
            answer = trainer.measure(order["seconds"])
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
