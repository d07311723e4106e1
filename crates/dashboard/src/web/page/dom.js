// Elements from plain values. Text only ever becomes text: no string is parsed as HTML anywhere on this page, so what
// users named (sweeps, labels, metrics) and what a log says cannot become markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
    else if (name === "value" || name === "checked" || name === "selected" || name === "indeterminate") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false));
  return element;
}

/** Makes an HTML element; `onclick` and the like are listeners, `style` is a map. */
export function h(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** Makes an SVG element. */
export function s(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

/** Puts children into an element in place of those that are there. */
export function put(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false));
  return element;
}

/** Runs `work` once, a little after the last call. */
export function later(work, milliseconds) {
  let timer = null;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...values), milliseconds);
  };
}

/** Runs `work` at most once a frame. */
export function eachFrame(work) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; work(); });
  };
}

/** A select with options `[value, text]`, or `{group, options}`. */
export function select(label, options, value, onchange) {
  const option = ([own, text]) => h("option", { value: own, selected: own === value }, text);
  const list = options.map(one => Array.isArray(one) ? option(one) : h("optgroup", { label: one.group }, one.options.map(option)));
  const element = h("select", { "aria-label": label, onchange: event => onchange(event.target.value) }, list);
  element.value = value;
  return element;
}

/** A button that can be on or off. */
export function toggle(text, on, title, onchange) {
  const button = h("button", { type: "button", class: "toggle", "aria-pressed": String(on), title }, text);
  button.addEventListener("click", () => {
    const now = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(now));
    onchange(now);
  });
  return button;
}

/** A piece of text with a button that copies it. */
export function copyable(text) {
  const button = h("button", { type: "button", class: "copy", title: "Copy", "aria-label": `Copy ${text}` }, "copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(button.previousSibling);
      button.textContent = "Ctrl+C";
    }
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
  return h("span", { class: "command" }, h("code", {}, text), button);
}

/** Reads and writes the part of the address behind `?`: what is shown can be sent to somebody. */
export const view = {
  get: (name, otherwise) => new URLSearchParams(location.search).get(name) ?? otherwise,
  set(name, value, otherwise) {
    const search = new URLSearchParams(location.search);
    if (value === otherwise || value === "" || value === null) search.delete(name);
    else search.set(name, value);
    const text = search.toString();
    history.replaceState(null, "", location.pathname + (text ? `?${text}` : ""));
  },
};
