// The trials of a sweep as the page has them: rows made from columns, kept up to date by events, ranked and grouped.

import { numeric } from "./number.js";
import { extent, key } from "./scale.js";

/** Kinds of trials that stand outside ranking, as in `converge_core::trial::TrialKind::is_ranked`. */
const UNRANKED = new Set(["baseline", "probe", "refit"]);

export class TrialSet {
  constructor(columns, goal) {
    this.goal = goal;
    this.load(columns);
  }

  load(columns) {
    this.marker = columns.marker;
    const names = Object.keys(columns.parameters);
    // Columns become objects one by one: ten thousand of them are made in a few milliseconds so.
    const parametersOf = at => {
      const own = {};
      for (const name of names) if (columns.parameters[name][at] !== null) own[name] = columns.parameters[name][at];
      return own;
    };
    this.rows = columns.number.map((number, at) => ({
      number,
      state: columns.state[at],
      kind: columns.kind[at],
      configuration: columns.configuration[at],
      replicate: columns.replicate[at],
      objective: numeric(columns.objective[at]),
      step: columns.step[at],
      total: columns.total_steps[at],
      attempts: columns.attempts[at],
      seconds: columns.seconds[at],
      since: columns.running_since_ms[at],
      failure: columns.failure[at],
      parameters: parametersOf(at),
    }));
    this.byNumber = new Map(this.rows.map(row => [row.number, row]));
    this.parameters = names.map(name => describe(name, columns.parameters[name]));
    this.replicated = this.rows.some(row => row.replicate > 0);
    this.kinds = new Set(this.rows.map(row => row.kind));
  }

  /** Takes rows of an event; returns whether all of them were known, or the whole list has to be asked for again. */
  update(event) {
    for (const changed of event.rows) {
      const row = this.byNumber.get(changed.number);
      if (!row) return false;
      row.state = changed.state;
      row.objective = numeric(changed.objective);
      row.step = changed.step;
      row.total = changed.total_steps;
      row.attempts = changed.attempts;
      row.seconds = changed.seconds;
      row.since = changed.running_since_ms;
      row.failure = changed.failure;
    }
    this.marker = event.marker;
    return true;
  }

  /** Less is better, whatever the goal; what has no value comes last. */
  cost(value) {
    if (value === null || Number.isNaN(value)) return Infinity;
    return this.goal === "maximize" ? -value : value;
  }

  /** Configurations made of these rows: the mean over completed replicates; those that diverged, last. */
  configurations(rows) {
    const groups = new Map();
    for (const row of rows) {
      const group = groups.get(row.configuration) ?? { trials: [], parameters: row.parameters, number: row.number };
      group.trials.push(row);
      groups.set(row.configuration, group);
    }
    for (const group of groups.values()) {
      const values = group.trials.filter(row => row.state === "completed" && !UNRANKED.has(row.kind)).map(row => row.objective).filter(Number.isFinite);
      group.objective = values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
      group.deviation = values.length > 1 ? Math.sqrt(values.reduce((sum, value) => sum + (value - group.objective) ** 2, 0) / (values.length - 1)) : null;
      group.completed = values.length;
      group.diverged = group.trials.some(row => row.state === "diverged");
      group.step = group.trials.reduce((sum, row) => sum + row.step, 0);
      group.total = group.trials.reduce((sum, row) => sum + row.total, 0);
      group.seconds = group.trials.reduce((sum, row) => sum + row.seconds, 0);
      group.configuration = group.trials[0].configuration;
    }
    return [...groups.values()];
  }
}

/** Whether the middle of values lies in the middle of their decades rather than of their range. */
function isGeometric(values, [low, high]) {
  const middle = values[Math.floor((values.length - 1) / 2)];
  return Math.abs(Math.log(middle / low) / Math.log(high / low) - 0.5) <= Math.abs((middle - low) / (high - low) - 0.5);
}

/** What kind of axis a parameter wants: numbers (on a logarithmic scale where they span decades), or names. */
function describe(name, column) {
  const values = new Map();
  let [missing, numbers] = [0, true];
  for (const value of column) {
    if (value === null) { missing += 1; continue; }
    if (typeof value === "number") values.set(value, value);
    else {
      numbers = false;
      values.set(key(value), value);
    }
  }
  const distinct = [...values.values()].sort((one, other) => numbers ? one - other : key(one).localeCompare(key(other), "en", { numeric: true }));
  const range = numbers ? extent(distinct) : null;
  const log = numbers && range !== null && range[0] > 0 && range[1] / range[0] >= 30 && isGeometric(distinct, range);
  return { name, numbers, distinct, range, log, missing };
}
