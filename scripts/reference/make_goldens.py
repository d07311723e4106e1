"""Makes the numbers that `crates/bert` is tested against, from PyTorch and transformers.

    python make_goldens.py tiny            random models, one of each architecture: logits, gradients, 20 optimizer steps
    python make_goldens.py files           one random model in every form that weights are published in
    python make_goldens.py minilm DIR      hidden states of the published model in DIR

All write into `crates/bert/tests/goldens`; README.md beside this file describes the files.
All arithmetic is done in double precision on weights stored in single precision: the goldens
are what an exact implementation gives, and the tests' tolerances are for our rounding alone.
"""

import json
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForPreTraining,
    BertForSequenceClassification,
    BertModel,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
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


@dataclass
class Architecture:
    """A fixture: its folder, its classes, and where it differs from BERT."""

    folder: str
    config_class: type
    model_class: type
    config: dict
    padding: int = 0
    has_token_types: bool = True
    # The module that the mean of all tokens goes into.
    last_layer: str = "classifier"
    one_layer: dict = field(default_factory=lambda: {"num_hidden_layers": 1})


BERT = Architecture("tiny", BertConfig, BertForSequenceClassification, CONFIG)
DISTILBERT = Architecture(
    "tiny_distilbert",
    DistilBertConfig,
    DistilBertForSequenceClassification,
    {
        "vocab_size": 64,
        "dim": 32,
        "n_layers": 2,
        "n_heads": 4,
        "hidden_dim": 48,
        "max_position_embeddings": 24,
        "dropout": 0.0,
        "attention_dropout": 0.0,
        "seq_classif_dropout": 0.0,
    },
    has_token_types=False,
    one_layer={"n_layers": 1},
)
ROBERTA = Architecture(
    "tiny_roberta",
    RobertaConfig,
    RobertaForSequenceClassification,
    {
        **CONFIG,
        "max_position_embeddings": 26,
        "type_vocab_size": 1,
        "pad_token_id": 1,
        "layer_norm_eps": 1e-5,
    },
    padding=1,
    last_layer="classifier.out_proj",
)

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


def is_norm(name):
    return "LayerNorm" in name or "layer_norm" in name


def tiny_model(architecture=BERT):
    """A classifier whose weights are large enough for gradients to mean something."""
    model = architecture.model_class(
        architecture.config_class(
            **architecture.config, num_labels=LABELS, attn_implementation="eager"
        )
    )
    generator = seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, generator=generator)
            if is_norm(name) and name.endswith("weight"):
                values = 1.0 + 0.1 * values
            elif name.endswith("bias"):
                values = 0.1 * values
            else:
                values = 0.2 * values
            parameter.copy_(values)
    return model.eval()


def tiny_batch(number, architecture=BERT):
    """A padded batch of four examples, some of them pairs; its length differs between batches."""
    generator = seed(1000 + number)

    def draw(low, high, size=()):
        return torch.randint(low, high, size, generator=generator)

    longest = int(draw(6, 13))
    lengths = [longest] + [int(draw(3, longest + 1)) for _ in range(3)]
    padding = architecture.padding
    token_ids = torch.full((4, longest), padding, dtype=torch.long)
    token_type_ids = torch.zeros_like(token_ids)
    attention_mask = torch.zeros_like(token_ids)
    for row, length in enumerate(lengths):
        token_ids[row, :length] = draw(padding + 1, CONFIG["vocab_size"], (length,))
        second = int(draw(2, length + 1))
        # RoBERTa has one type, DistilBERT none: what is given as types must not matter there.
        if architecture.config.get("type_vocab_size") != 1:
            token_type_ids[row, second:length] = 1
        attention_mask[row, :length] = 1
    return {
        "token_ids": token_ids,
        "token_type_ids": token_type_ids,
        "attention_mask": attention_mask,
        "labels": draw(0, LABELS, (4,)),
    }


def inputs(batch, architecture):
    types = {"token_type_ids": batch["token_type_ids"]} if architecture.has_token_types else {}
    return {"input_ids": batch["token_ids"], "attention_mask": batch["attention_mask"], **types}


def forward(model, batch, architecture=BERT):
    return model(**inputs(batch, architecture), labels=batch["labels"])


def mean_pooled(hidden_states, attention_mask):
    mask = attention_mask.to(hidden_states.dtype).unsqueeze(-1)
    return (hidden_states * mask).sum(1) / mask.sum(1)


def hidden_states(model, batch, architecture=BERT):
    """Last hidden states of the encoder inside a classifier."""
    return model.base_model(**inputs(batch, architecture)).last_hidden_state


def parameter_groups(model):
    def decays(name):
        return not name.endswith(".bias") and not is_norm(name)

    parameters = list(model.named_parameters())
    return [
        {
            "params": [p for n, p in parameters if decays(n)],
            "weight_decay": OPTIMIZER["weight_decay"],
        },
        {"params": [p for n, p in parameters if not decays(n)], "weight_decay": 0.0},
    ]


def trajectory(model, architecture):
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
        batch = tiny_batch(number, architecture)
        output = forward(model, batch, architecture)
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
    for architecture in (BERT, DISTILBERT, ROBERTA):
        make_tiny_of(architecture)


def make_tiny_of(architecture):
    directory = GOLDENS / architecture.folder
    directory.mkdir(parents=True, exist_ok=True)
    model = tiny_model(architecture)
    config = model.config.to_dict()
    (directory / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    save_tensors(directory / "model.safetensors", dict(model.named_parameters()))
    published = {}
    if architecture is BERT:
        base, halved = published_base(model)
        save_file(base, directory / "published_base.safetensors", metadata={"format": "pt"})
        batch = tiny_batch(100)
        states = hidden_states(halved, batch)
        published["published_base_mean_pooled"] = mean_pooled(states, batch["attention_mask"])

    model = model.double()
    batch = tiny_batch(100, architecture)
    output = forward(model, batch, architecture)
    output.loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    save_tensors(directory / "gradients.safetensors", gradients)

    pooled = mean_pooled(hidden_states(model, batch, architecture), batch["attention_mask"])
    golden = {
        "forward": {
            **batch,
            "logits": output.logits,
            "loss": output.loss,
            "gradient_norm": torch.stack([g.norm() for g in gradients.values()]).norm(),
            "mean_pooling_logits": model.get_submodule(architecture.last_layer)(pooled),
            "one_layer_logits": one_layer_logits(model, batch, architecture),
            **published,
        },
        "optimizer": OPTIMIZER,
        "trajectory": trajectory(model, architecture),
    }
    save_json(directory / "golden.json", golden)
    save_tensors(directory / "trained.safetensors", dict(model.named_parameters()))


def one_layer_logits(model, batch, architecture):
    """Logits of the same weights without the second encoder layer."""
    config = architecture.config_class.from_dict(
        {**model.config.to_dict(), **architecture.one_layer}
    )
    config._attn_implementation = "eager"
    short = architecture.model_class(config).double().eval()
    kept = {n: p for n, p in model.state_dict().items() if ".layer.1." not in n}
    short.load_state_dict(kept)
    return forward(short, batch, architecture).logits


def make_files():
    """A small BERT for pre-training, as such are published: whole and in parts, by either library."""
    directory = GOLDENS / "files"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    config = {
        **CONFIG,
        "vocab_size": 24,
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 12,
        "max_position_embeddings": 8,
    }
    torch.manual_seed(5)
    model = BertForPreTraining(BertConfig(**config)).eval()
    (directory / "config.json").write_text(model.config.to_json_string())
    model.save_pretrained(directory / "whole")
    model.save_pretrained(directory / "parts", max_shard_size="2KB")
    shutil.move(directory / "whole/model.safetensors", directory)
    for path in (directory / "parts").glob("model*"):
        shutil.move(path, directory)
    shutil.rmtree(directory / "whole")
    shutil.rmtree(directory / "parts")

    # The names of 2018, as in bert-base-uncased.
    def old(name):
        if "LayerNorm" in name:
            name = name.replace(".weight", ".gamma").replace(".bias", ".beta")
        return name

    tensors = {old(name): tensor for name, tensor in model.state_dict().items()}
    torch.save(tensors, directory / "pytorch_model.bin")
    torch.save(
        tensors, directory / "pytorch_model.stream.bin", _use_new_zipfile_serialization=False
    )
    index = {"metadata": {}, "weight_map": {}}
    for number in (0, 1):
        file = f"pytorch_model-0000{number + 1}-of-00002.bin"
        part = {n: t.clone() for i, (n, t) in enumerate(tensors.items()) if i % 2 == number}
        torch.save(part, directory / file)
        index["weight_map"].update(dict.fromkeys(part, file))
    path = directory / "pytorch_model.bin.index.json"
    path.write_text(json.dumps(index, indent=1, sort_keys=True) + "\n")


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
        case ["files"]:
            make_files()
        case ["minilm", source]:
            make_minilm(Path(source))
        case _:
            sys.exit(__doc__)
