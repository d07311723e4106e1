// Axes of a plot: lines, ticks, words.

import { s } from "./dom.js";

/** Ticks on a height. */
const wanted = height => Math.max(4, Math.floor(height / 40));

/** Draws a frame with ticks: `x` and `y` are scales, `box` their pixels. */
export function axes({ x, y, box, xLabel, yLabel, xFormat, yFormat }) {
  const group = s("g", { class: "axes", "aria-hidden": "true" });
  const yTicks = y.ticks(wanted(box.bottom - box.top));
  for (const tick of yTicks) {
    const at = Math.round(y(tick)) + 0.5;
    if (!(at >= box.top - 1 && at <= box.bottom + 1)) continue;
    group.append(
      s("line", { class: "grid", x1: box.left, x2: box.right, y1: at, y2: at }),
      s("text", { x: box.left - 6, y: at + 3.5, "text-anchor": "end" }, (yFormat ?? y.format)(tick)),
    );
  }
  let free = -Infinity;
  for (const tick of x.ticks(Math.max(2, Math.floor((box.right - box.left) / 80)))) {
    const at = Math.round(x(tick)) + 0.5;
    if (!(at >= box.left - 1 && at <= box.right + 1)) continue;
    group.append(s("line", { class: "tick", x1: at, x2: at, y1: box.bottom, y2: box.bottom + 4 }));
    const text = (xFormat ?? x.format)(tick);
    const width = text.length * 6.2;
    const anchor = at + width / 2 > box.right + 8 ? "end" : "middle";
    const start = anchor === "end" ? box.right + 8 - width : at - width / 2;
    if (start < free) continue;
    free = start + width + 8;
    group.append(s("text", { x: anchor === "end" ? box.right + 8 : at, y: box.bottom + 16, "text-anchor": anchor }, text));
  }
  group.append(s("line", { class: "frame", x1: box.left, x2: box.right, y1: box.bottom + 0.5, y2: box.bottom + 0.5 }));
  if (xLabel) group.append(s("text", { class: "label", x: box.right, y: box.bottom + 31, "text-anchor": "end" }, xLabel));
  if (yLabel) group.append(s("text", { class: "label", x: 2, y: box.top - 8 }, yLabel));
  return group;
}

/** Room on the left for the words of a scale. */
export function leftRoom(y, height, format) {
  const longest = Math.max(...y.ticks(wanted(height)).map(tick => (format ?? y.format)(tick).length), 1);
  return Math.min(120, 14 + longest * 6.4);
}

/** A word cut to a number of letters. */
export const cut = (text, most) => text.length > most ? `${text.slice(0, most - 1)}…` : text;
