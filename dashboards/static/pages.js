"use strict";

// Draws each figure of the page from the JSON beside it, in the page's colours, and again when those change.

const CONFIG = { displayModeBar: false, responsive: true };
const PICTURE_SCALE = 3;

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
  const figure = JSON.parse(plot.querySelector("script").textContent);
  const { data, layout } = coloured(figure, getComputedStyle(document.documentElement));
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

const plots = document.querySelectorAll(".plot");
const drawAll = () => plots.forEach(draw);

drawAll();
for (const medium of ["(prefers-color-scheme: dark)", "print"]) matchMedia(medium).addEventListener("change", drawAll);
for (const plot of plots) {
  const button = plot.querySelector(".picture");
  button.hidden = false;
  button.addEventListener("click", () => download(plot));
}
