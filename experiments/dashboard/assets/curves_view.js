// Learning curves of the filtered or selected runs, laid over each other.

import { AXES, chosenOf, linesOf, optionsOf, partsOf, quantitiesOf } from "./curves.js";
import { button, checkbox, element, keepingFocus, replace, select, setOptions } from "./dom.js";
import { duration, number, words } from "./format.js";
import { GROUPINGS } from "./groups.js";
import { drawLines } from "./plot.js";
import { describe, hasReferences } from "./references.js";
import { swatch } from "./styles.js";

const LABELS = { wall_seconds: "wall time" };

export function createCurvesView(root, app) {
  const { state } = app;
  const quantity = select("Quantity", [], "", (value) => state.set({ quantity: value }));
  const axis = select("Against", [], "", (value) => state.set({ axis: value }));
  const grouping = select("Lines", GROUPINGS, state.grouping, (value) => state.set({ grouping: value, hidden: [] }));
  const band = select(
    "Band",
    [
      ["range", "smallest to largest"],
      ["std", "mean ± std"],
    ],
    state.band,
    (value) => state.set({ band: value }),
  );
  const logX = checkbox("log x", state.logX, (checked) => state.set({ logX: checked }));
  const logY = checkbox("log y", state.logY, (checked) => state.set({ logY: checked }));
  const printed = checkbox("published figures", state.references, (checked) => state.set({ references: checked }));
  const smoothing = element("input", {
    type: "range",
    min: 0,
    max: 0.98,
    step: 0.02,
    id: "smoothing",
    on: { input: () => state.set({ smoothing: Number(smoothing.value) }) },
  });
  smoothing.value = state.smoothing;
  const said = element("output", { for: "smoothing" });
  const reset = button("Whole range", () => drawn?.showAll());
  const canvas = element("div", { class: "canvas" });
  const tip = element("div", { class: "tip", hidden: true });
  const stage = element(
    "div",
    {
      class: "stage",
      tabindex: 0,
      role: "group",
      "aria-label": "Plot. Arrow keys move the cursor; values are in the list that follows.",
      on: { keydown: move },
    },
    canvas,
    tip,
  );
  const readout = element("p", { class: "hint", role: "status" });
  const legend = element("ul", { class: "legend", "aria-label": "Lines" });
  const note = element("p", { class: "hint" });
  replace(
    root,
    element(
      "div",
      { class: "tools" },
      quantity.box,
      axis.box,
      grouping.box,
      band.box,
      logX.box,
      logY.box,
      printed.box,
      element("label", { class: "field" }, element("span", { text: "Smoothing" }), smoothing, said),
      reset,
    ),
    element("div", { class: "plot" }, stage, element("div", { class: "side" }, readout, legend)),
    note,
  );
  let drawn = null;
  let scene = { abscissas: [], lines: [], references: [] };
  let cursor = null;

  function update() {
    const found = quantitiesOf(app.shown);
    setOptions(quantity.field, optionsOf(found), chosenOf(found, state.quantity));
    const names = new Set(found.map(([, name]) => name));
    const axes = AXES.filter((name) => names.has(name));
    setOptions(
      axis.field,
      axes.map((name) => [name, LABELS[name] ?? words(name)]),
      axes.includes(state.axis) ? state.axis : axes[0],
    );
    band.field.disabled = state.grouping === "run";
    said.textContent = state.smoothing.toFixed(2);
    draw();
  }

  function draw() {
    const scale = `${axis.field.value} ${state.logX}`;
    const zoom = drawn && scale === scene.scale ? drawn.zoom() : null;
    drawn?.destroy();
    [drawn, cursor] = [null, null];
    tip.hidden = true;
    scene = { ...linesOf(app, quantity.field.value, axis.field.value), scale };
    const { abscissas, lines, all, references, logY: isLog } = scene;
    printed.box.hidden = !hasReferences(app, app.shown);
    logY.field.checked = isLog;
    updateLegend(all);
    showValues(null);
    const visible = lines.length > 0 && abscissas.length > 0;
    canvas.classList.toggle("empty", !visible);
    if (!visible)
      replace(
        canvas,
        element("p", { text: all.length ? "All lines are switched off." : "No run here has logged anything yet." }),
      );
    else {
      replace(canvas);
      const [split, name] = partsOf(quantity.field.value);
      const log = isLog ? ", log" : "";
      drawn = drawLines(canvas, {
        abscissas,
        lines,
        references,
        axes: {
          x: {
            label: (LABELS[axis.field.value] ?? words(axis.field.value)) + (state.logX ? ", log" : ""),
            log: state.logX,
            kind: axis.field.value === "wall_seconds" ? "seconds" : "number",
          },
          y: { label: `${split} ${words(name)}${log}`, log: isLog, kind: "number" },
        },
        onCursor: (index, nearest) => {
          cursor = index;
          showValues(index, nearest);
        },
      });
    }
    if (zoom) drawn?.show(zoom);
    const thinned = app.shown.some((run) => run.splits.some((split) => run.rows(split).held < run.rows(split).all));
    note.textContent = [
      "Drag to zoom.",
      "Between logged rows a line is straight.",
      state.grouping === "run"
        ? ""
        : "A value is the mean over the seeds that reached this point, in brackets the band.",
      state.smoothing ? "Lines and bands are of smoothed runs." : "",
      thinned ? "Long histories are thinned: evenly spaced rows and the extremes; history.jsonl has all." : "",
    ]
      .filter(Boolean)
      .join(" ");
  }

  function updateLegend(all) {
    const shown = new Map(scene.lines.map((line) => [line.key, line]));
    const items = all.map((line) => element("li", {}, legendButton(line, shown.has(line.key))));
    const printed = scene.references.map((one) =>
      element(
        "li",
        { class: "reference", title: describe(one) },
        swatch({ color: "--ink-soft", dash: [2, 4], marker: "" }),
        element("span", { class: "name", text: `${one.label} (printed)` }),
        element("span", { class: "value number", text: number(one.mean) }),
      ),
    );
    keepingFocus(legend, () => replace(legend, items, printed));
  }

  function legendButton(line, on) {
    return element(
      "button",
      {
        type: "button",
        "aria-pressed": String(on),
        data: { key: line.key },
        title: on ? "Switch this line off" : "Switch this line on",
        on: { click: () => switchLine(line, on) },
      },
      swatch(line.style),
      element("span", { class: "name", text: line.label }),
      element("span", { class: "value number" }),
      element("span", { class: "seeds", text: line.curves.length > 1 ? `${line.curves.length} seeds` : "" }),
      element("span", { class: "edges number" }),
    );
  }

  function switchLine(line, on) {
    state.set({ hidden: on ? [...state.hidden, line.key] : state.hidden.filter((key) => key !== line.key) });
  }

  /** Values under the cursor in the legend, or each line's last ones where there is no cursor. */
  function showValues(index, nearest = null) {
    const lines = new Map(scene.lines.map((line) => [line.key, line]));
    for (const toggle of legend.querySelectorAll("button")) {
      const line = lines.get(toggle.dataset.key);
      const at = index ?? line?.mean.findLastIndex((value) => value !== null);
      const [value, edges] = line ? valueAt(line, at) : ["", ""];
      toggle.querySelector(".value").textContent = value;
      toggle.querySelector(".edges").textContent = edges;
      toggle.classList.toggle("nearest", line !== undefined && line === nearest);
    }
    const where = index === null ? "last values" : `at ${positionAt(index)}`;
    readout.textContent = `${words(quantity.field.value.replace(".", " "))}, ${where}`;
    tip.hidden = !nearest;
    if (nearest) {
      replace(
        tip,
        element("strong", { text: nearest.label }),
        element("span", { text: `${positionAt(index)}: ${valueAt(nearest, index).join(" ")}` }),
      );
      const { left, top } = drawn?.cursorAt() ?? { left: 0, top: 0 };
      const room = stage.clientWidth - tip.offsetWidth;
      tip.style.setProperty("left", `${Math.max(0, Math.min(left + 14, room))}px`);
      tip.style.setProperty("top", `${Math.max(0, top - tip.offsetHeight - 10)}px`);
    }
  }

  function positionAt(index) {
    const value = scene.abscissas[index];
    return axis.field.value === "wall_seconds"
      ? duration(value)
      : `${words(axis.field.value)} ${number(Math.round(value))}`;
  }

  function move(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageDown: -10, PageUp: 10, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || !drawn) return;
    event.preventDefault();
    const last = scene.abscissas.length - 1;
    drawn.moveCursor(Math.max(0, Math.min(last, (cursor ?? (step < 0 ? last + 1 : -1)) + step)));
  }

  new ResizeObserver(() => drawn?.resize()).observe(root);
  return update;
}

/** The mean in words, and the band's edges where there is one. */
function valueAt(line, index) {
  if (index === undefined || index < 0 || line.mean[index] === null) return ["", ""];
  const edges = line.count[index] > 1 ? `[${number(line.low[index])}, ${number(line.high[index])}]` : "";
  return [number(line.mean[index]), edges];
}
