// What the table of runs can show.

import { bytes, duration, number, setting, time, words } from "./format.js";
import { differingKeys } from "./groups.js";
import { NAMES } from "./runs.js";

const FIXED = [
  column("Run", "status", "Status", (run) => run.status),
  column("Run", "encoding", "Encoding", (run) => run.encoding),
  column("Run", "seed", "Seed", (run) => run.seed, { numeric: true, show: setting }),
  ...["experiment", "profile", "protocol", "data", "identity", "name"].map((name) =>
    column("Run", name, words(name), (run) => run[name]),
  ),
  column("Run", "started", "Started (UTC)", (run) => run.started ?? undefined, { show: time }),
  column("Run", "updates", "Updates", (run) => run.updates ?? undefined, { numeric: true }),
  column("Cost", "tokens_per_second", "Tokens/s", (run) => run.tokens_per_second ?? undefined, { numeric: true }),
  column("Cost", "wall_seconds", "Wall time", (run) => run.wall_seconds ?? undefined, {
    numeric: true,
    show: duration,
  }),
  column("Cost", "peak_memory_bytes", "Peak memory", (run) => run.peak_memory_bytes ?? undefined, {
    numeric: true,
    show: bytes,
  }),
  column("Cost", "tokens", "Tokens", (run) => run.tokens ?? undefined, { numeric: true }),
  column("Run", "error", "Error", (run) => run.error ?? run.problems[0]),
];
const HIDDEN = new Set(["identity", "name", "data", "tokens", "peak_memory_bytes", "error", "parameters.encoding"]);

/** All columns for these runs, in the table's order. */
export function columnsOf(runs) {
  const names = (of) => [...new Set(runs.flatMap((run) => Object.keys(of(run))))];
  const about = names((run) => run.run).filter((name) => !NAMES.includes(name));
  const made = [
    ...FIXED.filter((one) => one.group === "Run" && one.id !== "error"),
    ...about.map((name) => column("Run", `run.${name}`, words(name), (run) => run.run[name], { show: setting })),
    ...names((run) => run.metrics).map((name) =>
      column("Metrics", `metrics.${name}`, words(name), (run) => run.metrics[name], { numeric: true }),
    ),
    ...names((run) => run.parameters).map((name) =>
      column(
        "Cost",
        `parameters.${name}`,
        name === "total" ? "Parameters" : `${words(name)} parameters`,
        (run) => run.parameters[name],
        { numeric: true },
      ),
    ),
    ...FIXED.filter((one) => one.group === "Cost" || one.id === "error"),
  ];
  const differing = runs.length ? differingKeys(runs).filter((key) => key !== "seed") : [];
  for (const key of differing) {
    const group = key.startsWith("manifest.") ? "Provenance" : "Config";
    made.push(column(group, `setting.${key}`, key, (run) => run.setting(key), { show: setting }));
  }
  return made;
}

/** The columns to show: those chosen, or by default all that say something about the filtered runs. */
export function shownColumns(columns, chosen, runs) {
  if (Array.isArray(chosen)) return columns.filter((one) => chosen.includes(one.id));
  return columns.filter(
    (one) =>
      isDefault(one) && (one.group === "Run" ? isTelling(one, runs) : runs.some((run) => one.value(run) !== undefined)),
  );
}

/** Runs in the order of a column, those without a value last. */
export function sortRuns(runs, one, descending) {
  const sign = descending ? -1 : 1;
  const rank = (value) => (value === undefined || value === "" ? 2 : value === null ? 1 : 0);
  return [...runs].sort((first, second) => {
    const [a, b] = [one.value(first), one.value(second)];
    return rank(a) - rank(b) || sign * order(a, b) || order(first.path, second.path);
  });
}

const collator = new Intl.Collator("en", { numeric: true });

function order(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (a === b || a === undefined || a === null) return 0;
  return collator.compare(setting(a), setting(b));
}

function column(group, id, label, value, { numeric = false, show = numeric ? number : (text) => text ?? "–" } = {}) {
  return { group, id, label: label[0].toUpperCase() + label.slice(1), value, numeric, show };
}

function isDefault(one) {
  return !HIDDEN.has(one.id) && one.group !== "Config" && one.group !== "Provenance";
}

/** Status, encoding and seed always; names that all runs share say nothing. */
function isTelling(one, runs) {
  if (["status", "encoding", "seed", "started", "updates"].includes(one.id)) return true;
  return new Set(runs.map((run) => one.value(run))).size > 1;
}
