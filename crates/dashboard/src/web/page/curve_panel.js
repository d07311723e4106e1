// The curves of several trials: of the first rows of the table, or of those that were picked.

import { get } from "./api.js";
import { ofPlace } from "./colour.js";
import { h, later, put, select, toggle, view } from "./dom.js";
import { exportButtons } from "./export.js";
import { LinePlot } from "./line_plot.js";
import { numeric, ofMetric, tick } from "./number.js";

/** Names of metrics as options, a group for what stands before the slash. */
export function metricOptions(metrics) {
  const groups = new Map();
  for (const metric of metrics) {
    const group = metric.split("/")[0];
    groups.set(group, [...groups.get(group) ?? [], [metric, metric]]);
  }
  return [...groups].map(([group, options]) => ({ group, options }));
}

/** Points of an answer, as pairs. */
export function pairs(curve) {
  const points = curve.steps.map((step, at) => [step, numeric(curve.values[at]) ?? NaN]);
  const means = curve.means ? curve.means.map((mean, at) => [curve.mean_steps[at], numeric(mean)]) : null;
  return { points, means, observations: curve.observations };
}

export class CurvePanel {
  constructor(sweep, metrics, objective, calls) {
    Object.assign(this, { sweep, calls, curves: new Map(), rows: [], picked: false });
    this.metric = view.get("metric", metrics.includes(objective.metric) ? objective.metric : "train/loss");
    this.most = Number(view.get("top", "10")) || 10;
    this.smoothing = Number(view.get("smooth", "0")) || 0;
    this.logs = { x: view.get("xlog", "") === "1", y: view.get("ylog", "") === "1" };
    this.plot = new LinePlot({ height: 300, label: this.metric, format: value => ofMetric(this.metric, value), tick: value => tick(this.metric, value), onPoint: calls.pointed, onOpen: calls.open });
    this.legend = h("div", { class: "legend" });
    this.controls = h("div", { class: "controls" });
    this.element = h("section", { class: "panel", "aria-label": "Curves" }, h("div", { class: "panel-head" }, h("h2", {}, "Curves"), this.controls), this.plot.element, this.legend);
    this.ask = later(() => this.load(), 30);
    this.setMetrics(metrics);
  }

  setMetrics(metrics) {
    if (this.known === metrics.join()) return;
    this.known = metrics.join();
    const smooth = h("input", { type: "range", min: 0, max: 0.99, step: 0.01, value: this.smoothing, "aria-label": "Smoothing", title: "Exponential moving average" });
    const told = h("output", {}, this.smoothing ? this.smoothing.toFixed(2) : "off");
    smooth.addEventListener("input", () => {
      this.smoothing = Number(smooth.value);
      told.textContent = this.smoothing ? this.smoothing.toFixed(2) : "off";
      view.set("smooth", smooth.value, "0");
      this.draw();
    });
    const log = (axis, text) => toggle(text, this.logs[axis], `Logarithmic ${axis === "x" ? "steps" : "values"}`, on => {
      this.logs[axis] = on;
      view.set(`${axis}log`, on ? "1" : "", "");
      this.draw();
    });
    put(this.controls,
      select("Metric", metricOptions(metrics.includes(this.metric) ? metrics : [...metrics, this.metric]), this.metric, value => {
        this.metric = value;
        view.set("metric", value, null);
        this.plot.label = value;
        this.curves.clear();
        this.load();
      }),
      select("How many curves", [5, 10, 20, 40].map(most => [String(most), `first ${most}`]), String(this.most), value => {
        this.most = Number(value);
        view.set("top", value, "10");
        this.calls.changed();
      }),
      h("label", { class: "smooth" }, "smooth ", smooth, told),
      h("span", { class: "group" }, log("x", "log x"), log("y", "log y")));
  }

  /** Shows the curves of these trials; `picked`: somebody chose them. */
  show(rows, picked) {
    Object.assign(this, { rows, picked });
    this.ask();
  }

  /** Asks for the curves that are not here yet, and for what was added to the others. */
  async load() {
    const metric = this.metric;
    // A trial that was tried again has begun anew: what its earlier attempt did counts no more.
    for (const row of this.rows) if ((this.curves.get(row.number)?.asked ?? 0) > row.step) this.curves.delete(row.number);
    const want = this.rows.filter(row => row.step > 0 && (this.curves.get(row.number)?.asked ?? -1) < row.step);
    // A curve that grew to twice the points of a screen is asked for anew, so that it is thinned out.
    const after = row => { const own = this.curves.get(row.number); return own?.points.length && own.points.length < 1600 && own.step <= row.step && !own.means ? own.points.at(-1)[0] : 0; };
    if (want.length) {
      const search = new URLSearchParams({ metric, trials: want.map(row => row.number).join(), after: want.map(after).join(), points: 800 });
      const starts = new Map(want.map(row => [row.number, after(row)]));
      try {
        const answer = await get(`sweeps/${this.sweep}/curves?${search}`);
        if (metric !== this.metric) return;
        for (const one of answer.curves) {
          const { points, means } = pairs(one);
          const own = this.curves.get(one.trial);
          const row = want.find(row => row.number === one.trial);
          const all = starts.get(one.trial) && own ? [...own.points, ...points] : points;
          this.curves.set(one.trial, { points: all, means, observations: Math.max(one.observations, all.length), asked: row.step, step: row.step });
        }
      } catch (error) {
        this.calls.failed(error);
      }
    }
    this.draw();
  }

  draw() {
    const series = this.rows.map((row, place) => {
      const own = this.curves.get(row.number) ?? { points: [], means: null };
      return { id: row.number, name: `trial ${row.number}`, ...ofPlace(place), points: own.points, means: own.means, observations: own.observations };
    });
    this.plot.draw(series, { xLog: this.logs.x, yLog: this.logs.y, smoothing: this.smoothing });
    const words = this.picked ? `${series.length} picked` : `the first ${series.length} of the table`;
    put(this.legend, h("span", { class: "muted" }, `${words}${this.smoothing ? `, smoothed (EMA ${this.smoothing.toFixed(2)}) over the observed values` : ""}: `),
      series.map(one => h("a", {
        href: this.calls.link(one.id), class: "key", "aria-label": one.name,
        onpointerenter: () => this.calls.pointed(one.id), onpointerleave: () => this.calls.pointed(null),
      }, h("span", { class: "line", style: { "border-top-color": one.colour, "border-top-style": one.dash ? (one.dash.startsWith("2") ? "dotted" : "dashed") : "solid" } }), one.id)),
      this.picked ? h("button", { type: "button", onclick: this.calls.clear }, "clear") : null,
      exportButtons(() => this.plot.svg, () => this.metric));
  }
}
