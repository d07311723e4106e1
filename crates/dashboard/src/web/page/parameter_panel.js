// What parameters do to a value: parallel coordinates, scatter, heat map. What is brushed becomes words of the filter.

import { get } from "./api.js";
import { metricOptions } from "./curve_panel.js";
import { h, put, select, toggle, view } from "./dom.js";
import { heatMap } from "./heat_map.js";
import { numeric, ofMetric, tick } from "./number.js";
import { Parallel } from "./parallel.js";
import { Scatter } from "./scatter.js";
import { ENDED_EARLY } from "./trial_table.js";

const KINDS = [["parallel", "Parallel"], ["scatter", "Scatter"], ["heat", "Heat map"]];
const OBJECTIVE = "";

export class ParameterPanel {
  /** `calls`: `filter(name, conditions)`, `pointed(number)`, `open(number)`, `failed(error)`. */
  constructor(sweep, set, metrics, objective, calls) {
    Object.assign(this, { sweep, set, metrics, objective, calls, rows: [], values: null });
    this.kind = view.get("plot", "parallel");
    this.metric = view.get("value", OBJECTIVE);
    this.of = view.get("of", "last");
    this.axes = { x: view.get("x", ""), y: view.get("y", "") };
    this.tabs = h("div", { class: "controls left" });
    this.controls = h("div", { class: "controls" });
    this.stage = h("div", { class: "stage" });
    this.note = h("div", { class: "legend muted" });
    this.element = h("section", { class: "panel", "aria-label": "Parameters" }, h("div", { class: "panel-head" }, h("h2", { class: "unseen" }, "Parameters"), this.tabs, this.controls), this.stage, this.note);
    this.parallel = new Parallel(this);
    this.scatter = new Scatter(this);
    new ResizeObserver(() => this.draw()).observe(this.stage);
    this.menu();
    if (this.metric !== OBJECTIVE) this.load();
  }

  setMetrics(metrics) {
    if (metrics.join() === this.metrics.join()) return;
    this.metrics = metrics;
    this.menu();
  }

  menu() {
    const names = this.set.parameters.map(one => [one.name, one.name]);
    const fallback = [...this.set.parameters].sort((one, other) => other.distinct.length - one.distinct.length).map(one => one.name);
    if (!names.some(([name]) => name === this.axes.x)) this.axes.x = fallback[0] ?? "";
    if (!names.some(([name]) => name === this.axes.y) || this.axes.y === this.axes.x) this.axes.y = fallback.find(name => name !== this.axes.x) ?? "";
    const tabs = h("span", { class: "group", role: "group", "aria-label": "Kind of plot" }, KINDS.map(([kind, text]) =>
      h("button", { type: "button", class: "toggle", "aria-pressed": String(kind === this.kind), onclick: () => { this.kind = kind; view.set("plot", kind, "parallel"); this.menu(); this.draw(); } }, text)));
    const axis = (which, label, text) => h("label", {}, text, select(label, names, this.axes[which], value => { this.axes[which] = value; view.set(which, value, null); this.draw(); }));
    put(this.tabs, tabs);
    put(this.controls,
      this.kind !== "parallel" && names.length ? axis("x", "Parameter across", "x ") : null,
      this.kind === "heat" && names.length > 1 ? axis("y", "Parameter upwards", "y ") : null,
      select("Value", [[OBJECTIVE, "objective"], ...metricOptions(this.metrics)], this.metric, value => {
        this.metric = value;
        view.set("value", value, OBJECTIVE);
        this.menu();
        this.load();
      }),
      this.metric === OBJECTIVE ? null : select("Which value of a curve", [["last", "last"], ["min", "smallest"], ["max", "largest"]], this.of, value => { this.of = value; view.set("of", value, "last"); this.draw(); }));
  }

  /** Asks for one metric of all trials. */
  async load() {
    this.values = null;
    if (this.metric === OBJECTIVE) return this.draw();
    const metric = this.metric;
    try {
      const answer = await get(`sweeps/${this.sweep}/values?${new URLSearchParams({ metric })}`);
      if (metric === this.metric) this.values = answer;
    } catch (error) {
      this.calls.failed(error);
    }
    this.draw();
  }

  /** What trials are coloured by. */
  value() {
    const name = this.metric === OBJECTIVE ? this.objective.metric : this.metric;
    let of = row => row.objective;
    if (this.metric !== OBJECTIVE) {
      const found = new Map((this.values?.number ?? []).map((number, at) => [number, numeric(this.values[this.of][at])]));
      of = row => found.get(row.number) ?? null;
    }
    const larger = this.metric === OBJECTIVE ? this.objective.goal === "maximize" : !/loss|seconds|gradient_norm/.test(name);
    return { name, short: name, of, larger, format: one => ofMetric(name, one), tick: one => tick(name, one) };
  }

  /** Shows these rows. */
  show(rows) {
    this.rows = rows;
    this.draw();
  }

  draw() {
    if (!this.stage.clientWidth) return;
    const value = this.value();
    const whole = this.rows.filter(row => !ENDED_EARLY.has(row.state));
    const early = this.rows.length - whole.length;
    const known = whole.filter(row => Number.isFinite(value.of(row)));
    const drawn = { parallel: () => this.parallel.draw(known, value), scatter: () => this.scatter.draw(known, value), heat: () => heatMap(this, known, value) }[this.kind] ?? (() => "");
    put(this.note, drawn(), early ? `; ${early} that were stopped, diverged, failed or were cancelled are not drawn` : "");
  }

  highlight(number) {
    if (this.kind === "parallel") this.parallel.highlight(number);
    if (this.kind === "scatter") this.scatter.highlight(number);
  }
}
