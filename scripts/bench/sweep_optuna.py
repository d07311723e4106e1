"""A grid of fine-tunes by Optuna's GridSampler and Hugging Face's Trainer: the peer of `converge run`.

    python sweep_optuna.py FOLDER MODE NUMBER

FOLDER holds job.json (rows, grid, settings) and gets study.db and report-NUMBER.json.
MODE is create (makes the study; with NUMBER above 0, its cells wait in it), default (as a tutorial has it) or best (all
that Trainer offers a CPU). BENCH_STARTED is when the process was started.
"""

import dataclasses
import fcntl
import itertools
import json
import math
import os
import sys
import time

import optuna
from optuna.trial import TrialState

folder, mode, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open(f"{folder}/job.json") as file:
    job = json.load(file)
study = optuna.create_study(
    study_name="grid",
    storage=f"sqlite:///{folder}/study.db",
    sampler=optuna.samplers.GridSampler(job["grid"], seed=number),
    direction="maximize",
    load_if_exists=True,
)
if mode == "create":
    # Two processes that begin at once draw the same cell from GridSampler; cells that wait are taken by one only.
    for cell in itertools.product(*job["grid"].values()) if number else ():
        study.enqueue_trial(dict(zip(job["grid"], cell, strict=True)))
    raise SystemExit

import torch  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

if mode == "best":
    torch.set_num_threads(1)
tokenizer = AutoTokenizer.from_pretrained(job["model"])


def tokenised(rows):
    texts = tokenizer([text for text, _ in rows], truncation=True, max_length=job["max_length"])
    return [
        {"input_ids": ids, "token_type_ids": types, "attention_mask": mask, "label": label}
        for ids, types, mask, (_, label) in zip(
            texts["input_ids"], texts["token_type_ids"], texts["attention_mask"], rows, strict=True
        )
    ]


train, validation = tokenised(job["train"]), tokenised(job["validation"])


class Clock(TrainerCallback):
    """Where the time goes: steps (with the making of their batches), evaluations, tokens and padding."""

    def __init__(self):
        self.parts = dict.fromkeys(("step", "evaluation", "tokens", "computed", "steps"), 0)
        self.begin, self.evaluating = 0.0, False
        self.pad = DataCollatorWithPadding(tokenizer)

    def on_step_begin(self, *_, **__):
        self.begin = time.perf_counter()

    def on_step_end(self, *_, **__):
        self.parts["step"] += time.perf_counter() - self.begin
        self.parts["steps"] += 1

    def collate(self, examples):
        begin = time.perf_counter()
        batch = self.pad(examples)
        if not self.evaluating:
            self.parts["step"] += time.perf_counter() - begin
            self.parts["tokens"] += int(batch["attention_mask"].sum())
            self.parts["computed"] += batch["attention_mask"].numel()
        return batch

    def timed(self, evaluate):
        def wrapped(*arguments, **named):
            begin, self.evaluating = time.perf_counter(), True
            result = evaluate(*arguments, **named)
            self.parts["evaluation"] += time.perf_counter() - begin
            self.evaluating = False
            return result

        return wrapped


def at_its_best():
    names = {field.name for field in dataclasses.fields(TrainingArguments)}
    # Renamed in transformers 5.
    grouped = (
        {"train_sampling_strategy": "group_by_length"}
        if "train_sampling_strategy" in names
        else {"group_by_length": True}
    )
    return grouped | {
        "save_strategy": "no",
        "logging_steps": 10,
        "per_device_eval_batch_size": 64,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def objective(trial):
    begin = time.perf_counter()
    chosen = {name: trial.suggest_categorical(name, values) for name, values in job["grid"].items()}
    set_seed(42)
    dropout = chosen["dropout"]
    model = AutoModelForSequenceClassification.from_pretrained(
        job["model"],
        num_labels=2,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        classifier_dropout=dropout,
    )
    arguments = TrainingArguments(
        output_dir=f"{folder}/trial-{trial.number}",
        num_train_epochs=job["epochs"],
        learning_rate=chosen["learning_rate"],
        per_device_train_batch_size=chosen["batch_size"],
        weight_decay=0.01,
        # A share of all steps; transformers 5 takes it here.
        warmup_steps=0.1,
        eval_strategy="epoch",
        report_to="none",
        **(at_its_best() if mode == "best" else {}),
    )
    clock = Clock()
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=train,
        eval_dataset=validation,
        processing_class=tokenizer,
        data_collator=clock.collate,
        compute_metrics=lambda answers: {
            "accuracy": float((answers.predictions.argmax(-1) == answers.label_ids).mean())
        },
        callbacks=[clock],
    )
    trainer.evaluate = clock.timed(trainer.evaluate)
    trainer.train()
    accuracies = [entry["eval_accuracy"] for entry in trainer.state.log_history if "eval_accuracy" in entry]
    clock.parts |= {"accuracy": max(accuracies), "total": time.perf_counter() - begin, **chosen}
    report["trials"].append(clock.parts)
    return max(accuracies)


def waiting_cell():
    """Takes a cell that waits; none where all are taken."""
    # Of two processes that ask at the same moment, Optuna gave both the same one.
    with open(f"{folder}/lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waits = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return study.ask() if waits else None


report = {"start_up": time.time() - float(os.environ["BENCH_STARTED"]), "trials": []}
if mode == "best":
    while trial := waiting_cell():
        study.tell(trial, objective(trial))
else:
    study.optimize(objective, n_trials=math.prod(map(len, job["grid"].values())))
with open(f"{folder}/report-{number}.json", "w") as file:
    json.dump(report, file)
