// Light or dark as the system says, until the reader says otherwise.

const KEY = "lrpe-theme";
const ORDER = ["auto", "light", "dark"];

/** `onChange` is called when colors have changed. */
export function createTheme(toggle, onChange) {
  let theme = stored();

  function apply() {
    document.documentElement.dataset.theme = theme;
    toggle.textContent = `Theme: ${theme}`;
  }

  toggle.addEventListener("click", () => {
    theme = ORDER[(ORDER.indexOf(theme) + 1) % ORDER.length];
    apply();
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // a browser may refuse storage to files; the choice then lasts as long as the page
    }
    onChange();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", onChange);
  apply();
}

function stored() {
  try {
    const found = localStorage.getItem(KEY);
    return ORDER.includes(found) ? found : "auto";
  } catch {
    return "auto";
  }
}
