// Two runs beside each other: the settings in which they differ, and what they reached.

import { checkbox, element, replace, select, setOptions } from "./dom.js";
import { change, number, setting, words } from "./format.js";
import { compare } from "./groups.js";
import { statusLabel } from "./status.js";

export function createDifferenceView(root, app) {
  const { state } = app;
  const first = select("First run", [], "", (value) => state.set({ first: value }));
  const second = select("Second run", [], "", (value) => state.set({ second: value }));
  const equal = checkbox("equal settings too", state.equal, (checked) => state.set({ equal: checked }));
  const result = element("div");
  replace(root, element("div", { class: "tools" }, first.box, second.box, equal.box), result);

  return function update() {
    const chosen = [state.first, state.second].map((path) => app.byPath.get(path));
    const offered = [...new Set([...app.filtered, ...chosen.filter(Boolean)])];
    const options = optionsOf(offered);
    setOptions(first.field, [["", "choose a run"], ...options], state.first);
    setOptions(second.field, [["", "choose a run"], ...options], state.second);
    if (chosen.every(Boolean)) replace(result, ...comparison(...chosen, state.equal, app));
    else replace(result, element("p", { class: "hint", text: "Choose two runs here, or select two in the table." }));
  };
}

function optionsOf(runs) {
  const groups = Map.groupBy(
    [...runs].sort((one, other) => compare(one.path, other.path)),
    (run) => run.folder,
  );
  return [...groups].map(([folder, members]) => ({
    label: folder.replace(/^runs\//, ""),
    options: members.map((run) => [
      run.path,
      `${run.encoding}, ${run.experiment} ${run.profile ?? ""} ${run.protocol ?? ""}, seed ${run.seed}`,
    ]),
  }));
}

function comparison(one, other, equal, app) {
  const keys = [...new Set([...one.settingKeys, ...other.settingKeys])].sort(compare);
  const differs = (key) => JSON.stringify(one.setting(key)) !== JSON.stringify(other.setting(key));
  const shown = keys.filter((key) => equal || differs(key));
  const config = shown.filter((key) => !key.startsWith("manifest."));
  const provenance = shown.filter((key) => key.startsWith("manifest."));
  const count = keys.filter((key) => !key.startsWith("manifest.") && differs(key)).length;
  const sameConfig = one.identity !== undefined && one.folder === other.folder;
  const said = sameConfig
    ? "The same scientific config: what differs can change no result but through the seed."
    : `${count} ${count === 1 ? "setting differs" : "settings differ"}.`;
  const rows = (list) =>
    list.map((key) => [
      key.replace(/^manifest\./, ""),
      setting(one.setting(key)),
      setting(other.setting(key)),
      differs(key),
    ]);
  return [
    element("p", { text: said, role: "status" }),
    table("Config", one, other, rows(config), app),
    table("Metrics", one, other, metricRows(one, other), app, "Second − first"),
    table("Provenance", one, other, rows(provenance), app),
  ];
}

function metricRows(one, other) {
  const names = [...new Set([...Object.keys(one.metrics), ...Object.keys(other.metrics)])];
  return names.map((name) => {
    const [a, b] = [one.metrics[name], other.metrics[name]];
    return [words(name), number(a), number(b), false, change(a, b)];
  });
}

function table(title, one, other, rows, app, extra = null) {
  if (!rows.length) return null;
  const heads = [one, other].map((run) =>
    element("th", { scope: "col" }, element("span", { text: run.label }), statusLabel(run, app.written)),
  );
  const kind = extra ? "number" : "setting";
  return element(
    "div",
    { class: "scroller", tabindex: 0, role: "region", "aria-label": title },
    element(
      "table",
      { class: "difference" },
      element("caption", { text: title }),
      element(
        "thead",
        {},
        element(
          "tr",
          {},
          element("td"),
          ...heads,
          extra && element("th", { scope: "col", class: "number", text: extra }),
        ),
      ),
      element(
        "tbody",
        {},
        ...rows.map(([name, a, b, isDifferent, more]) =>
          element(
            "tr",
            { class: isDifferent ? "differs" : null, data: { key: name } },
            element("th", { scope: "row", text: name }),
            element("td", { class: kind, text: a }),
            element("td", { class: kind, text: b }),
            extra && element("td", { class: "number", text: more }),
          ),
        ),
      ),
    ),
  );
}
