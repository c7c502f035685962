"""Command line: `python -m cltensor info`, what there is; `python -m cltensor doctor`, what may be wrong;
`python -m cltensor tune`, the fastest kernel parameters for this device; `python -m cltensor show FOLDER`, a saved
model."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import warnings
from importlib import metadata
from typing import Any

from cltensor import tuner
from cltensor.base import config, dtypes
from cltensor.base.errors import DeviceError, OpError
from cltensor.runtime import device, icd, platforms, probe
from cltensor.runtime.memory import human
from cltensor.saved_model import show

_PACKAGES = ("pyopencl", "numpy", "mako", "safetensors", icd.EMBEDDED_DISTRIBUTION)


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:          # ourselves: run from the source tree
        return "not installed"


def facts() -> dict[str, Any]:
    """All that `info` prints, as plain data; `error` is set when no device works."""
    data: dict[str, Any] = {
        "versions": {"cltensor": _version("cltensor"), "python": platform.python_version(),
                     **{name: _version(name) for name in _PACKAGES}},
        "settings": config.texts(),
        "logical_devices": [], "opencl_devices": [], "error": ""}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")            # what they say is in the data
        try:
            found = platforms.discover(every=True)
            logical = device.devices()
        except DeviceError as error:
            data["error"] = str(error)
            return data
    best = device.default()
    for d in logical:
        missing = [] if d.traits.fp64 else ["float64"]
        data["logical_devices"].append({
            "name": d.short, "device": d.label, "default": d is best, "reason": d.reason,
            "schedule": d.traits.schedule, "compute_units": d.traits.compute_units,
            "global_memory": d.traits.global_mem, "largest_buffer": d.traits.max_alloc,
            "dtypes": [t.name for t in dtypes.ALL if t.name not in missing]})
    for p in found.found:
        state = "works" if p in found.usable else "fails" if p in found.skipped else "not selected"
        data["opencl_devices"].append({
            "platform": p.platform, "version": p.version, "device": p.name, "driver": p.driver,
            "kind": p.kind, "state": state, "why": p.reason if state == "fails" else ""})
    return data


def _print_info(data: dict[str, Any]) -> None:
    print(", ".join(f"{name} {version}" for name, version in data["versions"].items()))
    if data["error"]:
        print(data["error"])
        return
    print("\ndevices of cltensor")
    for d in data["logical_devices"]:
        print(f"  {d['name']}{' (default)' if d['default'] else ''}: {d['device']}\n"
              f"      because {d['reason']}\n"
              f"      {d['compute_units']} compute units, memory {human(d['global_memory'])}, largest buffer "
              f"{human(d['largest_buffer'])}, {d['schedule']} schedule\n"
              f"      dtypes {', '.join(d['dtypes'])}")
    print("\nOpenCL devices found")
    for p in data["opencl_devices"]:
        print(f"  {p['kind']}  {p['device']} | {p['platform']} | {p['version']} | driver {p['driver']}\n"
              f"      {p['state']}{': ' + p['why'] if p['why'] else ''}")
    settings, defaults = data["settings"], {name: default for name, default, *_ in config.table()}
    changed = [f"{name}={text}" for name, text in settings.items() if text != defaults[name]]
    if changed:
        print("\nsettings: " + ", ".join(changed))


def _print_doctor(data: dict[str, Any]) -> None:
    print("\nwhat was looked at")
    for line in icd.search().lines():
        print("  " + line)
    print(f"  verdicts on devices are kept in {probe.verdict_file()}")
    print("\nenvironment variables")
    for name, _, allowed, meaning in config.table():
        print(f"  {name} = {data['settings'][name] or '(empty)'}: {meaning}; allowed: {allowed}")
    fails = [p for p in data["opencl_devices"] if p["state"] == "fails"]
    if data["error"] or fails:
        print("\nto get a device that runs on this CPU")
        for command in icd.INSTALL:
            print("  " + command)
    else:
        print("\nall is well")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit status, 1 if no device works."""
    parser = argparse.ArgumentParser(prog="python -m cltensor",
                                     description="What cltensor finds on this machine.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    info = commands.add_parser("info", help="devices, versions, memory, dtypes; which is default, and why")
    commands.add_parser("doctor", help="info, where drivers were looked for, settings, what to install")
    info.add_argument("--json", action="store_true", help="the same as JSON")
    tuner.add_arguments(commands.add_parser("tune", help="find the fastest kernel parameters for this device"))
    saved = commands.add_parser("show", help="a saved model: signatures, ops, parameters")
    saved.add_argument("folder", metavar="FOLDER", help="of tf.saved_model.save")
    saved.add_argument("--ops", action="store_true", help="a line per op")
    saved.add_argument("--dot", action="store_true", help="a picture, as text for Graphviz' dot")
    saved.add_argument("--signature", metavar="NAME", help="of this function only")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "show":
            print(show.show(chosen.folder, chosen.ops, chosen.signature, chosen.dot), end="")
            return 0
        if chosen.command == "tune":
            return tuner.main(chosen)
        data = facts()
    except OpError as error:                       # a setting with a value that is not allowed
        print(error, file=sys.stderr)
        return 2
    if chosen.command == "info" and chosen.json:
        print(json.dumps(data, indent=2))
    else:
        _print_info(data)
        if chosen.command == "doctor":
            _print_doctor(data)
    return 1 if data["error"] else 0


if __name__ == "__main__":
    sys.exit(main())
