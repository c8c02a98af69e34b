"use strict";
// Draws the graphs of the page's data: wheel and drag move them, blocks fold and unfold, the search finds ops by their weights. Positions are the compiler's.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const graphs = data.graphs || [];
  const $ = (id) => document.getElementById(id);
  if (!$("canvas") || graphs.length === 0) return;
  const NS = "http://www.w3.org/2000/svg";
  const HEIGHT = 40;
  const families = [
    ["attention", /attn|attention/], ["product", /linear|moe\.|heads|matmul/], ["norm", /norm|pool/], ["cache", /rope|kv|cache|state|latent/], ["rows", /gather|select|insert|soft$/],
  ];
  const legend = { product: "products with weights", attention: "attention", norm: "norms", cache: "turns and caches keys and values", rows: "takes rows", other: "everything else" };
  const state = { graph: null, view: null, folded: true, x: 0, y: 0, scale: 1, chosen: -1, nodes: new Map() };

  const make = (name, attributes, parent) => {
    const e = document.createElementNS(NS, name);
    for (const key in attributes) e.setAttribute(key, attributes[key]);
    if (parent) parent.appendChild(e);
    return e;
  };
  const element = (name, text, parent, className) => {
    const e = document.createElement(name);
    if (text !== undefined) e.textContent = text;
    if (className) e.className = className;
    if (parent) parent.appendChild(e);
    return e;
  };
  const svg = $("canvas");
  const root = make("g", {}, svg);
  const family = (kind) => (families.find((f) => f[1].test(kind)) || ["other"])[0];
  const clip = (s) => (s.length > 30 ? "…" + s.slice(-29) : s);
  const bytes = (n) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let i = 0;
    for (; n >= 1024 && i < 4; i++) n /= 1024;
    return n.toFixed(i && n < 100 ? 1 : 0) + " " + units[i];
  };
  const seconds = (s) => (s >= 1 ? s.toFixed(2) + " s" : s >= 1e-3 ? (s * 1e3).toFixed(2) + " ms" : (s * 1e6).toFixed(1) + " µs");

  // segmentOf returns the run of ops that an op is in, and which repetition.
  const segmentOf = (op) => {
    const s = state.graph.segments.find((s) => op >= s.first && op < s.first + s.period * s.count);
    return [s, s ? Math.floor((op - s.first) / s.period) : 0];
  };
  const stands = (op) => {
    const [s] = segmentOf(op);
    return state.view === state.graph.folded && s ? s.first + ((op - s.first) % s.period) : op;
  };

  const transform = () => {
    root.setAttribute("transform", `translate(${state.x} ${state.y}) scale(${state.scale})`);
    svg.classList.toggle("tiny", state.scale < 0.35);
  };
  const fit = (all) => {
    const box = svg.getBoundingClientRect(), v = state.view;
    state.scale = Math.min(1, box.width / v.width);
    if (all) state.scale = Math.min(state.scale, box.height / v.height);
    state.x = (box.width - v.width * state.scale) / 2;
    state.y = all ? (box.height - v.height * state.scale) / 2 : 0;
    transform();
  };
  const zoom = (factor, cx, cy) => {
    const next = Math.min(4, Math.max(0.02, state.scale * factor));
    state.x = cx - ((cx - state.x) * next) / state.scale;
    state.y = cy - ((cy - state.y) * next) / state.scale;
    state.scale = next;
    transform();
  };
  const center = (op) => {
    const n = state.nodes.get(op), box = svg.getBoundingClientRect();
    if (!n) return;
    state.scale = Math.max(state.scale, 0.8);
    state.x = box.width / 2 - n.x * state.scale;
    state.y = box.height / 2 - n.y * state.scale;
    transform();
  };

  const path = (p) => {
    let d = `M${p[0]} ${p[1]}`;
    for (let i = 2; i < p.length; i += 2) {
      const middle = (p[i - 1] + p[i + 1]) / 2;
      d += `C${p[i - 2]} ${middle} ${p[i]} ${middle} ${p[i]} ${p[i + 1]}`;
    }
    return d;
  };
  const drawFrame = (f) => {
    const s = state.graph.segments[f.segment], folded = state.view === state.graph.folded;
    const g = make("g", { class: "frame" }, root);
    make("rect", { x: f.x, y: f.y, width: f.w, height: f.h, rx: 10 }, g);
    const can = state.graph.unfolded !== undefined;
    const label = folded ? `× ${s.count}` : `${f.repeat + 1} of ${s.count}`;
    const text = make("text", { x: f.x + f.w + 8, y: f.y + 20, class: "count" }, g);
    text.textContent = label;
    if (!can) return;
    const hint = make("text", { x: f.x + f.w + 8, y: f.y + 38, class: "hint" }, g);
    hint.textContent = folded ? "click to unfold" : "click to fold";
    g.classList.add("can");
    g.addEventListener("click", () => { if (!state.dragged) toggle(); });
  };
  const drawNode = (n, costs, longest) => {
    const op = state.graph.ops[n.op];
    const g = make("g", { class: "node " + family(op.kind), transform: `translate(${n.x - n.w / 2} ${n.y - HEIGHT / 2})`, "data-op": n.op }, root);
    make("rect", { width: n.w, height: HEIGHT, rx: 6 }, g);
    make("text", { x: n.w / 2, y: 16, class: "kind" }, g).textContent = op.kind;
    make("text", { x: n.w / 2, y: 31, class: "label" }, g).textContent = clip((op.weights && op.weights[0]) || op.type || "");
    if (costs && costs[n.op] && longest > 0) {
      make("rect", { class: "cost", x: 4, y: HEIGHT - 4, height: 3, width: Math.max(1, ((n.w - 8) * weight(costs[n.op])) / longest), rx: 1 }, g);
    }
    n.element = g;
    state.nodes.set(n.op, n);
    g.addEventListener("click", (e) => { e.stopPropagation(); if (!state.dragged) choose(n.op); });
  };
  const weight = (c) => c[2] || c[0]; // time, or bytes where none is predicted
  const draw = () => {
    root.replaceChildren();
    state.nodes.clear();
    const v = state.view, costs = state.graph.costs;
    let longest = 0;
    for (const c of costs || []) longest = Math.max(longest, weight(c));
    for (const f of v.frames || []) drawFrame(f);
    for (const e of v.edges) make("path", { d: path(e.points), class: "edge", "data-from": e.from, "data-to": e.to }, root);
    for (const n of v.nodes) drawNode(n, costs, longest);
    $("fold").textContent = v === state.graph.folded ? "Unfold" : "Fold";
    $("fold").disabled = state.graph.unfolded === undefined;
    const drawn = v.nodes.length, all = state.graph.ops.length;
    $("counts").textContent = `${all} ops${drawn < all ? `, ${drawn} drawn` : ""}` + (v.far ? `; ${v.far} operands from far away are not drawn as lines` : "");
  };
  const show = (number) => {
    state.graph = graphs[number];
    state.chosen = -1;
    state.view = state.graph.folded;
    const hint = element("p", "Click an op to see what it reads, makes and costs.", null, "quiet"), list = element("ul", undefined, null, "legend");
    for (const name in legend) element("li", legend[name], list, name);
    if (state.graph.costs) element("li", "at its foot: its part of the time of a step of one token, the longest op's being all of it", list, "foot");
    $("detail").replaceChildren(hint, list);
    if (!state.view) {
      root.replaceChildren();
      $("counts").textContent = `${state.graph.ops.length} ops: too many to draw`;
      return;
    }
    draw();
    fit(false);
  };
  const toggle = () => {
    if (!state.graph.unfolded) return;
    state.view = state.view === state.graph.folded ? state.graph.unfolded : state.graph.folded;
    draw();
    if (state.chosen >= 0) choose(state.chosen, true); else fit(false);
  };

  const row = (table, name, fill) => {
    const tr = element("tr", undefined, table);
    element("th", name, tr);
    fill(element("td", undefined, tr));
  };
  const link = (parent, text, op) => {
    const b = element("button", text, parent, "link");
    b.addEventListener("click", () => choose(op, true));
  };
  const describe = (op) => {
    const o = state.graph.ops[op], [s, repeat] = segmentOf(op), detail = $("detail");
    detail.replaceChildren();
    element("h3", o.kind, detail);
    const t = element("table", undefined, detail);
    const text = (name, value) => value && row(t, name, (td) => element("code", value, td));
    if (s && s.count > 1) text("block", `${repeat + 1} of ${s.count}` + (state.view === state.graph.folded ? ", drawn once" : ""));
    text("result", o.name);
    text("type", o.type);
    text("kernel", o.kernel);
    text("attributes", o.attrs);
    for (const w of o.weights || []) {
      row(t, "weight", (td) => { element("code", w, td); const of = (data.weights || {})[w]; if (of) element("div", `${of[0]}, ${bytes(of[1])}`, td, "quiet"); });
    }
    for (const a of o.args || []) row(t, a.role, (td) => (a.op < 0 ? element("code", a.name + " (input)", td) : link(td, a.name, a.op)));
    const readers = [];
    state.graph.ops.forEach((p, i) => { if ((p.args || []).some((a) => a.op === op)) readers.push(i); });
    if (readers.length) row(t, "read by", (td) => readers.slice(0, 12).forEach((i) => link(td, state.graph.ops[i].name || String(i), i)));
    const c = (state.graph.costs || [])[op];
    if (c) {
      row(t, "moves", (td) => element("span", bytes(c[0]), td));
      row(t, "flops", (td) => element("span", c[1].toLocaleString("en"), td));
      if (c[2]) row(t, "time", (td) => element("span", seconds(c[2]) + ", predicted", td));
      element("p", "Of a step of one token.", detail, "quiet");
    }
    if (o.sync) element("p", "All threads wait before it.", detail, "quiet");
  };
  const choose = (op, move) => {
    state.chosen = op;
    const drawn = stands(op);
    for (const e of root.querySelectorAll(".chosen, .near")) e.classList.remove("chosen", "near");
    const n = state.nodes.get(drawn);
    if (n) n.element.classList.add("chosen");
    for (const e of root.querySelectorAll(`.edge[data-from="${drawn}"], .edge[data-to="${drawn}"]`)) e.classList.add("near");
    describe(state.graph.ops[op].kind ? op : drawn);
    if (move) center(drawn);
  };

  const search = () => {
    const wanted = $("find").value.trim().toLowerCase(), list = $("found");
    list.replaceChildren();
    if (!wanted) return [];
    const hits = [];
    let more = 0;
    state.graph.ops.forEach((o, i) => {
      const names = [...(o.weights || []), o.name || "", o.kind || "", o.kernel || ""];
      const hit = names.find((n) => n.toLowerCase().includes(wanted));
      if (hit === undefined) return;
      if (hits.length < 12) hits.push([i, hit]); else more++;
    });
    for (const [op, name] of hits) {
      const b = element("button", name, element("li", undefined, list), "link");
      b.addEventListener("click", () => choose(op, true));
    }
    if (more) element("li", `and ${more} more`, list, "quiet");
    if (!hits.length) element("li", "nothing has that name", list, "quiet");
    return hits;
  };

  svg.addEventListener("wheel", (e) => {
    e.preventDefault();
    const box = svg.getBoundingClientRect();
    zoom(Math.exp(-e.deltaY * (e.deltaMode ? 0.05 : 0.0015)), e.clientX - box.left, e.clientY - box.top);
  }, { passive: false });
  let grip = null;
  svg.addEventListener("pointerdown", (e) => { grip = [e.clientX, e.clientY]; state.dragged = false; });
  window.addEventListener("pointermove", (e) => {
    if (!grip) return;
    const dx = e.clientX - grip[0], dy = e.clientY - grip[1];
    if (!state.dragged && Math.hypot(dx, dy) < 4) return;
    state.dragged = true;
    state.x += dx; state.y += dy;
    grip = [e.clientX, e.clientY];
    transform();
  });
  window.addEventListener("pointerup", () => { grip = null; });
  $("fold").addEventListener("click", toggle);
  $("fit").addEventListener("click", () => fit(true));
  for (const [id, factor] of [["in", 1.4], ["out", 1 / 1.4]]) {
    $(id).addEventListener("click", () => { const b = svg.getBoundingClientRect(); zoom(factor, b.width / 2, b.height / 2); });
  }
  $("find").addEventListener("input", search);
  $("find").addEventListener("keydown", (e) => { if (e.key === "Enter") { const hits = search(); if (hits.length) choose(hits[0][0], true); } });
  graphs.forEach((g, i) => { const o = element("option", g.title, $("stage")); o.value = i; });
  $("stage").addEventListener("change", (e) => { show(Number(e.target.value)); search(); });
  show(0);
})();
