# Arguments: BOOTSTRAP TOPIC OUT SCRATCH GROUP PROCESS
import sys
from datetime import timedelta

import orjson
from quixstreams import Application
from quixstreams.dataframe.windows import Count, Max, Mean, Min

bootstrap, topic, out, scratch, group, process = sys.argv[1:]

app = Application(
    broker_address=bootstrap,
    consumer_group=group,
    auto_offset_reset="earliest",
    state_dir=f"{scratch}/state-{process}",
    use_changelog_topics=False,  # state is not kept when the process is lost
    auto_create_topics=False,
    # Without a changelog, a rebalance loses the state: a busy machine must not cause one.
    consumer_extra_config={"session.timeout.ms": 300_000},
    loglevel="WARNING",
)
messages = app.topic(
    topic,
    key_deserializer="str",
    value_deserializer="json",
    timestamp_extractor=lambda value, headers, timestamp, kind: value["ts"],
)
windows = (
    # The device is the key of the Kafka message: no shuffle.
    app.dataframe(messages)
    .tumbling_window(timedelta(seconds=10), grace_ms=timedelta(minutes=1))
    .agg(
        count=Count(),
        avg_temperature=Mean("temperature"),
        avg_humidity=Mean("humidity"),
        min_battery=Min("battery"),
        max_battery=Max("battery"),
    )
    # When time has passed for the partition, not only when it has for the device.
    .final(closing_strategy="partition")
)

with open(f"{out}/{process}.json", "wb") as rows:

    def write(window, key, timestamp, headers):
        window |= {"device_id": key, "window_start": window["start"]}
        rows.write(orjson.dumps(window) + b"\n")

    windows.update(write, metadata=True)
    # Quix Streams has no bounded read: the end is when nothing has come for so many seconds.
    app.run(timeout=3.0, collect=False)
