"""Reads the summary while it trains, after each thing that may change it, and prints the answers as JSON."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import wandb

settings = wandb.Settings(console="off", silent=True, x_disable_stats=True)
run: Any = wandb.init(project="p", id="summary", mode="offline", settings=settings)
answers: list[tuple[str, dict[str, Any]]] = []


def note(what: str) -> None:
    """Note the summary without what the clock and random ids put into it."""
    held = {name: run.summary[name] for name in run.summary.keys()}  # noqa: SIM118 - it is not a mapping
    plain = {name: value._as_dict() if hasattr(value, "_as_dict") else value for name, value in held.items()}
    answers.append((what, {name: value for name, value in plain.items() if name not in ("_timestamp", "_runtime")}))


note("nothing")
for name, kinds in {"acc": "max,mean", "g/*": "min", "none": "none", "last": "last", "copy": "copy"}.items():
    run.define_metric(name, summary=kinds)
run.log({"acc": 1.0, "loss": 3, "in": {"a": {"b": 1}}, "g/x": 2.0, "none": 1, "last": 4, "copy": 2, "text": "t"})
note("a row")
run.log(
    {
        "acc": 3.5,
        "g/x": 1.0,
        "none": 2,
        "last": 5,
        "copy": 3,
        "loss": None,
        "in": {"a": {"b": None, "c": 2}},
        "l": [1, 2.0],
    }
)
note("values that are missing, and nested ones")
run.log({"open": 1, "acc": 9, "deep": {"a": 1}}, commit=False)
note("an open row")
run.log({"closed": 1, "deep": {"b": 2}})
note("it is closed")
run.summary["acc"] = 0.5
note("the script sets a value that has aggregates")
run.log({"acc": 4.0})
note("a row after it")
run.define_metric("acc", summary="last")
note("defined again")
run.summary["whole"] = {"a": 1}
run.summary["whole"]["b"] = 2
run.summary.update({"x": np.float32(1.5), "array": np.arange(3)})
note("a dictionary, then a value below it")
run.log({"whole": {"c": 3}})
note("a row below it")
del run.summary["x"]
del run.summary["g/x"]
note("removed")
run.log({"g/x": 7.5})
note("a row of what was removed")
run.log({"late": 5, "v/a": 5})
run.log({"late": 1, "v/a": 1})
run.define_metric("late", summary="min,mean,first,max,last")
run.define_metric("v/*", summary="max")
run.define_metric("loss", summary="none")
note("defined after rows")
run.log({"late": 9, "v/a": 0})
note("rows after it")
run.summary["set"] = 1
run.summary["v/set"] = 1
run.define_metric("set", summary="max")
note("set, then defined")
run.log({"set": 4, "v/set": 5})
note("rows of what was set")
run.define_metric("below.x", summary="max")
run.log({"below": {"x": 1}})
run.summary["below"] = {"x": 9}
run.log({"below": {"x": 3}})
note("a dictionary over aggregates")
run.define_metric("gone.x", summary="max")
run.log({"gone": {"x": 1}})
del run.summary["gone"]
run.log({"gone": {"x": 0}})
note("aggregates removed with what is above them")
run.log({"over": {"a": 1}})
run.summary["over"] = 5
run.log({"over": {"b": 2}})
note("a row in place of a value")
run.define_metric("kinds", summary="min,max,mean,first,last")
run.log({"kinds": "x", "truth": True})
note("text")
run.log({"kinds": 3.25})
note("a number after text")
run.define_metric("wild", summary="max,min")
for value in (float("nan"), 1.0, None):
    run.log({"wild": value, "infinite": float("inf")})
note("not a number")
run.define_metric("overwritten", summary="none")
run.log({"overwritten": 1})
run.define_metric("overwritten", summary="max", overwrite=True)
note("overwritten")
run.log({"image": wandb.Image(np.zeros((4, 4, 3), "uint8")), "histogram": wandb.Histogram([1, 2.5])})
note("media")
run.log({"numbered": 1}, step=50)
note("an open row with a number")
run.log({"numbered": 2}, step=51)
note("the next one")
run.log({"million": 1e6, "below": 999_999.0, "tiny": 1e-7, "negative": -5.0, "wide": 2**60})
run.summary["late"] = None
note("numbers")
run.finish()
print("ANSWERS", json.dumps(answers))
