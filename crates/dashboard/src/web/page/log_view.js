// The log of an attempt: its end, and what is added to it while one watches.

import { get } from "./api.js";
import { h, put, select, toggle } from "./dom.js";
import { bytes } from "./number.js";

/** Lines that stay in the document. */
const LINES = 4000;
const PACE = 1000;

export class LogView {
  constructor(sweep, number, attempts, running) {
    Object.assign(this, { sweep, number, attempts, running, follows: true, lines: [], next: null });
    this.attempt = attempts.at(-1)?.attempt ?? null;
    this.text = h("pre", { class: "log", tabindex: "0", "aria-label": "Log" });
    this.told = h("span", { class: "muted" });
    this.controls = h("div", { class: "controls" });
    this.element = h("section", { class: "panel", "aria-label": "Log" }, h("div", { class: "panel-head" }, h("h2", {}, "Log"), this.told, this.controls), this.text);
    this.menu();
    this.load();
    setInterval(() => { if (this.follows && this.running && !document.hidden) this.load(); }, PACE);
  }

  menu() {
    put(this.controls,
      this.attempts.length > 1 ? select("Attempt", this.attempts.map(one => [String(one.attempt), `attempt ${one.attempt}`]), String(this.attempt), value => { this.choose(Number(value)); }) : null,
      toggle("follow", this.follows, "Show lines as they come", on => { this.follows = on; if (on) this.load(); }));
  }

  /** Takes the trial's attempts as they are now. */
  update(attempts, running) {
    const newest = attempts.at(-1)?.attempt ?? null;
    const grew = newest !== (this.attempts.at(-1)?.attempt ?? null);
    Object.assign(this, { attempts, running });
    if (grew) { this.choose(newest); this.menu(); } else if (this.follows) this.load();
  }

  choose(attempt) {
    Object.assign(this, { attempt, lines: [], next: null });
    this.load();
  }

  async load() {
    if (this.attempt === null || this.loading) { if (this.attempt === null) this.told.textContent = "the trial has not run yet"; return; }
    this.loading = true;
    const attempt = this.attempt;
    try {
      const search = new URLSearchParams({ attempt, ...(this.next === null ? {} : { from: this.next }) });
      const part = await get(`sweeps/${this.sweep}/trials/${this.number}/log?${search}`);
      if (attempt !== this.attempt) return;
      this.add(part);
    } catch (error) {
      this.told.textContent = error.message;
    } finally {
      this.loading = false;
    }
  }

  add(part) {
    if (this.next === null && part.from > 0) this.told.textContent = `the last ${bytes(part.next - part.from)} of ${bytes(part.length)}`;
    else if (this.next === null) this.told.textContent = bytes(part.length);
    const fresh = part.text.split("\n");
    // The last line may have been cut in the middle.
    this.lines = [...this.lines.slice(0, -1), (this.lines.at(-1) ?? "") + fresh[0], ...fresh.slice(1)].slice(-LINES);
    const changed = part.next !== this.next;
    this.next = part.next;
    if (!changed) return;
    const atEnd = this.text.scrollHeight - this.text.scrollTop - this.text.clientHeight < 40 || !this.text.childNodes.length;
    put(this.text, this.lines.map(line => [kind(line) ? h("span", { class: kind(line) }, line) : line, "\n"]));
    if (atEnd) this.text.scrollTop = this.text.scrollHeight;
  }
}

const kind = line => / ERROR /.test(line) ? "bad" : / WARN /.test(line) ? "warn" : null;
