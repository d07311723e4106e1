"""Makes the numbers that `crates/bert` is tested against, from PyTorch and transformers.

    python make_goldens.py tiny            a random model: logits, gradients, 20 optimizer steps
    python make_goldens.py minilm DIR      hidden states of the published model in DIR

Both write into `crates/bert/tests/goldens`; README.md beside this file describes the files.
All arithmetic is done in double precision on weights stored in single precision: the goldens
are what an exact implementation gives, and the tests' tolerances are for our rounding alone.
"""

import json
import sys
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    get_linear_schedule_with_warmup,
)

GOLDENS = Path(__file__).resolve().parents[2] / "crates/bert/tests/goldens"

LABELS = 3
STEPS = 20
OPTIMIZER = {
    "learning_rate": 1e-3,
    "beta_1": 0.9,
    "beta_2": 0.999,
    "epsilon": 1e-8,
    "weight_decay": 0.01,
    "max_grad_norm": 1.0,
    "warmup_steps": 4,
    "steps": STEPS,
}

# Fewer layers, tokens and positions than any real model, so that all files stay below 400 kB.
CONFIG = {
    "vocab_size": 64,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 24,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}

SENTENCES = [
    "Burn is fast.",
    "The quick brown fox jumps over the lazy dog.",
    "I have never been so bored in a cinema.",
    "A triumph: funny, tender and beautifully shot!",
    "Learning rates above 1e-3 usually diverge.",
    "No.",
    "Das ist kein englischer Satz, aber er hat Wörter.",
    "The committee postponed its decision on the new railway line until the end of the year.",
    "It's 25% cheaper, isn't it?",
    "Unbelievable performances cannot rescue a screenplay that explains every single joke twice.",
]


def seed(number):
    return torch.Generator().manual_seed(number)


def tiny_model():
    """A classifier whose weights are large enough for gradients to mean something."""
    model = BertForSequenceClassification(
        BertConfig(**CONFIG, num_labels=LABELS, attn_implementation="eager")
    )
    generator = seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, generator=generator)
            if name.endswith("LayerNorm.weight"):
                values = 1.0 + 0.1 * values
            elif name.endswith("bias"):
                values = 0.1 * values
            else:
                values = 0.2 * values
            parameter.copy_(values)
    return model.eval()


def tiny_batch(number):
    """A padded batch of four examples, some of them pairs; its length differs between batches."""
    generator = seed(1000 + number)

    def draw(low, high, size=()):
        return torch.randint(low, high, size, generator=generator)

    longest = int(draw(6, 13))
    lengths = [longest] + [int(draw(3, longest + 1)) for _ in range(3)]
    token_ids = torch.zeros(4, longest, dtype=torch.long)
    token_type_ids = torch.zeros_like(token_ids)
    attention_mask = torch.zeros_like(token_ids)
    for row, length in enumerate(lengths):
        token_ids[row, :length] = draw(1, CONFIG["vocab_size"], (length,))
        token_type_ids[row, int(draw(2, length + 1)) : length] = 1
        attention_mask[row, :length] = 1
    return {
        "token_ids": token_ids,
        "token_type_ids": token_type_ids,
        "attention_mask": attention_mask,
        "labels": draw(0, LABELS, (4,)),
    }


def forward(model, batch):
    return model(
        input_ids=batch["token_ids"],
        token_type_ids=batch["token_type_ids"],
        attention_mask=batch["attention_mask"],
        labels=batch["labels"],
    )


def mean_pooled(hidden_states, attention_mask):
    mask = attention_mask.to(hidden_states.dtype).unsqueeze(-1)
    return (hidden_states * mask).sum(1) / mask.sum(1)


def hidden_states(model, batch):
    """Last hidden states of the encoder inside a classifier."""
    inputs = {
        "input_ids": batch["token_ids"],
        "token_type_ids": batch["token_type_ids"],
        "attention_mask": batch["attention_mask"],
    }
    return model.bert(**inputs).last_hidden_state


def parameter_groups(model):
    def decays(name):
        return not name.endswith(".bias") and "LayerNorm" not in name

    parameters = list(model.named_parameters())
    return [
        {
            "params": [p for n, p in parameters if decays(n)],
            "weight_decay": OPTIMIZER["weight_decay"],
        },
        {"params": [p for n, p in parameters if not decays(n)], "weight_decay": 0.0},
    ]


def trajectory(model):
    """Trains the model in place and returns what was seen at each step."""
    optimizer = torch.optim.AdamW(
        parameter_groups(model),
        lr=OPTIMIZER["learning_rate"],
        betas=(OPTIMIZER["beta_1"], OPTIMIZER["beta_2"]),
        eps=OPTIMIZER["epsilon"],
    )
    schedule = get_linear_schedule_with_warmup(optimizer, OPTIMIZER["warmup_steps"], STEPS)
    steps = []
    for number in range(STEPS):
        batch = tiny_batch(number)
        output = forward(model, batch)
        optimizer.zero_grad()
        output.loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), OPTIMIZER["max_grad_norm"])
        steps.append(
            {
                **batch,
                "learning_rate": schedule.get_last_lr()[0],
                "logits": output.logits,
                "loss": output.loss,
                "gradient_norm": norm,
            }
        )
        optimizer.step()
        schedule.step()
    return steps


def published_base(model):
    """The model as bases are published: no prefix, no head, names of 2018, half precision.

    Returns the file's tensors, and the model that results from reading them.
    """
    tensors = {}
    halved = BertForSequenceClassification(model.config).double().eval()
    halved.load_state_dict({name: p.half().double() for name, p in model.named_parameters()})
    for name, parameter in model.bert.named_parameters():
        if name.startswith("pooler."):
            continue
        if "LayerNorm" in name:
            name = name.replace(".weight", ".gamma").replace(".bias", ".beta")
        tensors[name] = parameter.detach().half().contiguous()
    positions = CONFIG["max_position_embeddings"]
    tensors["embeddings.position_ids"] = torch.arange(positions).unsqueeze(0)
    tensors["cls.predictions.bias"] = torch.zeros(CONFIG["vocab_size"])
    return tensors, halved


def plain(value):
    """JSON without the digits that single precision does not have."""
    if isinstance(value, torch.Tensor):
        value = value.detach()
        return plain(value.item() if value.dim() == 0 else value.tolist())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def save_json(path, content):
    lines = json.dumps(plain(content), separators=(",", ":"))
    # One step per line: readable in a diff.
    path.write_text(lines.replace('{"token_ids"', '\n{"token_ids"') + "\n")


def save_tensors(path, tensors):
    single = {n: t.detach().float().contiguous() for n, t in tensors.items()}
    save_file(single, path, metadata={"format": "pt"})


def make_tiny():
    directory = GOLDENS / "tiny"
    directory.mkdir(parents=True, exist_ok=True)
    model = tiny_model()
    config = model.config.to_dict()
    (directory / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    save_tensors(directory / "model.safetensors", dict(model.named_parameters()))
    base, halved = published_base(model)
    save_file(base, directory / "published_base.safetensors", metadata={"format": "pt"})

    model = model.double()
    batch = tiny_batch(100)
    output = forward(model, batch)
    output.loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    save_tensors(directory / "gradients.safetensors", gradients)

    pooled = mean_pooled(hidden_states(model, batch), batch["attention_mask"])
    golden = {
        "forward": {
            **batch,
            "logits": output.logits,
            "loss": output.loss,
            "gradient_norm": torch.stack([g.norm() for g in gradients.values()]).norm(),
            "mean_pooling_logits": model.classifier(pooled),
            "one_layer_logits": one_layer_logits(model, batch),
            "published_base_mean_pooled": mean_pooled(
                hidden_states(halved, batch), batch["attention_mask"]
            ),
        },
        "optimizer": OPTIMIZER,
        "trajectory": trajectory(model),
    }
    save_json(directory / "golden.json", golden)
    save_tensors(directory / "trained.safetensors", dict(model.named_parameters()))


def one_layer_logits(model, batch):
    """Logits of the same weights without the second encoder layer."""
    config = BertConfig.from_dict({**model.config.to_dict(), "num_hidden_layers": 1})
    config._attn_implementation = "eager"
    short = BertForSequenceClassification(config).double().eval()
    kept = {n: p for n, p in model.state_dict().items() if ".layer.1." not in n}
    short.load_state_dict(kept)
    return forward(short, batch).logits


def make_minilm(source):
    from tokenizers import Tokenizer

    directory = GOLDENS / "minilm"
    directory.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.no_padding()
    model = BertModel(
        BertConfig.from_json_file(source / "config.json"), add_pooling_layer=False
    )
    model.config._attn_implementation = "eager"
    weights = load_file(source / "model.safetensors")
    extra = {n for n in weights if n.startswith("pooler.") or n.endswith("position_ids")}
    model.load_state_dict({n: w for n, w in weights.items() if n not in extra})
    model = model.double().eval()

    ids = [tokenizer.encode(sentence).ids for sentence in SENTENCES]
    longest = max(len(sentence) for sentence in ids)
    token_ids = torch.tensor([sentence + [0] * (longest - len(sentence)) for sentence in ids])
    mask = torch.tensor([[1] * len(s) + [0] * (longest - len(s)) for s in ids])
    with torch.no_grad():
        states = model(input_ids=token_ids, attention_mask=mask).last_hidden_state
    first_dimensions = torch.cat([states[i, : len(s), :8] for i, s in enumerate(ids)])
    save_tensors(
        directory / "hidden_states.safetensors",
        {"first_dimensions": first_dimensions, "mean_pooled": mean_pooled(states, mask)},
    )
    content = [{"token_ids": s, "text": text} for s, text in zip(ids, SENTENCES)]
    save_json(directory / "sentences.json", content)


if __name__ == "__main__":
    torch.use_deterministic_algorithms(True)
    numpy.seterr(all="raise")
    match sys.argv[1:]:
        case ["tiny"]:
            make_tiny()
        case ["minilm", source]:
            make_minilm(Path(source))
        case _:
            sys.exit(__doc__)
