"""Makes the token numbers that `crates/finetune/src/tokenizer_files.rs` is tested against, from transformers.

    python make_tokenizers.py

Writes vocabularies as old models have them, and what transformers' tokenizers make of awkward texts with them, into
`crates/finetune/tests/goldens/tokenizers`.
"""

import json
import shutil
import string
import tempfile
from pathlib import Path

from tokenizers import AddedToken, ByteLevelBPETokenizer
from transformers import BertTokenizer, RobertaTokenizer

from make_goldens import SENTENCES

GOLDENS = Path(__file__).resolve().parents[2] / "crates/finetune/tests/goldens/tokenizers"

TEXTS = [
    "The quick brown fox jumps.",
    "THE Quick brown FOX",
    "Wörter, naïve café, Ångström; señor ÀÉÎÕÜ",
    "Cafe\u0301 nai\u0308ve A\u030angstrom",
    "\u4f60\u597d\u4e16\u754c the fox \u4f60\u597dfox\u754c",
    "don't -- isn't it?! (50%) $3.50 a/b_c [x] {y} ~z`",
    "\u00bfqu\u00e9? \u00abfox\u00bb \u201cquick\u201d \u2014 brown\u2026",
    "\u2603 \U0001f98a zzzqqq \u0416\u0443\u0436",
    "tab\tnew\nline\u00a0nbsp\u200bzero\u200dwidth\u00adsoft\x00nul\ufffdx",
    "\u0130stanbul STRA\u00dfE \ufb01x \u1e9e",
    "[MASK] and [SEP] in a [CLS] text <mask> </s> <e1> <E1>",
    "",
    "   ",
    "a" * 101,
    "fox" * 40,
    "\ud55c\uad6d \u30ab\u30bf\u30ab\u30ca \u0e44\u0e17\u0e22 \u0939\u093f",
]

WORDS = """the quick brown fox jump ##s ##ed over lazy dog cafe café naive naïve and in text word ##e ##er wörter
worter isn ##t don it a ##fox The Quick FOX new line tab \u4f60 \u597d \u4e16 \u754c ##\u597d \u4f60\u597d strasse qu\u00e9
que senor se\u00f1or zhuk \u0436 ##\u0443 ##\u0436 fi ##x \u30ab \u1112 ##\u1161""".split()


def write_word_pieces(directory):
    directory.mkdir(parents=True)
    special = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = list(string.ascii_letters + string.digits + string.punctuation)
    tails = ["##" + letter for letter in string.ascii_letters + string.digits]
    tokens = list(dict.fromkeys([*special, *letters, *tails, *WORDS]))
    # A token that stands twice has its last number.
    lines = "\n".join([*tokens, "dog"]) + "\n"
    (directory / "vocab.txt").write_text(lines, encoding="utf-8")
    return len(tokens) + 1


def write_byte_pairs(directory):
    directory.mkdir(parents=True)
    tokenizer = ByteLevelBPETokenizer()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(
        SENTENCES * 2, vocab_size=340, special_tokens=special, show_progress=False
    )
    tokenizer.save_model(str(directory))


def case(files, class_, config):
    with tempfile.TemporaryDirectory() as folder:
        for path in (GOLDENS / files).iterdir():
            shutil.copy(path, folder)
        if config is not None:
            (Path(folder) / "tokenizer_config.json").write_text(json.dumps(config))
        # RoBERTa's own tokenizer.json has it so, and transformers 4 too; version 5 forgot.
        mask = {"mask_token": AddedToken("<mask>", lstrip=True)} if files == "roberta" else {}
        tokenizer = class_.from_pretrained(folder, **mask)
    pairs = [(text, None) for text in TEXTS] + [(TEXTS[0], TEXTS[2]), (TEXTS[4], "fox")]
    answers = []
    for text, pair in pairs:
        found = tokenizer(text, pair, return_token_type_ids=True)
        answers.append(
            {
                "text": text,
                "pair": pair,
                "token_ids": found["input_ids"],
                "token_types": found["token_type_ids"],
            }
        )
    return {"files": files, "config": config, "answers": answers}


def main():
    shutil.rmtree(GOLDENS, ignore_errors=True)
    size = write_word_pieces(GOLDENS / "bert")
    write_byte_pairs(GOLDENS / "roberta")
    flags = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False}
    plain = {"__type": "AddedToken", **flags}
    added = {str(size): {"content": "<e1>", "special": True, **plain}}
    named = {
        "cls_token": {"content": "[CLS]", **plain},
        "sep_token": {"content": "[SEP]", **plain},
    }
    bert = [
        None,
        {"do_lower_case": True, "model_max_length": 512},
        {"do_lower_case": False},
        {"do_lower_case": True, "strip_accents": False},
        {"do_lower_case": False, "strip_accents": True},
        {"do_lower_case": True, "strip_accents": None, "tokenize_chinese_chars": False},
        {"tokenizer_class": "BertTokenizer", "added_tokens_decoder": added, **named},
    ]
    roberta = [None, {"add_prefix_space": True, "tokenizer_class": "RobertaTokenizer"}]
    cases = [case("bert", BertTokenizer, config) for config in bert]
    cases += [case("roberta", RobertaTokenizer, config) for config in roberta]
    lines = ",\n".join(json.dumps(case) for case in cases)
    (GOLDENS / "cases.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
