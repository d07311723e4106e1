// Numbers and times as people read them; the same rules as in the terminal.

/** A number with as many digits as help. */
export function short(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) return value.toExponential(Math.max(0, digits - 2)).replace(/\.?0+e/, "e").replace("e+", "e");
  return Number(value.toPrecision(digits)).toString();
}

/** A parameter's value. */
export function parameter(value) {
  if (value === undefined || value === null) return "–";
  if (Array.isArray(value)) return `[${value.map(one => short(one)).join(", ")}]`;
  return typeof value === "number" && !Number.isInteger(value) ? short(value) : String(value);
}

/** A setting, whole. */
export function exact(value) {
  if (typeof value === "number" && value !== 0 && Math.abs(value) < 1e-3) return value.toExponential();
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Whether a metric is a share, told in per cent. */
export function isShare(metric) {
  const name = metric.split("/").slice(1).join("/");
  return /^(accuracy|macro_f1|recall\/|predicted\/|precision\/|f1\/)/.test(name);
}

/** A value of a metric. */
export function ofMetric(metric, value) {
  if (typeof value === "number" && Number.isFinite(value) && isShare(metric)) return `${(value * 100).toFixed(1)} %`;
  return short(value);
}

/** The same beside an axis, without digits that say nothing. */
export const tick = (metric, value) => isShare(metric) ? `${Number((value * 100).toPrecision(4))} %` : short(value);

/** A whole number with thousands apart. */
export const count = value => String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, "\u2009");

/** A noun after its number. */
export const many = (value, noun) => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;

/** Seconds. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return "–";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(Math.round(seconds % 60) % 60).padStart(2, "0")} s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `${hours} h ${String(minutes % 60).padStart(2, "0")} min`;
  return `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

/** Bytes. */
export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return `${unit ? value.toFixed(1) : value} ${units[unit]}`;
}

const two = number => String(number).padStart(2, "0");
const day = date => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;

/** A moment, without the day where that is today. */
export function when(ms) {
  if (ms === null || ms === undefined) return "–";
  const date = new Date(ms);
  const time = `${two(date.getHours())}:${two(date.getMinutes())}`;
  return day(date) === day(new Date()) ? time : `${day(date)} ${time}`;
}

/** A number from JSON, where "nan", "inf" and "-inf" are words. */
export function numeric(value) {
  if (typeof value === "number") return value;
  if (value === "inf") return Infinity;
  if (value === "-inf") return -Infinity;
  return value === null || value === undefined ? null : NaN;
}
