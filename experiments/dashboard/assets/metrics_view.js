// Final metrics as bars: mean and sample standard deviation over the seeds of each group, one dot a run.

import { compareBars } from "./comparison.js";
import { checkbox, element, replace, select, setOptions } from "./dom.js";
import { between, number, pValue, signed, spread, tick, words } from "./format.js";
import { compare, groupRuns } from "./groups.js";
import { ALPHA, MIN_SEEDS } from "./inference.js";
import { describe, hasReferences, referencesOf } from "./references.js";
import { summary } from "./statistics.js";
import { swatch } from "./styles.js";
import { linearTicks } from "./ticks.js";

const ALL = "*";
const FIRST = [/^test_(perplexity|accuracy)/, /^test_(?!loss)/, /^valid_(?!loss)/]; // what to show before anybody chose

const INFERENCE =
  `Intervals (95%) and paired t-tests against the baseline's group of the same setting need ${MIN_SEEDS} seeds; p (Holm) ` +
  "is corrected for the number of groups shown that were tested against it.";

export function createMetricsView(root, app) {
  const { state } = app;
  const metric = select("Metric", [], "", (value) => state.set({ metric: value }));
  const order = select(
    "Order",
    [
      ["name", "by name"],
      ["low", "smallest first"],
      ["high", "largest first"],
    ],
    state.order,
    (value) => state.set({ order: value }),
  );
  const zero = checkbox("bars from zero", state.fromZero, (checked) => state.set({ fromZero: checked }));
  const baseline = select("Baseline", [], "", (value) => state.set({ baseline: value }));
  const printed = checkbox("published figures", state.references, (checked) => state.set({ references: checked }));
  const charts = element("div", { class: "charts" });
  const note = element("p", { class: "hint" });
  replace(root, element("div", { class: "tools" }, metric.box, order.box, baseline.box, zero.box, printed.box), charts, note);

  return function update() {
    const finished = app.shown.filter((run) => run.finished);
    const names = [...new Set(finished.flatMap((run) => Object.keys(run.metrics)))].filter((name) =>
      finished.some((run) => Number.isFinite(run.metrics[name])),
    );
    const first = FIRST.map((pattern) => names.find((name) => pattern.test(name))).find(Boolean) ?? names[0] ?? "";
    const wanted = state.metric === ALL || names.includes(state.metric) ? state.metric : first;
    setOptions(
      metric.field,
      [...names.map((name) => [name, words(name)]), ...(names.length > 1 ? [[ALL, "all metrics"]] : [])],
      wanted,
    );
    const encodings = [...new Set(finished.map((run) => run.encoding))].sort(compare);
    const origin = encodings.includes(state.baseline) ? state.baseline : "";
    setOptions(baseline.field, [["", "no baseline"], ...encodings.map((name) => [name, name])], origin);
    printed.box.hidden = !hasReferences(app, finished);
    const groups = groupRuns(finished, "config");
    replace(
      charts,
      (wanted === ALL ? names : names.filter((name) => name === wanted)).map((name) => chart(name, groups, origin, app)),
    );
    const left = app.shown.length - finished.length;
    note.textContent = [
      finished.length
        ? `Mean ± sample standard deviation over the seeds of one config; a dot is one run. ${INFERENCE}`
        : "No finished run passes the filters.",
      left
        ? `${left.toLocaleString("en")} of the runs shown ${left === 1 ? "is" : "are"} not finished and not counted.`
        : "",
    ]
      .filter(Boolean)
      .join(" ");
  };
}

function chart(name, groups, baseline, app) {
  const { state } = app;
  const measured = groups
    .map((group) => {
      const runs = group.runs.filter((run) => Number.isFinite(run.metrics[name]));
      return { ...group, runs, ...summary(runs.map((run) => run.metrics[name])) };
    })
    .filter((bar) => bar.count);
  const bars = compareBars(measured, name, baseline);
  bars.sort((one, other) =>
    state.order === "name"
      ? compare(one.label, other.label)
      : (one.mean - other.mean) * (state.order === "low" ? 1 : -1),
  );
  const references = referencesOf(
    app,
    name,
    bars.flatMap((bar) => bar.runs),
  );
  const columns = [
    ["Mean ± std", ({ mean, std }) => spread(mean, std)],
    ["Seeds", ({ count }) => String(count)],
    ...(bars.some((bar) => bar.interval) ? [["95% interval", ({ interval }) => between(interval)]] : []),
    ...(bars.some((bar) => bar.compared) ? differences(baseline) : []),
  ];
  const scale = scaleOf(bars, references, state.fromZero);
  const head = element(
    "tr",
    {},
    element("th", { scope: "col", text: "Encoding" }),
    element("th", { scope: "col", class: "track" }, element("span", { class: "unseen", text: "Bar" }), ticksOf(scale)),
    ...columns.map(([title]) => element("th", { scope: "col", class: "number", text: title })),
  );
  return element(
    "table",
    { class: "bars", data: { metric: name } },
    element("caption", { text: words(name) }),
    element("thead", {}, head),
    element("tbody", {}, ...bars.map((bar) => barRow(bar, name, scale, columns, references, app))),
    references.length
      ? element("tfoot", {}, ...references.map((one) => referenceRow(one, scale, columns.length)))
      : null,
  );
}

/** The columns of a comparison; its numbers have the digits of the means. */
function differences(baseline) {
  return [
    [`Δ ${baseline}`, ({ mean, compared }) => signed(compared?.difference, mean)],
    ["Δ, 95% interval", ({ mean, compared }) => between(compared?.interval, (end) => signed(end, mean))],
    ["p", ({ compared }) => pValue(compared?.pValue)],
    ["p (Holm)", ({ compared }) => pValue(compared?.holm), ({ compared }) => compared?.holm < ALPHA],
  ];
}

function referenceRow(one, scale, width) {
  return element(
    "tr",
    { title: describe(one) },
    element("th", { scope: "row", text: `${one.label} (printed)` }),
    element("td", { class: "track", "aria-hidden": "true" }, element("div", { class: "bar" }, line(one, scale))),
    element("td", { class: "number", text: spread(one.mean, one.std) }),
    element("td", { colspan: width - 1 }),
  );
}

function line(one, { at }) {
  return element("div", { class: "reference", style: { left: at(one.mean) }, title: describe(one) });
}

function barRow(bar, name, scale, columns, references, app) {
  const show = () => app.state.set({ view: "runs", selected: bar.runs.map((run) => run.path) });
  return element(
    "tr",
    { data: { key: bar.key } },
    element(
      "th",
      { scope: "row" },
      swatch(app.styleOf(bar)),
      element("button", {
        type: "button",
        class: "link",
        text: bar.label,
        title: "Select these runs in the table",
        on: { click: show },
      }),
    ),
    element("td", { class: "track", "aria-hidden": "true" }, drawing(bar, name, scale, references, app)),
    ...columns.map(([title, text, isStrong]) =>
      element(
        "td",
        { class: "number", data: { column: title } },
        element(isStrong?.(bar) ? "strong" : "span", { text: text(bar) }),
      ),
    ),
  );
}

function drawing(bar, name, scale, references, app) {
  const { at, marks } = scale;
  const paint = `var(${app.styleOf(bar).color})`;
  const fromZero = app.state.fromZero;
  const std = bar.std ?? 0;
  return element(
    "div",
    { class: "bar" },
    ...marks.map((value) => element("div", { class: "mark", style: { left: at(value) } })),
    ...references.map((one) => line(one, scale)),
    fromZero && element("div", { class: "fill", style: { ...at.span(0, bar.mean), background: paint } }),
    std > 0 && element("div", { class: "whisker", style: at.span(bar.mean - std, bar.mean + std) }),
    ...bar.runs.map((run) => dot(run.metrics[name], run.label, at)),
    !fromZero && element("div", { class: "mean", style: { left: at(bar.mean), background: paint } }),
  );
}

function dot(value, label, at) {
  return element("div", { class: "dot", style: { left: at(value) }, title: `${label}: ${number(value)}` });
}

/**
 * An axis over everything drawn and, where bars stand on it, zero: `at` gives a value's place as a share of the width,
 * `at.span` the style of what lies between two values, `marks` the values of its ticks.
 */
function scaleOf(bars, references, fromZero) {
  const ends = bars.flatMap((bar) => [bar.low, bar.high, bar.mean - (bar.std ?? 0), bar.mean + (bar.std ?? 0)]);
  ends.push(...references.map((one) => one.mean));
  if (fromZero) ends.push(0);
  let [low, high] = [Math.min(...ends), Math.max(...ends)];
  const margin = low === high ? Math.abs(low) * 0.1 || 1 : fromZero ? 0 : (high - low) * 0.05;
  [low, high] = [low - margin, high + margin];
  const share = (value) => (100 * (value - low)) / (high - low);
  const at = (value) => `${share(value).toFixed(2)}%`;
  at.span = (one, other) => ({
    left: at(Math.min(one, other)),
    width: `${Math.abs(share(other) - share(one)).toFixed(2)}%`,
  });
  return { at, marks: linearTicks(low, high, 4) };
}

function ticksOf({ at, marks }) {
  const texts = marks.map((value) => element("span", { text: tick(value), style: { left: at(value) } }));
  return element("div", { class: "ticks", "aria-hidden": "true" }, ...texts);
}
