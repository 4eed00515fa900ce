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
 * Groups {key, encoding, runs, label}, sorted by label. Runs of different experiments are never in one group. Labels
 * are the encoding and only what else tells it from the other groups.
 */
export function groupRuns(runs, by) {
  const groups = new Map();
  for (const run of runs) {
    const key = { config: run.folder, encoding: `${run.experiment}/${run.encoding}`, run: run.path }[by];
    if (!groups.has(key)) groups.set(key, { key, encoding: run.encoding, runs: [] });
    groups.get(key).runs.push(run);
  }
  const sorted = [...groups.values()].sort((one, other) => compare(one.key, other.key));
  const byEncoding = Map.groupBy(sorted, (group) => group.encoding);
  for (const [encoding, alike] of byEncoding) {
    const additions = by === "run" ? alike.map(runAddition(alike)) : distinguish(alike);
    alike.forEach((group, index) => (group.label = [encoding, additions[index]].filter(Boolean).join(", ")));
  }
  return sorted.sort((one, other) => compare(one.label, other.label));
}

function runAddition(alike) {
  const configs = [...Map.groupBy(alike, (group) => group.runs[0].folder).values()];
  const firsts = configs.map(([first]) => first);
  const names = new Map(distinguish(firsts).map((name, index) => [firsts[index].runs[0].folder, name]));
  return (group) => [names.get(group.runs[0].folder), `seed ${group.runs[0].seed}`].filter(Boolean).join(", ");
}

/**
 * For each group what tells it from the others: of experiment, data, profile, protocol, then settings, then identity
 * each that separates groups which those before it leave together.
 */
function distinguish(groups) {
  const firsts = groups.map((group) => group.runs[0]);
  let labels = firsts.map(() => []);
  const apart = (parts) => new Set(parts.map((part) => part.join("\n"))).size;

  function add(texts) {
    const longer = labels.map((label, index) => [...label, texts[index]]);
    const separates = apart(longer) > apart(labels);
    if (separates) labels = longer;
    return separates;
  }

  const others = new Set(firsts.flatMap((run) => Object.keys(run.run)).filter((name) => !NAMES.includes(name)));
  for (const name of [...TELLING, ...others]) add(firsts.map((run) => String(run.run[name] ?? "?")));
  let settings = apart(labels) < firsts.length ? MOST_SETTINGS : 0;
  for (const key of settings ? differingKeys(firsts).filter((one) => !isIncidental(one)) : []) {
    const name = key.split(".").pop();
    if (settings && add(firsts.map((run) => `${name}=${setting(run.setting(key))}`))) settings -= 1;
  }
  add(firsts.map((run) => run.identity ?? run.folder));
  return labels.map((label) => label.join(", "));
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
  return /^(manifest|seed$|paths|tracker|engine|data|experiment|profile|protocol\.name|encoding\.(label|published|controlled)|.*\.name$)/.test(
    key,
  );
}

export function compare(one, other) {
  return String(one).localeCompare(String(other), "en", { numeric: true });
}
