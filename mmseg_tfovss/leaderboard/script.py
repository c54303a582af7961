"""Script of the leaderboard's page. It holds no data: see :mod:`~mmseg_tfovss.leaderboard.html`."""

SCRIPT = """
"use strict";
(() => {
  const form = document.querySelector(".filters form");
  const rows = [...document.querySelectorAll("tr[data-method]")];

  // What is above the tables begins folded on small screens.
  const narrow = matchMedia("(max-width: 999px)").matches;
  document.querySelectorAll("details").forEach((part) => { part.open = !narrow; });
  document.querySelectorAll(".scripted").forEach((text) => { text.hidden = false; });

  // Paper gets the notes and what does not count, folded or not.
  const unfolded = new Set();
  function print(begins) {
    if (begins) {
      for (const part of document.querySelectorAll("details.notes:not([open]), details.wrong:not([open])")) {
        unfolded.add(part);
        part.open = true;
      }
    } else {
      unfolded.forEach((part) => { part.open = false; });
      unfolded.clear();
    }
  }
  addEventListener("beforeprint", () => print(true));
  addEventListener("afterprint", () => print(false));
  matchMedia("print").addEventListener("change", (media) => print(media.matches));

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

  // SC-CLIP, SCCLIP and "sc clip" are one name.
  function plain(name) {
    return name.toLowerCase().replace(/[\\s_-]/g, "");
  }

  // Filters: a row is shown if it has every chosen property; a table without rows is hidden.
  function filter() {
    const wanted = ["protocol", "backbone", "kind"].map((name) => [name, form.elements[name].value]);
    const part = plain(form.elements.method.value);
    for (const row of rows) {
      const fits = wanted.every(([name, value]) => value === "" || row.dataset[name] === value);
      row.hidden = !(fits && plain(row.dataset.method).includes(part));
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
  form.closest("details").hidden = false;
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
