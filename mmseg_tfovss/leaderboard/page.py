"""Style and script of the leaderboard's HTML page. They hold no data: see :mod:`~mmseg_tfovss.leaderboard.html`."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #ffffff; --text: #1b1f24; --faint: #5a636e; --line: #d5dae0; --stripe: #f6f8fa; --head: #eaeef2;
  --accent: #0b5cad; --warn: #fff4d6; --low: #ffffff; --high: #66a9e8;
  --above: #146c2e; --below: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --text: #e3e7eb; --faint: #9aa4af; --line: #343a42; --stripe: #1b1f24; --head: #252b32;
    --accent: #7db8f5; --warn: #3a2f12; --low: #14171b; --high: #1f65ab;
    --above: #7bd88f; --below: #ff9b93;
  }
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body {
  margin: 0 auto; padding: 1rem clamp(1rem, 3vw, 3rem) 3rem; background: var(--page); color: var(--text);
  font: 15px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif;
}
h1 { margin: .2em 0; } h2 { font-size: 1.1rem; margin: 0 0 .6rem; }
header p { margin: .25rem 0; max-width: 60rem; color: var(--faint); }
a { color: var(--accent); }
section { margin-top: 2rem; }
.wrong { background: var(--warn); padding: .5rem .8rem; border-radius: .4rem; margin-top: .8rem; }
.wrong ul { margin: .4rem 0 0; padding-left: 1.2rem; overflow-wrap: anywhere; }
.filters {
  position: sticky; top: 0; z-index: 3; display: flex; flex-wrap: wrap; gap: .5rem 1.2rem; align-items: center;
  margin-top: 1rem; padding: .6rem 0; background: var(--page); border-bottom: 1px solid var(--line);
}
.filters label, .choice { color: var(--faint); }
select, input, .filters button {
  font: inherit; color: var(--text); background: var(--stripe); border: 1px solid var(--line); border-radius: .3rem;
  padding: .2rem .45rem; max-width: 18rem;
}
.filters button { cursor: pointer; }
output { color: var(--faint); }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: separate; border-spacing: 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; font-size: 1.1rem; padding: 0 0 .5rem; white-space: nowrap; }
th, td { padding: .28rem .65rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
thead th { background: var(--head); }
tbody th { font-weight: 600; }
.sortable tbody tr:hover > * { background: var(--stripe); }
code, small, .text { unicode-bidi: isolate; }
.text { width: max-content; max-width: min(15rem, 40vw); white-space: normal; overflow-wrap: break-word; }
.sortable tbody th, .sortable thead th:first-child { position: sticky; left: 0; z-index: 1; }
.sortable tbody th { background: var(--page); }
.sortable thead th { white-space: normal; vertical-align: bottom; }
.number { text-align: right; }
.number small { display: block; color: var(--faint); line-height: 1.1; }
.number .above { color: var(--above); } .number .below { color: var(--below); }
.sources { list-style: none; margin: .5rem 0 0; padding: 0; color: var(--faint); font-size: .85rem; }
.average { border-left: 1px solid var(--line); background: var(--stripe); }
.partial { color: var(--faint); font-style: italic; }
.sortable th button {
  all: unset; cursor: pointer; font-weight: 600; border-radius: .2rem;
}
.sortable th button:focus-visible, .scroll:focus-visible { outline: 2px solid var(--accent); }
th[aria-sort] button::after { content: " \\25B2"; font-size: .7em; color: var(--accent); }
th[aria-sort="descending"] button::after { content: " \\25BC"; }
.choice { display: inline-block; margin-bottom: .8rem; }
.map { margin-bottom: 1rem; }
.map td { padding: .2rem .1rem; min-width: 2.1rem; text-align: center; font-size: .8rem; border: 0; }
.map tbody th, .map thead th:first-child { position: sticky; left: 0; background: var(--page); z-index: 1; }
.map tbody th small { font-weight: 400; color: var(--faint); }
.map thead th { background: var(--page); vertical-align: bottom; }
.map .text { max-width: min(40rem, 40vw); }
.map .class { padding: .2rem; text-align: center; font-weight: 400; font-size: .85rem; }
.map .class span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 12rem; overflow: hidden; }
.v { background: color-mix(in oklab, var(--high) calc(var(--v) * 1%), var(--low)); }
@media (max-width: 700px) { .filters { position: static; } }
@media print { .filters, .choice { display: none; } .scroll { overflow: visible; } }
"""

SCRIPT = """
"use strict";
(() => {
  const form = document.querySelector(".filters");
  const rows = [...document.querySelectorAll("tr[data-method]")];

  // Sorting: numbers falling first, words rising first, then the order at the start; empty cells always last.
  const tables = [...document.querySelectorAll(".sortable")];
  const original = new Map(tables.map((table) => [table, [...table.tBodies[0].rows]]));
  function key(row, column) {
    const cell = row.cells[column];
    const text = (cell.dataset.value ?? cell.textContent).trim();
    return cell.classList.contains("number") ? (text === "" ? null : parseFloat(text)) : text || null;
  }
  function compare(a, b) {
    return typeof a === "number" ? a - b : String(a).localeCompare(String(b), undefined, {numeric: true});
  }
  function restore(table) {
    table.querySelectorAll("th[aria-sort]").forEach((th) => th.removeAttribute("aria-sort"));
    table.tBodies[0].append(...original.get(table));
  }
  function sort(header) {
    const table = header.closest("table"), column = header.cellIndex;
    const first = header.classList.contains("number") ? "descending" : "ascending";
    const other = first === "descending" ? "ascending" : "descending";
    const now = header.getAttribute("aria-sort");
    const order = now === first ? other : now === other ? null : first;
    if (order === null) return restore(table);
    table.querySelectorAll("th[aria-sort]").forEach((th) => th.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row) => [key(row, column), row]);
    keyed.sort(([a], [b]) => (a === null) - (b === null) || (a === null ? 0 : sign * compare(a, b)));
    body.append(...keyed.map(([, row]) => row));
  }
  document.querySelectorAll(".sortable thead button").forEach((button) => {
    button.addEventListener("click", () => sort(button.closest("th")));
  });

  // Columns of which no visible row has anything are hidden; a heat map without rows says so.
  function fit(table) {
    const visible = [...table.tBodies[0].rows].filter((row) => !row.hidden);
    const none = table.parentElement.querySelector(".none");
    if (none) none.hidden = visible.length > 0;
    table.hidden = visible.length === 0;
    for (const head of table.tHead.rows[0].cells) {
      const column = head.cellIndex;
      head.hidden = visible.every((row) => row.cells[column].classList.contains("absent"));
      for (const row of table.tBodies[0].rows) row.cells[column].hidden = head.hidden;
    }
  }

  // Filters: a row is shown if it has every chosen property; a table without rows is hidden.
  function filter() {
    const wanted = ["protocol", "backbone", "kind"].map((name) => [name, form.elements[name].value]);
    const part = form.elements.method.value.trim().toLowerCase();
    for (const row of rows) {
      const fits = wanted.every(([name, value]) => value === "" || row.dataset[name] === value);
      row.hidden = !(fits && row.dataset.method.toLowerCase().includes(part));
    }
    let shown = 0, all = 0;
    for (const section of document.querySelectorAll("section")) {
      const own = [...section.querySelectorAll("tr[data-method]")];
      const visible = own.filter((row) => !row.hidden).length;
      section.hidden = visible === 0;
      if (section.classList.contains("protocol")) { shown += visible; all += own.length; }
    }
    document.querySelectorAll(".protocol table, .map table").forEach(fit);
    form.querySelector("output").textContent = shown === all ? `${all} rows` : `${shown} of ${all} rows`;
  }
  form.addEventListener("input", filter);
  form.addEventListener("change", filter);
  form.addEventListener("reset", () => { tables.forEach(restore); setTimeout(filter); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  filter();

  // One heat map at a time.
  const choice = document.querySelector("select[name=heat]");
  if (choice) {
    const show = () => document.querySelectorAll(".map").forEach((map) => {
      map.hidden = map.dataset.dataset !== choice.value;
    });
    choice.addEventListener("input", show);
    choice.addEventListener("change", show);
    choice.closest("label").hidden = false;
    show();
  }
})();
"""
