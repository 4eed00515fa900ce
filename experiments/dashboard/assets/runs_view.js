// The table of runs: sorting, choice of columns, selection.

import { columnsOf, shownColumns, sortRuns } from "./columns.js";
import { showDetails } from "./details.js";
import { button, checkbox, element, keepingFocus, replace } from "./dom.js";
import { closeOnLeave } from "./filters.js";
import { setting } from "./format.js";
import { statusLabel } from "./status.js";

const PAGE = 200; // rows at first: what a reader scrolls through, drawn at once

export function createRunsView(root, app) {
  const { state } = app;
  let columns = [];
  let made = null;
  let all = false;
  let shownKey = "";

  const picker = element("div", { class: "choices" });
  const popover = element(
    "details",
    { class: "popover", id: "columns" },
    element("summary", { text: "Columns" }),
    picker,
  );
  closeOnLeave([popover]);
  const compare = button("Compare the two selected", compareSelected, { id: "compare" });
  const hint = element("p", { class: "hint" });
  const head = element("tr");
  const body = element("tbody");
  const table = element(
    "table",
    { class: "runs" },
    element("caption", { class: "unseen", text: "Runs" }),
    element("thead", {}, head),
    body,
  );
  const more = button(
    "",
    () => {
      all = true;
      update();
    },
    { class: "more" },
  );
  const scroller = element(
    "div",
    { class: "scroller", tabindex: 0, role: "region", "aria-label": "Table of runs" },
    table,
  );
  replace(root, element("div", { class: "tools" }, popover, compare, hint), scroller, more);

  function update() {
    if (made !== app.runs) {
      made = app.runs;
      columns = columnsOf(app.runs);
    }
    const shown = shownColumns(columns, state.columns, app.filtered);
    const sorted = columns.find((one) => one.id === state.sort) ?? columns[0];
    updatePicker(shown);
    updateHead(shown, sorted);
    const runs = sortRuns(app.filtered, sorted, state.descending);
    const drawn = all ? runs : runs.slice(0, PAGE);
    const rows = drawn.map((run) => row(run, shown));
    const empty = element("tr", {}, element("td", { colspan: shown.length + 2, text: "No run passes the filters." }));
    keepingFocus(body, () => replace(body, rows.length ? rows : empty));
    more.hidden = drawn.length === runs.length;
    more.textContent = `Show all ${runs.length.toLocaleString("en")}`;
    const count = app.selected.length;
    compare.disabled = count !== 2;
    hint.textContent = count
      ? "Curves and metrics show the selected runs alone."
      : "Select runs to see these alone in curves and metrics; two to compare their configs.";
  }

  function updatePicker(shown) {
    const key = columns.map((one) => one.id).join("\n");
    if (key !== picker.dataset.key) {
      picker.dataset.key = key;
      const groups = Map.groupBy(columns, (one) => one.group);
      const automatic = button("Automatic", () => state.set({ columns: null }));
      replace(
        picker,
        automatic,
        [...groups].map(([group, members]) =>
          element("fieldset", {}, element("legend", { text: group }), ...members.map((one) => choice(one))),
        ),
      );
    }
    for (const field of picker.querySelectorAll("input")) field.checked = shown.some((one) => one.id === field.value);
  }

  function choice(one) {
    return checkbox(
      one.label,
      false,
      (checked) => {
        const ids = shownColumns(columns, state.columns, app.filtered).map((shown) => shown.id);
        state.set({ columns: checked ? [...ids, one.id] : ids.filter((id) => id !== one.id) });
      },
      { value: one.id },
    ).box;
  }

  function updateHead(shown, sorted) {
    const key = shown.map((one) => one.id).join("\n");
    if (key !== shownKey || !head.children.length) {
      shownKey = key;
      const cells = shown.map((one) => headCell(one));
      replace(
        head,
        element("th", { class: "pick", scope: "col" }, element("span", { class: "unseen", text: "Selected" })),
        ...cells,
        element("th", { scope: "col", text: "Files" }),
      );
    }
    for (const cell of head.querySelectorAll("[data-column]")) {
      const order = cell.dataset.column === sorted.id ? (state.descending ? "descending" : "ascending") : "none";
      cell.setAttribute("aria-sort", order);
    }
  }

  function headCell(one) {
    const sort = () => state.set({ sort: one.id, descending: state.sort === one.id ? !state.descending : false });
    const cell = element(
      "th",
      { scope: "col", class: one.numeric ? "number" : null, data: { column: one.id } },
      button(one.label, sort),
    );
    return cell;
  }

  function row(run, shown) {
    const { field } = checkbox("", app.isSelected(run), (checked) => select(run, checked), {
      "aria-label": `Select ${run.label}`,
    });
    const links = [
      ["record.json", "record"],
      ["config.yaml", "config"],
      ["history.jsonl", "history"],
    ].map(([file, text]) => element("a", { href: run.link(file), text, "aria-label": `${text} of ${run.label}` }));
    const folder = app.live
      ? null
      : element("a", { href: run.link(), text: "folder", "aria-label": `folder of ${run.label}` });
    return element(
      "tr",
      { data: { key: run.path }, class: app.isSelected(run) ? "selected" : null },
      element("td", { class: "pick" }, field),
      ...shown.map((one) => cell(run, one)),
      element("td", { class: "links" }, folder, ...links),
    );
  }

  function cell(run, one) {
    if (one.id === "status") return element("td", {}, statusLabel(run, app.written));
    const value = one.value(run);
    if (one.id === "encoding")
      return element(
        "th",
        { scope: "row" },
        button(run.encoding, () => showDetails(run, app), { class: "link", "aria-haspopup": "dialog" }),
      );
    const text = one.show(value);
    const title = value === undefined || setting(value) === text ? null : setting(value);
    return element("td", { class: one.numeric ? "number" : null, text, title });
  }

  function select(run, checked) {
    const others = state.selected.filter((path) => path !== run.path);
    state.set({ selected: checked ? [...others, run.path] : others });
  }

  function compareSelected() {
    const [first, second] = app.selected;
    state.set({ view: "difference", first: first.path, second: second.path });
  }

  return update;
}
