# Arguments: BOOTSTRAP TOPIC OUT GROUP
import signal
import sys

import pyclink

bootstrap, topic, out, group = sys.argv[1:]

signal.signal(signal.SIGTERM, signal.default_int_handler)  # await_all ends jobs in order on Ctrl-C
with pyclink.Engine(parallelism=2) as engine:
    engine.execute(f"""
        CREATE TABLE messages (
          device_id TEXT, ts BIGINT, temperature DOUBLE, humidity DOUBLE, battery DOUBLE
        ) WITH (
          connector='kafka', brokers='{bootstrap}', topic='{topic}', group_id='{group}',
          format='json', event_time_column='ts', watermark_lag_ms='60000'
        );
        CREATE TABLE windows (
          device_id TEXT, window_start BIGINT, count BIGINT,
          avg_temperature DOUBLE, avg_humidity DOUBLE, min_battery DOUBLE, max_battery DOUBLE
        ) WITH (connector='file', format='json', path='{out}/rows.json');
        INSERT INTO windows
        SELECT device_id, window_start, COUNT(*) AS count, AVG(temperature) AS avg_temperature,
          AVG(humidity) AS avg_humidity, MIN(battery) AS min_battery, MAX(battery) AS max_battery
        FROM messages
        GROUP BY TUMBLE(ts, INTERVAL '10' SECOND), device_id
    """)
    engine.await_all()
