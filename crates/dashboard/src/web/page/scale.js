// From values to pixels and back: linear, logarithmic, and by names.

import { parameter, short } from "./number.js";

function nice(span, wanted) {
  const rough = span / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const unit = rough / power;
  return power * (unit < 1.42 ? 1 : unit < 3.17 ? 2 : unit < 7.08 ? 5 : 10);
}

/** A linear scale from `[low, high]` to pixels. */
export function linear([low, high], [start, end]) {
  if (!(high > low)) { const pad = Math.abs(low) * 0.05 || 0.5; low -= pad; high += pad; }
  const scale = value => start + (value - low) / (high - low) * (end - start);
  scale.invert = pixel => low + (pixel - start) / (end - start) * (high - low);
  scale.ticks = wanted => {
    const step = scale.whole ? Math.max(1, nice(high - low, wanted)) : nice(high - low, wanted);
    const ticks = [];
    for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-9; at += step) ticks.push(Math.abs(at) < step * 1e-9 ? 0 : at);
    return ticks;
  };
  scale.domain = [low, high];
  scale.format = value => short(value, 6);
  return scale;
}

/** A logarithmic scale; values that are not positive have no place on it. */
export function logarithmic([low, high], [start, end]) {
  if (!(high > low)) { low /= 1.5; high *= 1.5; }
  const [from, to] = [Math.log10(low), Math.log10(high)];
  const scale = value => value > 0 ? start + (Math.log10(value) - from) / (to - from) * (end - start) : NaN;
  scale.invert = pixel => 10 ** (from + (pixel - start) / (end - start) * (to - from));
  scale.ticks = wanted => {
    const decades = to - from;
    const factors = decades > wanted ? [1] : decades > wanted / 2 ? [1, 3] : decades > 0.8 ? [1, 2, 5] : [1, 1.5, 2, 3, 4, 5, 6, 7, 8];
    const every = Math.max(1, Math.ceil(decades / wanted));
    const ticks = [];
    for (let power = Math.floor(from); power <= to; power += 1) {
      if (factors.length === 1 && power % every !== 0) continue;
      for (const factor of factors) {
        const at = factor * 10 ** power;
        if (at >= low * (1 - 1e-9) && at <= high * (1 + 1e-9)) ticks.push(at);
      }
    }
    return ticks.length > 1 ? ticks : [low, high];
  };
  scale.domain = [low, high];
  scale.format = value => short(value, 3);
  scale.log = true;
  return scale;
}

/** A place for each of some values, evenly apart. */
export function named(values, [start, end]) {
  const index = new Map(values.map((value, at) => [key(value), at]));
  const step = values.length > 1 ? (end - start) / (values.length - 1) : 0;
  const scale = value => index.has(key(value)) ? (values.length > 1 ? start + index.get(key(value)) * step : (start + end) / 2) : NaN;
  scale.ticks = () => values;
  scale.within = (low, high) => values.filter(value => scale(value) >= Math.min(low, high) && scale(value) <= Math.max(low, high));
  scale.names = values;
  scale.step = Math.abs(step) || Math.abs(end - start);
  scale.format = parameter;
  return scale;
}

/** Tells values apart that are equal for people. */
export const key = value => typeof value === "object" ? JSON.stringify(value) : String(value);

/** The smallest and largest of what is finite, and positive where `log`. */
export function extent(values, log = false) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value) || (log && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : null;
}

/** Leaves some room on both sides. */
export function padded([low, high], log, share = 0.04) {
  if (log) {
    const factor = (high / low) ** share || 1.1;
    return [low / factor, high * factor];
  }
  const pad = (high - low) * share;
  return [low - pad, high + pad];
}
