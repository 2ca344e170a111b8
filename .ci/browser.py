"""Looks at pages in a real browser: Chromium, without a window, wide and narrow, light and dark.

    python .ci/browser.py demo.html docs/_build/html/index.html

It fails if a page scrolls sideways, or what holds all of it; if something on it does so in a wide window; if letters
can hardly be read on what is behind them; or if a page loads something from another host.
"""
# ruff: noqa: INP001, T201  # a script, in no package

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WIDE, NARROW = 1400, 360
LIGHT, DARK = 1, 0  # as Chromium numbers them
LEAST_CONTRAST = 4.5
"""What WCAG asks for."""
_CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

_FRAMES = """<!doctype html><meta name="color-scheme" content="light dark">
<body></body><pre id="found"></pre>
<script>
const [pages, widths, least] = SETTINGS;

function numbers(colour) {
  const [r, g, b, a = 1] = colour.match(/[\\d.]+/g).map(Number);
  return [r, g, b, a];
}
function over(above, below) {
  return [0, 1, 2].map(i => above[i] * above[3] + below[i] * (1 - above[3])).concat(1);
}
function light(colour) {
  const [r, g, b] = colour.map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function ground(element, view) {
  const layers = [];
  for (let at = element; at; at = at.parentElement) layers.push(numbers(view.getComputedStyle(at).backgroundColor));
  return layers.reverse().reduce((below, above) => over(above, below), [255, 255, 255, 1]);
}
function contrast(element, view) {
  const style = view.getComputedStyle(element), isDrawn = element.namespaceURI.endsWith("svg");
  const ink = numbers(isDrawn ? style.fill : style.color), behind = ground(element, view);
  if (isDrawn) ink[3] *= Number(style.fillOpacity);
  const [a, b] = [light(over(ink, behind)), light(behind)].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
}
function faults(frame, width) {
  const page = frame.contentDocument, view = frame.contentWindow, root = page.documentElement, found = [];
  const name = element => element.tagName + " " + (element.textContent || "").trim().replace(/\\s+/g, " ").slice(0, 40);
  if (root.scrollWidth > root.clientWidth) found.push(`scrolls sideways: ${root.scrollWidth} pixels`);
  for (const element of page.body.querySelectorAll("*")) {
    const box = element.getBoundingClientRect(), style = view.getComputedStyle(element);
    if (!box.width || !box.height || style.visibility != "visible") continue;
    const scrolls = ["auto", "scroll"].includes(style.overflowX) && element.scrollWidth > element.clientWidth;
    if (scrolls && element.querySelector("h1")) found.push(`scrolls sideways: ${element.scrollWidth} pixels`);
    else if (width == Math.max(...widths) && scrolls) found.push(`cut off: ${name(element)}`);
    const says = [...element.childNodes].some(node => node.nodeType == 3 && node.data.trim());
    const isOurs = element.tagName != "title" && !element.closest(".highlight, .terminal, .sidebar-drawer, .icons");
    if (says && isOurs && contrast(element, view) < least) found.push(`hard to read: ${name(element)}`);
  }
  for (const {name} of view.performance.getEntriesByType("resource"))
    if (!name.startsWith("file:") && !name.startsWith("data:")) found.push(`from outside: ${name}`);
  if (!page.body.textContent.trim()) found.push("nothing is on it");
  return found;
}
for (const width of widths) for (const page of pages) {
  const frame = document.createElement("iframe");
  Object.assign(frame, {src: page, width, height: 900});
  frame.dataset.width = width;
  document.body.append(frame);
}
onload = () => {
  const found = [];
  for (const frame of document.querySelectorAll("iframe"))
    for (const fault of faults(frame, Number(frame.dataset.width)))
      found.push(`${frame.src.split("/").pop()}, ${frame.dataset.width} wide: ${fault}`);
  document.getElementById("found").textContent = JSON.stringify(found);
};
</script>
"""


def faults(pages: list[Path], scheme: int) -> list[str]:
    """Return what is wrong with pages in one colour scheme."""
    settings = json.dumps([[page.resolve().as_uri() for page in pages], [WIDE, NARROW], LEAST_CONTRAST])
    with tempfile.TemporaryDirectory() as folder:
        frames = Path(folder) / "frames.html"
        frames.write_text(_FRAMES.replace("SETTINGS", settings), "utf-8")
        command = [
            str(_CHROMIUM),
            "--headless",
            "--no-sandbox",  # a container's root has none
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--allow-file-access-from-files",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={folder}/profile",
            f"--blink-settings=preferredColorScheme={scheme}",
            f"--window-size={WIDE},900",
            "--dump-dom",
            frames.as_uri(),
        ]
        shown = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)  # noqa: S603 - our own
    found = re.search(r'<pre id="found">(\[.*\])</pre>', shown.stdout, re.DOTALL)
    if found is None:
        return [f"Chromium showed nothing: {shown.stderr[-2000:]}"]
    told: list[str] = json.loads(html.unescape(found[1]))
    return told


def main(pages: list[str]) -> int:
    """Look at pages, and say what is wrong; give the exit code."""
    if _CHROMIUM is None:
        print("there is no Chromium: apt-get install chromium", file=sys.stderr)
        return 1
    found = [
        f"{name}: {fault}"
        for name, scheme in (("light", LIGHT), ("dark", DARK))
        for fault in faults([Path(page) for page in pages], scheme)
    ]
    print("\n".join(found) or f"{len(pages)} pages are sound at {WIDE} and {NARROW} pixels, in light and in dark")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
