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
  const sortBy = (table, heading) => {
    const column = heading.cellIndex;
    const down = heading.getAttribute("aria-sort") === "ascending";
    for (const other of all("thead th", table)) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = Array.from(table.tBodies[0].rows).sort((one, two) => {
      const [a, b] = [raw(one.cells[column]), raw(two.cells[column])];
      return a === "" || b === "" ? order(a, b) : down ? order(b, a) : order(a, b);
    });
    table.tBodies[0].append(...rows);
  };
  // A text that a spreadsheet would take for a formula gets an apostrophe.
  const quoted = (text) => {
    const plain = /^[=+@\t\r-]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
    return `"${plain.replace(/"/g, '""')}"`;
  };
  const save = (table) => {
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
