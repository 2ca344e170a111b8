"""The style sheets of the report and its pictures: light and dark by the reader's own setting.

Each colour has one meaning, in the table and in the pictures. The pictures' colours are readable on light and on dark;
lines and letters have the colour of the text around them.
"""

CHART = """
.timeline { width: 100%; height: auto; font-family: system-ui, -apple-system, "Segoe UI", Roboto,
  "DejaVu Sans", sans-serif; }
.timeline text { fill: currentColor; font-size: 11.5px; }
.timeline .panel { font-size: 12.5px; font-weight: 600; }
.timeline .mark { text-anchor: end; fill-opacity: .75; }
.timeline .second { text-anchor: middle; fill-opacity: .75; }
.timeline .axis, .timeline .client { text-anchor: end; }
.grid { stroke: currentColor; stroke-opacity: .15; }
.tick { stroke: currentColor; stroke-opacity: .6; }
.edge { stroke: currentColor; stroke-opacity: .6; stroke-dasharray: 4 3; }
.timeline .outage { fill: currentColor; fill-opacity: .07; }
.timeline .ok { fill: #3f86d6; }
.timeline .cached { fill: #b98400; }
.timeline .failed { fill: #9167d4; }
.timeline .wrong { fill: #dc4058; stroke: #dc4058; stroke-width: 1.5; }
.timeline .requests { fill: #7b8696; }
.timeline .wait { fill: none; stroke: currentColor; stroke-width: 4; stroke-linecap: round; }
.timeline .circuit { fill: #17908a; stroke: #17908a; }
.timeline .closed { fill-opacity: 0; }
.timeline .half-open { fill-opacity: .5; }
.timeline .hover { fill: transparent; }
.timeline .hover:hover { fill: currentColor; fill-opacity: .15; }
""".strip()

PAGE = """
:root { color-scheme: light dark; --ground: #fbfbfa; --card: #fff; --ink: #1d2127; --soft: #5c6570; --line: #dfe2e6;
  --cached: #8a6200; --failed: #7448bd; --wrong: #c22a45; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14171b; --card: #1b1f25; --ink: #e8eaed; --soft: #a3adb9; --line: #323841; --cached: #e0ab2e;
    --failed: #b797f2; --wrong: #f5738b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 32px 20px 48px; }
h1 { font-size: 28px; line-height: 1.25; margin: 0 0 12px; max-width: 30em; }
h2 { font-size: 19px; margin: 36px 0 8px; }
.lead, dd, main > p { max-width: 76ch; margin: 6px 0; }
.soft, dd, footer { color: var(--soft); }
.note { max-width: 76ch; border-left: 4px solid var(--soft); padding: 4px 12px; }
table { border-collapse: collapse; width: 100%; background: var(--card); border: 1px solid var(--line);
  margin-top: 20px; }
th, td { padding: 6px 14px; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top;
  font-variant-numeric: tabular-nums; }
tbody th { text-align: left; font-weight: 400; }
tbody .group { font-weight: 600; padding-top: 16px; }
summary { cursor: pointer; }
details p { margin: 2px 0 4px; font-size: 14px; line-height: 1.4; color: var(--soft); max-width: 60ch; }
.cached { color: var(--cached); }
.failed { color: var(--failed); }
.wrong { color: var(--wrong); font-weight: 700; }
section { background: var(--card); border: 1px solid var(--line); padding: 10px 16px; margin-top: 14px; }
.narrow { display: none; }
.wide { display: block; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0; padding: 0; font-size: 14px; }
.legend svg { display: inline-block; width: 14px; height: 14px; margin-right: 6px; vertical-align: -2px; }
dt { font-weight: 600; }
dd { margin: 0 0 12px; }
dd ul { margin: 4px 0; padding-left: 20px; }
code { font: 13.5px ui-monospace, "DejaVu Sans Mono", Menlo, monospace; overflow-wrap: anywhere; }
footer { font-size: 13px; margin-top: 32px; }
@media (max-width: 640px) {
  main { padding: 20px 12px 32px; }
  h1 { font-size: 23px; }
  th, td { padding: 5px 6px; font-size: 14px; overflow-wrap: anywhere; }
  section { padding: 8px 6px; }
  .wide { display: none; }
  .narrow { display: block; } }
@media print {
  :root { color-scheme: light; --ground: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #bbb; --cached: #8a6200;
    --failed: #7448bd; --wrong: #c22a45; }
  main { max-width: none; padding: 0; }
  .wide { display: block; }
  .narrow { display: none; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  tr, section { break-inside: avoid; }
  details::details-content { content-visibility: visible; display: block; } }
""".strip()
