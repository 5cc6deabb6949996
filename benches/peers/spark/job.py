# Arguments: BOOTSTRAP TOPIC OUT SCRATCH
import sys

from pyspark.sql import SparkSession
from pyspark.sql import functions as f

bootstrap, topic, out, scratch = sys.argv[1:]

spark = (
    SparkSession.builder
    # One task a core after the shuffle. The default of 200 is 200 small state stores.
    .config("spark.sql.shuffle.partitions", 2)
    .config("spark.ui.enabled", False)
    .config("spark.sql.session.timeZone", "UTC")
    .config("spark.sql.warehouse.dir", f"{scratch}/warehouse")
    .getOrCreate()
)

messages = (
    spark.readStream.format("kafka")
    .option("kafka.bootstrap.servers", bootstrap)
    .option("subscribe", topic)
    .option("startingOffsets", "earliest")
    # So many messages a micro-batch: few enough to stay in memory, many enough to be quick.
    .option("maxOffsetsPerTrigger", 2_500_000)
    .option("kafka.max.partition.fetch.bytes", 4 << 20)
    .option("kafka.max.poll.records", 10_000)
    .load()
    .select(
        f.from_json(
            f.col("value").cast("string"),
            "device_id string, ts bigint, temperature double, humidity double, battery double",
        ).alias("m")
    )
    .select("m.*", f.timestamp_millis("m.ts").alias("event_time"))
)

windows = (
    messages.withWatermark("event_time", "1 minute")
    .groupBy("device_id", f.window("event_time", "10 seconds"))
    .agg(
        f.count("*").alias("count"),
        f.avg("temperature").alias("avg_temperature"),
        f.avg("humidity").alias("avg_humidity"),
        f.min("battery").alias("min_battery"),
        f.max("battery").alias("max_battery"),
    )
    .withColumn("window_start", f.col("window.start"))
    .drop("window")
)

(
    windows.writeStream.format("json")
    .outputMode("append")
    # Spark has no way to do without: here is its state, too.
    .option("checkpointLocation", f"{scratch}/checkpoint")
    .option("path", out)
    .trigger(availableNow=True)
    .start()
    .awaitTermination()
)
