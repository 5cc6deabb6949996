import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Properties;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.Suppressed.BufferConfig;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.Stores;

// Arguments: BOOTSTRAP TOPIC OUT SCRATCH
public final class Job {
    private static final ObjectMapper JSON = new ObjectMapper();

    @JsonIgnoreProperties(ignoreUnknown = true)
    record Message(long ts, Double temperature, Double humidity, Double battery) {
        static Message read(String topic, byte[] bytes) {
            try {
                return JSON.readValue(bytes, Message.class);
            } catch (IOException error) {
                throw new UncheckedIOException(error);
            }
        }
    }

    // One window of one device. A metric that is null contributes to nothing but the count.
    record Totals(long count, long temperatures, double temperature, long humidities, double humidity,
                  double batteryMin, double batteryMax) {
        static final int BYTES = 7 * Long.BYTES;

        Totals() {
            this(0, 0, 0, 0, 0, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY);
        }

        Totals add(Message m) {
            return new Totals(count + 1,
                m.temperature == null ? temperatures : temperatures + 1,
                m.temperature == null ? temperature : temperature + m.temperature,
                m.humidity == null ? humidities : humidities + 1,
                m.humidity == null ? humidity : humidity + m.humidity,
                m.battery == null ? batteryMin : Math.min(batteryMin, m.battery),
                m.battery == null ? batteryMax : Math.max(batteryMax, m.battery));
        }

        static byte[] write(String topic, Totals t) {
            return ByteBuffer.allocate(BYTES).putLong(t.count).putLong(t.temperatures)
                .putDouble(t.temperature).putLong(t.humidities).putDouble(t.humidity)
                .putDouble(t.batteryMin).putDouble(t.batteryMax).array();
        }

        static Totals read(String topic, byte[] bytes) {
            var b = ByteBuffer.wrap(bytes);
            return new Totals(b.getLong(), b.getLong(), b.getDouble(), b.getLong(), b.getDouble(),
                b.getDouble(), b.getDouble());
        }
    }

    record Row(String device_id, long window_start, long count, Double avg_temperature,
               Double avg_humidity, double min_battery, double max_battery) {}

    private static Double average(double sum, long count) {
        return count == 0 ? null : Double.valueOf(sum / count);
    }

    public static void main(String[] arguments) throws Exception {
        var settings = new Properties();
        settings.put("application.id", "strandline-peer-" + ProcessHandle.current().pid());
        settings.put("bootstrap.servers", arguments[0]);
        settings.put("state.dir", arguments[3]);
        settings.put("auto.offset.reset", "earliest");
        settings.put("num.stream.threads", 2);
        settings.put("max.poll.records", 10_000);
        settings.put("max.partition.fetch.bytes", 4 << 20);
        settings.put("commit.interval.ms", 1_000);
        // Without a changelog, a rebalance loses what is in memory: a busy machine must not cause one.
        settings.put("session.timeout.ms", 300_000);

        Serde<Message> messages = Serdes.serdeFrom((topic, message) -> null, Message::read);
        Serde<Totals> totals = Serdes.serdeFrom(Totals::write, Totals::read);
        var window = Duration.ofSeconds(10);
        var grace = Duration.ofMinutes(1);
        var rows = Files.newBufferedWriter(Path.of(arguments[2], "rows.json"));
        var builder = new StreamsBuilder();
        builder.stream(arguments[1], Consumed.with(Serdes.String(), messages)
                .withTimestampExtractor((record, previous) -> ((Message) record.value()).ts()))
            .groupByKey() // the device is the key of the Kafka record: no shuffle
            .windowedBy(TimeWindows.ofSizeAndGrace(window, grace))
            .aggregate(Totals::new, (device, message, sums) -> sums.add(message),
                Materialized.<String, Totals>as(Stores.inMemoryWindowStore(
                        "windows", window.plus(grace), window, false))
                    .withKeySerde(Serdes.String()).withValueSerde(totals).withLoggingDisabled())
            // The store's cache hands on what changed at each commit, not at each message.
            .suppress(Suppressed.untilWindowCloses(BufferConfig.unbounded().withLoggingDisabled()))
            .toStream()
            .foreach((key, t) -> {
                try {
                    var row = JSON.writeValueAsString(new Row(key.key(), key.window().start(), t.count,
                        average(t.temperature, t.temperatures), average(t.humidity, t.humidities),
                        t.batteryMin, t.batteryMax));
                    synchronized (rows) {
                        rows.append(row).append('\n');
                    }
                } catch (IOException error) {
                    throw new UncheckedIOException(error);
                }
            });

        try (rows; var streams = new KafkaStreams(builder.build(), settings)) {
            streams.start();
            while (!atEnd(streams)) {
                Thread.sleep(50);
            }
        }
    }

    // Kafka Streams has no bounded read: the end is when what is committed has reached it.
    private static boolean atEnd(KafkaStreams streams) {
        if (streams.state() == KafkaStreams.State.ERROR) {
            throw new IllegalStateException("the job failed");
        }
        var tasks = streams.metadataForLocalThreads().stream()
            .flatMap(thread -> thread.activeTasks().stream()).toList();
        return !tasks.isEmpty() && tasks.stream().allMatch(task -> task.endOffsets().entrySet().stream()
            .allMatch(end -> end.getValue() > 0 && task.committedOffsets().get(end.getKey()) >= end.getValue()));
    }
}
