// The page's frame: which page this is, the bar above it, and the line that says what went wrong.

import { hasToken, keepToken, post } from "./api.js";
import { h, put } from "./dom.js";

keepToken();

/** Shows a message below the bar until the next one, or none. */
export function notice(text, kind = "info") {
  put(document.getElementById("notice"), text ? h("div", { class: `notice ${kind}` }, text) : null);
}

export const failed = error => notice(error.message ?? String(error), "bad");

/** The bar: where one is, whether values come in, and what can be done. */
export class Bar {
  constructor(crumbs) {
    this.trail = h("nav", { "aria-label": "Where you are" });
    this.live = h("span", { class: "live", title: "whether changes come in" });
    this.actions = h("span", { class: "group" });
    put(document.getElementById("bar"), h("a", { href: "/", class: "brand" }, h("img", { src: "/assets/icon.svg", width: 20, height: 20, alt: "" }), "converge"), this.trail, h("span", { class: "gap" }), this.live, this.actions);
    this.crumbs(crumbs);
    this.connection = "connecting";
    this.tell();
  }

  crumbs(crumbs) {
    put(this.trail, crumbs.map(([text, href], at) => [h("span", { class: "slash", "aria-hidden": "true" }, "/"), at === crumbs.length - 1 ? h("span", { "aria-current": "page" }, text) : h("a", { href }, text)]));
    document.title = [...crumbs.map(([text]) => text).reverse(), "converge"].join(" · ");
  }

  /** Takes "live" or "lost". */
  connected(state) {
    this.connection = state;
    this.tell();
  }

  /** Takes the process id of the scheduler, or null. */
  scheduler(pid) {
    this.pid = pid;
    this.tell();
  }

  tell() {
    const [kind, text] = this.connection === "lost" ? ["lost", "connection lost, trying again"]
      : this.connection === "connecting" ? ["idle", "…"]
      : this.pid ? ["on", `live · scheduler ${this.pid}`] : ["idle", "no scheduler runs"];
    this.live.className = `live ${kind}`;
    put(this.live, h("i", { "aria-hidden": "true" }), text);
  }

  /** Offers to pause, go on and stop, where the server allows that and this browser has the token. */
  offer(allowed, state) {
    const buttons = [];
    if (allowed && hasToken() && this.pid) {
      if (state === "running") buttons.push(["Pause", "pause", "Workers checkpoint and leave; the sweep can go on later"]);
      if (state === "paused" || state === "pausing") buttons.push(["Go on", "resume", "Workers are started again"]);
      if (["running", "paused", "pausing"].includes(state)) buttons.push(["Stop", "stop", "Workers checkpoint and the scheduler ends; `converge resume` goes on"]);
    }
    const offered = buttons.map(([text]) => text).join();
    if (this.offered === offered) return;
    this.offered = offered;
    put(this.actions, buttons.map(([text, path, title]) => h("button", { type: "button", title, onclick: event => act(event.target, path) }, text)));
  }
}

/** Does something that changes the sweep, and says what came of it. */
export async function act(button, path, body) {
  button.disabled = true;
  notice(`${button.textContent}: asked …`);
  try {
    notice((await post(path, body)).message);
  } catch (error) {
    failed(error);
  }
  button.disabled = false;
}

async function start() {
  const [, sweep, trial] = /^\/sweeps\/(\d+)(?:\/trials\/(\d+))?$/.exec(location.pathname) ?? [];
  const main = document.getElementById("main");
  try {
    if (trial) await (await import("./trial_page.js")).show(main, Number(sweep), Number(trial));
    else if (sweep) await (await import("./sweep_page.js")).show(main, Number(sweep));
    else await (await import("./sweeps_page.js")).show(main);
  } catch (error) {
    failed(error);
    throw error;
  }
  // After the frame that shows it: what scripts/bench/page measures.
  requestAnimationFrame(() => setTimeout(() => performance.mark("shown")));
}

start();
