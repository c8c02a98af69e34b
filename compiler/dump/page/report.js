"use strict";
// Tables sort by a click on a heading, and show the rows that a text is in; the code of GPU targets is unpacked when it is asked for.
(() => {
  const value = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return "";
    return cell.dataset.v !== undefined ? Number(cell.dataset.v) : cell.textContent;
  };
  const sort = (table, column, heading) => {
    const down = heading.getAttribute("aria-sort") !== "descending";
    const rows = [...table.rows].slice(1), sign = down ? -1 : 1;
    const keyed = rows.map((r) => [value(r, column), r]);
    keyed.sort(([a], [b]) => sign * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true })));
    for (const h of table.rows[0].cells) h.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    rows[0] && rows[0].parentNode.append(...keyed.map(([, r]) => r));
  };
  for (const table of document.querySelectorAll("table.sort")) {
    [...table.rows[0].cells].forEach((heading, column) => {
      heading.tabIndex = 0;
      heading.addEventListener("click", () => sort(table, column, heading));
      heading.addEventListener("keydown", (e) => { if (e.key === "Enter") sort(table, column, heading); });
    });
  }
  for (const input of document.querySelectorAll("input[data-filter]")) {
    const table = document.getElementById(input.dataset.filter);
    input.addEventListener("input", () => {
      const wanted = input.value.toLowerCase();
      for (const row of [...table.rows].slice(1)) row.hidden = !row.textContent.toLowerCase().includes(wanted);
    });
  }

  const data = JSON.parse(document.getElementById("data").textContent);
  // lines are those of all code. A repetition says how many lines before its own it begins, and how many it has.
  const unpack = async (text) => {
    const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const whole = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
    const lines = [];
    for (const line of whole.split("\n")) {
      if (line[0] === "\x01") {
        const [back, count] = line.slice(1).split(" ").map(Number);
        for (let end = lines.length + count; lines.length !== end; ) lines.push(lines[lines.length - back]);
      } else lines.push(line[0] === "\x02" ? line.slice(1) : line);
    }
    return lines;
  };
  let code = null;
  for (const button of document.querySelectorAll("button[data-ptx]")) {
    button.addEventListener("click", async () => {
      const shown = document.getElementById("ptx-text"), [from, to] = data.ptx.entries[button.dataset.ptx][button.dataset.entry];
      code = code || unpack(data.ptx.text);
      const lines = (await code).slice(from, to);
      shown.replaceChildren();
      const title = document.createElement("h3"), list = document.createElement("ul"), pre = document.createElement("pre");
      title.textContent = button.dataset.ptx + ", entry " + button.dataset.entry;
      list.className = "outline";
      for (const line of lines) {
        const span = document.createElement("span"), section = /^\s*\/\/ --- (.*)/.exec(line);
        span.textContent = line;
        if (section) {
          span.className = "section";
          const item = document.createElement("li"), jump = document.createElement("button");
          jump.className = "link";
          jump.textContent = section[1];
          jump.addEventListener("click", () => { pre.scrollTop = span.offsetTop - pre.offsetTop; });
          item.append(jump);
          list.append(item);
        }
        pre.append(span);
      }
      shown.append(title, list, pre);
      shown.scrollIntoView({ block: "nearest" });
    });
  }
})();
