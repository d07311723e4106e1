"""A tiny classifier (BERT, DistilBERT or RoBERTa) with a WordPiece tokenizer, as transformers saves it, and sentences to train it on.

Run by itself it does nothing: the scripts beside it import it.
"""

import json
import os
import pathlib
import random
import subprocess
import sys

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import AutoModelForSequenceClassification, BertConfig, DistilBertConfig, RobertaConfig

WORDS = {
    "sea": "tide harbour sail boat wave anchor",
    "bread": "oven dough flour crust baker yeast",
    "road": "wheel asphalt driver bridge lorry mile",
}
FILLER = "the a of under over near old new slow quick and saw was there".split()


def converge(*arguments, **options):
    """Runs the binary that is tested, and returns its stdout."""
    done = subprocess.run(
        [os.environ["CONVERGE"], *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )
    if done.returncode != 0:
        sys.exit(f"converge {' '.join(arguments)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def sentence(rng, label, length):
    words = [rng.choice(FILLER) for _ in range(length)] + rng.choices(WORDS[label].split(), k=2)
    rng.shuffle(words)
    return " ".join(words).capitalize() + "."


def write_data(path, examples, seed=1):
    """Sentences of three classes, in equal numbers."""
    rng = random.Random(seed)
    labels = [list(WORDS)[place % 3] for place in range(examples)]
    lines = ["text\tlabel"] + [f"{sentence(rng, label, rng.randint(2, 9))}\t{label}" for label in labels]
    pathlib.Path(path).write_text("\n".join(lines) + "\n")


def write_model(folder, labels=3, seed=3, architecture="bert"):
    """A model with a head of its own, so that both sides begin with the same weights."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *letters, *(f"##{letter}" for letter in letters)]
    tokens += sorted({word for words in WORDS.values() for word in words.split()} | {*FILLER} - {*letters})
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    torch.manual_seed(seed)
    common = {"vocab_size": len(vocabulary), "max_position_embeddings": 40, "initializer_range": 0.15}
    common |= {"num_labels": labels, "pad_token_id": 0}
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    configs = {
        "bert": lambda: BertConfig(**common, **sizes),
        "distilbert": lambda: DistilBertConfig(**common, dim=32, n_layers=2, n_heads=4, hidden_dim=64),
        "roberta": lambda: RobertaConfig(**common, **sizes),
    }
    folder = pathlib.Path(folder)
    AutoModelForSequenceClassification.from_config(configs[architecture]()).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "unk_token": "[UNK]"}
    settings |= {"cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]", "model_max_length": 40}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
