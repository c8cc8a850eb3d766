"use strict";

// Draws each figure of the page from the JSON that stands beside it, in the colours of the page, and again when those change.

const CONFIG = { displayModeBar: false, responsive: true };

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

function offerPicture(plot) {
  const button = plot.querySelector(".picture");
  button.hidden = false;
  button.addEventListener("click", () => {
    const { clientWidth: width, clientHeight: height } = plot.querySelector(".canvas");
    Plotly.downloadImage(plot.querySelector(".canvas"), { format: "png", scale: 2, width, height, filename: plot.dataset.picture });
  });
}

const plots = document.querySelectorAll(".plot");
plots.forEach(draw);
plots.forEach(offerPicture);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.forEach(draw));
