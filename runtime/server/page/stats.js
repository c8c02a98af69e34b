// The page asks for the figures once a second while it is seen. They are totals since the server's start: rates and percentiles are of differences.

const $ = (id) => document.getElementById(id);
const every = 1000; // ms
const kept = 60; // answers, for the percentiles of a minute and the charts

let history = []; // oldest first
let timer = 0;

try { $("key").value = sessionStorage.getItem("llmrun.key") ?? ""; } catch { /* no storage here */ }
$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  try { sessionStorage.setItem("llmrun.key", $("key").value); } catch { /* as above */ }
  look();
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

async function look() {
  clearTimeout(timer);
  try {
    const headers = $("key").value ? { Authorization: "Bearer " + $("key").value } : {};
    const response = await fetch("stats/data", { headers, cache: "no-store" });
    $("ask").hidden = response.status !== 401;
    if (!response.ok) throw new Error(response.status === 401 ? "This server needs an API key." : "The server answers with status " + response.status + ".");
    show(await response.json());
    notice("");
  } catch (error) {
    notice(error instanceof TypeError ? "The server can not be reached." : error.message);
    if (!$("ask").hidden) return; // until there is a key
  }
  if (!document.hidden) timer = setTimeout(look, every);
}

// ---- Numbers.

const number = (x, digits = 3) => !Number.isFinite(x) ? "–" : x !== 0 && Math.abs(x) < 1e-3 ? x.toExponential(1) : Number(x.toPrecision(digits)).toLocaleString("en");

function duration(seconds) {
  const units = [[86400, "d"], [3600, "h"], [60, "min"]];
  for (const [size, unit] of units) if (seconds >= size) return number(seconds / size) + " " + unit;
  return Math.round(seconds) + " s";
}

// percentile estimates, from the observations between two distributions, below what a share of them is: linear within a bucket.
function percentile(before, now, share) {
  const counts = now.counts.map((n, i) => n - (before?.counts[i] ?? 0));
  const wanted = share * (now.count - (before?.count ?? 0));
  const i = counts.findIndex((n) => n >= wanted);
  if (wanted === 0) return NaN;
  if (i < 0) return now.bounds.at(-1);
  const below = i > 0 ? counts[i - 1] : 0, from = i > 0 ? now.bounds[i - 1] : 0;
  return from + (now.bounds[i] - from) * (wanted - below) / (counts[i] - below);
}

// ---- What is shown.

const names = {
  first_token: "first token", next_token: "between tokens", queue: "in the queue", request: "whole request",
  step_decode: "step that decodes", step_prompt: "step with prompts", step_host: "host's part of a step",
};

function show(now) {
  if (history.length && history.at(-1).time > now.time) history = []; // the clock went back
  history.push(now);
  history = history.slice(-kept);
  $("version").textContent = now.version;
  now.models.forEach((model, i) => {
    let section = $("models").children[i];
    if (!section) {
      section = $("model").content.firstElementChild.cloneNode(true);
      $("models").append(section);
    }
    showModel(section, model, i);
  });
}

// rate is by how much a figure grows in a second, between two answers.
function rate(before, now, i, figure) {
  if (!before?.models[i]) return NaN;
  const grown = figure(now.models[i]) - figure(before.models[i]);
  return grown < 0 ? NaN : grown / (now.time - before.time); // it was started anew
}

function showModel(section, model, i) {
  const now = history.at(-1), before = history.at(-Math.min(history.length, 4)), oldest = history[0];
  const output = (m) => m.totals.output_tokens, prompt = (m) => m.totals.prompt_tokens;
  section.querySelector("h2").textContent = model.name;
  const cards = [
    ["running", model.running], ["waiting", model.waiting],
    ["output tokens a second", number(rate(before, now, i, output))], ["prompt tokens a second", number(rate(before, now, i, prompt))],
  ];
  if (model.kv) {
    cards.push(["KV pages held", model.kv.held + " of " + model.kv.pages], ["KV pages cached", model.kv.cached]);
  }
  const answered = model.totals.stop + model.totals.length;
  cards.push(["answered", number(answered, 9)], ["failed, refused", number(model.totals.error + model.totals.rejected, 9)]);
  cards.push(["found in the prefix cache", model.totals.prompt_tokens ? number(100 * model.totals.cached_tokens / model.totals.prompt_tokens) + " %" : "–"]);
  if (model.energy_joules !== undefined) {
    const watts = rate(before, now, i, (m) => m.energy_joules);
    cards.push(["watts", number(watts)], ["joules an output token", number(watts / rate(before, now, i, output))]);
  }
  cards.push(["up for", duration(model.up_seconds)], ["health", model.health]);
  fill(section.querySelector(".cards"), cards, "div", (card, [name, value]) => {
    text(card, 0, "dt", name);
    text(card, 1, "dd", value).classList.toggle("failed", name === "health" && value !== "ok");
  });
  const pairs = history.slice(1).map((h, at) => [history[at], h]);
  fill(section.querySelector(".charts"), [
    ["output tokens a second", pairs.map(([a, b]) => rate(a, b, i, output))],
    ["running", history.map((h) => h.models[i]?.running)],
    ["waiting", history.map((h) => h.models[i]?.waiting)],
  ], "figure", (figure, [name, values]) => {
    const top = Math.max(0, ...values.filter(Number.isFinite));
    text(figure, 0, "figcaption", name + ", at most " + number(top));
    chart(figure, values, top);
  });
  const latencies = Object.entries(names).filter(([key]) => model.latencies[key]?.count > 0);
  fill(section.querySelector(".latency tbody"), latencies, "tr", (row, [key, name]) => {
    const first = oldest === now ? undefined : oldest.models[i]?.latencies[key], last = model.latencies[key];
    const since = first && first.count <= last.count ? first : undefined;
    const cells = [name, ...[.5, .9, .99].map((share) => number(percentile(since, last, share))), number(last.count - (since?.count ?? 0), 9)];
    cells.forEach((cell, at) => text(row, at, "td", cell));
  });
  showKernels(section.querySelector(".kernels tbody"), model, oldest.models[i]);
}

function showKernels(body, model, before) {
  const steps = model.kernels.map((k, at) => ({
    kernel: k.kernel, seconds: k.seconds - (before?.kernels[at]?.seconds ?? 0), launches: k.launches - (before?.kernels[at]?.launches ?? 0),
  })).filter((k) => k.launches > 0).sort((a, b) => b.seconds - a.seconds);
  const all = steps.reduce((sum, k) => sum + k.seconds, 0);
  // Sampling, the last of a step, is launched once in each.
  const count = steps.find((k) => k.kernel === "sample")?.launches ?? Math.min(...steps.map((k) => k.launches));
  fill(body, steps, "tr", (row, k) => {
    text(row, 0, "td", k.kernel);
    text(row, 1, "td", number(100 * k.seconds / all) + " %");
    text(row, 2, "td", number(1000 * k.seconds / count));
    text(row, 3, "td", number(k.launches, 9));
  });
}

// ---- Elements.

// fill gives a parent one child for each item, and shows the items in them.
function fill(parent, items, tag, each) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  items.forEach((item, i) => {
    if (!parent.children[i]) parent.append(document.createElement(tag));
    each(parent.children[i], item);
  });
}

// text sets the text of a parent's child.
function text(parent, at, tag, value) {
  if (!parent.children[at]) parent.append(document.createElement(tag));
  parent.children[at].textContent = value;
  return parent.children[at];
}

function chart(figure, values, top) {
  const space = "http://www.w3.org/2000/svg";
  let svg = figure.querySelector("svg");
  if (!svg) {
    svg = document.createElementNS(space, "svg");
    svg.setAttribute("viewBox", "0 0 100 100");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    svg.append(document.createElementNS(space, "polyline"));
    figure.append(svg);
  }
  svg.setAttribute("aria-label", figure.firstElementChild.textContent);
  const points = values.map((v, i) => [100 * (kept - values.length + i) / (kept - 1), v]).filter(([, v]) => Number.isFinite(v));
  svg.firstElementChild.setAttribute("points", points.map(([x, v]) => x.toFixed(1) + "," + (98 - 94 * v / (top || 1)).toFixed(1)).join(" "));
}

look();
