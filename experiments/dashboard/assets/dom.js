// Elements, built without markup: every text enters as text, so that nothing in a record can act as HTML.

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with properties and children (elements, texts; null and false are left out).
 * `on` holds listeners, `style` CSS properties, `data` data attributes; other names are attributes, or `text`.
 */
export function element(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

/** Like `replaceChildren`, with null and false left out. */
export function replace(parent, ...children) {
  parent.replaceChildren(...children.flat().filter(isShown));
}

/** Draw anew what `root` holds; the focus stays in the part of the same `data-key`. */
export function keepingFocus(root, draw) {
  const controls = "input, button, a";
  const active = document.activeElement;
  const part = root.contains(active) ? active.closest("[data-key]") : null;
  const place = part ? [...part.querySelectorAll(controls)].indexOf(active) : -1;
  draw();
  const again = part && root.querySelector(`[data-key="${CSS.escape(part.dataset.key)}"]`);
  (place < 0 ? again : again?.querySelectorAll(controls)[place])?.focus({ preventScroll: true });
}

/** A labeled `select`; `options` are [value, label] pairs, or groups {label, options}. */
export function select(label, options, value, onChange) {
  const field = element("select", { on: { change: () => onChange(field.value) } });
  setOptions(field, options, value);
  return { field, box: element("label", { class: "field" }, element("span", { text: label }), field) };
}

export function setOptions(field, options, value) {
  const made = options.map((one) =>
    Array.isArray(one)
      ? option(one, value)
      : element("optgroup", { label: one.label }, ...one.options.map((pair) => option(pair, value))),
  );
  field.replaceChildren(...made);
  field.value = value;
}

/** A labeled checkbox. */
export function checkbox(label, checked, onChange, properties = {}) {
  const field = element("input", { type: "checkbox", ...properties, on: { change: () => onChange(field.checked) } });
  field.checked = checked;
  return { field, box: element("label", { class: "check" }, field, element("span", { text: label })) };
}

export function button(label, onClick, properties = {}) {
  return element("button", { type: "button", text: label, ...properties, on: { click: onClick } });
}

function option([value, label], chosen) {
  const made = element("option", { value, text: label });
  made.selected = value === chosen;
  return made;
}

function fill(made, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") made.textContent = value;
    else if (name === "on")
      for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    else if (name === "style") for (const [key, item] of Object.entries(value)) made.style.setProperty(key, item);
    else if (name === "data") Object.assign(made.dataset, value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter(isShown));
  return made;
}

function isShown(child) {
  return child !== null && child !== undefined && child !== false;
}
