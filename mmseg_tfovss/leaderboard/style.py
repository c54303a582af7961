"""Style of the leaderboard's page. Nothing on it moves; colours say nothing that is not also said in text or shape."""

from mmseg_tfovss.leaderboard.scale import DARK, LIGHT, rules

_COLOURS = f"""
:root {{
  color-scheme: light dark;
  --page: #ffffff; --text: #1b1f24; --faint: #57606a; --line: #d5dae0; --stripe: #f6f8fa; --head: #eaeef2;
  --edge: #7d8793; --accent: #0b5cad; --warn: #fff4d6; --above: #0b5cad; --below: #984300;
}}
{rules(LIGHT)}
@media screen and (prefers-color-scheme: dark) {{
  :root {{
    --page: #14171b; --text: #e3e7eb; --faint: #a3adb8; --line: #343a42; --stripe: #1b1f24; --head: #252b32;
    --edge: #7d8793; --accent: #7db8f5; --warn: #3a2f12; --above: #7db8f5; --below: #f0a35e;
  }}
  {rules(DARK)}
}}
@media print {{ :root {{ color-scheme: light; }} }}
"""

_LAYOUT = """
:root { --pad: clamp(.75rem, 3vw, 3rem); --room: calc(100vw - 2 * var(--pad)); }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body {
  margin: 0 auto; padding: 1rem var(--pad) 3rem; background: var(--page); color: var(--text);
  font: 15px/1.45 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; overflow-wrap: anywhere;
}
h1 { margin: .2em 0; } h2 { font-size: 1.1rem; margin: 0 0 .6rem; }
header p { margin: .25rem 0; max-width: 60rem; color: var(--faint); }
a { color: var(--accent); }
section { margin-top: 2rem; }
small, .sources { font-size: 14px; }
code, small, .text { unicode-bidi: isolate; }
summary { cursor: pointer; min-height: 40px; padding: .5rem 0; }
.wrong { background: var(--warn); padding: .1rem .8rem; border-radius: .4rem; margin-top: .8rem; }
.wrong ul { margin: .2rem 0 .6rem; padding-left: 1.2rem; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
"""

_CONTROLS = """
.filters { z-index: 3; background: var(--page); border-bottom: 1px solid var(--line); }
.filters form { display: flex; flex-wrap: wrap; gap: .5rem 1.2rem; align-items: center; padding: 0 0 .6rem; }
.filters label, .choice { color: var(--faint); max-width: 100%; }
select, input[type=search], form button {
  font: inherit; color: var(--text); background: var(--stripe); border: 1px solid var(--edge); border-radius: .3rem;
  min-height: 40px; padding: .2rem .45rem; max-width: 14rem;
}
form button { cursor: pointer; }
output { color: var(--faint); }
.choice { display: inline-block; margin-bottom: .8rem; }
.more { display: none; min-height: 40px; align-items: center; gap: .6rem; width: fit-content; cursor: pointer; }
.more input { width: 22px; height: 22px; margin: 0; flex: none; }
.sortable thead button { all: unset; cursor: pointer; font-weight: 600; display: block; padding: .5rem; }
.sortable thead button { width: 100%; box-sizing: border-box; overflow-wrap: normal; }
.many thead button { padding: .5rem .25rem; }
.sortable thead button:focus-visible { outline: 2px solid var(--accent); outline-offset: -3px; }
th[aria-sort] button::after { content: " \\25B2"; content: " \\25B2" / ""; font-size: .7em; color: var(--accent); }
th[aria-sort="descending"] button::after { content: " \\25BC"; content: " \\25BC" / ""; }
"""

_TABLES = """
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: separate; border-spacing: 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 0 0 .5rem; }
caption h2, caption span {
  display: block; margin: 0; position: sticky; left: 0; width: max-content; max-width: var(--room);
  font-weight: 600; font-size: 1.1rem;
}
th, td { padding: .28rem .5rem; border-bottom: 1px solid var(--line); text-align: left; overflow-wrap: normal; }
thead th { background: var(--head); vertical-align: bottom; }
.sortable thead th { padding: 0; font-size: 14px; }
.sortable thead th > span { display: block; padding: .5rem; }
tbody th { font-weight: 600; background: var(--page); }
tbody th, thead th:first-child { position: sticky; left: 0; z-index: 1; }
.sortable tbody tr:hover > * { background: var(--stripe); }
.text { overflow-wrap: anywhere; min-width: 5.5rem; max-width: 15rem; }
.protocol .text { width: max-content; }
.many th, .many td { padding-inline: .25rem; }
.many .text { max-width: 10rem; }
tbody th .text { overflow-wrap: break-word; }
.part, .short { white-space: nowrap; }
.on-phones { display: none; }
.under { display: none; font-weight: 400; color: var(--faint); }
.number { text-align: right; white-space: nowrap; }
.sortable thead .number { white-space: normal; }
.number small { display: block; color: var(--faint); line-height: 1.15; }
.number small span { display: block; }
.mark { color: var(--accent); margin-right: .2em; }
.above { color: var(--above); } .below { color: var(--below); }
.sources { list-style: none; margin: .5rem 0 0; padding: 0; color: var(--faint); max-width: var(--room); }
.average { background: var(--stripe); border-left: 1px solid var(--line); }
.files a { display: inline-block; margin-right: .25rem; }
.runs tbody th, .runs td, .runs thead button, .runs thead th > span { padding-inline: .25rem; }
.runs .files { width: 9.75rem; }
.map { margin-bottom: 1rem; }
.map td { padding: .2rem .1rem; min-width: 2.3rem; text-align: center; font-size: 14px; border: 0; }
.map tbody th small { font-weight: 400; color: var(--faint); }
.map thead th { background: var(--page); }
.map .text { width: max-content; max-width: min(40rem, 40vw); }
.map .class { padding: .2rem; text-align: center; font-weight: 400; font-size: 14px; }
.map .class span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 12rem; overflow: hidden; }
"""

_SIZES = """
@media (min-width: 1200px) { .runs .networks .text { min-width: 11rem; } }
@media (min-width: 1000px) {
  html { scroll-padding-top: 7rem; }
  .filters[open] { position: sticky; top: 0; }
}
@media screen and (max-width: 999px) {
  .more { display: flex; }
  section:not(:has(.more input:checked)) .secondary { display: none; }
  section:not(:has(.more input:checked)) .under { display: block; }
  .text { width: max-content; }
  .text { max-width: min(15rem, 34vw); }
  .many .text { max-width: min(10rem, 34vw); }
  .files a { min-width: 40px; line-height: 40px; }
}
@media screen and (max-width: 1799px) {
  .many .more { display: flex; }
  .many:not(:has(.more input:checked)) .secondary { display: none; }
  .many:not(:has(.more input:checked)) .under { display: block; }
}
@media (max-width: 500px) {
  th, td, .runs tbody th, .runs td { padding: .3rem .25rem; }
  .sortable thead button, .runs thead button { padding: .6rem .25rem; min-height: 40px; }
  .filters label { display: flex; flex-direction: column; width: 100%; }
  select, input[type=search] { max-width: 100%; width: 100%; }
}
@media screen and (max-width: 500px) {
  section:not(.many) .text { max-width: 30vw; }
  section.runs .text { max-width: 38vw; }
  .part { white-space: normal; }
  section:not(:has(.more input:checked)) .off-phones { display: none; }
  section:not(:has(.more input:checked)) .on-phones { display: block; }
}
@media print {
  @page { size: A4 landscape; margin: 1cm; }
  body { font-size: 9pt; padding: 0; }
  small, .sources, .map td, .map .class { font-size: 8pt; }
  .filters, .choice, .more { display: none; }
  .scroll { overflow: visible; }
  th, td { position: static !important; padding: .1rem .25rem; }
  .text, .protocol .text { width: auto; min-width: 0; }
  tr { break-inside: avoid; }
  .map td, .average { print-color-adjust: exact; }
}
"""

STYLE = f"{_COLOURS}{_LAYOUT}{_CONTROLS}{_TABLES}{_SIZES}"
