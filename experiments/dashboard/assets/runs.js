// The data of the page: snapshots decoded into runs.

/** What the record's `run` always says; anything else in it is in `run.run`. */
export const NAMES = ["experiment", "encoding", "protocol", "profile", "data", "seed", "identity", "name"];

/** The runs of a snapshot; see experiments/dashboard/snapshot.py for its form. */
export async function decode(snapshot) {
  const columns = separate(await gunzip(bytesOf(snapshot.columns)), snapshot.lengths);
  const keys = new Map(snapshot.settings.map(({ key }, index) => [key, index]));
  const values = snapshot.settings.map((one) => one.values);
  const shared = { columns, keys, values, root: snapshot.root };
  return { ...snapshot, runs: snapshot.runs.map((stored) => new Run(stored, shared)) };
}

export class Run {
  #shared;
  #curves;
  #differs;
  #haystack;

  constructor({ curves, differs, ...stored }, shared) {
    Object.assign(this, stored);
    for (const name of NAMES) this[name] = stored.run[name];
    this.#shared = shared;
    this.#curves = curves;
    this.#differs = differs;
    this.folder = this.path.slice(0, this.path.lastIndexOf("/"));
    this.label = `${this.encoding} seed ${this.seed}`;
  }

  get finished() {
    return this.status === "finished";
  }

  /** The keys of config and manifest. */
  get settingKeys() {
    return [...this.#shared.keys.keys()].filter((key) => this.setting(key) !== undefined);
  }

  /** The value of a key of config or manifest, or undefined where the run has none. */
  setting(key) {
    const index = this.#shared.keys.get(key);
    return index === undefined ? undefined : this.#shared.values[index][this.#differs[index] ?? 0];
  }

  /** [split, quantity] pairs that were logged. */
  get quantities() {
    return Object.entries(this.#curves).flatMap(([split, curve]) =>
      Object.keys(curve.columns).map((name) => [split, name]),
    );
  }

  /** Values of a quantity, one a kept row of a split, or null. */
  column(split, name) {
    const index = this.#curves[split]?.columns[name];
    return index === undefined ? null : this.#shared.columns[index];
  }

  /** How many rows a split's history has, and how many of them the page holds. */
  rows(split) {
    const curve = this.#curves[split];
    const held = curve
      ? Math.max(0, ...Object.values(curve.columns).map((one) => this.#shared.columns[one].length))
      : 0;
    return { all: curve?.rows ?? 0, held };
  }

  get splits() {
    return Object.keys(this.#curves);
  }

  /** A link to a file in the run's folder, or to the folder. */
  link(file = "") {
    return [this.#shared.root, ...this.path.split("/").map(encodeURIComponent), file].join("/");
  }

  /** True where every word occurs in what the run says; `key=value` asks for a setting instead. */
  matches(wanted) {
    this.#haystack ??= [this.path, this.name, this.status, this.data, this.error, ...(this.problems ?? [])]
      .join("\n")
      .toLowerCase();
    return wanted.every((word) => {
      const [key, value] = word.split("=");
      return value === undefined ? this.#haystack.includes(word) : this.#hasSetting(key, value);
    });
  }

  #hasSetting(wanted, value) {
    for (const key of this.#shared.keys.keys()) {
      const found = key === wanted || key.endsWith(`.${wanted}`) ? this.setting(key) : undefined;
      if (found !== undefined && String(found).toLowerCase() === value) return true;
    }
    return false;
  }
}

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

async function gunzip(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Bytes that lie plane by plane, back to float32, one array a column. */
function separate(planes, lengths) {
  const count = planes.length / 4;
  const joined = new Uint8Array(planes.length);
  for (let plane = 0; plane < 4; plane++) {
    const start = plane * count;
    for (let index = 0; index < count; index++) joined[4 * index + plane] = planes[start + index];
  }
  const numbers = new Float32Array(joined.buffer);
  let offset = 0;
  return lengths.map((length) => numbers.subarray(offset, (offset += length)));
}
