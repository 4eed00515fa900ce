// Numbers of several seeds, and curves of several runs, brought together.

/** Mean, sample standard deviation (n - 1; null for one value), smallest, largest and count. */
export function summary(values) {
  const count = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const std = count > 1 ? Math.sqrt(squares / (count - 1)) : null;
  return { mean, std, low: Math.min(...values), high: Math.max(...values), count };
}

/**
 * An exponential moving average whose start is not drawn towards zero:
 * m_i = sum_{j<=i} w^(i-j) y_j / sum_{j<=i} w^(i-j). `weight` w in [0, 1); 0 changes nothing.
 */
export function smooth(values, weight) {
  if (!weight) return values;
  let [sum, total] = [0, 0];
  return values.map((value) => {
    sum = weight * sum + value;
    total = weight * total + 1;
    return sum / total;
  });
}

/** The points of two columns that can be drawn: both finite (positive where an axis is logarithmic), x growing. */
export function points(xs, ys, { logX = false, logY = false } = {}) {
  const made = { x: [], y: [] };
  let last = -Infinity;
  const length = Math.min(xs?.length ?? 0, ys?.length ?? 0);
  for (let index = 0; index < length; index++) {
    const [x, y] = [xs[index], ys[index]];
    if (!Number.isFinite(x) || !Number.isFinite(y) || x <= last || (logX && x <= 0) || (logY && y <= 0)) continue;
    made.x.push(x);
    made.y.push(y);
    last = x;
  }
  return made;
}

/**
 * Abscissas for several curves: all of theirs where these are at most `most`, else that many between the ends, evenly
 * spaced (in the logarithm, for a logarithmic axis).
 */
export function sharedAbscissas(curves, { logX = false, most = 1000 } = {}) {
  const all = new Set();
  let [low, high] = [Infinity, -Infinity];
  for (const { x } of curves) {
    if (!x.length) continue;
    low = Math.min(low, x[0]);
    high = Math.max(high, x[x.length - 1]);
    if (all.size <= most) for (const value of x) all.add(value);
  }
  if (all.size <= most) return [...all].sort((one, other) => one - other);
  const at = logX
    ? (share) => Math.exp(Math.log(low) + share * (Math.log(high) - Math.log(low)))
    : (share) => low + share * (high - low);
  const inner = Array.from({ length: most }, (_, index) => at(index / (most - 1)));
  return [low, ...inner.slice(1, -1), high];
}

/** A curve's values at growing abscissas, linear between its points, null before its first and after its last. */
export function interpolate({ x, y }, abscissas) {
  let next = 0;
  return abscissas.map((at) => {
    while (next < x.length && x[next] < at) next++;
    if (next === x.length) return null;
    if (x[next] === at) return y[next];
    if (next === 0) return null;
    const share = (at - x[next - 1]) / (x[next] - x[next - 1]);
    return y[next - 1] + share * (y[next] - y[next - 1]);
  });
}

/**
 * Mean and band of several curves at the same abscissas, over those that reach there.
 * `band`: "range" (smallest to largest) or "std" (mean ± sample standard deviation).
 */
export function bandOf(curves, band) {
  const made = { mean: [], low: [], high: [], count: [] };
  for (let index = 0; index < (curves[0]?.length ?? 0); index++) {
    const found = summary(curves.map((values) => values[index]).filter((value) => value !== null));
    const { mean, std, low, high, count } = found;
    made.count.push(count);
    made.mean.push(count ? mean : null);
    made.low.push(count ? (band === "std" ? mean - (std ?? 0) : low) : null);
    made.high.push(count ? (band === "std" ? mean + (std ?? 0) : high) : null);
  }
  return made;
}
