import java.util.Map;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.table.api.TableEnvironment;

// Arguments: BOOTSTRAP TOPIC OUT SCRATCH. The whole cluster runs in this process.
public final class Job {
    public static void main(String[] arguments) throws Exception {
        var settings = Configuration.fromMap(Map.of(
            "parallelism.default", "2",
            "taskmanager.numberOfTaskSlots", "2",
            // Rows are not copied between chained operators.
            "pipeline.object-reuse", "true",
            // What window aggregates are gathered in before the shuffle.
            "taskmanager.memory.managed.size", "256m",
            "table.local-time-zone", "UTC",
            "rest.bind-address", "127.0.0.1",
            "rest.port", "0",
            "io.tmp.dirs", arguments[3]));
        // The state is in the heap and there are no checkpoints: both are defaults. Without
        // checkpoints, the files become visible when the input ends.
        var tables = TableEnvironment.create(settings);
        tables.executeSql("""
            CREATE TABLE messages (
              device_id STRING, ts BIGINT, temperature DOUBLE, humidity DOUBLE, battery DOUBLE,
              event_time AS TO_TIMESTAMP_LTZ(ts, 3),
              WATERMARK FOR event_time AS event_time - INTERVAL '1' MINUTE
            ) WITH (
              'connector' = 'kafka', 'properties.bootstrap.servers' = '%s', 'topic' = '%s',
              'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset',
              'properties.max.partition.fetch.bytes' = '4194304',
              'properties.max.poll.records' = '10000',
              'format' = 'json'
            )""".formatted(arguments[0], arguments[1]));
        tables.executeSql("""
            CREATE TABLE windows (
              device_id STRING, window_start TIMESTAMP(3), `count` BIGINT,
              avg_temperature DOUBLE, avg_humidity DOUBLE, min_battery DOUBLE, max_battery DOUBLE
            ) WITH ('connector' = 'filesystem', 'path' = 'file://%s', 'format' = 'json')
            """.formatted(arguments[2]));
        tables.executeSql("""
            INSERT INTO windows
            SELECT device_id, window_start, COUNT(*), AVG(temperature), AVG(humidity),
              MIN(battery), MAX(battery)
            FROM TUMBLE(TABLE messages, DESCRIPTOR(event_time), INTERVAL '10' SECONDS)
            GROUP BY device_id, window_start, window_end""").await();
    }
}
