// One sweep: its head, curves, parameters, and the table that says which trials these show.

import { get, listen } from "./api.js";
import { CurvePanel } from "./curve_panel.js";
import { onTheme } from "./colour.js";
import { copyable, h, later, put, toggle, view } from "./dom.js";
import { readFilter, withConditions } from "./filter.js";
import { Bar, failed, notice } from "./main.js";
import { count, duration, many, numeric, ofMetric, when } from "./number.js";
import { configurationWords, progressBar, took } from "./sweeps_page.js";
import { TrialSet } from "./trial_set.js";
import { TrialTable, stateWord } from "./trial_table.js";

/** Points of the small curves. */
const SPARK = 24;
/** Curves that the server gives at once. */
const MOST_CURVES = 200;

export async function show(main, id) {
  const bar = new Bar([["sweeps", "/"], [`${id}`, ""]]);
  const [sweep, columns] = await Promise.all([get(`sweeps/${id}`), get(`sweeps/${id}/trials`)]);
  const page = new SweepPage(bar, sweep, columns);
  put(main, page.element);
  page.arrange();
  page.follow();
  // Head, table and curves first: what is drawn for every trial comes in a frame after them.
  requestAnimationFrame(() => setTimeout(() => page.addParameters().catch(failed)));
}

class SweepPage {
  constructor(bar, sweep, columns) {
    Object.assign(this, { bar, sweep, id: sweep.id, grouped: view.get("grouped", "") === "1", chosen: new Set() });
    for (const number of view.get("trials", "").split(",").filter(Boolean)) this.chosen.add(Number(number));
    bar.crumbs([["sweeps", "/"], [sweep.name, ""]]);
    bar.scheduler(sweep.scheduler_pid);
    this.set = new TrialSet(columns, sweep.objective.goal);
    this.head = h("section", { class: "head", "aria-label": "Sweep" });
    const calls = {
      link: number => this.link(number), pointed: number => this.pointed(number), open: number => { location.href = this.link(number); },
      changed: () => this.arrange(), failed, clear: () => { this.chosen.clear(); this.arrange(); },
      filter: (name, conditions) => this.setFilter(withConditions(this.filter.value, name, conditions)),
      sorted: sort => { view.set("sort", sort, "objective"); this.table.sort = sort; this.arrange(); },
      chosen: number => this.choose(number), seen: rows => { this.seen = rows; this.askSparks(); },
    };
    this.curves = new CurvePanel(this.id, sweep.metrics, sweep.objective, calls);
    this.calls = calls;
    this.parameters = null;
    this.place = h("section", { class: "panel", "aria-label": "Parameters" }, h("div", { class: "panel-head" }), h("div", { class: "stage" }));
    this.table = new TrialTable(this.set, sweep.objective, view.get("sort", "objective"), calls);
    this.filter = h("input", { type: "search", value: view.get("filter", ""), placeholder: "filter: state=completed learning_rate<1e-4 optimizer=adamw|sgd", "aria-label": "Filter of trials", spellcheck: "false", oninput: later(() => this.arrange(), 120) });
    this.told = h("span", { class: "muted", role: "status" });
    const grouped = toggle("group replicates", this.grouped, "One row a configuration: the mean over its replicates", on => { this.grouped = on; view.set("grouped", on ? "1" : "", ""); this.arrange(); });
    this.askSparks = later(() => this.sparks(), 60);
    this.element = h("div", { class: "sweep" }, this.head,
      h("div", { class: "plots" }, this.curves.element, this.place),
      h("section", { class: "panel", "aria-label": "Trials" }, h("div", { class: "panel-head" }, h("h2", {}, "Trials"), this.filter, this.told, this.set.replicated ? grouped : null), this.table.element),
      this.about());
    this.drawHead();
  }

  async addParameters() {
    const { ParameterPanel } = await import("./parameter_panel.js");
    const { sweep } = this;
    this.parameters = new ParameterPanel(this.id, this.set, sweep.metrics, sweep.objective, this.calls);
    this.place.replaceWith(this.parameters.element);
    this.parameters.show(this.drawn);
    performance.mark("drawn");
  }

  link = number => `/sweeps/${this.id}/trials/${number}`;

  drawHead() {
    const { sweep, set } = this;
    const { trials, best, objective } = sweep;
    const ended = trials.total - trials.queued - trials.running - trials.waiting;
    const counts = ["completed", "running", "waiting", "queued", "stopped", "diverged", "failed", "cancelled"].filter(state => trials[state]);
    const fact = (title, ...content) => h("div", { class: "fact" }, h("h3", {}, title), h("div", { class: "value" }, content));
    const devices = sweep.devices.map(one => one.workers ? `${one.device} × ${one.workers}` : one.device).join(", ");
    const left = this.secondsLeft();
    put(this.head, h("div", { class: "title" }, h("h1", {}, sweep.name), stateWord(sweep.state)),
      h("div", { class: "facts" },
        h("div", { class: "fact grow" }, h("h3", {}, `${count(ended)} of ${trials.planned === null ? `${count(trials.total)} or more trials` : many(trials.planned, "trial")} ended`), progressBar(trials),
          h("div", { class: "counts" }, counts.map(state => h("span", {}, h("b", {}, count(trials[state])), " ", stateWord(state))))),
        fact("best configuration", best ? [h("b", { class: "big" }, ofMetric(objective.metric, numeric(best.mean))), " ", h("a", { href: this.link(best.trial) }, `trial ${best.trial}`), best.replicates > 1 ? ` mean of ${best.replicates}` : "", h("div", { class: "pairs" }, configurationWords(best.configuration))] : "none yet"),
        fact("objective", h("div", {}, objective.metric), h("div", { class: "muted" }, `${objective.goal}, ${objective.at === "best" ? "best" : "last"} evaluation of a trial`)),
        fact("device", h("div", {}, devices || "–"), h("div", { class: "muted" }, `${count(sweep.steps_done)} of ${many(sweep.steps_total, "step")}`)),
        fact("started", h("div", {}, when(sweep.started_at_ms)), h("div", { class: "muted" }, took(sweep) ? `${duration(took(sweep))}${left ? `, about ${duration(left)} left` : ""}` : "")),
        set.replicated ? fact("replicates", h("div", {}, many(Math.max(...set.rows.map(row => row.replicate)) + 1, "seed")), h("div", { class: "muted" }, "per configuration")) : null));
    this.bar.offer(sweep.actions, sweep.state);
  }

  /** From the steps of the last minutes that this page has seen. */
  secondsLeft() {
    const { sweep } = this;
    if (sweep.state !== "running") return null;
    const now = performance.now() / 1000;
    this.pace = [...(this.pace ?? []).filter(([at, steps]) => now - at < 120 && steps <= sweep.steps_done), [now, sweep.steps_done]];
    const [first, last] = [this.pace[0], this.pace.at(-1)];
    if (last[0] - first[0] < 5 || last[1] === first[1]) return null;
    return (sweep.steps_total - sweep.steps_done) / ((last[1] - first[1]) / (last[0] - first[0]));
  }

  setFilter(text) {
    this.filter.value = text;
    this.arrange();
  }

  choose(number) {
    // The first pick is made among the curves that are shown: they stay.
    if (!this.chosen.size) for (const row of this.shown) this.chosen.add(row.number);
    if (!this.chosen.delete(number)) this.chosen.add(number);
    this.arrange();
  }

  /** Filters, sorts and shows everything anew; `live`: because something changed, and not because somebody asked. */
  arrange(live = false) {
    const { set, table, curves } = this;
    view.set("filter", this.filter.value.trim(), "");
    view.set("trials", [...this.chosen].join(), "");
    const { test, problem } = readFilter(this.filter.value, set.parameters.map(one => one.name));
    this.filter.setAttribute("aria-invalid", String(Boolean(problem)));
    const rows = set.rows.filter(test);
    const filtered = rows.length < set.rows.length;
    const sorted = table.sorted(rows, false);
    this.rows = sorted;
    this.shown = this.chosen.size ? set.rows.filter(row => this.chosen.has(row.number)).slice(0, MOST_CURVES) : sorted.filter(row => row.step > 0).slice(0, curves.most);
    const places = new Map(this.shown.map((row, place) => [row.number, place]));
    table.show(this.grouped ? table.sorted(set.configurations(rows), true) : sorted, this.grouped, places, this.chosen);
    put(this.told, problem ?? (filtered ? `${count(rows.length)} of ${count(set.rows.length)}` : many(rows.length, "trial")));
    curves.show(this.shown, this.chosen.size > 0);
    // Ten thousand lines need not be there before the table is, nor be drawn three times a second.
    this.drawn = rows;
    if (!live) clearTimeout(this.waiting);
    if (!live || !this.waiting) this.waiting = setTimeout(() => { this.waiting = null; this.parameters?.show(this.drawn); }, live ? 1500 : 0);
  }

  pointed(number) {
    if (this.under === number) return;
    this.under = number;
    this.curves.plot.highlight(number);
    this.parameters?.highlight(number);
    for (const row of this.table.body.querySelectorAll("tr.pointed")) row.classList.remove("pointed");
    if (number !== null) this.table.body.querySelector(`tr[data-number="${number}"]`)?.classList.add("pointed");
  }

  async sparks() {
    if (this.grouped) return;
    const want = (this.seen ?? []).filter(row => row.step > 0 && (this.table.sparks.get(row.number)?.step ?? -1) < row.step).slice(0, 100);
    if (!want.length) return;
    try {
      const answer = await get(`sweeps/${this.id}/curves?${new URLSearchParams({ metric: this.sweep.objective.metric, trials: want.map(row => row.number).join(), points: SPARK })}`);
      const found = new Map(answer.curves.map(curve => [curve.trial, curve]));
      for (const row of want) {
        const curve = found.get(row.number);
        this.table.spark(row.number, curve ? curve.steps.map((step, at) => [step, numeric(curve.values[at]) ?? NaN]) : [], row.step);
      }
    } catch (error) {
      failed(error);
    }
  }

  follow() {
    const arrangeSoon = later(() => this.arrange(true), 150);
    const again = later(async () => {
      const [sweep, columns] = await Promise.all([get(`sweeps/${this.id}`), get(`sweeps/${this.id}/trials`)]).catch(error => { failed(error); return []; });
      if (!sweep) return;
      Object.assign(this.sweep, sweep);
      this.set.load(columns);
      this.parameters?.menu();
      this.metricsAgain(sweep.metrics);
      this.arrange();
    }, 50);
    let first = true;
    listen(`events?sweep=${this.id}`, (name, data) => {
      if (name === "home") this.bar.scheduler(data.scheduler_pid);
      if (name === "lost") notice(data.message, "bad");
      if (name === "sweep") {
        Object.assign(this.sweep, data);
        this.drawHead();
      }
      if (name === "trials") {
        // After a gap, marker and rows tell whether something was missed.
        const missed = first && data.marker !== this.set.marker;
        first = false;
        if (missed || !this.set.update(data)) return again();
        if (data.rows.length) arrangeSoon();
      }
    }, state => { this.bar.connected(state); if (state === "lost") first = true; });
    onTheme(() => this.arrange());
    // Times of running trials go on between events, and their first evaluation brings metrics that were not there before.
    setInterval(async () => {
      if (document.hidden || this.sweep.state !== "running") return;
      this.drawHead();
      this.table.refresh();
      const sweep = await get(`sweeps/${this.id}`).catch(() => null);
      if (sweep) this.metricsAgain(sweep.metrics);
    }, 5000);
  }

  metricsAgain(metrics) {
    this.sweep.metrics = metrics;
    this.curves.setMetrics(metrics);
    this.parameters?.setMetrics(metrics);
  }

  about() {
    const { source, facts, name, home } = this.sweep;
    const splits = fact => ["train", "validation", "test"].filter(split => fact[split]).map(split => `${split} ${count(fact[split].examples)}`).join(", ");
    return h("details", { class: "panel about" }, h("summary", {}, "Sweep file, data and commands"),
      h("div", { class: "commands" }, [`converge best ${quoted(name)}`, `converge trials ${quoted(name)}`, `converge resume ${quoted(name)}`].map(copyable)),
      h("p", { class: "muted" }, `home ${home}`),
      facts.map((fact, at) => h("p", {}, facts.length > 1 ? `data ${at + 1}: ` : "data: ", splits(fact), ` examples; ${fact.labels.length > 12 ? `${fact.labels.length} labels` : `labels ${fact.labels.join(", ")}`}; ${many(fact.model.parameters, "parameter")}; at most ${fact.max_length} tokens`)),
      source ? [source.path ? h("p", { class: "muted" }, source.path, source.overrides?.length ? ` with ${source.overrides.join(" ")}` : "") : null, h("pre", { tabindex: "0" }, source.text)] : null);
  }
}

/** A name as a shell takes it. */
export const quoted = name => /^[\w.@%+=:,/-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
