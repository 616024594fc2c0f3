"use strict";
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 620px)");
  const all = (selector, from = document) => Array.from(from.querySelectorAll(selector));

  // Figures: their colours are names of the stylesheet's tokens, looked up in the reader's scheme.
  const resolved = (value, style) => {
    if (typeof value === "string") {
      const found = /^var\((--[\w-]+)\)$/.exec(value);
      return found ? style.getPropertyValue(found[1]).trim() : value;
    }
    if (Array.isArray(value)) return value.map((item) => resolved(item, style));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolved(item, style)]));
    }
    return value;
  };

  const draw = (plot) => {
    if (!plot.offsetParent) return false;
    const spec = resolved(JSON.parse(document.getElementById(plot.dataset.spec).textContent), getComputedStyle(root));
    spec.layout.font.family = getComputedStyle(document.body).fontFamily;
    const notes = spec.layout.annotations;
    if (notes && plot.clientWidth < 760) spec.layout.annotations = notes.filter((item) => item.name !== "wide");
    if (narrow.matches) {
      spec.layout.dragmode = false;
      spec.layout.xaxis.fixedrange = true;
      spec.layout.font.size = 12;
      for (const axis of [spec.layout.xaxis, spec.layout.yaxis]) {
        if (!axis.ticktext || axis.ticktext.length <= 9) continue;
        axis.ticktext = axis.ticktext.map((text, at) => (at % 3 ? "" : text));
      }
      for (const trace of spec.data) if (trace.meta && trace.meta.narrow) trace.text = trace.meta.narrow;
    }
    if (!plot.dataset.drawn) plot.textContent = "";
    plot.dataset.drawn = "yes";
    Plotly.react(plot, spec.data, spec.layout, { responsive: true, displayModeBar: false });
    return true;
  };
  const plots = all(".plot");
  const redraw = () => plots.filter((plot) => plot.dataset.drawn).forEach(draw);
  dark.addEventListener("change", redraw);
  narrow.addEventListener("change", redraw);

  const soon = window.requestIdleCallback || ((work) => setTimeout(work, 50));
  const watch = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting && !entry.target.dataset.drawn && draw(entry.target)) watch.unobserve(entry.target);
      }
    },
    { rootMargin: "400px" },
  );
  plots.forEach((plot) => watch.observe(plot));
  // Those further down follow one by one, whenever the browser has nothing better to do.
  const drawNext = () => {
    const next = plots.find((plot) => !plot.dataset.drawn && plot.offsetParent);
    if (!next) return;
    draw(next);
    soon(drawNext);
  };
  soon(drawNext);

  // Paper is always light and holds everything.
  addEventListener("beforeprint", () => {
    root.classList.add("print");
    for (const item of all("details.next")) item.open = true;
    plots.forEach(draw);
  });
  addEventListener("afterprint", () => {
    root.classList.remove("print");
    redraw();
  });

  // One study at a time; an address inside another study opens it.
  const parts = all("article.part");
  const show = (identity) => {
    if (!parts.some((part) => part.id === identity)) return;
    for (const part of parts) part.classList.toggle("active", part.id === identity);
    for (const list of all("[data-part]")) list.classList.toggle("active", list.dataset.part === identity);
    for (const tab of all(".tabs a")) {
      if (tab.hash === `#${identity}`) tab.setAttribute("aria-current", "true");
      else tab.removeAttribute("aria-current");
    }
    soon(drawNext);
  };
  const openAddress = () => {
    const target = document.getElementById(location.hash.slice(1));
    const part = target && target.closest("article.part");
    if (!part) return;
    show(part.id);
    if (target !== part) target.scrollIntoView();
    else scrollTo(0, 0);
  };
  addEventListener("hashchange", openAddress);
  for (const tab of all(".tabs a")) {
    tab.addEventListener("click", (event) => {
      event.preventDefault();
      history.replaceState(null, "", tab.hash);
      show(tab.hash.slice(1));
    });
  }
  if (location.hash) openAddress();

  // One case at a time: buttons for a few, a list for many. A reader's choice holds for every group that has it.
  const groups = all(".cases").map((group) => ({ group, cases: all(":scope > .case", group) }));
  const pick = (label) => {
    for (const { group, cases, picker } of groups) {
      if (!cases.some((item) => item.dataset.label === label)) continue;
      for (const item of cases) item.classList.toggle("shown", item.dataset.label === label);
      for (const button of all("button", picker)) button.setAttribute("aria-pressed", String(button.dataset.label === label));
      for (const list of all("select", picker)) list.value = label;
    }
    soon(drawNext);
  };
  for (const found of groups) {
    const { group, cases } = found;
    const picker = document.createElement("div");
    found.picker = picker;
    picker.className = "picks";
    picker.setAttribute("role", "group");
    picker.setAttribute("aria-label", group.dataset.what);
    const name = document.createElement("span");
    name.textContent = group.dataset.what;
    picker.append(name);
    if (cases.length <= 5) {
      for (const item of cases) {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = item.dataset.short;
        button.title = item.dataset.label;
        button.dataset.label = item.dataset.label;
        button.addEventListener("click", () => {
          const before = group.getBoundingClientRect().top;
          pick(item.dataset.label);
          scrollBy(0, group.getBoundingClientRect().top - before);
        });
        picker.append(button);
      }
    } else {
      const list = document.createElement("select");
      for (const item of cases) list.append(new Option(item.dataset.short, item.dataset.label));
      list.addEventListener("change", () => pick(list.value));
      picker.append(list);
    }
    group.prepend(picker);
  }
  for (const { cases } of groups) if (!cases.some((item) => item.classList.contains("shown"))) pick(cases[0].dataset.label);

  // Where one is: the last section whose heading has passed the upper third of the window.
  const sections = all("article.part section[id]");
  let waiting = false;
  const locate = () => {
    waiting = false;
    const passed = sections.filter((s) => s.offsetParent && s.getBoundingClientRect().top < innerHeight / 3);
    const atEnd = innerHeight + scrollY >= document.body.scrollHeight - 4;
    const visible = sections.filter((s) => s.offsetParent);
    const here = atEnd && scrollY > 0 ? visible[visible.length - 1] : passed[passed.length - 1];
    for (const link of all(".side a")) {
      const current = Boolean(here) && link.hash === `#${here.id}`;
      if (current === link.hasAttribute("aria-current")) continue;
      if (current) {
        link.setAttribute("aria-current", "location");
        const strip = link.closest("ol");
        if (strip.scrollWidth > strip.clientWidth) strip.scrollLeft = link.offsetLeft - strip.clientWidth / 3;
      } else link.removeAttribute("aria-current");
    }
  };
  addEventListener("scroll", () => {
    if (!waiting) requestAnimationFrame(locate);
    waiting = true;
  }, { passive: true });
  locate();

  // Tables: sort by a heading, save as CSV. The value behind a cell is its data-raw, else its text.
  const raw = (cell) => (cell.dataset.raw !== undefined ? cell.dataset.raw : cell.textContent.trim());
  const order = (a, b) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, undefined, { numeric: true }) : x - y;
  };
  // A long table shows its first rows; script makes the others when they are asked for.
  const longOnes = new Map();
  const filled = (table) => {
    const long = longOnes.get(table);
    if (!long || long.filled) return;
    long.filled = true;
    const [body, first] = [table.tBodies[0], table.tBodies[0].rows[0]];
    for (const texts of JSON.parse(long.rest.textContent)) {
      const row = body.insertRow();
      texts.forEach((text, at) => {
        const cell = row.insertCell();
        const [shown, value] = Array.isArray(text) ? text : [text];
        cell.textContent = shown;
        if (value !== undefined) cell.dataset.raw = value;
        cell.className = first.cells[at].className;
        cell.dataset.label = first.cells[at].dataset.label;
      });
    }
  };
  const limit = (table) => {
    const long = longOnes.get(table);
    if (!long) return;
    const rows = Array.from(table.tBodies[0].rows);
    const found = rows.filter((row) => !long.wanted || row.textContent.toLowerCase().includes(long.wanted));
    const shown = new Set(long.open ? found : found.slice(0, long.shown));
    for (const row of rows) row.hidden = !shown.has(row);
    const many = long.wanted ? found.length : long.rows;
    long.says.textContent = long.wanted ? `${found.length} found ` : many > shown.size ? `and ${many - shown.size} more ` : "";
    long.button.hidden = found.length <= long.shown && long.filled;
    long.button.textContent = long.open ? `show the first ${long.shown}` : long.filled ? `show all ${found.length}` : `show all ${long.kept}`;
  };
  const sortBy = (table, heading) => {
    filled(table);
    const column = heading.cellIndex;
    const down = heading.getAttribute("aria-sort") === "ascending";
    for (const other of all("thead th", table)) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = Array.from(table.tBodies[0].rows).sort((one, two) => {
      const [a, b] = [raw(one.cells[column]), raw(two.cells[column])];
      return a === "" || b === "" ? order(a, b) : down ? order(b, a) : order(a, b);
    });
    table.tBodies[0].append(...rows);
    limit(table);
  };
  // A text that a spreadsheet would take for a formula gets an apostrophe.
  const quoted = (text) => {
    const plain = /^[=+@\t\r-]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
    return `"${plain.replace(/"/g, '""')}"`;
  };
  const save = (table) => {
    filled(table);
    limit(table);
    const lines = Array.from(table.rows).map((row) =>
      Array.from(row.cells).map((cell) => quoted(cell.tagName === "TH" ? cell.textContent.trim() : raw(cell))).join(","));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(["\ufeff", lines.join("\r\n"), "\r\n"], { type: "text/csv" }));
    link.download = `${table.dataset.file}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  for (const table of all("main table")) {
    for (const heading of all("thead th", table)) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      button.addEventListener("click", () => sortBy(table, heading));
      heading.append(button);
    }
    const button = document.createElement("button");
    button.type = "button";
    button.className = "save";
    button.textContent = "CSV";
    button.title = `Save this table as ${table.dataset.file}.csv`;
    button.addEventListener("click", () => save(table));
    table.caption.append(button);
    const more = table.parentElement.querySelector(".more");
    if (!more) continue;
    const rest = table.parentElement.querySelector(".rest");
    const [says, open, find] = ["span", "button", "input"].map((tag) => document.createElement(tag));
    const [shown, count] = [Number(more.dataset.shown), Number(more.dataset.rows)];
    const long = { rest, says, button: open, shown, rows: count, kept: Math.min(count, Number(more.dataset.kept)), wanted: "" };
    longOnes.set(table, long);
    open.type = "button";
    open.className = "open";
    open.addEventListener("click", () => {
      filled(table);
      long.open = !long.open;
      limit(table);
    });
    find.type = "search";
    find.placeholder = "find a row";
    find.setAttribute("aria-label", `Find a row of ${table.getAttribute("aria-label") || table.caption.firstChild.textContent}`);
    find.addEventListener("input", () => {
      filled(table);
      long.wanted = find.value.trim().toLowerCase();
      limit(table);
    });
    const beyond = more.textContent.includes(";") ? ` ${more.textContent.slice(more.textContent.indexOf(";"))}` : "";
    more.replaceChildren(says, open, document.createTextNode(beyond));
    table.caption.append(find);
    limit(table);
  }

  // A definition stays inside the window.
  const fit = (term) => {
    const box = term.querySelector(".definition");
    box.style.setProperty("--shift", "0px");
    const over = box.getBoundingClientRect().right - (root.clientWidth - 12);
    if (over > 0) box.style.setProperty("--shift", `${-over}px`);
  };
  for (const term of all(".term")) {
    for (const kind of ["mouseenter", "focus"]) term.addEventListener(kind, () => fit(term));
    term.addEventListener("keydown", (event) => {
      if (event.key === "Escape") term.blur();
    });
  }
})();
