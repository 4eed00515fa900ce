// Changes from the server that the page came from, while it is open and seen.

const SECONDS = 4;

/** Ask again and again; `take(snapshot)` gets every answer that holds a change. `said` tells how it stands. */
export function follow(app, said, take) {
  let failures = 0;

  async function ask() {
    if (document.visibilityState === "hidden") return;
    try {
      let snapshot = await fetchChanges(app.version);
      // another store: the server was started again, and its versions count anew
      if (snapshot.store !== app.store) snapshot = { ...(await fetchChanges(0)), whole: true };
      failures = 0;
      said.textContent = "live";
      if (snapshot.whole || snapshot.runs.length || snapshot.removed.length) await take(snapshot);
    } catch {
      failures += 1;
      said.textContent = `no answer from the server (${failures})`;
    }
  }

  async function loop() {
    await ask();
    setTimeout(loop, 1000 * SECONDS);
  }

  document.addEventListener("visibilitychange", ask);
  loop();
}

async function fetchChanges(since) {
  const answer = await fetch(`snapshot?since=${since}`, { cache: "no-store" });
  if (!answer.ok) throw new Error(answer.statusText);
  return answer.json();
}
