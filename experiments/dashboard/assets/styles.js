// How a group is drawn: a color, a line style and a marker, which together no other encoding has.

import { svg } from "./dom.js";

const COLORS = 7; // Okabe and Ito's palette, in base.css for light and dark
const DASHES = [[], [7, 4], [8, 3, 2, 3], [2, 3], [12, 4], [12, 3, 2, 3, 2, 3]];
// Paths around the origin, about eight pixels wide.
const MARKERS = [
  "M4 0A4 4 0 1 1 -4 0A4 4 0 1 1 4 0Z",
  "M-3.5 -3.5H3.5V3.5H-3.5Z",
  "M0 -4.5L4.3 3.3H-4.3Z",
  "M0 -5L4.5 0L0 5L-4.5 0Z",
  "M0 4.5L4.3 -3.3H-4.3Z",
  "M-1.5 -4.5H1.5V-1.5H4.5V1.5H1.5V4.5H-1.5V1.5H-4.5V-1.5H-1.5Z",
  "M0 -5L1.4 -1.6L5 -1.5L2.2 .8L3.1 4.3L0 2.3L-3.1 4.3L-2.2 .8L-5 -1.5L-1.4 -1.6Z",
  "M-4.5 -2.5L0 -4.8L4.5 -2.5V2.5L0 4.8L-4.5 2.5Z",
];

/** The look of the `index`-th of all encodings; the `variant`-th group of one encoding has another line style. */
export function styleOf(index, variant = 0) {
  return {
    color: `--series-${index % COLORS}`,
    dash: DASHES[(index + Math.floor(index / COLORS) + variant) % DASHES.length],
    marker: MARKERS[(index + Math.floor(variant / DASHES.length)) % MARKERS.length],
  };
}

/** A piece of the line, for a legend. */
export function swatch({ color, dash, marker }) {
  const paint = `var(${color})`;
  return svg(
    "svg",
    { class: "swatch", viewBox: "0 0 36 12", width: 36, height: 12, "aria-hidden": "true" },
    svg("line", {
      x1: 0,
      y1: 6,
      x2: 36,
      y2: 6,
      stroke: paint,
      "stroke-width": 2,
      "stroke-dasharray": dash.join(" ") || null,
    }),
    svg("path", { d: marker, transform: "translate(18 6)", fill: paint }),
  );
}
