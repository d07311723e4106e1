// Curves over steps on one pair of axes: drawn in SVG, read with the pointer or the arrow keys.

import { axes, leftRoom } from "./axes.js";
import { h, put, s } from "./dom.js";
import { extent, linear, logarithmic, padded } from "./scale.js";
import { average } from "./smooth.js";
import { count } from "./number.js";

/** Curves named in the box beside the pointer. */
const NAMED = 12;

/**
 * A plot. A series is `{id, name, colour, dash, points, means, width}`; `points` are `[step, value]` with NaN and infinities
 * as they are, `means` those of a curve that was thinned out (null: it is whole), `observations` how many there are.
 */
export class LinePlot {
  constructor({ height = 260, label, format, tick = format, compact = false, onPoint, onOpen }) {
    Object.assign(this, { height, label, format, tick, compact, onPoint, onOpen });
    this.series = [];
    this.options = { xLog: false, yLog: false, smoothing: 0 };
    this.svg = s("svg", { class: "plot", role: "img", tabindex: "0" });
    this.tip = h("div", { class: "tip", hidden: true });
    this.element = h("div", { class: "plot-box" }, this.svg, this.tip);
    this.element.style.height = `${height}px`;
    this.svg.addEventListener("pointermove", event => this.point(event.clientX, event.clientY));
    this.svg.addEventListener("pointerleave", () => this.leave());
    this.svg.addEventListener("click", () => { if (this.near && this.onOpen) this.onOpen(this.near.id); });
    this.svg.addEventListener("keydown", event => this.key(event));
    this.svg.addEventListener("blur", () => this.leave());
    new ResizeObserver(() => this.paint()).observe(this.element);
  }

  draw(series, options) {
    this.series = series;
    Object.assign(this.options, options);
    this.paint();
  }

  /** Makes one curve stand out, or none. */
  highlight(id) {
    this.chosen = id;
    for (const path of this.svg.querySelectorAll("[data-id]")) {
      const own = path.getAttribute("data-id");
      path.classList.toggle("faded", id !== null && id !== undefined && own !== String(id));
      path.classList.toggle("strong", own === String(id));
    }
  }

  paint() {
    const width = this.element.clientWidth;
    if (!width) return;
    const { xLog, yLog, smoothing } = this.options;
    const lines = this.series.map(one => this.lines(one, smoothing));
    const xs = extent(lines.flatMap(one => one.main.map(point => point[0])), xLog);
    const ys = extent(lines.flatMap(one => (one.raw ?? one.main).map(point => point[1])), yLog);
    put(this.svg);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
    this.svg.setAttribute("aria-label", this.description());
    if (!xs || !ys) {
      const none = this.series.some(one => one.points.length) ? "nothing that this scale can show" : "no values yet";
      this.svg.append(s("text", { class: "none", x: width / 2, y: this.height / 2, "text-anchor": "middle" }, none));
      this.lineUp = null;
      return;
    }
    const box = { top: this.compact ? 10 : 24, bottom: this.height - (this.compact ? 22 : 38), left: 0, right: width - 10 };
    const y = (yLog ? logarithmic : linear)(padded(ys, yLog), [box.bottom, box.top]);
    box.left = leftRoom(y, box.bottom - box.top, this.tick);
    const x = (xLog ? logarithmic : linear)(xs, [box.left, box.right]);
    x.whole = true;
    this.svg.append(axes({ x, y, box, xLabel: this.compact ? null : "step", yLabel: this.label, xFormat: count, yFormat: this.tick }));
    for (const [at, one] of this.series.entries()) {
      const look = { "data-id": one.id, stroke: one.colour, "stroke-dasharray": one.dash || null };
      if (lines[at].raw) this.svg.append(s("path", { ...look, class: "curve raw", d: path(lines[at].raw, x, y) }));
      this.svg.append(s("path", { ...look, class: "curve", d: path(lines[at].main, x, y) }));
      // A curve of a point, and where a value is not finite.
      if (lines[at].main.length < 2) for (const [step, value] of lines[at].main) this.svg.append(s("circle", { "data-id": one.id, class: "dot", cx: x(step), cy: y(value), r: 3, fill: one.colour }));
      for (const [step, value] of one.points) {
        if (Number.isFinite(value)) continue;
        this.svg.append(s("text", { "data-id": one.id, class: "broken", x: x(step), y: box.top + 10, fill: one.colour, "text-anchor": "middle" }, "✕", s("title", {}, `${one.name}: ${value} at step ${step}`)));
      }
    }
    this.cursor = s("g", { class: "cursor" });
    this.svg.append(this.cursor);
    this.lineUp = { x, y, box, lines };
    if (this.chosen !== undefined) this.highlight(this.chosen);
  }

  lines(one, smoothing) {
    if (!(smoothing > 0)) return { main: one.points };
    return { main: average(one.means ?? one.points, smoothing, one.observations), raw: one.points };
  }

  description() {
    const told = this.series.slice(0, NAMED).map(one => {
      const last = one.points.at(-1);
      return last ? `${one.name} ends at ${this.told(last[1])}` : `${one.name} has no values`;
    });
    return `${this.label ?? "curves"} over steps. ${told.join("; ")}`;
  }

  told(value) {
    return Number.isFinite(value) ? this.format(value) : String(value);
  }

  point(clientX, clientY) {
    if (!this.lineUp) return;
    const { x, y, box, lines } = this.lineUp;
    const frame = this.svg.getBoundingClientRect();
    const [px, py] = [clientX - frame.left, clientY - frame.top];
    if (px < box.left - 8 || px > box.right + 8) return this.leave();
    const found = [];
    for (const [at, one] of this.series.entries()) {
      const near = nearest(lines[at].main, x.invert(px));
      if (near) found.push({ id: one.id, name: one.name, colour: one.colour, dash: one.dash, step: near[0], value: near[1], gap: Math.abs(y(near[1]) - py) });
    }
    if (!found.length) return this.leave();
    this.near = found.reduce((best, one) => one.gap < best.gap || Number.isNaN(best.gap) ? one : best);
    this.show(found, x(this.near.step), py, frame.width);
    this.highlight(found.length > 1 ? this.near.id : null);
    this.onPoint?.(this.near.id);
  }

  show(found, px, py, width) {
    const { x, y, box } = this.lineUp;
    put(this.cursor, s("line", { x1: px, x2: px, y1: box.top, y2: box.bottom }),
      s("circle", { cx: x(this.near.step), cy: y(this.near.value), r: 3.5, fill: this.near.colour }));
    found.sort((one, other) => one.gap - other.gap);
    const named = found.slice(0, NAMED);
    put(this.tip, h("div", { class: "tip-head" }, `step ${count(Math.round(this.near.step))}${this.options.smoothing > 0 ? " · smoothed" : ""}`),
      named.map(one => h("div", { class: one === this.near || one.id === this.near.id ? "tip-row near" : "tip-row" },
        h("span", { class: "swatch", style: { background: one.colour } }), h("span", { class: "tip-name" }, one.name), h("b", {}, this.told(one.value)))),
      found.length > NAMED ? h("div", { class: "tip-head" }, `and ${found.length - NAMED} more`) : null);
    this.tip.hidden = false;
    const room = this.tip.offsetWidth + 14;
    this.tip.style.left = `${px + room > width ? px - room : px + 14}px`;
    this.tip.style.top = `${Math.max(0, Math.min(py - 20, this.height - this.tip.offsetHeight))}px`;
  }

  leave() {
    this.tip.hidden = true;
    this.near = null;
    if (this.cursor) put(this.cursor);
    this.highlight(null);
    this.onPoint?.(null);
  }

  /** The arrow keys move along the steps. */
  key(event) {
    if (!this.lineUp || !["ArrowLeft", "ArrowRight", "Escape"].includes(event.key)) return;
    event.preventDefault();
    if (event.key === "Escape") return this.leave();
    const { box } = this.lineUp;
    const move = (box.right - box.left) / 40 * (event.key === "ArrowLeft" ? -1 : 1);
    this.at = Math.min(box.right, Math.max(box.left, (this.at ?? box.left) + move));
    const frame = this.svg.getBoundingClientRect();
    this.point(frame.left + this.at, frame.top + (box.top + box.bottom) / 2);
    this.svg.setAttribute("aria-label", this.tip.innerText.replaceAll("\n", " "));
  }
}

/** The path of points; it breaks where a value is not finite or has no place. */
function path(points, x, y) {
  let text = "";
  let pen = false;
  for (const [step, value] of points) {
    const [px, py] = [x(step), y(value)];
    if (Number.isFinite(px) && Number.isFinite(py)) {
      text += `${pen ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`;
      pen = true;
    } else pen = false;
  }
  return text;
}

/** The finite point whose step is nearest; points are in the order of steps. */
function nearest(points, step) {
  let [low, high] = [0, points.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < step) low = middle; else high = middle;
  }
  const near = [points[low], points[high]].filter(point => point && Number.isFinite(point[1]));
  near.sort((one, other) => Math.abs(one[0] - step) - Math.abs(other[0] - step));
  return near[0];
}
