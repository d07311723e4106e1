// All curves of one trial: a plot for each metric, and one plot for metrics that differ only in their last name (layer groups,
// classes), under the headings of what they are about.

import { get } from "./api.js";
import { ofPlace } from "./colour.js";
import { pairs } from "./curve_panel.js";
import { h, put, toggle } from "./dom.js";
import { exportButtons } from "./export.js";
import { LinePlot } from "./line_plot.js";
import { ofMetric, tick } from "./number.js";

const GROUPS = [
  ["validation", "Validation", metric => metric.startsWith("validation/")],
  ["train", "Training, step by step", metric => metric.startsWith("train/") && !metric.includes("gradient_norm")],
  ["gradients", "Gradient norms", metric => metric.startsWith("train/gradient_norm")],
  ["subset", "Training subset, dropout off", metric => metric.startsWith("train_subset/")],
  ["travel", "Travel from the pretrained weights", metric => metric.startsWith("travel/")],
  ["other", "Other", () => true],
];

/** Layer groups in the order of the model, then anything by name. */
const ORDER = ["embeddings", "bottom", "middle", "top", "head"];
const place = name => { const at = ORDER.indexOf(name); return at < 0 ? ORDER.length : at; };

/** The plot that a metric belongs to. */
function plotOf(metric) {
  const parts = metric.split("/");
  if (parts[0] === "travel") return "travel";
  if (metric === "train/gradient_norm") return metric;
  return parts.length > 2 ? `${parts.slice(0, -1).join("/")}/…` : metric;
}

export class TrialCurves {
  constructor(sweep, number) {
    Object.assign(this, { sweep, number, curves: new Map(), plots: new Map(), last: 0, smoothing: 0, logs: { x: false, y: false } });
    const told = h("output", {}, "off");
    const smooth = h("input", { type: "range", min: 0, max: 0.99, step: 0.01, value: 0, "aria-label": "Smoothing", title: "Exponential moving average" });
    smooth.addEventListener("input", () => {
      this.smoothing = Number(smooth.value);
      told.textContent = this.smoothing ? this.smoothing.toFixed(2) : "off";
      this.draw();
    });
    const log = (axis, text) => toggle(text, false, `Logarithmic ${axis === "x" ? "steps" : "values"}`, on => { this.logs[axis] = on; this.draw(); });
    this.body = h("div");
    this.element = h("section", { class: "panel", "aria-label": "Curves" },
      h("div", { class: "panel-head" }, h("h2", {}, "Curves"), h("div", { class: "controls" }, h("label", { class: "smooth" }, "smooth ", smooth, told), h("span", { class: "group" }, log("x", "log x"), log("y", "log y")))), this.body);
  }

  /** Forgets everything: the trial has begun anew. */
  reset() {
    this.curves.clear();
    this.last = 0;
  }

  /** Asks for what is new since the last time. */
  async load() {
    if (this.loading) { this.again = true; return; }
    this.loading = true;
    try {
      const answer = await get(`sweeps/${this.sweep}/trials/${this.number}/curves?${new URLSearchParams({ after: this.last, points: 600 })}`);
      for (const [metric, one] of Object.entries(answer.curves)) {
        const { points, means, observations } = pairs(one);
        const own = this.curves.get(metric);
        this.curves.set(metric, own && this.last ? { points: [...own.points, ...points], means: own.means ? [...own.means, ...means ?? points] : means, observations: own.observations + observations } : { points, means, observations });
        this.last = Math.max(this.last, points.at(-1)?.[0] ?? 0);
      }
      if ([...this.curves.values()].some(curve => curve.points.length > 2400)) this.last = 0;
    } finally {
      this.loading = false;
    }
    this.draw();
    if (this.again) { this.again = false; await this.load(); }
  }

  draw() {
    const plots = new Map();
    for (const metric of [...this.curves.keys()].sort()) plots.set(plotOf(metric), [...plots.get(plotOf(metric)) ?? [], metric]);
    const known = [...plots.keys()].join();
    if (known !== this.known) {
      this.known = known;
      this.layOut(plots);
    }
    for (const [name, metrics] of plots) {
      const prefix = metrics.length > 1 || name.endsWith("…") || name === "travel" ? name.replace(/…$/, "") : "";
      const names = metrics.map(metric => [metric, prefix ? metric.slice(name === "travel" ? 7 : prefix.length) : metric]);
      names.sort(([, one], [, other]) => place(one) - place(other) || one.localeCompare(other));
      const series = names.map(([metric, short], at) => ({ id: metric, name: short, ...ofPlace(at), ...this.curves.get(metric) }));
      const { plot, legend } = this.plots.get(name);
      plot.draw(series, { xLog: this.logs.x, yLog: this.logs.y, smoothing: this.smoothing });
      put(legend, series.length > 1 ? series.map(one => h("span", { class: "key", onpointerenter: () => plot.highlight(one.id), onpointerleave: () => plot.highlight(null) }, h("span", { class: "line", style: { "border-top-color": one.colour } }), one.name)) : null);
    }
  }

  layOut(plots) {
    const left = new Set(plots.keys());
    put(this.body, GROUPS.map(([, title, belongs]) => {
      const own = [...left].filter(name => belongs(name === "travel" ? "travel/" : name)).sort((one, other) => rank(one) - rank(other) || one.localeCompare(other));
      own.forEach(name => left.delete(name));
      if (!own.length) return null;
      return [h("h3", { class: "group-title" }, title), h("div", { class: "small-plots" }, own.map(name => this.plotNamed(name, plots.get(name)[0])))];
    }), plots.size ? null : h("p", { class: "none" }, "no values yet"));
  }

  plotNamed(name, metric) {
    const known = this.plots.get(name);
    if (known) return known.element;
    const plot = new LinePlot({ height: 190, label: null, compact: true, format: value => ofMetric(metric, value), tick: value => tick(metric, value) });
    const legend = h("div", { class: "legend" });
    const title = name === "travel" ? "travel/…" : name;
    const element = h("figure", {}, h("figcaption", {}, h("span", { class: "cut", title }, title), exportButtons(() => plot.svg, () => `trial-${this.number}-${title}`)), plot.element, legend);
    this.plots.set(name, { plot, legend, element });
    return element;
  }
}

/** What is looked at first comes first. */
const rank = name => ["accuracy", "loss", "macro_f1"].findIndex(one => name.endsWith(`/${one}`)) + 1 || 9;
