"""Many people who draw at once: `python -m tests.benchmarks.visitors`.

Each visitor is a WebSocket session of its own that asks the server as a browser does, sends a digit every two seconds
and reads the answer, but paints nothing. A digit that is answered with another visitor's counts as an error.
"""

import asyncio
import json
import random
import time
from typing import Any

import numpy as np
import websockets
from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from digit_core.model_store import STARTER_IDS
from tests.apptest import path_of
from tests.benchmarks.speed import server
from tests.images import HANDWRITING

VISITORS = 64
SECONDS, EVERY = 120.0, 2.0
COMPONENT, METRIC = "bidi_component", "metric"


def drawing_of(digit: int, rng: random.Random) -> str:
    """What the canvas sends of a digit that no two visitors draw alike."""
    size, dx, dy = rng.uniform(0.5, 1.0), rng.uniform(-20, 20), rng.uniform(-20, 20)
    strokes = [np.array(stroke) / 100 * size + np.array([dx, dy]) / 200 for stroke in HANDWRITING[digit]]
    raw = {"objects": [path_of(stroke) for stroke in strokes], "background": "#000000"}
    return json.dumps({"drawing": {"raw": raw, "data": None}})


async def hear(socket: Any) -> tuple[dict[str, str], list[str]]:
    """The components and the digits that a rerun shows; raises when it fails."""
    components, digits = {}, []
    while True:
        message = ForwardMsg.FromString(await asyncio.wait_for(socket.recv(), 60))
        kind = message.WhichOneof("type")
        if kind == "script_finished":
            return components, digits
        if kind != "delta" or message.delta.WhichOneof("type") != "new_element":
            continue
        element = message.delta.new_element
        shown = element.WhichOneof("type")
        if shown == "exception" or (shown == "alert" and element.alert.format == Alert.ERROR):
            raise RuntimeError(str(element))
        if shown == COMPONENT:
            components[element.bidi_component.component_name] = element.bidi_component.id
        elif shown == METRIC and element.metric.label.endswith("reads"):
            digits.append(element.metric.body)


async def visit(address: str, number: int, arrivals: list[float], times: list[float], errors: list[str]) -> None:
    """Draw for some time, one digit after the other."""
    rng = random.Random(number)
    await asyncio.sleep(rng.uniform(0, EVERY))
    arrived = time.monotonic()
    stream = address.replace("http", "ws", 1) + "/_stcore/stream"
    async with websockets.connect(stream, subprotocols=["streamlit"], max_size=None, open_timeout=60) as socket:
        asked = BackMsg()
        asked.rerun_script.page_name = ""
        await socket.send(asked.SerializeToString())
        components, _ = await hear(socket)
        arrivals.append(time.monotonic() - arrived)
        canvas = next(iter(components.values()))
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            digit = rng.randrange(10)
            asked = BackMsg()
            state = asked.rerun_script.widget_states.widgets.add()
            state.id, state.json_value = canvas, drawing_of(digit, rng)
            start = time.monotonic()
            await socket.send(asked.SerializeToString())
            _, digits = await hear(socket)
            times.append(time.monotonic() - start)
            if digits != [str(digit)] * len(STARTER_IDS):
                errors.append(f"visitor {number} drew {digit}, was answered {digits}")
            await asyncio.sleep(max(0.0, start + EVERY - time.monotonic()))


async def visit_together(address: str) -> tuple[list[float], list[float], list[str]]:
    """Let all draw at once: the seconds until each page and each answer has come, and what went wrong."""
    arrivals: list[float] = []
    times: list[float] = []
    errors: list[str] = []
    await asyncio.gather(*(visit(address, number, arrivals, times, errors) for number in range(VISITORS)))
    return arrivals, times, errors


def main() -> None:
    with server() as (address, _, process):
        arrivals, times, errors = asyncio.run(visit_together(address))
        memory = process.memory_info().rss / 1e6
    print(f"| {VISITORS} visitors who draw every {EVERY:.0f} s | {len(times):,} answers |\n|---|---:|")
    print(f"| errors | {len(errors)} |")
    for name, seconds in (("the page is there", arrivals), ("an answer is there", times)):
        middle, high = np.percentile(seconds, [50, 95])
        print(f"| seconds until {name}, median / 95 % / most | {middle:.2f} / {high:.2f} / {max(seconds):.2f} |")
    print(f"| server memory at the end | {memory:.0f} MB |")
    for error in errors[:10]:
        print(error)


if __name__ == "__main__":
    main()
