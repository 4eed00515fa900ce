// A run's status in a sign and a word, so that it needs no color.

import { element } from "./dom.js";
import { age } from "./format.js";

const SIGNS = { finished: "✓", running: "▸", interrupted: "‖", failed: "✕", unreadable: "?" };
const SILENCE = 600; // seconds without a row after which a run that says it is running may have been killed

/** `now` is when the files were read. */
export function statusLabel(run, now) {
  const silent = run.status === "running" ? (Date.parse(now) - Date.parse(run.seen ?? run.started)) / 1000 : 0;
  const said = silent > SILENCE ? `${run.status}, no row for ${age(silent)}` : run.status;
  const why = run.error ?? run.problems?.[0];
  return element(
    "span",
    { class: `status ${run.status}`, title: why ?? null },
    element("span", { "aria-hidden": "true", text: SIGNS[run.status] ?? "?" }),
    ` ${said}`,
  );
}
