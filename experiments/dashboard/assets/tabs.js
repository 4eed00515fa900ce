// The views as tabs; arrow keys go from one to the next.

export function createTabs(list, state, onShow) {
  const tabs = [...list.querySelectorAll("[role=tab]")];
  const names = tabs.map((tab) => tab.dataset.view);

  for (const tab of tabs) tab.addEventListener("click", () => state.set({ view: tab.dataset.view }));
  list.addEventListener("keydown", (event) => {
    const here = names.indexOf(state.view);
    const next = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: names.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    state.set({ view: names[(next + names.length) % names.length] });
    tabs[names.indexOf(state.view)].focus();
  });

  return function update() {
    if (!names.includes(state.view)) state.view = names[0];
    for (const tab of tabs) {
      const on = tab.dataset.view === state.view;
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !on;
    }
    onShow(state.view);
  };
}
