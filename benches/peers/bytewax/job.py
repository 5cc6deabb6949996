# Environment: BOOTSTRAP TOPIC OUT
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import bytewax.operators as op
import bytewax.operators.windowing as win
import orjson
from bytewax.connectors.files import DirSink
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow

UTC = timezone.utc


def decode(batch):
    messages = (orjson.loads(message.value) for message in batch)
    return [(message["device_id"], message) for message in messages]


def event_time(message):
    return datetime.fromtimestamp(message["ts"] / 1000, UTC)


def empty():
    return [0, 0, 0.0, 0, 0.0, None, None]


# A window's state is changed in place: nobody else has it.
def fold(state, message):
    temperature, humidity, battery = message["temperature"], message["humidity"], message["battery"]
    state[0] += 1
    if temperature is not None:
        state[1] += 1
        state[2] += temperature
    if humidity is not None:
        state[3] += 1
        state[4] += humidity
    if battery is not None:
        if state[5] is None or battery < state[5]:
            state[5] = battery
        if state[6] is None or battery > state[6]:
            state[6] = battery
    return state


def merge(a, b):
    raise AssertionError("tumbling windows are not merged")


def row(device_and_window):
    device, (window, (count, temperatures, temperature, humidities, humidity, least, most)) = device_and_window
    result = {
        "device_id": device,
        "window_start": window * 10_000,  # windows are numbered from align_to
        "count": count,
        "avg_temperature": temperature / temperatures if temperatures else None,
        "avg_humidity": humidity / humidities if humidities else None,
        "min_battery": least,
        "max_battery": most,
    }
    return device, orjson.dumps(result).decode()


flow = Dataflow("windows")
source = KafkaSource(
    [os.environ["BOOTSTRAP"]],
    [os.environ["TOPIC"]],
    tail=False,  # to the end
    batch_size=10_000,
)
messages = op.input("messages", flow, source)
by_device = op.flat_map_batch("decode", messages, decode)
windows = win.fold_window(
    "windows",
    by_device,
    win.EventClock(event_time, wait_for_system_duration=timedelta(minutes=1)),
    win.TumblingWindower(length=timedelta(seconds=10), align_to=datetime(1970, 1, 1, tzinfo=UTC)),
    empty,
    fold,
    merge,
    ordered=False,  # the order within a window does not matter
)
rows = op.map("row", windows.down, row)
op.output("rows", rows, DirSink(Path(os.environ["OUT"]), 2, file_namer=lambda i, _: f"{i}.json"))
