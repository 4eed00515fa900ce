// From runs to the lines of a plot: quantities, groups, means and bands.

import { words } from "./format.js";
import { compare, groupRuns } from "./groups.js";
import { referencesOf } from "./references.js";
import { bandOf, interpolate, points, sharedAbscissas, smooth } from "./statistics.js";

export const AXES = ["update", "tokens", "wall_seconds"];
const LOG_FROM = 20; // largest to smallest value: from here on an axis is logarithmic unless somebody chose
const FIRST = ["valid.perplexity", "valid.accuracy", "valid.loss", "train.loss"]; // what to show before anybody chose

/** [split, quantity] pairs that some run has, sorted. */
export function quantitiesOf(runs) {
  const found = new Map(runs.flatMap((run) => run.quantities).map((pair) => [pair.join("."), pair]));
  return [...found.values()].sort(([one, a], [other, b]) => compare(other, one) || compare(a, b));
}

export function optionsOf(found) {
  const groups = Map.groupBy(
    found.filter(([, name]) => !AXES.includes(name)),
    ([split]) => split,
  );
  return [...groups].map(([split, pairs]) => ({
    label: split,
    options: pairs.map(([, name]) => [`${split}.${name}`, `${split} ${words(name)}`]),
  }));
}

export function chosenOf(found, wanted) {
  const names = found.filter(([, name]) => !AXES.includes(name)).map((pair) => pair.join("."));
  return [wanted, ...FIRST].find((name) => names.includes(name)) ?? names[0] ?? "";
}

/**
 * A quantity ("split.name") of the shown runs against an axis: `all` groups that have it, the `lines` among them that
 * are not switched off (each with mean, low, high and count at the `abscissas`), published figures of it as
 * `references`, and whether y is logarithmic.
 */
export function linesOf(app, chosen, axis) {
  const { state } = app;
  const [split, name] = partsOf(chosen);
  const columns = app.shown.map((run) => run.column(split, name)).filter(Boolean);
  const scales = { logX: state.logX, logY: state.logY ?? isWide(columns) };
  const all = [];
  for (const group of groupRuns(app.shown, state.grouping)) {
    const curves = group.runs
      .map((run) => points(run.column(split, axis), run.column(split, name), scales))
      .filter((curve) => curve.x.length)
      .map((curve) => ({ x: curve.x, y: smooth(curve.y, state.smoothing) }));
    if (curves.length) all.push({ ...group, curves, style: app.styleOf(group) });
  }
  const shown = all.filter((line) => !state.hidden.includes(line.key));
  const abscissas = sharedAbscissas(
    shown.flatMap((line) => line.curves),
    { logX: state.logX },
  );
  const lines = shown.map((line) => ({
    ...line,
    ...bandOf(
      line.curves.map((curve) => interpolate(curve, abscissas)),
      state.band,
    ),
    hasBand: line.curves.length > 1,
  }));
  const references = referencesOf(app, `${split}_${name}`, app.shown).filter((one) => !scales.logY || one.mean > 0);
  return { abscissas, lines, all, references, logY: scales.logY };
}

/** ["valid", "perplexity"] of "valid.perplexity". */
export function partsOf(chosen) {
  const [split, ...rest] = chosen.split(".");
  return [split, rest.join(".")];
}

/** Whether the finite values are positive and span so much that a linear axis would hide the end of a curve. */
function isWide(columns) {
  let [low, high] = [Infinity, -Infinity];
  for (const column of columns) {
    for (const value of column) {
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  return low > 0 && high / low > LOG_FROM;
}
