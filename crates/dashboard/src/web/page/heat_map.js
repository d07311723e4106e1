// Heat map of two parameters: a cell is the mean of the value over all other parameters and replicates. A table, so that it is
// read aloud as one; a click on a cell filters by it.

import { needsDarkText, sequential } from "./colour.js";
import { h, put } from "./dom.js";
import { condition, limit } from "./filter.js";
import { many, parameter, short } from "./number.js";
import { key } from "./scale.js";

/** More different values than this are put together into ranges. */
const MOST_CELLS = 12;
const RANGES = 8;

/** Draws into the panel's stage, and returns the line below. */
export function heatMap(panel, rows, value) {
  const of = name => panel.set.parameters.find(one => one.name === name);
  const [across, upwards] = [of(panel.axes.x), of(panel.axes.y)];
  if (!across || !upwards || !rows.length) {
    put(panel.stage, h("div", { class: "none stage-none" }, across && upwards ? "no trial has a value yet" : "a heat map needs two parameters"));
    return "";
  }
  const [columns, lines] = [bins(across), bins(upwards)];
  const cells = new Map();
  for (const row of rows) {
    const [column, line] = [columns.findIndex(bin => bin.holds(row)), lines.findIndex(bin => bin.holds(row))];
    if (column < 0 || line < 0) continue;
    const cell = cells.get(`${column} ${line}`) ?? { sum: 0, count: 0, low: Infinity, high: -Infinity };
    const own = value.of(row);
    cell.sum += own;
    cell.count += 1;
    cell.low = Math.min(cell.low, own);
    cell.high = Math.max(cell.high, own);
    cells.set(`${column} ${line}`, cell);
  }
  const means = [...cells.values()].map(cell => cell.sum / cell.count);
  const [low, high] = [Math.min(...means), Math.max(...means)];
  const cellOf = (column, line) => {
    const cell = cells.get(`${column} ${line}`);
    if (!cell) return h("td", { class: "empty", "aria-label": "no trial" }, "·");
    const mean = cell.sum / cell.count;
    const share = high > low ? (mean - low) / (high - low) : 1;
    const colour = sequential(value.larger ? share : 1 - share);
    const words = `${across.name} ${columns[column].label}, ${upwards.name} ${lines[line].label}: mean ${value.format(mean)} of ${many(cell.count, "trial")}, from ${value.format(cell.low)} to ${value.format(cell.high)}`;
    return h("td", { style: { background: colour, color: needsDarkText(colour) ? "#111" : "#fff" }, title: words },
      h("button", { type: "button", "aria-label": words, onclick: () => {
        panel.calls.filter(across.name, columns[column].conditions);
        panel.calls.filter(upwards.name, lines[line].conditions);
      } }, h("b", {}, value.format(mean)), h("small", {}, `n ${cell.count}`)));
  };
  put(panel.stage, h("div", { class: "heat-scroll" }, h("table", { class: "heat" },
    h("caption", { class: "unseen" }, `Mean ${value.name} by ${across.name} and ${upwards.name}`),
    h("tbody", {}, lines.map((line, at) => h("tr", {}, at === 0 ? h("th", { class: "axis-name side", rowspan: lines.length, scope: "rowgroup" }, h("span", {}, upwards.name)) : null,
      h("th", { scope: "row" }, line.label), columns.map((_, column) => cellOf(column, at)))).reverse().map((row, at, all) => moveSide(row, at, all))),
    h("tfoot", {}, h("tr", {}, h("td", {}), h("td", {}), columns.map(column => h("th", { scope: "col" }, column.label))),
      h("tr", {}, h("td", {}), h("td", {}), h("td", { class: "axis-name", colspan: columns.length }, across.name))))));
  const others = panel.set.parameters.filter(one => one !== across && one !== upwards && one.distinct.length > 1).map(one => one.name);
  return `mean ${value.name}${others.length ? ` over ${others.join(", ")}` : ""}${panel.set.replicated ? " and replicates" : ""}; n: trials; click a cell to filter`;
}

/** The name at the side belongs to the first row that is shown, which is the last of the list. */
function moveSide(row, at, all) {
  if (at === 0 && all.length > 1) row.prepend(all.at(-1).querySelector(".side"));
  return row;
}

/** The rows or columns of a parameter: its values, or ranges of them, and those trials that do not have it. */
function bins(one) {
  const own = row => row.parameters[one.name];
  const none = one.missing ? [{ label: "none", holds: row => own(row) === undefined, conditions: [condition(one.name, "=", "none")] }] : [];
  if (!one.numbers || one.distinct.length <= MOST_CELLS) {
    return [...none, ...one.distinct.slice(0, 40).map(value => ({
      label: parameter(value), holds: row => own(row) !== undefined && key(own(row)) === key(value), conditions: [condition(one.name, "=", Array.isArray(value) ? JSON.stringify(value) : value)],
    }))];
  }
  const [low, high] = one.range;
  const edge = at => one.log ? low * (high / low) ** (at / RANGES) : low + (high - low) * at / RANGES;
  return [...none, ...Array.from({ length: RANGES }, (_, at) => {
    const [from, to] = [edge(at), edge(at + 1)];
    return {
      label: `${short(from, 2)} – ${short(to, 2)}`,
      holds: row => own(row) >= from && (own(row) < to || (at === RANGES - 1 && own(row) <= to * (1 + 1e-9))),
      conditions: [condition(one.name, ">=", at === 0 ? limit(from, -1) : limit(from)), at === RANGES - 1 ? condition(one.name, "<=", limit(to, 1)) : condition(one.name, "<", limit(to))],
    };
  })];
}
