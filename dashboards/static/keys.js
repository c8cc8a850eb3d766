"use strict";

// The next and the previous completion by keyboard: what a click on their links does.

const LINKS = { j: "next", ArrowRight: "next", k: "prev", ArrowLeft: "prev" };

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || event.target.closest("input, textarea, select")) return;
  const link = document.querySelector(`a[rel="${LINKS[event.key]}"]`);
  if (!link) return;
  event.preventDefault();
  link.click();
});
