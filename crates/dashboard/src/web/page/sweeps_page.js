// All sweeps of the home.

import { get, listen } from "./api.js";
import { h, put } from "./dom.js";
import { Bar, failed } from "./main.js";
import { duration, many, ofMetric, parameter, when } from "./number.js";
import { stateWord } from "./trial_table.js";

/** The trials of a sweep by state, as a bar with words. */
export function progressBar(trials) {
  const parts = ["completed", "stopped", "diverged", "failed", "cancelled", "waiting", "running"].filter(state => trials[state]);
  const words = parts.map(state => `${trials[state]} ${state}`).concat(trials.queued ? [`${trials.queued} queued`] : []).join(", ");
  return h("div", { class: "bar", role: "img", "aria-label": `${trials.total} trials: ${words}`, title: words },
    parts.map(state => h("span", { class: `part ${state}`, style: { "flex-grow": trials[state] } })),
    trials.queued ? h("span", { class: "part queued", style: { "flex-grow": trials.queued } }) : null);
}

/** A configuration as words. */
export const configurationWords = configuration => Object.entries(configuration).map(([name, value]) =>
  h("span", { class: "pair" }, h("span", { class: "muted" }, `${name} `), parameter(value)));

/** How long a sweep has run, from its first start to its last end. */
export function took(sweep) {
  if (!sweep.started_at_ms) return null;
  const active = ["running", "paused", "pausing"].includes(sweep.state);
  const end = active ? Date.now() : sweep.ended_at_ms;
  return end ? (end - sweep.started_at_ms) / 1000 : null;
}

export async function show(main) {
  const bar = new Bar([["sweeps", "/"]]);
  const home = await get("home");
  const sweeps = new Map(home.sweeps.map(sweep => [sweep.id, sweep]));
  const body = h("tbody");
  bar.scheduler(home.scheduler_pid);
  const draw = () => {
    const newest = [...sweeps.values()].sort((one, other) => (other.started_at_ms ?? other.created_at_ms) - (one.started_at_ms ?? one.created_at_ms));
    put(body, newest.map(sweep => {
      const ended = sweep.trials.total - sweep.trials.queued - sweep.trials.running - sweep.trials.waiting;
      return h("tr", {},
        h("td", {}, h("a", { href: `/sweeps/${sweep.id}`, class: "name" }, sweep.name)),
        h("td", {}, stateWord(sweep.state)),
        h("td", { class: "progress" }, progressBar(sweep.trials), h("span", { class: "muted" }, `${ended} of ${sweep.trials.planned ?? `${sweep.trials.total} or more`}`)),
        h("td", { class: "right strong" }, sweep.best ? ofMetric(sweep.objective.metric, sweep.best.mean) : "–", h("small", { class: "muted under" }, sweep.objective.metric)),
        h("td", { class: "wide" }, sweep.best ? configurationWords(sweep.best.configuration) : "–"),
        h("td", {}, when(sweep.started_at_ms ?? sweep.created_at_ms)),
        h("td", { class: "right" }, duration(took(sweep))));
    }), newest.length ? null : h("tr", {}, h("td", { colspan: 7, class: "none" }, "There is no sweep yet: start one with converge run FILE.")));
    const running = newest.find(sweep => ["running", "paused", "pausing"].includes(sweep.state));
    bar.offer(home.actions, running?.state);
  };
  draw();
  put(main, h("div", { class: "title" }, h("h1", {}, "Sweeps"), h("span", { class: "muted" }, `${many(sweeps.size, "sweep")} in ${home.home}`)),
    h("section", { class: "panel" }, h("div", { class: "scroll" }, h("table", { class: "sweeps" },
      h("thead", {}, h("tr", {}, ["sweep", "state", "trials"].map(text => h("th", { scope: "col" }, text)), h("th", { scope: "col", class: "right" }, "best"), ["best configuration", "started"].map(text => h("th", { scope: "col" }, text)), h("th", { scope: "col", class: "right" }, "time"))), body))));
  listen("events", (name, data) => {
    if (name === "home") bar.scheduler(data.scheduler_pid);
    if (name === "lost") failed(new Error(data.message));
    if (name === "sweep") { sweeps.set(data.id, data); draw(); }
  }, state => bar.connected(state));
}
