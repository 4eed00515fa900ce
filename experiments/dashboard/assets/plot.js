// Lines with bands on a canvas, drawn by uPlot.

import { element } from "./dom.js";
import { duration, tick } from "./format.js";
import { linearTicks, logTicks } from "./ticks.js";

/* global uPlot */
const MARKERS_PER_LINE = 7;
const REFERENCE_DASH = [2, 4];

/**
 * Draw `lines` ({label, style, mean, low, high, hasBand}; low and high where any line has a band) over `abscissas`,
 * replacing what `root` held, and `references` ({mean}) as level lines. `onCursor(index, line)` is told the abscissa under the cursor (null: none) and the line
 * nearest to it. Returns {destroy, resize, moveCursor, cursorAt, zoom, show, showAll}.
 */
export function drawLines(root, { abscissas, lines, references, axes, onCursor }) {
  const color = colors(root);
  const series = [{}];
  const data = [abscissas];
  const bands = [];
  const lineOf = new Map();
  for (const line of lines) {
    const paint = color(line.style.color);
    const width = lines.length > 60 ? 1 : 2;
    lineOf.set(series.length, line);
    series.push({
      label: line.label,
      stroke: paint,
      width,
      dash: line.style.dash,
      spanGaps: true,
      points: { show: false },
    });
    data.push(line.mean);
    if (!line.hasBand) continue;
    bands.push({ series: [series.length + 1, series.length], fill: translucent(paint) });
    for (const edge of [line.low, line.high]) {
      series.push({ stroke: "transparent", width: 0, spanGaps: true, points: { show: false } });
      data.push(edge);
    }
  }
  for (const { mean } of references) {
    series.push({ stroke: color("--ink-soft"), width: 1.5, dash: REFERENCE_DASH, points: { show: false } });
    data.push(abscissas.map(() => mean));
  }
  const plot = new uPlot(
    {
      ...sizeOf(root),
      series,
      bands,
      legend: { show: false },
      cursor: { points: { show: false }, drag: { x: true, y: false }, y: false },
      scales: {
        x: { time: false, distr: axes.x.log ? 3 : 1, range: (_, low, high) => padded(low, high, axes.x.log, 0) },
        y: { distr: axes.y.log ? 3 : 1, range: (_, low, high) => padded(low, high, axes.y.log, 0.04) },
      },
      axes: [
        { ...axis(axes.x, color, 58), size: 28 },
        { ...axis(axes.y, color, 45), size: 62 },
      ],
      hooks: {
        drawSeries: [(_, index) => lineOf.has(index) && drawMarkers(plot, index, lineOf.get(index), color)],
        setCursor: [() => report()],
      },
    },
    data,
    root,
  );

  function report() {
    const { idx, top } = plot.cursor;
    onCursor(idx ?? null, idx === null || idx === undefined ? null : nearest(idx, top));
  }

  function nearest(index, top) {
    let [best, distance] = [null, Infinity];
    for (const [, line] of lineOf) {
      if (line.mean[index] === null) continue;
      const away = Math.abs(plot.valToPos(line.mean[index], "y") - top);
      if (away < distance) [best, distance] = [line, away];
    }
    return best;
  }

  return {
    destroy: () => plot.destroy(),
    resize: () => plot.setSize(sizeOf(root)),
    moveCursor: (index) =>
      plot.setCursor({ left: plot.valToPos(abscissas[index], "x"), top: plot.over.clientHeight / 2 }),
    cursorAt: () => ({ left: plot.cursor.left + plot.over.offsetLeft, top: plot.cursor.top + plot.over.offsetTop }),
    /** The part of the x axis that is drawn, or null where that is all of it. */
    zoom: () => {
      const { min, max } = plot.scales.x;
      return min > abscissas[0] || max < abscissas[abscissas.length - 1] ? { min, max } : null;
    },
    show: (range) => plot.setScale("x", range),
    showAll: () => plot.setScale("x", { min: abscissas[0], max: abscissas[abscissas.length - 1] }),
  };
}

function axis({ label, log, kind }, color, space) {
  const show = kind === "seconds" ? duration : tick;
  return {
    label,
    labelSize: 20,
    labelGap: 0,
    gap: 4,
    labelFont: "13px system-ui, sans-serif",
    font: "12px system-ui, sans-serif",
    stroke: color("--ink-soft"),
    grid: { stroke: color("--grid"), width: 1 },
    ticks: { stroke: color("--grid"), width: 1, size: 5 },
    splits: (plot, index, low, high) => {
      const pixels = index === 0 ? plot.bbox.width : plot.bbox.height;
      const wanted = Math.max(2, Math.floor(pixels / devicePixelRatio / space));
      return (log ? logTicks : linearTicks)(low, high, wanted);
    },
    filter: (_, splits) => splits,
    values: (_, splits) => splits.map((value) => (value === null ? "" : show(value))),
  };
}

/** The range with a margin; a single value gets room on both sides. */
function padded(low, high, log, share) {
  if (low === null || high === null) return [log ? 1 : 0, log ? 10 : 1];
  if (log) {
    const factor = low === high ? 1.1 : (high / low) ** share;
    return [low / factor, high * factor];
  }
  const margin = low === high ? Math.abs(low) * 0.1 || 1 : (high - low) * share;
  return [low - margin, high + margin];
}

/** Some points of each line carry its marker, shifted from line to line so that close lines do not hide them. */
function drawMarkers(plot, index, line, color) {
  const values = plot.data[index];
  const [first, last] = plot.series[0].idxs;
  const places = [];
  for (let place = first; place <= last; place++) if (values[place] !== null) places.push(place);
  if (!places.length) return;
  const step = Math.max(1, Math.ceil(places.length / MARKERS_PER_LINE));
  const offset = places.length <= MARKERS_PER_LINE ? 0 : (index * 2) % step;
  const { ctx, bbox } = plot;
  const shape = new Path2D(line.style.marker);
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left - 6, bbox.top - 6, bbox.width + 12, bbox.height + 12);
  ctx.clip();
  ctx.fillStyle = color(line.style.color);
  for (let which = offset; which < places.length; which += step) {
    const place = places[which];
    ctx.save();
    ctx.translate(plot.valToPos(plot.data[0][place], "x", true), plot.valToPos(values[place], "y", true));
    ctx.scale(devicePixelRatio, devicePixelRatio);
    ctx.fill(shape);
    ctx.restore();
  }
  ctx.restore();
}

/** Looks up the page's colors, which depend on the theme; a canvas needs them computed. */
function colors(root) {
  const probe = element("span", { hidden: true });
  root.append(probe);
  const found = new Map();
  return (name) => {
    if (!found.has(name)) {
      probe.style.setProperty("color", `var(${name})`);
      found.set(name, getComputedStyle(probe).color);
    }
    return found.get(name);
  };
}

function translucent(paint) {
  return `color-mix(in srgb, ${paint} 18%, transparent)`;
}

function sizeOf(root) {
  const width = Math.max(280, root.clientWidth);
  return { width, height: Math.round(Math.min(460, Math.max(300, width * 0.5))) };
}
