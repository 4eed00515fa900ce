// What the seeds of a group tell: experiments/tables/comparison.py for the groups that a reader chooses here. A test
// compares the two on the same numbers.

import { summary } from "./statistics.js";

export const CONFIDENCE = 0.95;
export const ALPHA = 0.05;
export const MIN_SEEDS = 3;

/** Student's confidence interval [low, high] of the mean; null below MIN_SEEDS values, or where all are equal. */
export function meanInterval(values) {
  return tested(values)?.interval ?? null;
}

/**
 * A group against the baseline, both as {seed: value}, over the seeds that both have: {seeds, difference, interval,
 * pValue}, the last two null where there are too few seeds or the differences have no spread; null without such seeds.
 */
export function compareSeeds(row, baseline) {
  const shared = Object.keys(row).filter((seed) => seed in baseline);
  if (!shared.length) return null;
  const differences = shared.map((seed) => row[seed] - baseline[seed]);
  const size = Math.max(...shared.map((seed) => Math.abs(baseline[seed])));
  const { interval, pValue } = tested(differences, size) ?? { interval: null, pValue: null };
  return { seeds: shared.length, difference: summary(differences).mean, interval, pValue };
}

/** Holm's correction: the k-th smallest of m times m - k + 1, no less than those before it and at most 1. */
export function holm(pValues) {
  const corrected = [];
  let highest = 0;
  const order = pValues.map((_, index) => index).sort((one, other) => pValues[one] - pValues[other]);
  order.forEach((place, before) => {
    highest = Math.max(highest, Math.min(1, (pValues.length - before) * pValues[place]));
    corrected[place] = highest;
  });
  return corrected;
}

/** The t-test of a mean of 0, or null where there are too few values or no spread beyond the rounding of `size`. */
function tested(values, size = 0) {
  if (values.length < MIN_SEEDS) return null;
  const { mean, std, count } = summary(values);
  if (std <= 1e-12 * Math.max(size, ...values.map(Math.abs))) return null;
  const error = std / Math.sqrt(count);
  const half = quantile(1 - CONFIDENCE, count - 1) * error;
  return { interval: [mean - half, mean + half], pValue: twoSided(mean / error, count - 1) };
}

/** P(|T| >= |t|) of Student's t with a whole number of degrees of freedom: Abramowitz and Stegun 26.7.3 and 26.7.4. */
function twoSided(t, freedom) {
  const angle = Math.atan(Math.abs(t) / Math.sqrt(freedom));
  const [sin, cos] = [Math.sin(angle), Math.cos(angle)];
  const odd = freedom % 2;
  let [term, sum] = [odd ? cos : 1, 0];
  for (let k = odd; k <= freedom - 2; k += 2) {
    sum += term;
    term *= ((k + 1) / (k + 2)) * cos ** 2;
  }
  return Math.max(0, 1 - (odd ? (2 / Math.PI) * (angle + sin * sum) : sin * sum));
}

/** The t that |T| exceeds with probability `share`, by bisection. */
function quantile(share, freedom) {
  let [low, high] = [0, 1e3];
  for (let step = 0; step < 80; step++) {
    const middle = (low + high) / 2;
    if (twoSided(middle, freedom) > share) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}
