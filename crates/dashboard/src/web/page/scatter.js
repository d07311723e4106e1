// Scatter: a parameter across, the value upwards; a ring for each trial, coloured by value, on a canvas.

import { axes, leftRoom } from "./axes.js";
import { ink, sequential } from "./colour.js";
import { h, put, s } from "./dom.js";
import { conditions } from "./parallel.js";
import { parameter } from "./number.js";
import { extent, key, linear, logarithmic, named, padded } from "./scale.js";

const HEIGHT = 300;

export class Scatter {
  constructor(panel) {
    this.panel = panel;
    this.canvas = h("canvas", { class: "layer" });
    this.svg = s("svg", { class: "plot layer", role: "img" });
    this.tip = h("div", { class: "tip", hidden: true });
    this.element = h("div", { class: "plot-box", style: { height: `${HEIGHT}px` } }, this.canvas, this.svg, this.tip);
    this.svg.addEventListener("pointerdown", event => this.brush(event));
    this.svg.addEventListener("pointermove", event => { if (!event.buttons) this.near(event); });
    this.svg.addEventListener("pointerleave", () => { this.tip.hidden = true; panel.calls.pointed(null); });
    this.svg.addEventListener("dblclick", () => panel.calls.filter(panel.axes.x, []));
  }

  draw(rows, value) {
    const { stage, set, axes: chosen } = this.panel;
    if (this.element.parentNode !== stage) put(stage, this.element);
    const width = stage.clientWidth;
    const one = set.parameters.find(one => one.name === chosen.x);
    put(this.svg);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const pixels = devicePixelRatio || 1;
    this.canvas.width = width * pixels;
    this.canvas.height = HEIGHT * pixels;
    const range = extent(rows.map(value.of));
    this.dots = [];
    if (!one || !range) {
      this.svg.append(s("text", { class: "none", x: width / 2, y: HEIGHT / 2, "text-anchor": "middle" }, "no trial has a value yet"));
      return "";
    }
    const box = { top: 22, bottom: HEIGHT - 38, right: width - 16, left: 0 };
    this.y = linear(padded(range, false), [box.bottom, box.top]);
    box.left = leftRoom(this.y, box.bottom - box.top, value.tick);
    const across = [box.left + 14, box.right - 10];
    this.x = one.numbers && one.distinct.length > 1 ? (one.log ? logarithmic : linear)(padded(one.range, one.log, 0.03), across) : named(one.distinct, [box.left + 40, box.right - 40]);
    this.box = box;
    this.svg.append(axes({ x: this.x, y: this.y, box, xLabel: one.log ? `${one.name} (log)` : one.name, yLabel: value.name, yFormat: value.tick }));
    const context = this.canvas.getContext("2d");
    context.scale(pixels, pixels);
    context.lineWidth = 1;
    const size = rows.length > 2000 ? 2 : rows.length > 300 ? 2.8 : 4;
    context.globalAlpha = rows.length > 2000 ? 0.6 : 0.9;
    const share = row => range[1] > range[0] ? (value.of(row) - range[0]) / (range[1] - range[0]) : 1;
    const stacked = new Map();
    for (const row of rows) {
      const own = row.parameters[one.name];
      if (own === undefined) continue;
      let x = this.x(own);
      const y = this.y(value.of(row));
      // Names, and few numbers, stand in columns: trials beside each other can be told apart.
      if (this.x.names || one.distinct.length <= 12) {
        const place = `${key(own)} ${Math.round(y / 5)}`;
        const before = stacked.get(place) ?? 0;
        stacked.set(place, before + 1);
        x += (before % 2 ? -1 : 1) * Math.ceil(before / 2) * size * 1.6 % 26;
      }
      if (!Number.isFinite(x)) continue;
      context.fillStyle = sequential(value.larger ? share(row) : 1 - share(row));
      context.beginPath();
      context.arc(x, y, size, 0, 2 * Math.PI);
      context.fill();
      this.dots.push({ x, y, row });
    }
    this.mark = s("circle", { class: "mark", r: size + 3, visibility: "hidden", stroke: ink().text });
    this.svg.append(this.mark);
    this.svg.setAttribute("aria-label", `${value.name} by ${one.name}, ${this.dots.length} trials`);
    this.value = value;
    this.name = one.name;
    return `${this.dots.length} trials; drag a rectangle to filter, double click takes that back`;
  }

  near(event) {
    const frame = this.svg.getBoundingClientRect();
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
    let best = null;
    for (const dot of this.dots ?? []) {
      const gap = (dot.x - x) ** 2 + (dot.y - y) ** 2;
      if (gap < 144 && (!best || gap < best.gap)) best = { gap, dot };
    }
    this.panel.calls.pointed(best?.dot.row.number ?? null);
    this.tip.hidden = !best;
    if (!best) return;
    const { row } = best.dot;
    put(this.tip, h("div", { class: "tip-row near" }, h("span", { class: "tip-name" }, `trial ${row.number}`), h("b", {}, this.value.format(this.value.of(row)))),
      Object.entries(row.parameters).map(([name, value]) => h("div", { class: "tip-row" }, h("span", { class: "tip-name" }, name), h("b", {}, parameter(value)))));
    const room = this.tip.offsetWidth + 14;
    this.tip.style.left = `${x + room > frame.width ? x - room : x + 14}px`;
    this.tip.style.top = `${Math.max(0, Math.min(y - 10, HEIGHT - this.tip.offsetHeight))}px`;
  }

  highlight(number) {
    const dot = number === null ? null : this.dots?.find(dot => dot.row.number === number);
    if (!this.mark) return;
    this.mark.setAttribute("visibility", dot ? "visible" : "hidden");
    if (dot) { this.mark.setAttribute("cx", dot.x); this.mark.setAttribute("cy", dot.y); }
  }

  brush(event) {
    if (!this.box || event.button !== 0) return;
    event.preventDefault();
    const frame = this.svg.getBoundingClientRect();
    const start = [event.clientX - frame.left, event.clientY - frame.top];
    const mark = s("rect", { class: "brush" });
    this.svg.append(mark);
    const end = event => [event.clientX - frame.left, event.clientY - frame.top];
    const move = event => {
      const [x, y] = end(event);
      mark.setAttribute("x", Math.min(start[0], x));
      mark.setAttribute("y", Math.min(start[1], y));
      mark.setAttribute("width", Math.abs(x - start[0]));
      mark.setAttribute("height", Math.abs(y - start[1]));
    };
    const up = event => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", up);
      mark.remove();
      const [x, y] = end(event);
      if (Math.abs(x - start[0]) < 4 || Math.abs(y - start[1]) < 4) return;
      this.panel.calls.filter(this.name, conditions(this.name, this.x, start[0], x));
      if (!this.panel.metric) this.panel.calls.filter("objective", conditions("objective", this.y, start[1], y));
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", up);
  }
}
