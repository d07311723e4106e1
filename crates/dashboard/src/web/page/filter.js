// The words of the filter box: `state=completed learning_rate<1e-4 optimizer=adamw|sgd 1-20 text`; all have to hold.
// The same conditions as `converge trials --where`, and lists with `|`.

const CONDITION = /^([^=<>!\s]+?)(!=|<=|>=|=|<|>)(.*)$/;

/** Reads a filter; returns a test of rows, or says what is wrong in `problem`. */
export function readFilter(text, names) {
  const tests = [];
  for (const word of text.match(/(?:[^\s"]|"[^"]*")+/g) ?? []) {
    const test = readWord(word.replaceAll("\"", ""), names);
    if (typeof test === "string") return { problem: test, test: () => true };
    tests.push(test);
  }
  return { test: row => tests.every(test => test(row)) };
}

function readWord(word, names) {
  if (/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(word)) {
    const ranges = word.split(",").map(part => part.split("-").map(Number)).map(([low, high]) => [low, high ?? low]);
    return row => ranges.some(([low, high]) => row.number >= low && row.number <= high);
  }
  const found = CONDITION.exec(word);
  if (!found) {
    const wanted = word.toLowerCase();
    return row => textOf(row).includes(wanted);
  }
  const [, name, relation, value] = found;
  const of = column(name, names);
  if (!of) return `there is no column "${name}"`;
  if (relation === "=" || relation === "!=") {
    const wanted = value.split("|");
    const equal = row => wanted.some(one => same(of(row), one));
    return relation === "=" ? equal : row => !equal(row);
  }
  const limit = Number(value);
  if (value === "" || Number.isNaN(limit)) return `"${value}" is no number`;
  const holds = { "<": (left, right) => left < right, ">": (left, right) => left > right, "<=": (left, right) => left <= right, ">=": (left, right) => left >= right }[relation];
  return row => { const own = of(row); return typeof own === "number" && holds(own, limit); };
}

function column(name, names) {
  if (names.includes(name)) return row => row.parameters[name];
  const own = { trial: "number", number: "number", state: "state", objective: "objective", step: "step", steps: "total", seconds: "seconds",
    time: "seconds", attempts: "attempts", replicate: "replicate", kind: "kind", failure: "failure", configuration: "configuration" }[name];
  return own ? row => row[own] : null;
}

// Values that were brushed come with as many digits as a label has.
function same(value, wanted) {
  if (typeof value === "number") return value === Number(wanted) || Math.abs(value - Number(wanted)) <= Math.abs(value) * 1e-6;
  return value === undefined || value === null ? wanted === "none" : String(value) === wanted;
}

function textOf(row) {
  return `${row.state} ${row.failure ?? ""} ${Object.entries(row.parameters).map(([name, value]) => `${name}=${value}`).join(" ")}`.toLowerCase();
}

/** Puts conditions on one column into a filter, in place of those that were there. */
export function withConditions(text, name, conditions) {
  const words = (text.match(/(?:[^\s"]|"[^"]*")+/g) ?? []).filter(word => CONDITION.exec(word.replaceAll("\"", ""))?.[1] !== name);
  return [...words, ...conditions].join(" ");
}

/** A condition, with quotes where its value has spaces. */
export const condition = (name, relation, value) => /\s/.test(`${name}${value}`) ? `"${name}${relation}${value}"` : `${name}${relation}${value}`;

/** A number for a condition, rounded so that it holds for `value` itself: down for a lower limit (-1), up for an upper one (1). */
export const limit = (value, side = 0) => Number((value + side * Math.abs(value) * 5e-4).toPrecision(side ? 4 : 6)).toString();
