// Which runs belong together: seeds of one config, all of an encoding, or every run for itself.

import { setting } from "./format.js";
import { NAMES } from "./runs.js";

export const GROUPINGS = [
  ["config", "seeds of one config"],
  ["encoding", "encoding"],
  ["run", "single runs"],
];
const TELLING = ["experiment", "data", "profile", "protocol"];
const MOST_SETTINGS = 3;

/**
 * Groups {key, encoding, runs, label, variant}. Runs of different experiments are never in one group. Labels are
 * the encoding and only what else tells it from the other groups; `variant` counts the groups of one encoding.
 */
export function groupRuns(runs, by) {
  const groups = new Map();
  for (const run of runs) {
    const key = { config: run.folder, encoding: `${run.experiment}/${run.encoding}`, run: run.path }[by];
    if (!groups.has(key)) groups.set(key, { key, encoding: run.encoding, runs: [] });
    groups.get(key).runs.push(run);
  }
  const sorted = [...groups.values()].sort((one, other) => compare(one.encoding, other.encoding) || compare(one.key, other.key));
  const byEncoding = Map.groupBy(sorted, (group) => group.encoding);
  for (const [encoding, alike] of byEncoding) {
    const additions = by === "run" ? alike.map(runAddition(alike)) : distinguish(alike);
    alike.forEach((group, variant) => {
      group.variant = variant;
      group.label = [encoding, additions[variant]].filter(Boolean).join(", ");
    });
  }
  return sorted;
}

function runAddition(alike) {
  const configs = [...Map.groupBy(alike, (group) => group.runs[0].folder).values()];
  const firsts = configs.map(([first]) => first);
  const names = new Map(distinguish(firsts).map((name, index) => [firsts[index].runs[0].folder, name]));
  return (group) => [names.get(group.runs[0].folder), `seed ${group.runs[0].seed}`].filter(Boolean).join(", ");
}

/** For each group what tells it from the others: of experiment, data, profile, protocol, else settings, else identity. */
function distinguish(groups) {
  if (groups.length === 1) return [""];
  const firsts = groups.map((group) => group.runs[0]);
  const others = new Set(firsts.flatMap((run) => Object.keys(run.run)).filter((name) => !NAMES.includes(name)));
  let parts = [...TELLING, ...others]
    .filter((name) => new Set(firsts.map((run) => run.run[name])).size > 1)
    .map((name) => firsts.map((run) => run.run[name] ?? "?"));
  if (ambiguous(parts, firsts)) {
    const keys = differingKeys(firsts).filter((key) => !isIncidental(key));
    const shown = keys.slice(0, MOST_SETTINGS);
    parts = [...parts, ...shown.map((key) => firsts.map((run) => `${key.split(".").pop()}=${setting(run.setting(key))}`))];
  }
  if (ambiguous(parts, firsts)) parts.push(firsts.map((run) => run.identity ?? run.folder));
  return firsts.map((_, index) => parts.map((part) => part[index]).join(", "));
}

function ambiguous(parts, firsts) {
  return new Set(firsts.map((_, index) => parts.map((part) => part[index]).join("\n"))).size < firsts.length;
}

/** The keys of config and manifest in which some of the runs differ. */
export function differingKeys(runs) {
  const keys = new Set(runs.flatMap((run) => run.settingKeys));
  return [...keys].filter((key) => {
    const first = JSON.stringify(runs[0].setting(key));
    return runs.some((run) => JSON.stringify(run.setting(key)) !== first);
  });
}

/** Settings that follow from the group's name, or that cannot change a result. */
function isIncidental(key) {
  return /^(manifest|seed$|paths|tracker|engine|data|experiment|profile|protocol\.name|encoding\.(label|published|controlled)|.*\.name$)/.test(key);
}

export function compare(one, other) {
  return String(one).localeCompare(String(other), "en", { numeric: true });
}
