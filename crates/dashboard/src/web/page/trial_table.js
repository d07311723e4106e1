// The table of trials, or of configurations: sorted by any column, and only as many rows in the document as are seen, so that
// ten thousand scroll like ten.

import { STATES, ofPlace } from "./colour.js";
import { eachFrame, h, put, s } from "./dom.js";
import { duration, isShare, ofMetric, parameter, short } from "./number.js";

/** States in which a trial's value says little beside that of others. */
export const ENDED_EARLY = new Set(["stopped", "diverged", "failed", "cancelled"]);

const ROW = 27;
const SPARE = 5;

export class TrialTable {
  /** `calls`: `sorted(key)`, `chosen(number)`, `pointed(number or null)`, `seen(rows)`, and `link(number)`. */
  constructor(set, objective, sort, calls) {
    Object.assign(this, { set, objective, sort, calls, rows: [], places: new Map(), chosen: new Set(), sparks: new Map() });
    this.head = h("thead");
    this.body = h("tbody");
    this.table = h("table", { class: "trials" }, h("caption", { class: "unseen" }, "Trials"), this.head, this.body);
    this.element = h("div", { class: "table-scroll", tabindex: "-1" }, this.table);
    this.paint = eachFrame(() => this.fill());
    this.element.addEventListener("scroll", this.paint, { passive: true });
    this.table.addEventListener("keydown", event => this.key(event));
    new ResizeObserver(this.paint).observe(this.element);
  }

  /** The columns for trials, or for `grouped` configurations. */
  columns(grouped) {
    const metric = this.objective.metric;
    const own = [
      { key: "number", title: "trial", right: true, value: row => row.number },
      { key: "state", title: "state", value: row => row.state },
      { key: "objective", title: metric.split("/").pop(), hint: metric, right: true, value: row => this.set.cost(row.objective), cost: true },
      { key: "spark", title: "curve", hint: `${metric} over steps` },
      ...this.set.parameters.map(one => ({ key: `p:${one.name}`, title: one.name, right: one.numbers, value: row => row.parameters[one.name] })),
      { key: "step", title: "steps", right: true, value: row => row.step },
      { key: "seconds", title: "time", right: true, value: row => row.seconds },
    ];
    if (grouped) {
      own[0] = { key: "number", title: "trials", value: row => row.number };
      own[1] = { key: "completed", title: "done", right: true, value: row => row.completed };
      own[3] = { key: "deviation", title: "± sd", hint: "standard deviation over replicates", right: true, value: row => row.deviation ?? Infinity };
      return own;
    }
    if (this.set.replicated) own.push({ key: "replicate", title: "seed", hint: "replicate", right: true, value: row => row.replicate });
    if (this.set.kinds.size > 1) own.push({ key: "kind", title: "kind", value: row => row.kind });
    return own;
  }

  /** Sorts rows as the heads say: ties by number, what is missing last. */
  sorted(rows, grouped) {
    const down = this.sort.startsWith("-");
    const column = this.columns(grouped).find(one => one.key === this.sort.replace("-", "") && one.value);
    const order = row => {
      const value = column ? column.value(row) : this.set.cost(row.objective);
      return value === undefined || value === null || value === Infinity || Number.isNaN(value) ? null : value;
    };
    // What diverged, failed or was cancelled stands behind the others, as in `converge best`, whatever value it had.
    const behind = row => !column?.cost ? 0 : grouped ? Number(row.diverged) : Number(ENDED_EARLY.has(row.state));
    return rows.map(row => [order(row), row]).sort(([one, first], [other, second]) => {
      if (behind(first) !== behind(second)) return behind(first) - behind(second);
      if (one === null || other === null) return (one === null) - (other === null) || first.number - second.number;
      const compared = typeof one === "number" && typeof other === "number" ? one - other : String(one).localeCompare(String(other), "en", { numeric: true });
      return (down ? -compared : compared) || first.number - second.number;
    }).map(([, row]) => row);
  }

  /** Shows rows, which are sorted already; `places` gives the curves' places in the plot. */
  show(rows, grouped, places, chosen) {
    const heads = `${grouped} ${this.set.parameters.map(one => one.name)} ${this.set.kinds.size} ${this.sort}`;
    Object.assign(this, { rows, grouped, places, chosen });
    if (this.heads !== heads) {
      this.heads = heads;
      this.shown = this.columns(grouped);
      put(this.head, h("tr", {}, h("th", { scope: "col", class: "pick" }, h("span", { class: "unseen" }, "in the plot")), this.shown.map(one => this.headOf(one))));
    }
    this.table.setAttribute("aria-rowcount", rows.length + 1);
    this.drawn = null;
    this.fill();
  }

  headOf(column) {
    const name = this.sort.replace("-", "");
    const sorted = column.key === name ? (this.sort.startsWith("-") ? "descending" : "ascending") : null;
    const arrow = sorted ? (sorted === "ascending" === !column.cost || (column.cost && this.set.goal === "minimize" && sorted === "ascending") ? " ↑" : " ↓") : "";
    return h("th", { scope: "col", class: column.right ? "right" : null, "aria-sort": sorted, title: column.hint ?? column.title },
      column.value ? h("button", { type: "button", onclick: () => this.calls.sorted(sorted === "ascending" ? `-${column.key}` : column.key) }, column.title, h("span", { "aria-hidden": "true" }, arrow)) : column.title);
  }

  fill() {
    const height = this.element.clientHeight || 400;
    const most = Math.max(0, this.rows.length - Math.ceil(height / ROW));
    const first = Math.max(0, Math.min(most, Math.floor(this.element.scrollTop / ROW)) - SPARE);
    const last = Math.min(this.rows.length, first + Math.ceil(height / ROW) + 2 * SPARE);
    if (this.drawn === `${first} ${last}`) return;
    this.drawn = `${first} ${last}`;
    const focused = document.activeElement?.closest?.("tr")?.dataset.number;
    const span = this.shown.length + 1;
    const space = rows => rows > 0 ? h("tr", { class: "space", "aria-hidden": "true" }, h("td", { colspan: span, style: { height: `${rows * ROW}px` } })) : null;
    const seen = this.rows.slice(first, last);
    put(this.body, space(first), seen.map((row, at) => this.rowOf(row, first + at)), space(this.rows.length - last),
      this.rows.length ? null : h("tr", {}, h("td", { colspan: span, class: "none" }, "no trial fits")));
    if (focused) this.body.querySelector(`tr[data-number="${focused}"] a`)?.focus({ preventScroll: true });
    this.calls.seen(seen);
  }

  rowOf(row, at) {
    const place = this.places.get(row.number);
    const chosen = this.chosen.has(row.number);
    const look = place === undefined ? null : ofPlace(place);
    const pick = h("button", {
      type: "button", class: "pick", "aria-pressed": String(place !== undefined), "aria-label": `trial ${row.number} in the plot`,
      title: chosen ? "Take this curve out of the plot" : "Put this curve into the plot", style: look ? { "--own": look.colour } : null,
      onclick: () => this.calls.chosen(row.number),
    });
    return h("tr", {
      "aria-rowindex": at + 2, "data-number": row.number, class: chosen ? "chosen" : null,
      onpointerenter: () => this.calls.pointed(row.number), onpointerleave: () => this.calls.pointed(null),
    }, h("td", { class: "pick" }, this.grouped ? null : pick), this.shown.map(column => this.cell(row, column)));
  }

  cell(row, column) {
    const text = content => h("td", { class: column.right ? "right" : null }, content);
    if (column.key.startsWith("p:")) {
      const value = parameter(row.parameters[column.key.slice(2)]);
      return h("td", { class: `${column.right ? "right" : ""} ${value === "–" ? "muted" : ""}`, title: value.length > 14 ? value : null }, value);
    }
    switch (column.key) {
      case "number":
        if (!this.grouped) return text(h("a", { href: this.calls.link(row.number) }, row.number));
        return text(row.trials.slice(0, 6).map((trial, at) => [at ? " " : "", h("a", { href: this.calls.link(trial.number) }, trial.number)]));
      case "state": return h("td", {}, stateWord(row.state, row.failure));
      case "objective": return h("td", { class: row.objective === null ? "right muted" : "right strong" }, ofMetric(this.objective.metric, row.objective));
      case "spark": return h("td", { class: "spark" }, this.sparks.get(row.number)?.element ?? null);
      case "deviation": {
        const share = isShare(this.objective.metric);
        return text(row.deviation === null ? "–" : share ? `${(row.deviation * 100).toFixed(1)} %` : short(row.deviation, 2));
      }
      case "completed": return text([row.diverged ? h("span", { class: "state diverged", title: "a replicate diverged: ranked behind the others" }, h("i", {}, STATES.diverged)) : null, `${row.completed} of ${row.trials.length}`].filter(Boolean));
      case "step": return h("td", { class: "right steps" }, row.state === "running" ? h("progress", { max: row.total || 1, value: row.step, "aria-label": "steps done" }) : null, `${row.step}/${row.total}`);
      case "seconds": return text(row.seconds || !row.since ? (row.seconds ? duration(row.seconds) : "–") : duration((Date.now() - row.since) / 1000));
      default: return text(String(row[column.key]));
    }
  }

  /** Takes the small curve of a trial: `points` of the objective, up to `step`. */
  spark(number, points, step) {
    this.sparks.set(number, { element: sparkline(points), step });
    const cell = this.body.querySelector(`tr[data-number="${number}"] td.spark`);
    if (cell) put(cell, this.sparks.get(number).element);
  }

  /** Shows changed cells of rows that keep their places. */
  refresh() {
    this.drawn = null;
    this.paint();
  }

  key(event) {
    const row = event.target.closest("tbody tr");
    if (!row || !["ArrowDown", "ArrowUp"].includes(event.key)) return;
    event.preventDefault();
    const other = event.key === "ArrowDown" ? row.nextElementSibling : row.previousElementSibling;
    const target = event.target.matches("button.pick") ? "button.pick" : "a";
    other?.querySelector(target)?.focus();
    other?.scrollIntoView({ block: "nearest" });
  }
}

/** A state: symbol, colour, word. */
export function stateWord(state, failure) {
  return h("span", { class: `state ${state}` }, h("i", { "aria-hidden": "true" }, STATES[state] ?? "•"), failure ? `${state} (${failure})` : state);
}

/** A curve the size of a word. */
export function sparkline(points) {
  const [width, height] = [72, 18];
  const finite = points.filter(point => Number.isFinite(point[1]));
  const svg = s("svg", { class: "sparkline", viewBox: `0 0 ${width} ${height}`, width, height, "aria-hidden": "true" });
  if (!finite.length) return svg;
  const values = finite.map(point => point[1]);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = step => finite.length < 2 ? width / 2 : 3 + (step - finite[0][0]) / (finite.at(-1)[0] - finite[0][0]) * (width - 6);
  const y = value => high > low ? height - 3 - (value - low) / (high - low) * (height - 6) : height / 2;
  svg.append(
    s("polyline", { points: finite.map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(" ") }),
    s("circle", { cx: x(finite.at(-1)[0]), cy: y(values.at(-1)), r: 1.8 }));
  return svg;
}
