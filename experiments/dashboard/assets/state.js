// What the reader chose, kept in the address, so that a reload or a bookmark shows the same.

const DEFAULTS = {
  view: "runs",
  text: "",
  sort: "started",
  descending: true,
  columns: null,
  selected: [],
  quantity: "",
  axis: "update",
  grouping: "config",
  band: "range",
  logX: false,
  logY: null, // automatic
  smoothing: 0,
  hidden: [],
  metric: "",
  fromZero: true,
  order: "name",
  baseline: "none",
  references: true,
  first: "",
  second: "",
  equal: false,
};
const FACET = "is.";

export class State {
  #listeners = [];

  constructor(facets) {
    this.facets = Object.fromEntries(facets.map((name) => [name, []]));
    Object.assign(this, structuredClone(DEFAULTS));
    this.#read(new URLSearchParams(location.hash.slice(1)));
  }

  /** Take over the changes, write the address, tell everybody. */
  set(changes) {
    Object.assign(this, changes);
    this.#write();
    this.#listeners.forEach((listener) => listener());
  }

  subscribe(listener) {
    this.#listeners.push(listener);
  }

  #read(query) {
    for (const [name, text] of query) {
      if (name.startsWith(FACET) && name.slice(FACET.length) in this.facets) {
        this.facets[name.slice(FACET.length)].push(text);
      } else if (name in DEFAULTS) {
        this[name] = parsed(text, DEFAULTS[name]);
      }
    }
  }

  #write() {
    const query = new URLSearchParams();
    for (const [name, texts] of Object.entries(this.facets)) for (const text of texts) query.append(FACET + name, text);
    for (const [name, value] of Object.entries(DEFAULTS)) {
      const text = JSON.stringify(this[name]);
      if (text !== JSON.stringify(value)) query.set(name, typeof value === "string" ? this[name] : text);
    }
    history.replaceState(null, "", `#${query}`);
  }
}

/** A value of the kind of its default; the default itself for anything else that stands in an address. */
function parsed(text, fallback) {
  if (typeof fallback === "string") return text;
  try {
    const value = JSON.parse(text);
    const isList = Array.isArray(value) && value.every((item) => typeof item === "string");
    if (Array.isArray(fallback)) return isList ? value : fallback;
    if (fallback === null) return isList || typeof value === "boolean" ? value : fallback;
    return typeof value === typeof fallback ? value : fallback;
  } catch {
    return fallback;
  }
}
