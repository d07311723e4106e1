// Smoothing: an exponential moving average. `weight` counts for the distance between two observations, as in TensorBoard; of
// curves that are longer than a screen is wide, for a thousandth of their length, as in W&B. It follows the distance between
// points, so that a curve that was thinned out looks as it would whole. The first values are not pulled towards zero.

/** Points beyond which `weight` counts for a share of the length. */
const MOST = 1000;

/** Averages `[x, y]` pairs of so many `observations`; `weight` from 0 (none) to below 1. What is not finite is left out. */
export function average(points, weight, observations = points.length) {
  if (!(weight > 0) || points.length < 2) return points;
  const base = Math.min(weight, 0.999);
  const unit = (points.at(-1)[0] - points[0][0]) / Math.min(MOST, Math.max(1, observations - 1)) || 1;
  let [mean, total, before] = [0, 0, null];
  const smooth = [];
  for (const [x, y] of points) {
    if (!Number.isFinite(y)) continue;
    const kept = before === null ? 0 : base ** (Math.max(0, x - before) / unit);
    mean = mean * kept + y * (1 - kept);
    total = total * kept + (1 - kept);
    before = x;
    smooth.push([x, mean / total]);
  }
  return smooth;
}
