"""The report's style sheet: light and dark by the reader's own setting."""

STYLE = """
:root { color-scheme: light dark; --ground: #fbfbfa; --card: #fff; --ink: #1d2127; --soft: #5c6570; --line: #dfe2e6;
  --ok: #3f86d6; --cached: #e0a100; --failed: #d2364b; --requests: #8792a2; --wait: #6a4fc0; --outage: #d2364b1f;
  --good: #187a45; --closed: #79c193; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14171b; --card: #1b1f25; --ink: #e8eaed; --soft: #a3adb9; --line: #323841; --ok: #5aa0ee;
    --cached: #f0b93a; --failed: #f2596d; --requests: #7d8897; --wait: #ab97f5; --outage: #f2596d2b; --good: #5fd394;
    --closed: #3f8a5b; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 32px 20px 48px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 8px; }
h2 { font-size: 19px; margin: 36px 0 8px; }
.lead, dd, main > p { color: var(--soft); max-width: 76ch; }
table { border-collapse: collapse; width: 100%; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; margin-top: 20px; }
th, td { padding: 7px 14px; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
tr:last-child > * { border-bottom: 0; }
tbody th { text-align: left; font-weight: 600; white-space: normal; }
tbody td { font-size: 17px; }
th small { display: block; font-weight: 400; font-size: 13px; line-height: 1.35; color: var(--soft); }
.good { color: var(--good); }
.bad { color: var(--failed); font-weight: 700; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 4px 16px 10px;
  margin-top: 14px; overflow-x: auto; }
section h2 { margin: 8px 0 4px; font-size: 17px; }
svg { display: block; width: 100%; min-width: 640px; height: auto; font-family: inherit; }
svg text { fill: var(--soft); font-size: 11.5px; }
svg .panel { fill: var(--ink); font-size: 12.5px; font-weight: 600; }
svg .mark { text-anchor: end; }
svg .second { text-anchor: middle; }
svg .axis { text-anchor: end; }
svg .outage-label { fill: var(--failed); font-weight: 600; }
svg .band { fill: #0b0d10; font-size: 10px; }
.grid { stroke: var(--line); stroke-width: 1; }
.tick { stroke: var(--soft); stroke-width: 1; }
.ok { fill: var(--ok); background: var(--ok); }
.cached { fill: var(--cached); background: var(--cached); }
.failed { fill: var(--failed); background: var(--failed); }
.requests { fill: var(--requests); background: var(--requests); }
.wait { fill: none; stroke: var(--wait); stroke-width: 4; stroke-linecap: round; }
.outage { fill: var(--outage); background: var(--outage); }
.pause { fill: var(--line); opacity: .45; }
.circuit.closed { fill: var(--closed); background: var(--closed); }
.circuit.half-open { fill: var(--cached); background: var(--cached); }
.circuit.open { fill: var(--failed); background: var(--failed); }
.hover { fill: transparent; }
.hover:hover { fill: var(--soft); opacity: .18; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0; padding: 0; font-size: 14px;
  color: var(--soft); }
.legend i { display: inline-block; width: 13px; height: 13px; border-radius: 3px; margin-right: 6px;
  vertical-align: -2px; }
dt { font-weight: 600; }
dd { margin: 0 0 12px; }
dd ul { margin: 4px 0; padding-left: 20px; }
code { font: 13.5px ui-monospace, "DejaVu Sans Mono", Menlo, monospace; overflow-wrap: anywhere; }
footer { color: var(--soft); font-size: 13px; margin-top: 32px; }
""".strip()
