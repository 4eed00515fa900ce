// Everything that a record says about one run, in a dialog.

import { button, element, replace } from "./dom.js";
import { bytes, duration, number, setting, time, words } from "./format.js";
import { statusLabel } from "./status.js";

/** Open the dialog; Escape or its button closes it, and the browser gives the focus back. */
export function showDetails(run, app) {
  const dialog = document.getElementById("details");
  const close = button("Close", () => dialog.close());
  const files = ["record.json", "config.yaml", "history.jsonl", ...(app.live ? [] : [""])].map((file) =>
    element("a", { href: run.link(file), text: file || "folder" }),
  );
  replace(
    dialog,
    element("header", {}, element("h2", { id: "details-title", text: run.name ?? run.label }), close),
    element("p", {}, statusLabel(run, app.written)),
    run.error && element("pre", { class: "error", text: run.error }),
    run.problems.map((problem) => element("pre", { class: "error", text: problem })),
    element("p", { class: "links" }, element("code", { text: run.path }), ...files),
    list(
      "Metrics",
      Object.entries(run.metrics).map(([name, value]) => [words(name), number(value), setting(value)]),
    ),
    list("Cost", costOf(run)),
    list(
      "Curves in this page",
      run.splits.map((split) => [split, rowsOf(run, split)]),
    ),
    list(
      "Config",
      settingsOf(run, (key) => !key.startsWith("manifest.")),
    ),
    list(
      "Provenance",
      settingsOf(run, (key) => key.startsWith("manifest.")),
    ),
  );
  dialog.showModal();
  dialog.scrollTop = 0;
}

function costOf(run) {
  return [
    ["started (UTC)", time(run.started)],
    ["ended (UTC)", time(run.ended)],
    ["wall time", duration(run.wall_seconds)],
    ["segments (1: never resumed)", number(run.segments)],
    ["updates", number(run.updates ?? undefined)],
    ["tokens", number(run.tokens ?? undefined)],
    ["tokens per second", number(run.tokens_per_second ?? undefined)],
    ["peak memory", bytes(run.peak_memory_bytes)],
    ...Object.entries(run.parameters).map(([name, value]) => [`parameters, ${words(name)}`, number(value)]),
  ];
}

function rowsOf(run, split) {
  const { all, held } = run.rows(split);
  return held < all ? `${number(held)} of ${number(all)} rows, the extremes among them` : `${number(all)} rows`;
}

function settingsOf(run, wanted) {
  return run.settingKeys.filter(wanted).map((key) => [key.replace(/^manifest\./, ""), setting(run.setting(key))]);
}

function list(title, pairs) {
  if (!pairs.length) return null;
  const rows = pairs.flatMap(([name, text, full]) => [
    element("dt", { text: name }),
    element("dd", { text, title: full }),
  ]);
  return [element("h3", { text: title }), element("dl", {}, ...rows)];
}
