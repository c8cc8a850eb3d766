"use strict";

// Keeps a page at what its own address answers now, while the page asks for it: what has not changed is left alone, with
// its scroll, focus and selection. A server that goes away is asked again until it is back.

const LONGEST = 20_000; // milliseconds that an answer may take
const SHARE = 4; // a page that takes long to make is asked for less often
// What the reader works on, and what other scripts draw.
const KEPT = "input, textarea, select, .canvas, .picture, [data-keep]";

const seen = { address: "", tag: "", failures: 0, timer: 0 };

const callbacks = {
  beforeNodeMorphed: (old) => !(old instanceof Element && old.matches(KEPT)),
  beforeAttributeUpdated: (name) => name !== "open",
};

const tail = () => document.querySelector("[data-tail]");
const toEnd = () => tail()?.scrollTo(0, tail().scrollHeight);

function show(text) {
  const page = new DOMParser().parseFromString(text, "text/html");
  if (page.querySelector("#content > #refusal")) return; // htmx has said so in its place: what else is there stays
  const log = tail();
  if (page.querySelector(".plot") && !document.querySelector(".plot") && typeof Plotly === "undefined") {
    location.reload(); // the first figure of a page that was made without what draws one
    return;
  }
  const atEnd = !log || log.scrollHeight - log.scrollTop - log.clientHeight < 8;
  document.title = page.title;
  for (const part of [".top", "#content"]) {
    Idiomorph.morph(document.querySelector(part), page.querySelector(part), { callbacks });
  }
  htmx.process(document.getElementById("content"));
  document.dispatchEvent(new Event("pkpo:changed"));
  if (atEnd) toEnd();
}

async function ask(address) {
  const known = seen.address === address && seen.tag ? { "If-None-Match": seen.tag } : {};
  const headers = { Accept: "text/html", ...known };
  const answer = await fetch(address, { headers, cache: "no-store", signal: AbortSignal.timeout(LONGEST) });
  if (answer.status === 304) return true;
  if (!answer.ok && answer.status !== 422) return false; // a choice that is refused is a page too
  const text = await answer.text();
  if (address === location.pathname + location.search) {
    show(text);
    Object.assign(seen, { address, tag: answer.headers.get("ETag") });
  }
  return true;
}

async function look() {
  clearTimeout(seen.timer);
  const began = performance.now();
  const answered = await ask(location.pathname + location.search).catch(() => false);
  seen.failures = answered ? 0 : seen.failures + 1;
  const away = document.getElementById("away");
  if (away) away.hidden = answered;
  wait(performance.now() - began);
}

function wait(took) {
  clearTimeout(seen.timer);
  const every = document.getElementById("live")?.dataset.every;
  if (!every || document.hidden) return;
  const pause = Math.max(1000 * every, SHARE * took);
  seen.timer = setTimeout(look, Math.min(pause * 2 ** Math.min(seen.failures, 2), LONGEST));
}

toEnd();
wait(0);
// What began while nobody looked is shown to who comes back.
document.addEventListener("visibilitychange", () => document.hidden || look());
