# Arguments: BOOTSTRAP TOPIC OUT
import os
import sys

import pathway as pw

bootstrap, topic, out = sys.argv[1:]


class Message(pw.Schema):
    device_id: str
    ts: int
    temperature: float | None
    humidity: float | None
    battery: float


messages = pw.io.kafka.read(
    {
        "bootstrap.servers": bootstrap,
        "group.id": f"strandline-peer-{os.getpid()}",
        "auto.offset.reset": "earliest",
    },
    topic=topic,
    schema=Message,
    format="json",
    mode="static",  # to the end that the topic has now
)

# Pathway's sum and average take no null: what is null adds nothing, and is not counted.
messages = messages.with_columns(
    window_start=messages.ts // 10_000 * 10_000,
    temperature=pw.coalesce(messages.temperature, 0.0),
    temperatures=pw.if_else(messages.temperature.is_none(), 0, 1),
    humidity=pw.coalesce(messages.humidity, 0.0),
    humidities=pw.if_else(messages.humidity.is_none(), 0, 1),
)
sums = messages.groupby(messages.device_id, messages.window_start).reduce(
    messages.device_id,
    messages.window_start,
    count=pw.reducers.count(),
    temperature=pw.reducers.sum(messages.temperature),
    temperatures=pw.reducers.sum(messages.temperatures),
    humidity=pw.reducers.sum(messages.humidity),
    humidities=pw.reducers.sum(messages.humidities),
    min_battery=pw.reducers.min(messages.battery),
    max_battery=pw.reducers.max(messages.battery),
)


def average(total, count):
    # Both sides of an if_else are computed, and a division by zero is an error.
    quotient = total / pw.if_else(count > 0, count, 1)
    return pw.if_else(count > 0, quotient, None)


windows = sums.select(
    sums.device_id,
    sums.window_start,
    count=sums["count"],
    avg_temperature=average(sums.temperature, sums.temperatures),
    avg_humidity=average(sums.humidity, sums.humidities),
    min_battery=sums.min_battery,
    max_battery=sums.max_battery,
)

pw.io.jsonlines.write(windows, f"{out}/rows.json")
pw.run(monitoring_level=pw.MonitoringLevel.NONE)
