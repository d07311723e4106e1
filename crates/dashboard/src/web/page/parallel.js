// Parallel coordinates: an axis for each parameter, the value last; a line for each trial. Lines lie on a canvas, because there
// may be ten thousand of them; axes and brushes are SVG above it.

import { cut } from "./axes.js";
import { ink, sequential } from "./colour.js";
import { h, put, s } from "./dom.js";
import { condition, limit } from "./filter.js";
import { extent, linear, logarithmic, named, padded } from "./scale.js";

const HEIGHT = 300;
/** Other parameters than these many that vary most are left out: their axes would be too close to read. */
const MOST_AXES = 9;

export class Parallel {
  constructor(panel) {
    this.panel = panel;
    this.canvas = h("canvas", { class: "layer" });
    this.above = h("canvas", { class: "layer" });
    this.svg = s("svg", { class: "plot layer", role: "img" });
    this.element = h("div", { class: "plot-box", style: { height: `${HEIGHT}px` } }, this.canvas, this.above, this.svg);
    this.svg.addEventListener("pointermove", event => { if (!event.buttons) this.near(event); });
    this.svg.addEventListener("pointerleave", () => this.panel.calls.pointed(null));
  }

  draw(rows, value) {
    const { stage, set } = this.panel;
    if (this.element.parentNode !== stage) put(stage, this.element);
    const width = stage.clientWidth;
    this.rows = rows;
    const varied = set.parameters.filter(one => one.distinct.length + (one.missing ? 1 : 0) > 1);
    const chosen = varied.slice(0, MOST_AXES);
    const box = { top: 30, bottom: HEIGHT - 18, left: 44, right: width - 58 };
    const range = extent(rows.map(value.of));
    this.axes = chosen.map(one => {
      const room = [box.bottom - (one.missing ? 24 : 0), box.top];
      const scale = !one.numbers || one.distinct.length <= 6 ? named(one.distinct, room) : (one.log ? logarithmic : linear)(padded(one.range, one.log, 0.02), room);
      return { name: one.name, scale, missing: one.missing ? box.bottom : null, of: row => row.parameters[one.name] };
    });
    if (range) this.axes.push({ name: value.short, scale: linear(range, [box.bottom, box.top]), of: value.of, format: value.tick, value: true });
    const gap = this.axes.length > 1 ? (box.right - box.left) / (this.axes.length - 1) : 0;
    this.axes.forEach((axis, at) => { axis.x = Math.round(box.left + at * gap); });
    this.box = box;
    put(this.svg);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    if (!rows.length) {
      this.context(this.canvas, width);
      this.svg.append(s("text", { class: "none", x: width / 2, y: HEIGHT / 2, "text-anchor": "middle" }, "no trial has a value yet"));
      return "";
    }
    this.svg.setAttribute("aria-label", `Parallel coordinates of ${rows.length} trials over ${this.axes.map(axis => axis.name).join(", ")}`);
    this.lines(width, range, value);
    this.axes.forEach((axis, at) => this.svg.append(this.axis(axis, at)));
    const left = varied.length - chosen.length;
    return `${rows.length} trials; drag along an axis to filter, click its name to take that back${left > 0 ? `; ${left} more parameters are not drawn` : ""}`;
  }

  context(canvas, width) {
    const scale = devicePixelRatio || 1;
    canvas.width = width * scale;
    canvas.height = HEIGHT * scale;
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    return context;
  }

  place(axis, row) {
    const own = axis.of(row);
    return own === undefined || own === null ? axis.missing ?? NaN : axis.scale(own);
  }

  path(context, row) {
    context.beginPath();
    let before = null;
    for (const axis of this.axes) {
      const y = this.place(axis, row);
      if (!Number.isFinite(y)) { before = null; continue; }
      if (before === null) context.moveTo(axis.x, y);
      else {
        const middle = (before.x + axis.x) / 2;
        context.bezierCurveTo(middle, before.y, middle, y, axis.x, y);
      }
      before = { x: axis.x, y };
    }
    context.stroke();
  }

  lines(width, range, value) {
    const context = this.context(this.canvas, width);
    const share = row => range[1] > range[0] ? (value.of(row) - range[0]) / (range[1] - range[0]) : 1;
    this.share = row => value.larger ? share(row) : 1 - share(row);
    // The best are drawn last, above the others.
    const order = [...this.rows].sort((one, other) => this.share(one) - this.share(other));
    context.lineWidth = order.length > 2000 ? 0.8 : 1.2;
    context.globalAlpha = Math.min(0.85, Math.max(0.06, 60 / Math.sqrt(order.length) / 10));
    const drawn = order.length > 4000 ? order.filter((_, at) => at % Math.ceil(order.length / 4000) === 0 || at > order.length - 200) : order;
    for (const row of drawn) {
      context.strokeStyle = sequential(this.share(row));
      this.path(context, row);
    }
    this.above.getContext("2d").clearRect(0, 0, this.above.width, this.above.height);
  }

  axis(axis, at) {
    const last = at === this.axes.length - 1;
    const group = s("g", { class: "axes" }, s("line", { class: "frame", x1: axis.x + 0.5, x2: axis.x + 0.5, y1: this.box.top - 4, y2: this.box.bottom + 4 }));
    const ticks = axis.scale.names ?? axis.scale.ticks(5);
    for (const tick of ticks.length > 14 ? ticks.filter((_, at) => at % Math.ceil(ticks.length / 14) === 0) : ticks) {
      group.append(...this.word(axis, axis.scale(tick), cut((axis.format ?? axis.scale.format)(tick), 14)));
    }
    if (axis.missing !== null && axis.missing !== undefined) group.append(...this.word(axis, axis.missing, "none"));
    const room = Math.max(6, Math.floor((this.axes[1]?.x - this.axes[0].x || 120) / 6.4));
    const label = s("text", { class: "axis-name", x: axis.x, y: 14, "text-anchor": at === 0 ? "start" : last ? "end" : "middle" }, cut(axis.name, room), s("title", {}, axis.name));
    if (at === 0) label.setAttribute("x", 4);
    if (last) label.setAttribute("x", this.box.right + 54);
    label.addEventListener("click", () => this.panel.calls.filter(this.filterName(axis), []));
    const brush = s("rect", { class: "brush-room", x: axis.x - 12, y: this.box.top - 8, width: 24, height: this.box.bottom - this.box.top + 16 });
    brush.addEventListener("pointerdown", event => this.brush(event, axis));
    group.append(label, brush);
    return group;
  }

  /** A word beside an axis, on a ground that lines do not shine through: they would look like a minus. */
  word(axis, y, text) {
    return [
      s("rect", { class: "backdrop", x: axis.x + 1, y: y - 7, width: text.length * 6.1 + 7, height: 14 }),
      s("line", { class: "tick", x1: axis.x - 4, x2: axis.x, y1: y, y2: y }),
      s("text", { class: "halo", x: axis.x + 5, y: y + 3.5 }, text),
    ];
  }

  filterName = axis => axis.value ? "objective" : axis.name;

  brush(event, axis) {
    // What is no objective is no column of the table: it cannot be filtered by.
    if (axis.value && this.panel.metric) return;
    event.preventDefault();
    const frame = this.svg.getBoundingClientRect();
    const start = event.clientY - frame.top;
    const mark = s("rect", { class: "brush", x: axis.x - 9, width: 18, y: start, height: 0 });
    this.svg.append(mark);
    const move = event => {
      const end = event.clientY - frame.top;
      mark.setAttribute("y", Math.min(start, end));
      mark.setAttribute("height", Math.abs(end - start));
    };
    const up = event => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", up);
      mark.remove();
      const end = event.clientY - frame.top;
      if (Math.abs(end - start) > 3) this.panel.calls.filter(this.filterName(axis), conditions(this.filterName(axis), axis.scale, start, end));
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", up);
  }

  /** Finds the line at the pointer: the trial whose value is nearest on the nearest axis. */
  near(event) {
    const frame = this.svg.getBoundingClientRect();
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
    const axis = this.axes?.reduce((best, one) => Math.abs(one.x - x) < Math.abs(best.x - x) ? one : best);
    if (!axis || Math.abs(axis.x - x) > 30 || !this.rows.length) return this.panel.calls.pointed(null);
    let best = null;
    for (const row of this.rows) {
      const gap = Math.abs(this.place(axis, row) - y);
      if (gap < 6 && (!best || gap < best.gap || (gap === best.gap && this.share(row) > this.share(best.row)))) best = { gap, row };
    }
    this.panel.calls.pointed(best?.row.number ?? null);
  }

  highlight(number) {
    const row = number === null ? null : this.rows?.find(row => row.number === number);
    const context = this.context(this.above, this.panel.stage.clientWidth);
    this.canvas.classList.toggle("behind", Boolean(row));
    if (!row) return;
    context.lineWidth = 3;
    context.strokeStyle = ink().text;
    this.path(context, row);
  }
}

/** What was brushed, as words of the filter. */
export function conditions(name, scale, start, end) {
  if (scale.names) {
    const names = scale.within(start, end);
    return names.length ? [condition(name, "=", names.join("|"))] : [];
  }
  const [low, high] = [scale.invert(start), scale.invert(end)].sort((one, other) => one - other);
  return [condition(name, ">=", limit(low, -1)), condition(name, "<=", limit(high, 1))];
}
