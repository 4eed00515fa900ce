// Groups of runs against the group of a baseline encoding in the same setting.

import { compareSeeds, holm, meanInterval } from "./inference.js";

const OWN = new Set(["encoding", "seed", "identity", "name"]); // what differs between a group and its baseline

/**
 * Adds to each of `bars` ({encoding, runs}) what its seeds tell of the metric: `interval` of the mean, and `compared`
 * ({seeds, difference, interval, pValue, holm}) with the one group of the encoding `baseline` that shares experiment,
 * data, profile, protocol and task; null where there is none. Holm's correction is over the groups of one baseline.
 */
export function compareBars(bars, metric, baseline) {
  const origins = Map.groupBy(
    bars.filter((bar) => bar.encoding === baseline),
    settingOf,
  );
  const found = bars.map((bar) => {
    const alike = origins.get(settingOf(bar)) ?? [];
    const origin = alike.length === 1 && alike[0].key !== bar.key ? alike[0] : null;
    const interval = meanInterval(bar.runs.map((run) => run.metrics[metric]));
    const compared = origin && compareSeeds(bySeed(bar, metric), bySeed(origin, metric));
    return { ...bar, interval, compared, origin: compared?.pValue != null ? origin.key : null };
  });
  for (const family of Map.groupBy(found, (bar) => bar.origin).values()) {
    const tests = family.filter((bar) => bar.origin !== null);
    const corrected = holm(tests.map((bar) => bar.compared.pValue));
    tests.forEach((bar, index) => (bar.compared.holm = corrected[index]));
  }
  return found;
}

function settingOf({ runs: [{ run }] }) {
  return JSON.stringify(Object.entries(run).filter(([name]) => !OWN.has(name)));
}

function bySeed({ runs }, metric) {
  return Object.fromEntries(runs.map((run) => [run.seed, run.metrics[metric]]));
}
