"use strict";

// Draws each figure of the page from the JSON beside it, in the page's colours, and again when either changes.

const CONFIG = { displayModeBar: false, responsive: true };
const PICTURE_SCALE = 3;
const drawn = new WeakMap(); // the JSON that each figure was drawn from

// "var(--estimate)" in a figure is the value that the page's style sheet has for it now.
function coloured(part, style) {
  if (typeof part === "string") {
    return part.replace(/^var\((--[a-z]+)\)$/, (_, property) => style.getPropertyValue(property).trim());
  }
  if (Array.isArray(part)) return part.map((item) => coloured(item, style));
  if (part === null || typeof part !== "object") return part;
  return Object.fromEntries(Object.entries(part).map(([key, value]) => [key, coloured(value, style)]));
}

function draw(plot) {
  const text = plot.querySelector("script").textContent;
  const { data, layout } = coloured(JSON.parse(text), getComputedStyle(document.documentElement));
  drawn.set(plot, text);
  layout.uirevision = "kept"; // what the reader has zoomed to stays
  return Plotly.react(plot.querySelector(".canvas"), data, layout, CONFIG);
}

// plotly's own download loads a blob: as an image, which the content security policy refuses; SVG as data: it allows.
async function download(plot) {
  const canvas = plot.querySelector(".canvas");
  const { clientWidth: width, clientHeight: height } = canvas;
  const drawing = new Image();
  drawing.src = await Plotly.toImage(canvas, { format: "svg", width, height });
  await drawing.decode();
  const picture = Object.assign(document.createElement("canvas"), { width: width * PICTURE_SCALE, height: height * PICTURE_SCALE });
  picture.getContext("2d").drawImage(drawing, 0, 0, picture.width, picture.height);
  const link = document.createElement("a");
  link.download = `${plot.dataset.picture}.png`;
  link.href = picture.toDataURL("image/png");
  link.click();
}

const plots = () => document.querySelectorAll(".plot");

function drawChanged() {
  for (const plot of plots()) {
    if (!drawn.has(plot)) prepare(plot);
    if (drawn.get(plot) !== plot.querySelector("script").textContent) draw(plot);
  }
}

function prepare(plot) {
  const button = plot.querySelector(".picture");
  button.hidden = false;
  button.addEventListener("click", () => download(plot));
}

drawChanged();
document.addEventListener("pkpo:changed", drawChanged);
for (const medium of ["(prefers-color-scheme: dark)", "print"]) {
  matchMedia(medium).addEventListener("change", () => plots().forEach(draw));
}
