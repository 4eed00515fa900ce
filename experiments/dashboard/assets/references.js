// Published figures: the paper's and sibling papers', beside runs of what they were printed for.

/** Those of a metric that some of the runs repeat; see experiments/dashboard/references.py for their form. */
export function referencesOf(app, metric, runs) {
  if (!app.state.references) return [];
  return app.references.filter((one) => one.metric === metric && runs.some((run) => belongs(one, run)));
}

export function hasReferences(app, runs) {
  return app.references.some((one) => runs.some((run) => belongs(one, run)));
}

/** Where a figure was printed, for a title. */
export function describe(one) {
  return `${one.label}, as printed in ${one.source}`;
}

function belongs({ experiment, settings }, run) {
  return (
    run.experiment === experiment &&
    Object.entries(settings).every(([key, value]) => String(run.setting(key)) === value)
  );
}
