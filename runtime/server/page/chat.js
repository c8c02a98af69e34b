// The chat page. What models and users write reaches the document as text nodes only.

const $ = (id) => document.getElementById(id);
const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};

// ---- What is kept between visits: the conversation and the settings; the key only until the tab is closed.

const kept = {
  read(name, otherwise) {
    try {
      return JSON.parse(localStorage.getItem("llmrun." + name)) ?? otherwise;
    } catch {
      return otherwise;
    }
  },
  write(name, value) {
    try {
      localStorage.setItem("llmrun." + name, JSON.stringify(value));
    } catch { /* no storage: the page works, but forgets */ }
  },
};

let conversation = kept.read("conversation", []); // {role, content, facts?, failed?}
if (!Array.isArray(conversation) || !conversation.every((m) => typeof m?.content === "string")) conversation = [];
let running = null; // AbortController of the answer being written

const settings = ["system", "temperature", "max-tokens"];
for (const id of settings) {
  $(id).value = kept.read(id, "");
  $(id).addEventListener("input", () => kept.write(id, $(id).value));
}
try { $("key").value = sessionStorage.getItem("llmrun.key") ?? ""; } catch { /* as above */ }
$("key").addEventListener("change", () => {
  try { sessionStorage.setItem("llmrun.key", $("key").value); } catch { /* as above */ }
  loadModels();
});

// ---- The conversation on the page.

function showMessage(message) {
  const item = make("li", message.role);
  const body = make("div", "body");
  item.append(make("span", "hidden", message.role === "user" ? "You: " : "Model: "), body);
  if (message.role === "user") body.textContent = message.content;
  else {
    renderMarkdown(body, message.content);
    showThoughts(item, message);
    const facts = make("div", "facts");
    item.append(facts);
    showFacts(facts, message);
  }
  $("messages").append(item);
  return item;
}

// What a model thought before its answer, folded away.
function showThoughts(item, message) {
  if (!message.reasoning) return;
  let thoughts = item.querySelector(".thoughts");
  if (!thoughts) {
    thoughts = make("details", "thoughts");
    thoughts.append(make("summary", "", "Thoughts"), make("div", "thought"));
    item.querySelector(".body").before(thoughts);
  }
  thoughts.querySelector(".thought").textContent = message.reasoning;
}

function showFacts(facts, message) {
  const nodes = (message.facts ?? []).map((fact) => make("span", "", fact));
  if (message.failed) nodes.push(make("span", "failed", message.failed));
  if (!running) {
    if (message.content) nodes.push(makeButton("small", "Copy", (button) => copyText(message.content, button)));
    if (message === conversation.at(-1)) nodes.push(makeButton("small", "Try again", tryAgain));
  }
  facts.replaceChildren(...nodes);
}

function showConversation() {
  $("messages").replaceChildren();
  conversation.forEach(showMessage);
  $("welcome").hidden = conversation.length > 0;
}

const scroll = $("scroll");
let following = true; // the reader is at the end and wants to stay there
scroll.addEventListener("scroll", () => {
  following = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 40;
});
function follow() {
  if (following) scroll.scrollTop = scroll.scrollHeight;
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

// ---- The server.

function headers() {
  const all = { "Content-Type": "application/json" };
  if ($("key").value) all.Authorization = "Bearer " + $("key").value;
  return all;
}

async function errorOf(response) {
  try {
    return (await response.json()).error.message;
  } catch {
    return "The server answered with status " + response.status + ".";
  }
}

async function loadModels() {
  const select = $("model");
  try {
    const response = await fetch("v1/models", { headers: headers() });
    if (response.status === 401) {
      notice("This server needs an API key: enter it in the settings.");
      $("settings").showModal();
      $("key").focus();
      return;
    }
    if (!response.ok) throw new Error(await errorOf(response));
    const wanted = kept.read("model", "");
    select.replaceChildren(...(await response.json()).data.map((m) => {
      const option = make("option", "", m.id);
      option.value = m.id;
      option.selected = m.id === wanted;
      return option;
    }));
    select.disabled = false;
    notice("");
  } catch (error) {
    notice("The server can not be reached: " + error.message);
  }
}

// events yields the data of server-sent events as their bytes come in.
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (pending + value).split("\n\n");
    pending = parts.pop();
    for (const part of parts) if (part.startsWith("data: ")) yield part.slice(6);
  }
}

function requestBody() {
  const messages = conversation.filter((m) => m.content).map(({ role, content }) => ({ role, content }));
  if ($("system").value.trim()) messages.unshift({ role: "system", content: $("system").value });
  const body = { model: $("model").value, messages, stream: true, stream_options: { include_usage: true } };
  if ($("temperature").value !== "") body.temperature = Number($("temperature").value);
  if ($("max-tokens").value !== "") body.max_tokens = Number($("max-tokens").value);
  return JSON.stringify(body);
}

// Clock takes the times of one answer and tells them.
class Clock {
  start = performance.now();
  first = 0;
  last = 0;
  pieces = 0;
  tokens = 0; // by the server's count, at the end

  piece() {
    this.last = performance.now();
    this.first ||= this.last;
    this.pieces++;
  }

  facts() {
    const count = this.tokens || this.pieces;
    if (!this.first) return [];
    const facts = [];
    if (count > 1 && this.last > this.first) {
      facts.push(((count - 1) * 1000 / (this.last - this.first)).toFixed(1) + " tokens/s");
    }
    facts.push("first token " + ((this.first - this.start) / 1000).toFixed(2) + " s");
    facts.push(count + (count === 1 ? " token" : " tokens"));
    return facts;
  }
}

async function writeAnswer(message, clock, changed) {
  const response = await fetch("v1/chat/completions", {
    method: "POST", headers: headers(), body: requestBody(), signal: running.signal,
  });
  if (!response.ok) throw new Error(await errorOf(response));
  for await (const data of events(response)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.error) throw new Error(chunk.error.message);
    if (chunk.usage) clock.tokens = chunk.usage.completion_tokens;
    const choice = chunk.choices[0];
    if (choice?.delta.content || choice?.delta.reasoning) {
      message.content += choice.delta.content ?? "";
      message.reasoning += choice.delta.reasoning ?? "";
      clock.piece();
      changed();
    }
    if (choice?.finish_reason === "length") message.failed = "cut at the limit of tokens";
  }
  if (!message.failed) throw new Error("the connection was lost");
}

async function answer() {
  const message = { role: "assistant", content: "", reasoning: "" };
  const clock = new Clock();
  running = new AbortController();
  setRunning(true);
  const item = showMessage(message);
  const body = item.querySelector(".body"), facts = item.querySelector(".facts");
  body.classList.add("waiting");
  let drawing = 0;
  const draw = () => {
    drawing = 0;
    renderMarkdown(body, message.content);
    showThoughts(item, message);
    message.facts = clock.facts();
    showFacts(facts, message);
    follow();
  };
  follow();
  try {
    await writeAnswer(message, clock, () => { drawing ||= requestAnimationFrame(draw); });
  } catch (error) {
    message.failed = error.name === "AbortError" ? "stopped" : error.message;
  }
  cancelAnimationFrame(drawing);
  body.classList.remove("waiting");
  running = null;
  conversation.push(message);
  draw();
  kept.write("conversation", conversation);
  setRunning(false);
  $("status").textContent = message.failed ? "Answer " + message.failed : "Answer complete";
}

// ---- What the user does.

function setRunning(on) {
  $("send").hidden = on;
  $("stop").hidden = !on;
  $("new").disabled = on;
  document.querySelectorAll(".facts .small").forEach((button) => { button.disabled = on; });
}

function send(text) {
  text = text.trim();
  if (running || !text) return;
  if (!$("model").value) { loadModels(); return; }
  notice("");
  conversation.push({ role: "user", content: text });
  kept.write("conversation", conversation);
  $("input").value = "";
  grow();
  following = true;
  showConversation();
  answer();
}

function tryAgain() {
  if (running) return;
  conversation.pop();
  following = true;
  showConversation();
  answer();
}

function grow() {
  const input = $("input");
  input.style.height = "auto";
  input.style.height = input.scrollHeight + "px";
}

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send($("input").value);
});
$("input").addEventListener("input", grow);
$("input").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send($("input").value);
  }
});
$("stop").addEventListener("click", () => { running?.abort(); $("input").focus(); });
$("new").addEventListener("click", () => {
  conversation = [];
  kept.write("conversation", conversation);
  showConversation();
  $("input").focus();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !$("settings").open) running?.abort();
  if (event.key === "n" && event.altKey && !running) $("new").click();
});
$("model").addEventListener("change", () => kept.write("model", $("model").value));
$("settings-open").addEventListener("click", () => $("settings").showModal());
$("settings").addEventListener("close", () => $("input").focus());

const root = document.documentElement;
root.dataset.theme = kept.read("theme", "");
$("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  kept.write("theme", root.dataset.theme);
});

for (const idea of ["Explain how a bicycle stays upright", "Write a haiku about compilers", "A shell script that counts words"]) {
  $("ideas").append(makeButton("", idea, () => send(idea)));
}

showConversation();
follow();
loadModels();
