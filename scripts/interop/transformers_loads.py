#!/usr/bin/env python3
"""transformers opens what `converge save` writes and gives the same logits, within 1e-5.

Pooling by the first token, through the Auto classes; pooling by the mean, by the lines of the folder's own README;
single texts and pairs; several labels, a number; DistilBERT and RoBERTa; a refit. Texts that are cut, and an empty one, are among those compared.
"""

import json
import pathlib
import random
import re

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tiny_bert import converge, sentence, write_data, write_model

TOLERANCE = 1e-5
SWEEP = """
[sweep]
name = "{name}"
[parameters]
learning_rate = {{ values = [1e-3, 3e-3] }}
[train]
batch_size = 8
epochs = 4
evaluations_per_epoch = 1
max_length = 16
{train}
[model]
path = "{model}"
[data]
train = "{data}"
{columns}
"""


def texts():
    rng = random.Random(9)
    return [sentence(rng, rng.choice(["sea", "bread", "road"]), length) for length in (1, 3, 9, 30)] + ["", "Zyx!"]


def worst(expected, answers, labels):
    # A number is its own logit.
    of_answer = lambda answer: [answer["value"]] if "value" in answer else [answer["logits"][label] for label in labels]
    found = torch.tensor([of_answer(answer) for answer in answers])
    return (expected - found).abs().max().item()


def predicted(folder, file):
    lines = converge("predict", folder, file, "--format", "jsonl").splitlines()
    return [json.loads(line) for line in lines]


def by_class(folder, pairs=None):
    """Logits of the Auto class, text by text."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    assert tokenizer.model_max_length == 16
    labels = [model.config.id2label[number] for number in range(model.config.num_labels)]
    logits = []
    for place, text in enumerate(texts()):
        # In lists, as data sets are encoded: an empty second text given by itself would count as none.
        inputs = ([text], [pairs[place]]) if pairs else ([text],)
        with torch.no_grad():
            logits.append(model(**tokenizer(*inputs, truncation=True, return_tensors="pt")).logits)
    return torch.cat(logits), labels


def by_readme(folder):
    """Logits of the lines that the model card gives, run in the folder."""
    card = (pathlib.Path(folder) / "README.md").read_text()
    assert "does not compute" in card
    (code,) = re.findall(r"```python\n(.*?)```", card, re.S)
    assert '"."' in code and '"some text"' in code and '"model.safetensors"' in code
    code = code.replace('"."', "folder").replace('"model.safetensors"', 'folder + "/model.safetensors"')
    rows = []
    for text in texts():
        names = {"folder": str(folder), "text": text}
        exec(code.replace('"some text"', "text"), names)
        rows.append(names["logits"].detach())
    labels = json.loads((pathlib.Path(folder) / "config.json").read_text())["id2label"]
    return torch.cat(rows), [labels[str(number)] for number in range(len(labels))]


def sweep(name, train="", data="data.tsv", columns="", model="model"):
    text = SWEEP.format(name=name, train=train, data=data, columns=columns, model=model)
    pathlib.Path(f"{name}.toml").write_text(text)
    converge("run", f"{name}.toml")
    converge("save", "best", name, "--sweep", name)


def main():
    torch.use_deterministic_algorithms(True)
    write_model("model")
    write_data("data.tsv", 60)
    pathlib.Path("new.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts()))
    checks = {}

    sweep("first_token")
    expected, labels = by_class("first_token")
    checks["first token"] = worst(expected, predicted("first_token", "new.jsonl"), labels)
    of_trial = predicted("best", "new.jsonl")
    assert of_trial == predicted("first_token", "new.jsonl"), "a trial and its folder answer alike"
    assert (pathlib.Path("first_token") / "vocab.txt").read_text().startswith("[PAD]\n[UNK]\n")

    converge("refit", "best")
    converge("save", "refit", "refit")
    expected, labels = by_class("refit")
    checks["refit"] = worst(expected, predicted("refit", "new.jsonl"), labels)

    sweep("mean", train='pooling = "mean"')
    expected, labels = by_readme("mean")
    checks["mean"] = worst(expected, predicted("mean", "new.jsonl"), labels)

    rows = pathlib.Path("data.tsv").read_text().splitlines()
    split = (row.split("\t") for row in rows[1:])
    halves = [f"{text[: len(text) // 2]}\t{text[len(text) // 2 :]}\t{label}" for text, label in split]
    pathlib.Path("pairs.tsv").write_text("\n".join(["text\tother\tlabel", *halves]) + "\n")
    sweep("pairs", data="pairs.tsv", columns='text_pair = "other"')
    others = list(reversed(texts()))
    lines = (json.dumps({"text": text, "other": other}) + "\n" for text, other in zip(texts(), others))
    pathlib.Path("new_pairs.jsonl").write_text("".join(lines))
    expected, labels = by_class("pairs", others)
    checks["pairs"] = worst(expected, predicted("pairs", "new_pairs.jsonl"), labels)

    # What a class stands for here is one of two labels, or a number.
    meanings = {
        "several": ("multi_label", {"sea": "wet", "bread": "warm|wet", "road": ""}, 'label_separator = "|"'),
        "number": ("regression", {"sea": "-0.5", "bread": "1.25", "road": "3.5"}, ""),
    }
    for name, (task, of_class, columns) in meanings.items():
        split = (row.split("\t") for row in rows[1:])
        lines = ["text\tlabel", *(f"{text}\t{of_class[label]}" for text, label in split)]
        pathlib.Path(f"{name}.tsv").write_text("\n".join(lines) + "\n")
        sweep(name, data=f"{name}.tsv", columns=columns)
        config = json.loads((pathlib.Path(name) / "config.json").read_text())
        problem_types = {"multi_label": "multi_label_classification", "regression": "regression"}
        assert config["problem_type"] == problem_types[task], config["problem_type"]
        expected, labels = by_class(name)
        checks[task] = worst(expected, predicted(name, "new.jsonl"), labels)

    for architecture in ["distilbert", "roberta"]:
        write_model(f"{architecture}_model", architecture=architecture)
        sweep(architecture, model=f"{architecture}_model")
        expected, labels = by_class(architecture)
        checks[architecture] = worst(expected, predicted(architecture, "new.jsonl"), labels)

    for name, difference in checks.items():
        print(f"{name}: logits differ by {difference:.1e} at most")
    assert all(difference <= TOLERANCE for difference in checks.values()), checks


if __name__ == "__main__":
    main()
