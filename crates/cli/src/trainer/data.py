# The part of `converge show T --as trainer` that does not depend on the trial; the script's constants stand before it.
# ---


def rows(path):
    """The rows of a csv, tsv or jsonl file, read as converge reads them."""
    kind = path.rsplit(".", 1)[-1].lower()
    with open(path, encoding="utf-8-sig", newline="") as file:
        if kind in ("jsonl", "ndjson"):
            yield from (json.loads(line) for line in file if line.strip())
        elif kind == "csv":
            lines = (line for line in csv.reader(file) if line)
            header = [name.strip() for name in next(lines)]
            yield from (dict(zip(header, line)) for line in lines)
        else:
            lines = (line.rstrip("\r\n").split("\t") for line in file.read().split("\n") if line.strip())
            header = [name.strip() for name in next(lines)]
            yield from (dict(zip(header, line)) for line in lines)


def label_of(row):
    label = row[LABEL] if isinstance(row[LABEL], str) else json.dumps(row[LABEL])
    label = label.strip()
    if TASK == "regression":
        return float(label)
    if TASK == "multi_label":
        chosen = {part.strip() for part in label.split(SEPARATOR)}
        return [float(name in chosen) for name in LABELS]
    return LABELS.index(label)


def load(path):
    return [
        {"text": row[TEXT], "text_pair": row[TEXT_PAIR] if TEXT_PAIR else None, "label": label_of(row)}
        for row in rows(path)
    ]


def stream(seed, name, index):
    digest = hashlib.sha256(seed.to_bytes(8, "little") + index.to_bytes(8, "little") + name.encode())
    return int.from_bytes(digest.digest()[:8], "little")


def permutation(seed, count):
    """Fisher and Yates' shuffle over SplitMix64, as converge has it."""
    mask, state, numbers = 2**64 - 1, seed, list(range(count))

    def draw():
        nonlocal state
        state = (state + 0x9E3779B97F4A7C15) & mask
        bits = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & mask
        return bits ^ (bits >> 31)

    def below(bound):
        uneven = (2**64 - bound) % bound
        while True:
            product = draw() * bound
            if product & mask >= uneven:
                return product >> 64

    for last in range(count - 1, 0, -1):
        other = below(last + 1)
        numbers[last], numbers[other] = numbers[other], numbers[last]
    return numbers


def stratified_order(classes, seed, every_class_first):
    placed = []
    for label in range(max(classes, default=-1) + 1):
        members = [example for example, own in enumerate(classes) if own == label]
        for k, place in enumerate(permutation(stream(seed, "class", label), len(members))):
            early = every_class_first and k == 0
            placed.append((not early, (k + 0.5) / len(members), label, members[place]))
    placed.sort(key=lambda one: one[:3])
    return [example for *_, example in placed]


def strata(examples):
    return [example["label"] if TASK == "classes" else 0 for example in examples]


def limited(examples, limit):
    if limit is None or limit >= len(examples):
        return examples
    order = stratified_order(strata(examples), stream(SPLIT_SEED, "limit", 0), True)
    return [examples[place] for place in order[:limit]]


def splits():
    """Training and validation examples, and those of a test split drawn from the same file, which are left alone."""
    examples = load(TRAIN)
    order = stratified_order(strata(examples), stream(SPLIT_SEED, "held_out", 0), False)
    test = min(math.floor(TEST_FRACTION * len(examples) + 0.5), len(examples))
    held_out = min(math.floor(VALIDATION_FRACTION * len(examples) + 0.5), len(examples) - test)
    validation = [examples[place] for place in order[test : test + held_out]]
    train = [examples[place] for place in order[test + held_out :]]
    if VALIDATION:
        validation = load(VALIDATION)
    train, validation = limited(train, TRAIN_LIMIT), limited(validation, VALIDATION_LIMIT)
    return (train + validation, []) if TRAIN_ON_VALIDATION else (train, validation)


tokenizer = AutoTokenizer.from_pretrained(MODEL)


def encode(examples):
    """Tokens of examples; padded batch by batch."""
    # In lists: an empty second text by itself would count as none.
    texts = [[example["text"] for example in examples]]
    if TEXT_PAIR:
        texts.append([example["text_pair"] for example in examples])
    tokens = tokenizer(*texts, truncation=True, max_length=MAX_LENGTH)
    columns = [{name: values[place] for name, values in tokens.items()} for place in range(len(examples))]
    return [{**column, "labels": example["label"]} for column, example in zip(columns, examples)]


train, validation = splits()
