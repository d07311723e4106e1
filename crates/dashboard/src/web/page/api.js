// Asking the server, and hearing from it.

/** Where the token of this server is kept: it came behind the `#` of the address that `converge serve` printed. */
const TOKEN = "converge-token";

export function keepToken() {
  const found = /^#token=([0-9a-f]+)$/.exec(location.hash);
  if (!found) return;
  localStorage.setItem(TOKEN, found[1]);
  history.replaceState(null, "", location.pathname + location.search);
}

export const hasToken = () => localStorage.getItem(TOKEN) !== null;

async function answer(response) {
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Error(body?.error?.message ?? `the server answered ${response.status}`);
  return body;
}

/** Gets `/api/v1/PATH`. */
export const get = async (path, options) => answer(await fetch(`/api/v1/${path}`, options));

/** Posts to `/api/v1/PATH`, with the token. */
export const post = async (path, body) => answer(await fetch(`/api/v1/${path}`, {
  method: "POST",
  headers: { "Content-Type": "application/json", "X-Converge-Token": localStorage.getItem(TOKEN) ?? "" },
  body: JSON.stringify(body ?? {}),
}));

/**
 * Hears events for as long as the page is looked at: `hear(name, data)`; `state("live" | "lost")` says whether they come.
 * A hidden page hears nothing, because a browser has few connections to give; it catches up when it is shown again.
 */
export function listen(path, hear, state) {
  let source = null;
  const open = () => {
    source = new EventSource(`/api/v1/${path}`);
    source.onopen = () => state("live");
    source.onerror = () => {
      state("lost");
      // A server that has ended refuses the connection, and then the browser does not try again by itself.
      if (source.readyState === EventSource.CLOSED) setTimeout(() => { if (!document.hidden) { close(); open(); } }, 2000);
    };
    for (const name of ["home", "sweep", "trials", "trial", "lost"]) {
      source.addEventListener(name, event => hear(name, JSON.parse(event.data)));
    }
  };
  const close = () => { source?.close(); source = null; };
  document.addEventListener("visibilitychange", () => {
    close();
    if (!document.hidden) open();
  });
  if (!document.hidden) open();
}
