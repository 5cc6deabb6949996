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
    battery: float | None


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

windows = messages.groupby(
    messages.device_id, window_start=messages.ts // 10_000 * 10_000
).reduce(
    messages.device_id,
    pw.this.window_start,
    count=pw.reducers.count(),
    avg_temperature=pw.reducers.avg(messages.temperature),
    avg_humidity=pw.reducers.avg(messages.humidity),
    min_battery=pw.reducers.min(messages.battery),
    max_battery=pw.reducers.max(messages.battery),
)

pw.io.jsonlines.write(windows, f"{out}/rows.json")
pw.run(monitoring_level=pw.MonitoringLevel.NONE)
