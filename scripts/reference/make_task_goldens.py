"""Makes the numbers that `crates/finetune` is tested against, for every task.

    python make_task_goldens.py metrics         metrics of fixed answers, from scikit-learn and scipy
    python make_task_goldens.py words           a logistic regression on words, from scikit-learn
    python make_task_goldens.py trajectories    20 optimizer steps, from PyTorch and transformers

All write into `crates/finetune/tests/goldens`; README.md beside this file describes the files.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy

GOLDENS = Path(__file__).resolve().parents[2] / "crates/finetune/tests/goldens"


def single(values):
    """As we compute: from single precision."""
    return numpy.asarray(values, dtype=numpy.float32).astype(numpy.float64)


def save(name, content):
    GOLDENS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(content, separators=(",", ":"))
    (GOLDENS / name).write_text(text.replace('{"name"', '\n{"name"') + "\n")


# --- metrics ---------------------------------------------------------------------------------------------------------


def softmax(logits):
    powers = numpy.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def areas(truth, scores):
    """The areas of the columns that have both kinds; none of the others is defined."""
    from sklearn.metrics import roc_auc_score

    both = [c for c in range(truth.shape[1]) if 0 < truth[:, c].sum() < len(truth)]
    return [roc_auc_score(truth[:, c], scores[:, c]) for c in both]


def class_metrics(logits, targets):
    import torch
    from sklearn import metrics

    logits, targets = single(logits), numpy.asarray(targets)
    count = logits.shape[1]
    # scikit-learn's `log_loss` cuts probabilities off at their smallest step.
    losses = torch.nn.CrossEntropyLoss(reduction="none")(torch.tensor(logits), torch.tensor(targets)).numpy()
    answers = logits.argmax(axis=1)
    probabilities = softmax(logits)
    names = [str(c) for c in range(count)]
    found = {
        "loss": losses.mean(),
        "loss_deviation": losses.std(),
        "confidence": probabilities.max(axis=1).mean(),
        "confidently_wrong": ((answers != targets) & (probabilities.max(axis=1) > 0.9)).mean(),
        "accuracy": metrics.accuracy_score(targets, answers),
        "macro_f1": metrics.f1_score(targets, answers, average="macro", zero_division=0),
        "mcc": metrics.matthews_corrcoef(targets, answers),
    }
    one_hot = numpy.eye(count)[targets]
    if count == 2:
        if len(set(targets)) == 2:
            found["auroc"] = metrics.roc_auc_score(targets, probabilities[:, 1])
    elif areas(one_hot, probabilities):
        found["auroc"] = numpy.mean(areas(one_hot, probabilities))
        if len(set(targets)) == count:
            whole = metrics.roc_auc_score(targets, probabilities, multi_class="ovr")
            assert abs(found["auroc"] - whole) < 1e-12
    labels = list(range(count))
    f1 = metrics.f1_score(targets, answers, average=None, labels=labels, zero_division=0)
    recall = metrics.recall_score(targets, answers, average=None, labels=labels, zero_division=0)
    for c, name in enumerate(names):
        if (targets == c).any() or (answers == c).any():
            found[f"f1/{name}"] = f1[c]
        if (targets == c).any():
            found[f"recall/{name}"] = recall[c]
        found[f"predicted/{name}"] = (answers == c).mean()
    return found


def label_metrics(logits, targets):
    from sklearn import metrics
    import torch

    logits, targets = single(logits), numpy.asarray(targets)
    answers = (logits > 0).astype(int)
    loss = torch.nn.BCEWithLogitsLoss(reduction="none")
    losses = loss(torch.tensor(logits), torch.tensor(targets).double()).mean(dim=1).numpy()
    # A single column would be taken for two classes: only the label itself is meant.
    own = {"zero_division": 0, "labels": [1] if targets.shape[1] == 1 else None}
    found = {
        "loss": losses.mean(),
        "loss_deviation": losses.std(),
        "accuracy": metrics.accuracy_score(targets, answers),
        "macro_f1": metrics.f1_score(targets, answers, average="macro", **own),
        "micro_f1": metrics.f1_score(targets, answers, average="micro", **own),
    }
    if areas(targets, logits):
        found["auroc"] = numpy.mean(areas(targets, logits))
    f1 = metrics.f1_score(targets, answers, average=None, **own)
    recall = metrics.recall_score(targets, answers, average=None, **own)
    for c in range(targets.shape[1]):
        found[f"f1/{c}"] = f1[c]
        if targets[:, c].any():
            found[f"recall/{c}"] = recall[c]
        found[f"predicted/{c}"] = answers[:, c].mean()
    return found


def number_metrics(answers, targets):
    from scipy import stats
    from sklearn import metrics

    answers, targets = single(answers)[:, 0], numpy.asarray(targets, dtype=numpy.float64)
    found = {
        "loss": metrics.mean_squared_error(targets, answers),
        "loss_deviation": ((answers - targets) ** 2).std(),
        "rmse": metrics.root_mean_squared_error(targets, answers),
        "mae": metrics.mean_absolute_error(targets, answers),
    }
    if len(set(answers)) > 1 and len(set(targets)) > 1:
        found["pearson"] = stats.pearsonr(answers, targets).statistic
        found["spearman"] = stats.spearmanr(answers, targets).statistic
    return found


def metric_cases():
    draw = numpy.random.default_rng(11)

    def logits(rows, columns, digits=6):
        # A few digits only: ties, where there are few enough.
        return draw.normal(size=(rows, columns)).round(digits).tolist()

    def classes(rows, count):
        return draw.integers(0, count, rows).tolist()

    def labels(rows, count, share):
        return (draw.random((rows, count)) < share).astype(int).tolist()

    yield "two classes", "classes", logits(40, 2), classes(40, 2)
    yield "five classes", "classes", logits(60, 5), classes(60, 5)
    yield "five classes with ties", "classes", logits(60, 5, 0), classes(60, 5)
    yield "one class only", "classes", logits(10, 2), [1] * 10
    yield "one class only, of three", "classes", logits(10, 3), [2] * 10
    yield "always the same answer", "classes", [[1.0, 0.0, -1.0]] * 12, classes(12, 3)
    yield "right, and always the same", "classes", [[1.0, 0.0]] * 5, [0] * 5
    yield "a class without examples", "classes", logits(30, 4), classes(30, 3)
    yield "a class that is nowhere", "classes", [r[:3] + [-9.0] for r in logits(30, 4)], classes(30, 3)
    yield "a single example", "classes", [[0.5, 1.5, -0.25]], [1]
    yield "large logits", "classes", (200 * numpy.asarray(logits(20, 3), numpy.float32)).tolist(), classes(20, 3)

    yield "labels", "multi_label", logits(40, 4), labels(40, 4, 0.3)
    yield "labels with ties", "multi_label", logits(40, 3, 0), labels(40, 3, 0.5)
    yield "no label anywhere", "multi_label", logits(8, 2), [[0, 0]] * 8
    yield "all labels everywhere", "multi_label", logits(8, 2), [[1, 1]] * 8
    yield "never an answer", "multi_label", [[-1.0, -2.0, -3.0]] * 9, labels(9, 3, 0.4)
    yield "a label without examples", "multi_label", logits(20, 3), [r[:2] + [0] for r in labels(20, 3, 0.4)]
    yield "one label", "multi_label", logits(20, 1), labels(20, 1, 0.5)
    yield "nothing there and nothing answered", "multi_label", [[-1.0, -1.0]] * 4, [[0, 0]] * 4

    numbers = draw.normal(size=50)
    yield "numbers", "regression", (numbers[:, None] + logits(50, 1)).tolist(), numbers.tolist()
    yield "numbers with ties", "regression", logits(50, 1, 0), draw.normal(size=50).round(0).tolist()
    yield "far from zero", "regression", (1000 + 0.1 * numbers[:, None]).tolist(), (1000 + numbers).tolist()
    yield "the same answer", "regression", [[0.5]] * 10, draw.normal(size=10).tolist()
    yield "the same number", "regression", logits(10, 1), [2.5] * 10
    yield "exactly right", "regression", [[0.5], [1.5], [-2.0]], [0.5, 1.5, -2.0]
    yield "exactly wrong", "regression", [[-0.5], [-1.5], [2.0]], [0.5, 1.5, -2.0]
    yield "a single number", "regression", [[0.5]], [1.0]


def make_metrics():
    warnings.simplefilter("ignore")  # The awkward ones are warned about.
    by_task = {"classes": class_metrics, "multi_label": label_metrics, "regression": number_metrics}
    cases = []
    for name, task, logits, targets in metric_cases():
        found = {key: float(value) for key, value in by_task[task](logits, targets).items()}
        assert all(numpy.isfinite(value) for value in found.values()), (name, found)
        # Written as they are in single precision.
        logits = [[float(str(numpy.float32(value))) for value in row] for row in logits]
        cases.append(
            {"name": name, "task": task, "logits": logits, "targets": targets, "metrics": found}
        )
    save("metrics.json", cases)


# --- words -----------------------------------------------------------------------------------------------------------


def make_words():
    """Texts of 3 classes as sets of 40 words, of which some tell the class."""
    from sklearn import metrics
    from sklearn.linear_model import LogisticRegression

    draw = numpy.random.default_rng(5)
    classes = draw.choice(3, size=180, p=[0.5, 0.3, 0.2])
    chances = draw.uniform(0.02, 0.2, size=(3, 40))
    words = (draw.random((180, 40)) < chances[classes]).astype(float)
    model = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000)
    model.fit(words[:120], classes[:120])
    answers = model.predict(words[120:])

    def columns(texts):
        return [[int(c) for c in numpy.flatnonzero(text)] for text in texts]

    save("bag_of_words.json", {
        "train": columns(words[:120]),
        "train_classes": classes[:120].tolist(),
        "held_out": columns(words[120:]),
        "held_out_classes": classes[120:].tolist(),
        "classes": 3,
        "columns": 40,
        "probabilities": model.predict_proba(words[120:]).tolist(),
        "accuracy": metrics.accuracy_score(classes[120:], answers),
        "macro_f1": metrics.f1_score(classes[120:], answers, average="macro"),
    })


# --- trajectories ----------------------------------------------------------------------------------------------------


def groups_of(model, settings, layerwise_decay, head_learning_rate):
    """One group for each rate and decay; counted as Zhang et al. 2021 count, see `run_glue.py` of theirs."""
    layers = model.config.num_hidden_layers
    rate = settings["learning_rate"]
    groups = []
    for name, parameter in model.named_parameters():
        decays = not name.endswith(".bias") and "LayerNorm" not in name
        if name.startswith("bert.embeddings."):
            own = rate * layerwise_decay ** (layers + 1)
        elif name.startswith("bert.encoder.layer."):
            own = rate * layerwise_decay ** (layers - int(name.split(".")[3]))
        else:
            own = head_learning_rate
        decay = settings["weight_decay"] if decays else 0.0
        groups.append({"params": [parameter], "weight_decay": decay, "lr": own})
    return groups


def train(model, targets_of, layerwise_decay, head_learning_rate):
    import torch
    from transformers import get_linear_schedule_with_warmup

    from make_goldens import OPTIMIZER, STEPS, tiny_batch

    model = model.double()
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    optimizer = torch.optim.AdamW(
        groups_of(model, OPTIMIZER, layerwise_decay, head_learning_rate),
        betas=(OPTIMIZER["beta_1"], OPTIMIZER["beta_2"]),
        eps=OPTIMIZER["epsilon"],
    )
    schedule = get_linear_schedule_with_warmup(optimizer, OPTIMIZER["warmup_steps"], STEPS)
    steps = []
    for number in range(STEPS):
        batch = tiny_batch(number)
        targets = targets_of(number, batch)
        output = model(
            input_ids=batch["token_ids"],
            token_type_ids=batch["token_type_ids"],
            attention_mask=batch["attention_mask"],
            labels=targets,
        )
        optimizer.zero_grad()
        output.loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), OPTIMIZER["max_grad_norm"])
        steps.append(
            {"targets": targets.tolist(), "loss": output.loss.item(), "gradient_norm": norm.item()}
        )
        optimizer.step()
        schedule.step()
    travel = {n: (p.detach() - before[n]).norm().item() for n, p in model.named_parameters()}
    return {"steps": steps, "travel": travel}


def make_trajectories():
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from make_goldens import CONFIG, LABELS, OPTIMIZER, seed, tiny_model

    torch.use_deterministic_algorithms(True)
    rate = OPTIMIZER["learning_rate"]

    def model_of(problem_type, labels):
        """The tiny model with the first so many rows of its head."""
        config = BertConfig(
            **CONFIG, num_labels=labels, problem_type=problem_type, attn_implementation="eager"
        )
        model = BertForSequenceClassification(config)
        weights = tiny_model().state_dict()
        for name in ["classifier.weight", "classifier.bias"]:
            weights[name] = weights[name][:labels]
        model.load_state_dict(weights)
        return model.eval()

    def label_sets(number, batch):
        return torch.randint(0, 2, (4, LABELS), generator=seed(2000 + number)).double()

    def numbers(number, batch):
        return torch.randn(4, generator=seed(3000 + number)).double()

    def classes(number, batch):
        return batch["labels"]

    cases = [
        ("multi_label", "multi_label_classification", LABELS, label_sets, 1.0, rate),
        ("regression", "regression", 1, numbers, 1.0, rate),
        ("classes", "single_label_classification", LABELS, classes, 0.8, 5 * rate),
    ]
    content = [
        {
            "name": task,
            "outputs": labels,
            "layerwise_decay": decay,
            "head_learning_rate": head_rate,
            **train(model_of(problem_type, labels), targets, decay, head_rate),
        }
        for task, problem_type, labels, targets, decay, head_rate in cases
    ]
    save("trajectories.json", content)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["metrics"]:
            make_metrics()
        case ["words"]:
            make_words()
        case ["trajectories"]:
            make_trajectories()
        case _:
            sys.exit(__doc__)
