// One trial: what it is, how it went, its curves, settings, attempts and log.

import { get, hasToken, listen } from "./api.js";
import { onTheme } from "./colour.js";
import { copyable, h, later, put } from "./dom.js";
import { LogView } from "./log_view.js";
import { Bar, act, failed, notice } from "./main.js";
import { bytes, count, duration, exact, many, numeric, ofMetric, parameter, when } from "./number.js";
import { quoted } from "./sweep_page.js";
import { TrialCurves } from "./trial_curves.js";
import { stateWord } from "./trial_table.js";

export async function show(main, sweep, number) {
  const bar = new Bar([["sweeps", "/"], [`${sweep}`, `/sweeps/${sweep}`], [`trial ${number}`, ""]]);
  const page = new TrialPage(bar, sweep, number, await get(`sweeps/${sweep}/trials/${number}`));
  put(main, page.element);
  await page.curves.load();
  page.follow();
}

class TrialPage {
  constructor(bar, id, number, trial) {
    Object.assign(this, { bar, id, number, trial });
    bar.crumbs([["sweeps", "/"], [trial.sweep.name, `/sweeps/${id}`], [`trial ${number}`, ""]]);
    bar.scheduler(trial.sweep.scheduler_pid);
    this.head = h("section", { class: "head", "aria-label": "Trial" });
    this.curves = new TrialCurves(id, number);
    this.attempts = h("section", { class: "panel", "aria-label": "Attempts" });
    this.values = h("section", { class: "panel", "aria-label": "Values" });
    this.log = new LogView(id, number, trial.attempts, trial.state === "running");
    this.element = h("div", { class: "trial" }, this.head, this.curves.element,
      h("div", { class: "columns" }, h("div", {}, this.attempts, this.log.element), h("div", {}, this.settings(), this.values)));
    this.draw();
  }

  draw() {
    const { trial, number } = this;
    const metric = trial.sweep.objective.metric;
    const name = quoted(trial.sweep.name);
    const total = trial.sweep.trials.total;
    const step = (to, text, label) => to >= 1 && to <= total ? h("a", { class: "button", href: `/sweeps/${this.id}/trials/${to}`, rel: to < number ? "prev" : "next", "aria-label": label }, text) : null;
    const fact = (title, ...content) => h("div", { class: "fact" }, h("h3", {}, title), h("div", { class: "value" }, content));
    const cancel = trial.actions && hasToken() && ["queued", "running", "waiting"].includes(trial.state)
      ? h("button", { type: "button", class: "danger", onclick: event => { if (confirm(`Cancel trial ${number}? It is ranked nowhere then, and its checkpoint is deleted.`)) act(event.target, `sweeps/${this.id}/cancel`, { trials: [number] }); } }, "Cancel trial") : null;
    const time = trial.seconds + (trial.state === "running" && trial.attempts.length ? (Date.now() - trial.attempts.at(-1).leased_at_ms) / 1000 : 0);
    put(this.head, h("div", { class: "title" }, h("h1", {}, `Trial ${number}`), stateWord(trial.state, trial.failure?.class), trial.kind === "grid" || trial.kind === "random" ? null : h("span", { class: "tag" }, trial.kind), h("span", { class: "gap" }), cancel, step(number - 1, "← previous", "Previous trial"), step(number + 1, "next →", "Next trial")),
      trial.failure ? h("p", { class: "failure" }, `${trial.failure.class}: ${trial.failure.message}`) : null,
      h("div", { class: "facts" },
        fact(metric, h("b", { class: "big" }, ofMetric(metric, numeric(trial.objective))), trial.objective_step === null ? "" : h("span", { class: "muted" }, ` at step ${count(trial.objective_step)}`)),
        h("div", { class: "fact grow" }, h("h3", {}, "configuration"), h("div", { class: "value pairs" }, Object.entries(trial.configuration).map(([key, value]) => h("span", { class: "pair" }, h("span", { class: "muted" }, `${key} `), h("b", {}, parameter(value)))), Object.keys(trial.configuration).length ? null : "the defaults")),
        fact("steps", h("progress", { max: trial.total_steps || 1, value: trial.step, "aria-label": "steps done" }), ` ${count(trial.step)} of ${count(trial.total_steps)}`),
        fact("time", h("div", {}, time ? duration(time) : "–"), h("div", { class: "muted" }, `${many(trial.attempts.length, "attempt")}, since ${when(trial.leased_at_ms)}`)),
        fact("seed", h("div", {}, `replicate ${trial.replicate}`), trial.replicates.length > 1 ? h("div", { class: "muted" }, "others: ", trial.replicates.filter(one => one.number !== number).map(one => [" ", h("a", { href: `/sweeps/${this.id}/trials/${one.number}`, title: ofMetric(metric, numeric(one.objective)) }, one.number)])) : h("div", { class: "muted cut" }, trial.fingerprint.slice(0, 12)))),
      h("div", { class: "commands" }, [`converge show ${number} --sweep ${name}`, `converge show ${number} --sweep ${name} --log`, ...(["completed", "diverged"].includes(trial.state) ? [] : [`converge resume ${name}${["failed", "cancelled"].includes(trial.state) ? ` --retry ${trial.state}` : ""}`])].map(copyable)));
    this.bar.offer(trial.actions, trial.sweep.state);
    this.drawAttempts();
    this.drawValues(metric);
  }

  drawAttempts() {
    const { attempts, checkpoints, best_weights: best } = this.trial;
    const rows = attempts.map(one => h("tr", {},
      h("td", { class: "right" }, one.attempt),
      h("td", {}, ending(one)),
      h("td", { class: "right" }, `${one.from_step} → ${one.last_step}`, one.until_step !== null && one.until_step < one.last_step ? h("small", { class: "muted under" }, `counts to ${one.until_step}`) : null),
      h("td", { class: "right" }, duration(((one.ended_at_ms ?? Date.now()) - one.leased_at_ms) / 1000)),
      h("td", { class: "right" }, bytes(one.peak_memory_bytes)),
      h("td", {}, one.device)));
    const left = attempts.filter(one => one.evidence).map(one => h("details", {}, h("summary", {}, `What attempt ${one.attempt} left${one.worker_exit ? ` (its worker ended with ${one.worker_exit})` : ""}`),
      one.evidence.log ? [h("h4", {}, "last lines of its log"), h("pre", { tabindex: "0" }, one.evidence.log)] : null,
      one.evidence.stderr ? [h("h4", {}, "last lines that its worker wrote to stderr"), h("pre", { tabindex: "0" }, one.evidence.stderr)] : null));
    const machines = attempts.filter(one => one.machine).slice(-1).map(one => h("details", {}, h("summary", {}, "Machine"), h("dl", {}, Object.entries(one.machine).map(([name, value]) => [h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, value)]))));
    put(this.attempts, h("div", { class: "panel-head" }, h("h2", {}, "Attempts")),
      attempts.length ? h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, [["#", 1], ["ended", 0], ["steps", 1], ["time", 1], ["peak memory", 1], ["device", 0]].map(([text, right]) => h("th", { scope: "col", class: right ? "right" : null }, text)))), h("tbody", {}, rows))) : h("p", { class: "none" }, "not run yet"),
      left, machines,
      best ? h("p", { class: "muted" }, `best weights: step ${best.step}, ${best.directory}`) : null,
      checkpoints.length ? h("details", {}, h("summary", {}, many(checkpoints.length, "checkpoint")), h("ul", {}, checkpoints.map(one => h("li", {}, `step ${one.step}, attempt ${one.attempt}, ${when(one.at_ms)}: ${one.directory}`)))) : null);
  }

  drawValues(objective) {
    const cell = (metric, value, step) => h("td", { class: "right" }, value === null ? "–" : ofMetric(metric, numeric(value)), step === undefined || value === null ? null : h("small", { class: "muted" }, ` @${step}`));
    put(this.values, h("div", { class: "panel-head" }, h("h2", {}, "Values")), h("div", { class: "scroll" }, h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "metric"), ["last", "smallest", "largest"].map(text => h("th", { scope: "col", class: "right" }, text)))),
      h("tbody", {}, this.trial.metrics.map(one => h("tr", { class: one.metric === objective ? "chosen" : null }, h("th", { scope: "row" }, one.metric), cell(one.metric, one.last), cell(one.metric, one.min, one.min_step), cell(one.metric, one.max, one.max_step)))))));
  }

  settings() {
    const sections = new Map();
    for (const one of this.trial.settings) sections.set(one.section, [...sections.get(one.section) ?? [], one]);
    return h("section", { class: "panel", "aria-label": "Settings" }, h("div", { class: "panel-head" }, h("h2", {}, "Settings"), h("span", { class: "muted" }, "parameters of the search in bold")),
      [...sections].map(([section, keys]) => [h("h4", {}, `[${section}]`), h("dl", {}, keys.map(one => [h("dt", {}, one.key), h("dd", { class: one.parameter ? "parameter" : null }, exact(one.value))]))]));
  }

  follow() {
    onTheme(() => this.curves.draw());
    const again = later(async () => {
      try {
        this.trial = await get(`sweeps/${this.id}/trials/${this.number}`);
        this.draw();
        this.log.update(this.trial.attempts, this.trial.state === "running");
      } catch (error) {
        failed(error);
      }
    }, 50);
    listen(`events?sweep=${this.id}&trial=${this.number}`, (name, data) => {
      if (name === "home") this.bar.scheduler(data.scheduler_pid);
      if (name === "lost") notice(data.message, "bad");
      if (name === "sweep") { this.trial.sweep = data; this.bar.offer(this.trial.actions, data.state); }
      if (name !== "trial") return;
      const moved = data.state !== this.trial.state || data.step !== this.trial.step || data.attempts !== this.trial.attempts.length;
      if (!moved) return;
      if (data.attempts !== this.trial.attempts.length) this.curves.reset();
      again();
      this.curves.load().catch(failed);
    }, state => this.bar.connected(state));
  }
}

function ending(attempt) {
  const detail = attempt.ending_detail;
  if (attempt.ending === null) return stateWord("running");
  if (detail?.failed) return [stateWord("failed", detail.failed.class), h("small", { class: "muted under" }, detail.failed.message)];
  if (detail?.diverged) return [stateWord("diverged"), h("small", { class: "muted under" }, `${detail.diverged.quantity} at step ${detail.diverged.step}`)];
  return stateWord(attempt.ending);
}
