// Numbers, durations and times as a reader wants them.

export const NOTHING = "–";
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** Five significant digits; whole numbers in full. */
export function number(value) {
  if (value === undefined) return NOTHING;
  if (value === null || !Number.isFinite(value)) return "not finite";
  if (Number.isInteger(value) && Math.abs(value) < 1e12) return whole.format(value);
  const size = Math.abs(value);
  if (size >= 1e7 || size < 1e-3) return value.toExponential(3);
  return fixed(value, decimals(value));
}

/** How many decimals `number` shows. */
function decimals(value) {
  return Number.isInteger(value) || value === 0
    ? 0
    : Math.min(7, Math.max(0, 4 - Math.floor(Math.log10(Math.abs(value)))));
}

function fixed(value, digits) {
  return new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

/** Mean ± standard deviation, both with the mean's decimals. */
export function spread(mean, std) {
  return std === null ? number(mean) : `${number(mean)} ± ${fixed(std, decimals(mean))}`;
}

/** A difference with its sign and the decimals of `beside`, or its own where that is whole. */
export function signed(value, beside) {
  if (!Number.isFinite(value)) return NOTHING;
  const digits = decimals(Number.isInteger(beside) ? value : beside);
  return (value > 0 ? "+" : value < 0 ? "−" : "") + fixed(Math.abs(value), digits);
}

/** The ends of an interval. */
export function between(interval, show = number) {
  return interval ? `[${interval.map(show).join(", ")}]` : NOTHING;
}

export function pValue(value) {
  return Number.isFinite(value) ? (value < 0.001 ? "<0.001" : value.toFixed(3)) : NOTHING;
}

/** `second` - `first` with a sign and with the decimals of the first. */
export function change(first, second) {
  if (!Number.isFinite(first) || !Number.isFinite(second)) return NOTHING;
  const sign = second > first ? "+" : second < first ? "−" : "";
  return sign + fixed(Math.abs(second - first), Math.max(decimals(first), decimals(second)));
}

/** A tick: no more digits than the step between ticks asks for. */
export function tick(value) {
  const size = Math.abs(value);
  if (value !== 0 && (size >= 1e5 || size < 1e-3)) {
    const [mantissa, exponent] = value.toExponential(2).split("e");
    const [scale, suffix] = { 5: [0.1, "M"], 6: [1, "M"], 7: [10, "M"], 8: [100, "M"] }[Number(exponent)] ?? [];
    if (suffix) return `${Number((Number(mantissa) * scale).toPrecision(3))}${suffix}`;
    return `${Number(mantissa)}e${Number(exponent)}`;
  }
  return new Intl.NumberFormat("en", { maximumSignificantDigits: 6 }).format(value);
}

export function bytes(value) {
  if (typeof value !== "number") return NOTHING;
  return value >= 2 ** 30 ? `${(value / 2 ** 30).toFixed(2)} GiB` : `${(value / 2 ** 20).toFixed(0)} MiB`;
}

/** 1:02:03, or 2:03; days in front where there are any. */
export function duration(seconds) {
  if (typeof seconds !== "number" || !Number.isFinite(seconds)) return NOTHING;
  const all = Math.round(seconds);
  const [days, hours, minutes, rest] = [all / 86400, (all % 86400) / 3600, (all % 3600) / 60, all % 60].map(Math.floor);
  const clock = hours || days ? `${hours}:${pad(minutes)}:${pad(rest)}` : `${minutes}:${pad(rest)}`;
  return days ? `${days} d ${clock}` : clock;
}

/** How long ago, in one unit. */
export function age(seconds) {
  for (const [size, unit] of [
    [86400, "d"],
    [3600, "h"],
    [60, "min"],
  ]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${Math.max(0, Math.floor(seconds))} s`;
}

/** Date and minute in UTC, as records write them. */
export function time(text) {
  return text ? `${text.slice(0, 10)} ${text.slice(11, 16)}` : NOTHING;
}

/** A value of a config as JSON would show it, texts without quotes. */
export function setting(value) {
  if (value === undefined) return NOTHING;
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** A quantity's name in words. */
export function words(name) {
  return name.replaceAll("_", " ");
}

function pad(value) {
  return String(value).padStart(2, "0");
}
