"use strict";

// Submits, cancels and retries jobs through the API. Where that asks for a key, the reader gives one: what a browser sends
// by itself may only read. The tab keeps the key, and no other page of another site can have it sent.

const KEY = "pkpo-key";
const byId = (id) => document.getElementById(id);
const say = (text) => { byId("said").textContent = text; };

function askForKey(why) {
  const dialog = byId("key-dialog");
  byId("key-why").textContent = why;
  byId("key").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue && byId("key").value.trim()), { once: true });
  });
}

// The answer, or null where the reader gives no key.
async function send(path, body, type, key) {
  for (;;) {
    const headers = { "Content-Type": type, "Idempotency-Key": key, Accept: "application/json" };
    const token = sessionStorage.getItem(KEY);
    if (token) headers.Authorization = `Bearer ${token}`;
    const answer = await fetch(path, { method: "POST", headers, body });
    if (answer.status !== 401 && answer.status !== 403) return answer;
    const given = await askForKey((await answer.json()).detail);
    if (!given) return null;
    sessionStorage.setItem(KEY, given.replace(/[^\x21-\x7e]/g, "")); // a header holds nothing else
  }
}

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function act(button) {
  button.disabled = true;
  say("");
  try {
    const answer = await send(button.dataset.act, button.dataset.body ?? "{}", "application/json", newKey());
    if (answer && !answer.ok) say((await answer.json()).detail);
    if (answer?.ok && button.dataset.then) location.assign(button.dataset.then);
    else if (answer) await look();
  } catch {
    say("The server does not answer; try again.");
  } finally {
    button.disabled = false;
  }
}

// The form of a new job. Each field says where in the request its value stands, as the JSON pointer that errors name.

class Unreadable extends Error {
  constructor(field, reason) {
    super(reason);
    this.field = field;
  }
}

// What is no number, the server refuses in its words.
const number = (text) => (text !== "" && Number.isFinite(Number(text)) ? Number(text) : text);

function valueOf(field) {
  const text = field.value.trim();
  switch (field.dataset.as) {
    case "number":
    case "either":
      return number(text);
    case "numbers":
      return text.split(/[\s,]+/).filter((each) => each !== "").map(number);
    case "weights":
      return Object.fromEntries(text.split(",").filter((each) => each.trim() !== "").map((each) => {
        const [k, ...weight] = each.split(":");
        return [k.trim(), number(weight.join(":").trim())];
      }));
    case "truth":
      return text === "true";
    case "json":
      try {
        return JSON.parse(text);
      } catch {
        throw new Unreadable(field, "This is not JSON.");
      }
    case "lines":
      return field.value.split("\n").filter((line) => line !== "");
    case "names":
      return text.split(/[\s,]+/);
    default:
      return text;
  }
}

// Whether the choices are such that the field is shown: `k-kind=step,linear`.
function counts(field) {
  const when = field.closest("[data-when]")?.dataset.when.split(" ") ?? [];
  return when.every((each) => {
    const [choice, values] = each.split("=");
    return values.split(",").includes(byId(choice).value);
  });
}

// Puts the value of a field into the request; of some choices an object that other fields stand in, or nothing.
function putFrom(field, body) {
  if (!("puts" in field.dataset)) return put(body, field.dataset.path, valueOf(field));
  const object = field.selectedOptions[0].dataset.put;
  if (object) put(body, field.dataset.path, JSON.parse(object));
}

function put(body, path, value) {
  const names = path.split("/").slice(1);
  const last = names.pop();
  let place = body;
  for (const name of names) place = place[name] ??= {};
  place[last] = value;
}

async function uploaded(field, key) {
  const file = field.files[0];
  if (file.size > Number(field.dataset.most)) throw new Unreadable(field, "The file is larger than an upload may be: pkpo import sends it.");
  say(`Sending ${file.name}…`);
  const name = file.name.replace(/[\x00-\x1f\x7f/]/g, "_").slice(-200) || "upload";
  const answer = await send(`/v1/uploads?${new URLSearchParams({ filename: name })}`, file, "application/octet-stream", `${key}-file`);
  if (answer && !answer.ok) throw new Unreadable(field, (await answer.json()).detail);
  return answer && (await answer.json()).id;
}

function mark(field, reason) {
  const error = byId(`${field.id}-error`);
  error.textContent = reason;
  error.hidden = reason === "";
  if (reason) field.setAttribute("aria-invalid", "true");
  else field.removeAttribute("aria-invalid");
}

// Each error at the field that its pointer names; what has no field here, above them all.
function refuse(form, problem) {
  const fields = [...form.querySelectorAll("[data-path]")].filter(counts);
  const rest = [];
  // The nearest that holds it; of two at one place the one that is typed into.
  const near = (field) => 2 * field.dataset.path.length + !("puts" in field.dataset);
  for (const { pointer, code } of problem.errors ?? []) {
    const [field] = fields.filter((each) => `${pointer}/`.startsWith(`${each.dataset.path}/`)).sort((a, b) => near(b) - near(a));
    if (!field) rest.push(`${pointer}: ${code}`);
    else mark(field, code === "missing: Field required" ? "This is needed." : code.replace(/^[a-z_]+: /, ""));
  }
  say("");
  byId("refused").textContent = [problem.detail, ...rest].join(" ");
  byId("refused").hidden = false;
  (form.querySelector("[aria-invalid]") ?? byId("refused")).focus();
}

async function submit(form, key) {
  const body = { kind: form.dataset.kind, spec: {} };
  for (const field of form.querySelectorAll("[data-path]")) {
    mark(field, "");
    if (field.type !== "file" && field.value.trim() !== "" && counts(field)) putFrom(field, body);
  }
  byId("refused").hidden = true;
  for (const field of form.querySelectorAll("[data-as=file]")) {
    if (!field.files.length) continue;
    const id = await uploaded(field, key);
    if (!id) return say("");
    put(body, field.dataset.path, id);
  }
  say("Submitting…");
  const answer = await send("/v1/jobs", JSON.stringify(body), "application/json", key);
  if (!answer) return say("");
  const answered = await answer.json();
  if (answer.ok) location.assign(`/jobs/${answered.id}`);
  else refuse(form, answered);
}

// k over the steps as the fields stand, which the page draws for an address that has what they hold.
let drawing = new AbortController();

async function drawK(form) {
  drawing.abort();
  drawing = new AbortController();
  try {
    const answer = await fetch(`${form.action}?${new URLSearchParams(new FormData(form))}`, { signal: drawing.signal });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    byId("k-picture").replaceWith(page.getElementById("k-picture"));
  } catch {
    // Another one is under way, or the server is away: what is drawn stays.
  }
}

function prepare(form) {
  // The same form sent twice is one job: what was not answered may have arrived.
  let key = newKey();
  form.addEventListener("input", () => { key = newKey(); });
  form.addEventListener("change", (event) => {
    if (byId("k-picture") && event.target.matches("[data-path^='/spec/k'], [data-path='/spec/steps']")) drawK(form);
  });
  form.addEventListener("submit", async (event) => {
    if (event.submitter?.name === "look") return; // the page itself looks through what is typed
    event.preventDefault();
    event.submitter.disabled = true;
    try {
      await submit(form, key);
    } catch (error) {
      if (error instanceof Unreadable) {
        say("");
        mark(error.field, error.message);
        error.field.focus();
      } else {
        say("The server does not answer; submit again, it will be one job.");
      }
    } finally {
      event.submitter.disabled = false;
    }
  });
}

if (byId("new-job")) prepare(byId("new-job"));
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (button) act(button);
});
