// A little Markdown: fenced code, headings, lists, tables, quotes, and inside a line code, bold and emphasis. All text
// of a model becomes text nodes, whatever it looks like.

function appendInline(parent, text) {
  for (const part of text.split(/(`[^`\n]+`|\*\*[^*\n]+\*\*|\*[^*\s](?:[^*\n]*[^*\s])?\*)/)) {
    if (part.length > 2 && part.startsWith("`")) parent.append(make("code", "", part.slice(1, -1)));
    else if (part.length > 4 && part.startsWith("**")) parent.append(make("strong", "", part.slice(2, -2)));
    else if (part.length > 2 && part.startsWith("*") && part.endsWith("*")) parent.append(make("em", "", part.slice(1, -1)));
    else parent.append(part);
  }
}

function makeButton(className, label, clicked) {
  const button = make("button", className, label);
  button.type = "button";
  button.addEventListener("click", () => clicked(button));
  return button;
}

function codeBlock(language, lines) {
  const figure = make("figure");
  const caption = make("figcaption", "", language || "code");
  caption.append(makeButton("small", "Copy", (button) => copyText(lines.join("\n"), button)));
  const pre = make("pre");
  pre.tabIndex = 0;
  pre.append(make("code", "", lines.join("\n")));
  figure.append(caption, pre);
  return figure;
}

async function copyText(text, button) {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed";
  }
  setTimeout(() => { button.textContent = label; }, 1500);
}

function table(rows) {
  const box = make("div", "table"), whole = make("table");
  rows.forEach((row, i) => {
    if (i === 1) return; // the rule below the head
    const line = make("tr");
    for (const cell of row.trim().replace(/^\||\|$/g, "").split("|")) {
      const node = make(i === 0 ? "th" : "td");
      appendInline(node, cell.trim());
      line.append(node);
    }
    whole.append(line);
  });
  box.append(whole);
  return box;
}

const listItem = /^\s*(?:([-*+])|(\d+)[.)])\s+(.*)$/;
const tableRule = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)+\|?\s*$/;

function renderMarkdown(body, text) {
  const blocks = [];
  let list = null, open = null; // what a plain line goes on with: a paragraph, a quote, an item of a list
  const begin = (tag, line) => {
    const node = make(tag);
    appendInline(node, line);
    blocks.push(node);
    return node;
  };
  const lines = text.split("\n");
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i];
    const fence = line.match(/^\s*(`{3,}|~{3,})\s*([\w+#.-]*)/);
    const heading = line.match(/^#{1,6}\s+(.*)$/);
    const quote = line.match(/^\s*>\s?(.*)$/);
    const item = line.match(listItem);
    const blank = line.trim() === "";
    const goesOn = open && !fence && !heading && !item && !blank && (quote ? open.tagName === "BLOCKQUOTE" : true);
    if (goesOn) {
      open.append("\n");
      appendInline(open, quote ? quote[1] : open.tagName === "LI" ? line.trim() : line);
      continue;
    }
    open = null;
    if (!item && !blank) list = null;
    if (fence) {
      const code = [];
      while (++i < lines.length && !lines[i].trimStart().startsWith(fence[1])) code.push(lines[i]);
      blocks.push(codeBlock(fence[2], code));
    } else if (heading) {
      begin("h3", heading[1]);
    } else if (item) {
      const tag = item[1] ? "UL" : "OL";
      if (list?.tagName !== tag) {
        blocks.push(list = make(tag));
        if (item[2] && item[2] !== "1") list.start = Number(item[2]);
      }
      list.append(open = make("li"));
      appendInline(open, item[3]);
    } else if (line.includes("|") && tableRule.test(lines[i + 1] ?? "")) {
      const rows = [];
      while (i < lines.length && lines[i].includes("|")) rows.push(lines[i++]);
      i--;
      blocks.push(table(rows));
    } else if (!blank) {
      open = quote ? begin("blockquote", quote[1]) : begin("p", line);
    }
  }
  body.replaceChildren(...blocks);
}
