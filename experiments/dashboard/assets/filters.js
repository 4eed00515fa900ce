// The filters above all views: one list of choices a facet, and free text.

import { button, checkbox, element, replace } from "./dom.js";
import { compare } from "./groups.js";

const CHOICES = ["experiment", "encoding", "profile", "protocol", "data", "seed", "status"];
// Single runs by `is.path`, as tables link to them (experiments/tables/html.py), have no list of choices.
export const FACETS = [...CHOICES, "path"];

/** The runs that pass every facet and the text. */
export function filterRuns(runs, state, without = null) {
  const wanted = state.text.toLowerCase().split(/\s+/).filter(Boolean);
  const active = Object.entries(state.facets).filter(([name, chosen]) => name !== without && chosen.length);
  return runs.filter(
    (run) => active.every(([name, chosen]) => chosen.includes(String(run[name]))) && run.matches(wanted),
  );
}

export function createFilters(root, app) {
  const { state } = app;
  const search = element("input", {
    type: "search",
    id: "search",
    placeholder: "Search, or key=value",
    "aria-label": "Search runs by words, or by a setting as key=value",
    on: { input: () => state.set({ text: search.value }) },
  });
  search.value = state.text;
  const facets = CHOICES.map((name) => createFacet(name, app));
  const clear = button("Clear filters", () => {
    search.value = "";
    state.set({ text: "", facets: Object.fromEntries(FACETS.map((name) => [name, []])) });
  });
  const all = button("", () => state.set({ selected: [] }), { id: "unselect" });
  const said = element("p", { class: "count", role: "status", id: "count" });
  replace(
    root,
    search,
    facets.map((facet) => facet.box),
    clear,
    all,
    said,
  );
  closeOnLeave(facets.map((facet) => facet.box));

  return () => {
    facets.forEach((facet) => facet.update());
    const isFiltered = state.text !== "" || Object.values(state.facets).some((chosen) => chosen.length);
    clear.hidden = !isFiltered;
    all.hidden = !app.selected.length;
    all.textContent = `${app.selected.length} selected: clear`;
    const [shown, total] = [app.filtered.length, app.runs.length].map((count) => count.toLocaleString("en"));
    said.textContent = `${isFiltered ? `${shown} of ${total}` : total} ${total === "1" ? "run" : "runs"}`;
  };
}

function createFacet(name, app) {
  const { state } = app;
  const summary = element("summary");
  const list = element("div", { class: "choices" });
  const box = element(
    "details",
    { class: "popover", data: { facet: name } },
    summary,
    element("fieldset", {}, element("legend", { class: "unseen", text: name }), list),
  );
  const fields = new Map();

  function choose(value, checked) {
    const chosen = state.facets[name].filter((one) => one !== value);
    state.set({ facets: { ...state.facets, [name]: checked ? [...chosen, value] : chosen } });
  }

  function update() {
    const counts = new Map();
    for (const run of app.runs) counts.set(String(run[name] ?? ""), 0);
    for (const run of filterRuns(app.runs, state, name))
      counts.set(String(run[name] ?? ""), counts.get(String(run[name] ?? "")) + 1);
    const values = [...counts.keys()].sort(compare);
    if (values.join("\n") !== [...fields.keys()].join("\n")) {
      fields.clear();
      for (const value of values) {
        const { field, box: label } = checkbox(value || "none", false, (checked) => choose(value, checked));
        const count = element("span", { class: "number" });
        label.append(count);
        fields.set(value, { field, label, count });
      }
      replace(
        list,
        [...fields.values()].map((one) => one.label),
      );
    }
    const chosen = state.facets[name];
    for (const [value, one] of fields) {
      one.field.checked = chosen.includes(value);
      one.count.textContent = counts.get(value).toLocaleString("en");
      one.label.classList.toggle("none", counts.get(value) === 0);
    }
    box.hidden = values.length < 2 && !chosen.length;
    const said = chosen.length === 1 ? `: ${chosen[0]}` : chosen.length ? `: ${chosen.length} of ${values.length}` : "";
    replace(summary, name[0].toUpperCase() + name.slice(1), element("strong", { text: said }));
  }

  return { box, update };
}

/** Popovers close on Escape, which gives the focus back, and on a click or a focus elsewhere. */
export function closeOnLeave(boxes) {
  for (const box of boxes) {
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !box.open) return;
      box.open = false;
      box.querySelector("summary").focus();
    });
  }
  for (const kind of ["pointerdown", "focusin"]) {
    document.addEventListener(kind, (event) => {
      for (const box of boxes) if (!box.contains(event.target)) box.open = false;
    });
  }
}
