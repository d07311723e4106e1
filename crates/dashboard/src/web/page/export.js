// A plot as a file: SVG with its looks written into it, or PNG drawn from that.

import { h } from "./dom.js";

const LOOKS = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "opacity", "font-size", "font-family", "font-weight"];

function standalone(svg) {
  const copy = svg.cloneNode(true);
  const [from, to] = [svg.querySelectorAll("*"), copy.querySelectorAll("*")];
  from.forEach((element, at) => {
    const look = getComputedStyle(element);
    for (const name of LOOKS) to[at].setAttribute(name, look.getPropertyValue(name));
    to[at].removeAttribute("class");
  });
  const { width, height } = svg.getBoundingClientRect();
  const background = getComputedStyle(document.documentElement).getPropertyValue("--panel").trim();
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  copy.setAttribute("width", width);
  copy.setAttribute("height", height);
  copy.setAttribute("style", `background:${background}`);
  return { text: new XMLSerializer().serializeToString(copy), width, height, background };
}

function save(blob, name) {
  const address = URL.createObjectURL(blob);
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

const fileName = (name, kind) => `${name.replace(/[^\w.-]+/g, "-").replace(/^-+|-+$/g, "") || "plot"}.${kind}`;

export function saveSvg(svg, name) {
  save(new Blob([standalone(svg).text], { type: "image/svg+xml" }), fileName(name, "svg"));
}

export async function savePng(svg, name) {
  const { text, width, height, background } = standalone(svg);
  const image = new Image();
  image.src = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  await image.decode();
  const canvas = h("canvas", { width: width * 2, height: height * 2 });
  const context = canvas.getContext("2d");
  context.fillStyle = background;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  canvas.toBlob(blob => save(blob, fileName(name, "png")), "image/png");
}

/** Two buttons that save a plot. */
export function exportButtons(svg, name) {
  return h("span", { class: "group" },
    h("button", { type: "button", title: "Save this plot as SVG", onclick: () => saveSvg(svg(), name()) }, "SVG"),
    h("button", { type: "button", title: "Save this plot as PNG", onclick: () => savePng(svg(), name()) }, "PNG"));
}
