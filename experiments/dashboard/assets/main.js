// The page: its runs, what of them is shown, and the views.

import { createCurvesView } from "./curves_view.js";
import { createDifferenceView } from "./difference_view.js";
import { FACETS, createFilters, filterRuns } from "./filters.js";
import { time } from "./format.js";
import { compare } from "./groups.js";
import { follow } from "./live.js";
import { createMetricsView } from "./metrics_view.js";
import { decode } from "./runs.js";
import { createRunsView } from "./runs_view.js";
import { State } from "./state.js";
import { styleOf } from "./styles.js";
import { createTabs } from "./tabs.js";
import { createTheme } from "./theme.js";

const byId = (name) => document.getElementById(name);

class App {
  #styles;

  constructor() {
    this.state = new State(FACETS);
    this.live = document.documentElement.dataset.live === "true";
    this.byPath = new Map();
    this.runs = [];
  }

  /** Merge a snapshot: its runs replace those of the same path. */
  async take(stored) {
    const snapshot = await decode(stored);
    if (snapshot.whole) this.byPath.clear();
    for (const path of snapshot.removed) this.byPath.delete(path);
    for (const run of snapshot.runs) this.byPath.set(run.path, run);
    this.runs = [...this.byPath.values()];
    this.references = snapshot.references;
    this.#styles = this.#makeStyles();
    [this.version, this.store, this.written] = [snapshot.version, snapshot.store, snapshot.written];
    this.refilter();
  }

  refilter() {
    this.filtered = filterRuns(this.runs, this.state);
    this.selected = this.state.selected.map((path) => this.byPath.get(path)).filter(Boolean);
    this.paths = new Set(this.selected.map((run) => run.path));
  }

  isSelected(run) {
    return this.paths.has(run.path);
  }

  /** What curves and metrics show: the selection, else all that pass the filters. */
  get shown() {
    return this.selected.length ? this.selected : this.filtered;
  }

  /** A group keeps its look in all views, whatever is filtered. */
  styleOf(group) {
    return this.#styles.get(group.runs[0].folder);
  }

  #makeStyles() {
    const made = new Map();
    const byEncoding = Map.groupBy(this.runs, (run) => run.encoding);
    [...byEncoding.keys()].sort(compare).forEach((encoding, index) => {
      const folders = [...new Set(byEncoding.get(encoding).map((run) => run.folder))].sort(compare);
      folders.forEach((folder, variant) => made.set(folder, styleOf(index, variant)));
    });
    return made;
  }
}

async function start() {
  const app = new App();
  await app.take(JSON.parse(byId("data").textContent));
  const views = {
    runs: createRunsView(byId("runs"), app),
    curves: createCurvesView(byId("curves"), app),
    metrics: createMetricsView(byId("metrics"), app),
    difference: createDifferenceView(byId("difference"), app),
  };
  const updateFilters = createFilters(byId("filters"), app);
  const updateTabs = createTabs(byId("tabs"), app.state, (view) => views[view]());

  function update() {
    app.refilter();
    byId("written").textContent = `read ${time(app.written)} UTC`;
    updateFilters();
    updateTabs();
  }

  app.state.subscribe(update);
  createTheme(byId("theme"), update);
  update();
  document.documentElement.dataset.ready = "true";
  if (app.live) {
    follow(app, byId("live"), async (snapshot) => {
      await app.take(snapshot);
      update();
    });
  }
}

start().catch((error) => {
  byId("failure").hidden = false;
  byId("failure").textContent = `The page could not be drawn: ${error.message}. It needs a browser of 2024 or later.`;
  throw error;
});
