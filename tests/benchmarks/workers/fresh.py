"""What is measured once in the life of a process: `python -m benchmarks.workers.fresh WHAT CONTENDER URL sync|async`.

`first` is the CPU time of importing, and of that and the first call. `allocated` is the peak of what Python allocated
while a page was read, beyond what there was before; `resident` is by how much the process grew at most meanwhile.

Imports are what is measured: none is made at the top that the interpreter hasn't made for itself.
"""

import gc
import sys
import time
from importlib import import_module

_STARTED = time.process_time()


def _first(contender: str, url: str, kind: str) -> dict[str, float]:
    module, _, function = contender.partition(".")
    make = getattr(import_module(f"{__package__}.{module}"), function)()
    result = {"import": time.process_time() - _STARTED}
    if kind == "sync":
        make(url).calls["get_item"]()
        result["cpu"] = time.process_time() - _STARTED
        return result

    async def call() -> None:
        made = await make(url)
        await made.calls["get_item"]()
        result["cpu"] = time.process_time() - _STARTED
        if made.close is not None:
            await made.close()

    import_module("asyncio").run(call())
    return result


def _allocated(contender: str, url: str, kind: str) -> dict[str, float]:
    tracemalloc = import_module("tracemalloc")
    worker = import_module(f"{__package__}.__main__").worker_for(contender, kind, url)
    worker.call("get_item")
    tracemalloc.start()
    worker.call("query")  # what stays of the first page (caches) is no part of the second one's peak
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    worker.call("query")
    peak = tracemalloc.get_traced_memory()[1]
    worker.close()
    return {"bytes": float(peak - before)}


def _resident(contender: str, url: str, kind: str) -> dict[str, float]:
    worker = import_module(f"{__package__}.__main__").worker_for(contender, kind, url)
    worker.call("get_item")
    before = _reset_and_get_resident()
    worker.call("query")
    grown = _peak_resident() - before
    worker.close()
    return {"bytes": float(grown)}


def _reset_and_get_resident() -> int:
    """Return the size of the process now, from which on its peak counts. Only Linux can reset that."""
    try:
        with open("/proc/self/clear_refs", "w") as file:  # noqa: PTH123 - pathlib would be one more import
            file.write("5")
    except OSError:
        return _peak_resident()
    return _status("VmRSS")


def _peak_resident() -> int:
    try:
        return _status("VmHWM")
    except OSError:
        resource = import_module("resource")
        unit = 1 if sys.platform == "darwin" else 1024
        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit


def _status(name: str) -> int:
    with open("/proc/self/status") as file:  # noqa: PTH123 - as above
        for line in file:
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    raise OSError(f"no {name}")


def main() -> None:
    """Measure, and print."""
    what, contender, url, kind = sys.argv[1:]
    measured = {"first": _first, "allocated": _allocated, "resident": _resident}[what](contender, url, kind)
    print("\n" + import_module("json").dumps(measured))


if __name__ == "__main__":
    main()
