# Arguments: BOOTSTRAP TOPIC OUT GROUP
import sys

import orjson
from confluent_kafka import Consumer, TopicPartition
from denormalized import Context
from denormalized.datafusion import col
from denormalized.datafusion import functions as f

bootstrap, topic, out, group = sys.argv[1:]
sample = '{"device_id":"a","ts":1,"temperature":1.0,"humidity":1.0,"battery":1.0,"status":"ok","location":"lab"}'

# It begins where its group is, and otherwise at the end; there is no option. So its group is put to the
# beginning.
consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": group})
partitions = consumer.list_topics(topic).topics[topic].partitions
consumer.commit(offsets=[TopicPartition(topic, p, 0) for p in partitions], asynchronous=False)
consumer.close()

with open(f"{out}/rows.json", "wb") as rows:

    def write(batch):
        for row in batch.to_pylist():
            row["window_start"] = row.pop("window_start_time")
            row.pop("window_end_time")
            rows.write(orjson.dumps(row) + b"\n")
        rows.flush()

    (
        Context()
        .from_topic(topic, sample, bootstrap, "ts", group)
        # How long a window waits cannot be said: it closes when a later one has begun.
        .window(
            [col("device_id")],
            [
                f.count(col("ts")).alias("count"),
                f.avg(col("temperature")).alias("avg_temperature"),
                f.avg(col("humidity")).alias("avg_humidity"),
                f.min(col("battery")).alias("min_battery"),
                f.max(col("battery")).alias("max_battery"),
            ],
            10_000,
        )
        .sink(write)
    )
