//! What is accepted and what is not, rule by rule. Each payload is read on both paths, and by a
//! decoder that has just seen records of the usual layout.

mod syntax;

use super::field::FieldNames;
use super::layout::{Layout, Plan};
use super::*;

const USUAL: &str = r#"{"id":"device-1","ts":1730638574123,"a":24.7,"b":-3}"#;

type Read = Result<(String, i64, [Option<u64>; 2]), DeadReason>;

fn decoder() -> JsonFields<2> {
    JsonFields::new("id", "ts", ["a", "b"])
}

fn read_by(decoder: &mut JsonFields<2>, payload: &[u8]) -> Read {
    let bits = |value: &Metrics<2>, index| value.get(index).map(f64::to_bits);
    decoder.decode(payload).map(|Decoded { key, time, value }| {
        (key.as_str().to_owned(), time.as_millis(), [bits(&value, 0), bits(&value, 1)])
    })
}

fn read(payload: impl AsRef<[u8]>) -> Read {
    let payload = payload.as_ref();
    let expected = read_by(&mut decoder().strict_only(), payload);
    let shown = payload.escape_ascii();
    assert_eq!(read_by(&mut decoder(), payload), expected, "fast path, new decoder: {shown}");
    let mut warm = decoder();
    for _ in 0..3 {
        read_by(&mut warm, USUAL.as_bytes()).unwrap();
    }
    assert_eq!(read_by(&mut warm, payload), expected, "fast path, warm decoder: {shown}");
    assert!(read_by(&mut warm, USUAL.as_bytes()).is_ok(), "the decoder is usable after {shown}");
    expected
}

fn usual() -> Read {
    Ok(("device-1".to_owned(), 1_730_638_574_123, [Some(24.7), Some(-3.0)].map(bits)))
}

fn bits(value: Option<f64>) -> Option<u64> {
    value.map(f64::to_bits)
}

/// The key of a record whose key field holds this JSON.
fn key(json: &str) -> Result<String, DeadReason> {
    read(format!(r#"{{"ts":5,"id":{json},"a":1}}"#)).map(|read| read.0)
}

/// The time of a record whose time field holds this JSON, at the end and elsewhere.
fn time(json: &str) -> Result<i64, DeadReason> {
    let last = read(format!(r#"{{"id":"x","ts":{json}}}"#));
    let first = read(format!(r#"{{"ts":{json},"id":"x","other":"some more text"}}"#));
    assert_eq!(first, last);
    first.map(|read| read.1)
}

/// The metric of a record whose field `a` holds this JSON, at the end and elsewhere.
fn metric(json: &str) -> Result<Option<f64>, DeadReason> {
    let last = read(format!(r#"{{"id":"x","ts":5,"a":{json}}}"#));
    let first = read(format!(r#"{{"a":{json},"id":"x","ts":5,"other":"some more text"}}"#));
    assert_eq!(first, last);
    first.map(|read| read.2[0].map(f64::from_bits))
}

fn assert_not_json(payload: impl AsRef<[u8]>) {
    let payload = payload.as_ref();
    assert_eq!(read(payload), Err(DeadReason::NotJson), "{}", payload.escape_ascii());
}

/// Payloads with this text as the value of each kind of field, and nested in an ignored one.
fn with_value(json: &[u8]) -> Vec<Vec<u8>> {
    [
        r#"{"id":@,"ts":5}"#,
        r#"{"id":"x","ts":@}"#,
        r#"{"id":"x","ts":5,"a":@}"#,
        r#"{"id":"x","ts":5,"other":@}"#,
        r#"{"id":"x","ts":5,"other":[@]}"#,
        r#"{"id":"x","ts":5,"other":{"deep":[1,@]},"a":1}"#,
    ]
    .into_iter()
    .map(|template| {
        let (before, after) = template.split_once('@').unwrap();
        [before.as_bytes(), json, after.as_bytes()].concat()
    })
    .collect()
}

#[test]
fn a_usual_record_is_read() {
    assert_eq!(read(USUAL), usual());
}

#[test]
fn the_order_of_fields_does_not_matter() {
    assert_eq!(read(r#"{"b":-3,"a":24.7,"ts":1730638574123,"id":"device-1"}"#), usual());
}

#[test]
fn unknown_fields_are_ignored() {
    let unknown = r#""s":"ok","n":-1.5e-3,"z":0,"t":true,"f":false,"u":null,"o":{},"l":[],
        "deep":{"ts":1,"a":["x",{"b":[{}]},[[]],2]},"":"","ид":"ключ""#;
    assert_eq!(read(USUAL.replace(r#","a""#, &format!(r#",{unknown},"a""#))), usual());
}

#[test]
fn an_empty_payload_is_empty() {
    assert_eq!(read(""), Err(DeadReason::Empty));
}

#[test]
fn names_are_compared_after_unescaping() {
    let escaped = r#"{"\u0069d":"device-1","t\u0073":1730638574123,"\u0061":24.7,"\u0062":-3}"#;
    assert_eq!(read(escaped), usual());
    let mut slashes = JsonFields::new("a/b", "t\"s", ["\\", "\n", "é", "d/d"]);
    let payload = r#"{"a\/b":"x","t\"s":5,"\\":1,"\n":2,"\u00e9":3,"d\u002Fd":4}"#.as_bytes();
    let decoded = slashes.decode(payload).unwrap();
    let expected = Metrics::from([Some(1.0), Some(2.0), Some(3.0), Some(4.0)]);
    assert_eq!((decoded.key.as_str(), decoded.value), ("x", expected));
}

#[test]
fn a_name_is_compared_whole() {
    assert_eq!(read(r#"{"idx":"x","id ":"x","i":"x","ts":5}"#), Err(DeadReason::MissingKey));
    assert_eq!(read(r#"{"ID":"x","ts":5}"#), Err(DeadReason::MissingKey));
    let long = "a name that is longer than the words in which names are compared";
    let mut decoder = JsonFields::new(long, "ts", []);
    let payload = format!(r#"{{"{long}":"x","ts":5}}"#);
    assert_eq!(decoder.decode(payload.as_bytes()).unwrap().key.as_str(), "x");
    let other = payload.replace("compared", "repaired");
    assert_eq!(decoder.decode(other.as_bytes()), Err(DeadReason::MissingKey));
}

#[test]
fn a_name_that_has_to_be_escaped_is_not_found_unescaped() {
    let mut decoder = JsonFields::new("a\"b", "ts", []);
    assert_eq!(decoder.decode(br#"{"a"b":"x","ts":5}"#), Err(DeadReason::NotJson));
    assert_eq!(decoder.decode(br#"{"a\"b":"x","ts":5}"#).unwrap().key.as_str(), "x");
}

#[test]
#[should_panic(expected = "one name a field")]
fn no_name_may_be_asked_for_twice() {
    JsonFields::new("id", "ts", ["a", "ts"]);
}

#[test]
fn of_a_repeated_field_the_last_counts() {
    let repeated = r#"{"a":1,"id":"other","ts":5,"b":2,"id":"device-1","a":"bad",
        "ts":"bad","ts":1730638574123,"b":null,"a":24.7,"\u0062":-3}"#;
    assert_eq!(read(repeated), usual());
    assert_eq!(read(r#"{"id":5,"id":"x","ts":1.5,"ts":5}"#).unwrap().0, "x");
    assert_eq!(read(r#"{"id":"x","ts":5,"id":null}"#), Err(DeadReason::MissingKey));
    assert_eq!(read(r#"{"id":"x","ts":5,"id":5}"#), Err(DeadReason::BadKey));
    assert_eq!(read(r#"{"id":"x","ts":5,"ts":null}"#), Err(DeadReason::MissingTime));
    assert_eq!(read(r#"{"id":"x","ts":5,"a":1,"a":null}"#).unwrap().2, [None, None]);
    assert_eq!(read(r#"{"id":"x","ts":5,"a":1,"a":[]}"#), Err(DeadReason::BadMetric));
    // The whole payload must be JSON all the same.
    assert_eq!(read(r#"{"id":"x","ts":05,"ts":5}"#), Err(DeadReason::NotJson));
}

#[test]
fn a_key_is_unescaped() {
    assert_eq!(key(r#""device\u002d1""#).unwrap(), "device-1");
    assert_eq!(key(r#""\"\\\/\b\f\n\r\t\u00E9\u20ac""#).unwrap(), "\"\\/\u{8}\u{c}\n\r\té€");
}

#[test]
fn a_key_may_hold_any_character() {
    assert_eq!(key(r#""\u0000""#).unwrap(), "\0");
    for text in ["é", "ключ", "😀", "\u{7f}", " ", "\u{feff}", "\u{2028}", "a\u{10ffff}b"] {
        assert_eq!(key(&format!("\"{text}\"")).unwrap(), text);
    }
}

#[test]
fn a_key_has_1_to_256_bytes_after_unescaping() {
    assert_eq!(key(r#""""#), Err(DeadReason::BadKey));
    for (unit, units) in [("a", 256), ("é", 128), (r"\u00e9", 128), (r"\ud83d\ude00", 64)] {
        assert_eq!(key(&format!("\"{}\"", unit.repeat(units))).unwrap().len(), 256);
        assert_eq!(key(&format!("\"{}\"", unit.repeat(units + 1))), Err(DeadReason::BadKey));
        assert_eq!(key(&format!("\"a{}\"", unit.repeat(units))), Err(DeadReason::BadKey));
    }
}

#[test]
fn a_key_that_is_absent_or_null_is_missing() {
    assert_eq!(key("null"), Err(DeadReason::MissingKey));
    assert_eq!(read(r#"{"ts":5}"#), Err(DeadReason::MissingKey));
    assert_eq!(read("{}"), Err(DeadReason::MissingKey));
}

#[test]
fn a_key_of_another_type_is_bad() {
    for json in ["5", "true", "false", "[]", "{}", r#"["x"]"#, "-1e5"] {
        assert_eq!(key(json), Err(DeadReason::BadKey), "{json}");
    }
}

#[test]
fn an_integral_time_may_be_written_in_any_way() {
    for (json, millis) in [
        ("0", 0),
        ("5", 5),
        ("5.0", 5),
        ("5e3", 5_000),
        ("5E+3", 5_000),
        ("-0", 0),
        ("-0.0e5", 0),
        ("1.5e1", 15),
        ("5000e-3", 5),
        ("0.005e3", 5),
        ("0e999", 0),
        ("0e-99999999999999999999", 0),
        ("100000000000000000000e-20", 1),
        ("12345678", 12_345_678),
        ("123456789", 123_456_789),
        ("1730638574123", 1_730_638_574_123),
        ("1730638574123.000", 1_730_638_574_123),
        ("1.730638574123e12", 1_730_638_574_123),
    ] {
        assert_eq!(time(json), Ok(millis), "{json}");
    }
    let padded = format!("0.{}5e{}", "0".repeat(5_000), 5_001);
    assert_eq!(time(&padded), Ok(5));
    let shifted = format!("5{}e-{}", "0".repeat(5_000), 5_000);
    assert_eq!(time(&shifted), Ok(5));
}

#[test]
fn of_a_time_of_usual_length_every_byte_counts() {
    for json in ["1000000000000", "9999999999999", "17306385741230", "173063857412"] {
        assert_eq!(time(json), Ok(json.parse().unwrap()), "{json}");
    }
    for json in ["0730638574123", "1730638574123x", "1730638574123:", "1730638574123\u{1}"] {
        assert_eq!(time(json), Err(DeadReason::NotJson), "{json}");
    }
    for place in 0..13 {
        for other in ["/", ":", "a", "\u{1}", "\u{b1}"] {
            let mut json = "1730638574123".to_owned();
            json.replace_range(place..=place, other);
            assert_eq!(time(&json), Err(DeadReason::NotJson), "{json}");
        }
    }
}

#[test]
fn a_time_is_read_exactly() {
    assert_eq!(time("253402300799999"), Ok(253_402_300_799_999));
    assert_eq!(time("253402300799998.0"), Ok(253_402_300_799_998));
    // As floats, these would be integral.
    assert_eq!(time("1730638574123.00000000000000001"), Err(DeadReason::BadTime));
    assert_eq!(time("253402300799999.00001"), Err(DeadReason::BadTime));
    assert_eq!(time("1e-400"), Err(DeadReason::BadTime));
    // As a float, this would be the power of two before it; as a time it is too late.
    assert_eq!(number::time("9007199254740993"), Err(DeadReason::Future));
}

#[test]
fn a_time_after_the_year_9999_is_in_the_future() {
    for json in [
        "253402300800000",
        "999999999999999",
        "1000000000000000",
        "9007199254740993",
        "9223372036854775808",
        "18446744073709551616",
        "1e999",
        "1e99999999999999999999",
        "1e18446744073709551617",
        "92233720368547758080",
        "123456789012345678901234567890",
        "2534023007999990e0",
    ] {
        assert_eq!(time(json), Err(DeadReason::Future), "{json}");
    }
}

#[test]
fn a_time_that_is_not_integral_or_before_1970_is_bad() {
    for json in [
        "1.5",
        "0.1",
        "-1",
        "-1730638574123",
        "-1.0",
        "-1e999",
        "15e-1",
        "1e-1",
        "1e-99999999999999999999",
        "10e-18446744073709551617",
        "1730638574123.5",
        "100000000000000000000.5",
        "\"5\"",
        "\"2024-11-03T12:56:14Z\"",
        "true",
        "[]",
        "{}",
        "[5]",
    ] {
        assert_eq!(time(json), Err(DeadReason::BadTime), "{json}");
    }
}

#[test]
fn a_time_that_is_absent_or_null_is_missing() {
    assert_eq!(time("null"), Err(DeadReason::MissingTime));
    assert_eq!(read(r#"{"id":"x"}"#), Err(DeadReason::MissingTime));
}

#[test]
fn a_metric_that_is_absent_or_null_does_not_contribute() {
    assert_eq!(metric("null"), Ok(None));
    assert_eq!(read(r#"{"id":"x","ts":5}"#).unwrap().2, [None, None]);
    assert_eq!(read(r#"{"id":"x","ts":5,"b":1}"#).unwrap().2, [None, bits(Some(1.0))]);
}

#[test]
fn a_metric_of_another_type_is_bad() {
    for json in ["\"24.7\"", "true", "false", "[]", "{}", "[1]", "\"NaN\"", "\"\""] {
        assert_eq!(metric(json), Err(DeadReason::BadMetric), "{json}");
    }
}

#[test]
fn a_metric_beyond_the_range_of_a_float_is_not_finite() {
    let digits = "9".repeat(400);
    for json in ["1e309", "-1e309", "1.7976931348623159e308", "1e99999999999999999999", &digits] {
        assert_eq!(metric(json), Err(DeadReason::NotFinite), "{json}");
    }
    assert_eq!(metric("1.7976931348623157e308"), Ok(Some(f64::MAX)));
}

#[test]
fn a_metric_is_correctly_rounded() {
    for (json, value) in [
        ("0", 0.0),
        ("-0", -0.0),
        ("-0.0", -0.0),
        ("0.1", 0.1),
        ("-24.75", -24.75),
        ("55.300", 55.3),
        ("1234567", 1_234_567.0),
        ("12345678", 12_345_678.0),
        ("-12345678.9", -12_345_678.9),
        ("123456.7", 123_456.7),
        ("5e-324", 5e-324),
        ("2e-324", 0.0),
        ("3e-324", 5e-324),
        ("1e-400", 0.0),
        ("-1e-400", -0.0),
        ("9007199254740991", 9_007_199_254_740_991.0),
        ("9007199254740993", 9_007_199_254_740_992.0),
        ("9007199254740995", 9_007_199_254_740_996.0),
        ("9007199254740993.0000000000000001", 9_007_199_254_740_994.0),
        ("0.30000000000000004", 0.30000000000000004),
        ("24.712345678901234", 24.712345678901234),
        ("2.2250738585072011e-308", f64::from_bits(0x000F_FFFF_FFFF_FFFF)),
        ("1e22", 1e22),
        ("1e23", 1e23),
        ("8.5e1", 85.0),
        ("1E2", 100.0),
    ] {
        assert_eq!(metric(json).map(bits), Ok(bits(Some(value))), "{json}");
    }
}

#[test]
fn of_several_reasons_the_first_in_order_counts() {
    let reasons = [
        (r#"{"id":5,"ts":-1,"a":[],"b":1e999"#, DeadReason::NotJson),
        (r#"{"b":1e999,"a":[],"ts":-1,"id":5}"#, DeadReason::BadKey),
        (r#"{"b":1e999,"a":[],"ts":-1}"#, DeadReason::MissingKey),
        (r#"{"b":1e999,"a":[],"ts":-1,"id":"x"}"#, DeadReason::BadTime),
        (r#"{"b":1e999,"a":[],"ts":1e20,"id":"x"}"#, DeadReason::Future),
        (r#"{"b":1e999,"a":[],"id":"x"}"#, DeadReason::MissingTime),
        (r#"{"b":1e999,"a":[],"ts":5,"id":"x"}"#, DeadReason::BadMetric),
        (r#"{"b":[],"a":1e999,"ts":5,"id":"x"}"#, DeadReason::NotFinite),
    ];
    for (payload, reason) in reasons {
        assert_eq!(read(payload), Err(reason), "{payload}");
    }
}

/// Every byte of a record replaced by every other one, removed, and doubled by every one: the
/// records before and after it are read as ever.
#[test]
fn one_bad_byte_anywhere_loses_exactly_one_record() {
    let mut fast = decoder();
    let mut strict = decoder().strict_only();
    let mut check = |payload: &[u8]| {
        let expected = read_by(&mut strict, payload);
        assert_eq!(read_by(&mut fast, payload), expected, "{}", payload.escape_ascii());
        assert_eq!(read_by(&mut fast, USUAL.as_bytes()), usual(), "{}", payload.escape_ascii());
    };
    for at in 0..USUAL.len() {
        let (before, after) = USUAL.as_bytes().split_at(at);
        check(&[before, &after[1..]].concat());
        for byte in 0..=u8::MAX {
            check(&[before, &[byte], &after[1..]].concat());
            check(&[before, &[byte], after].concat());
        }
    }
}

#[test]
fn usual_records_do_not_need_the_strict_path() {
    let names = FieldNames::new("id", "ts", ["a", "b"]);
    let deep = USUAL.replace('}', &format!(r#","o":{}{}}}"#, "[".repeat(127), "]".repeat(127)));
    for payload in [
        USUAL,
        &deep,
        r#"{"b":-3,"a":24.7,"ts":1730638574123,"id":"device-1"}"#,
        r#"{ "id": "Gerät-1", "ts": 1730638574123, "a": null, "where": "Küche" }"#,
        "{\n\t\"id\" : \"x\",\r\n\t\"ts\" : 5.0\n}\n",
        r#"{"id":"x","ts":5e3,"a":24.712345678901234,"b":-1.5e-7}"#,
        r#"{"id":"x","ts":1730638574123.0,"a":1}"#,
        r#"{"id":"x","ts":1730638574123,"o":{"p":[1,{"q":true}],"r":{}},"b":100}"#,
        r#"{"id":"x","id":"y","ts":1,"ts":2,"a":1,"a":null}"#,
    ] {
        let mut layout = Layout::default();
        for _ in 0..3 {
            let read =
                fixed::decode(&names, &mut layout, fixed::InMilliseconds, payload.as_bytes());
            assert!(read.is_some(), "{payload}");
            assert_eq!(layout.plan(), Plan::Follow, "{payload}");
        }
    }
}

#[test]
fn a_change_of_layout_is_learned() {
    let names = FieldNames::new("id", "ts", ["a", "b"]);
    let mut layout = Layout::default();
    let spaced = USUAL.replace(':', ": ").replace(',', ",\n    ");
    let reversed = r#"{"b":-3,"a":24.7,"ts":1730638574123,"id":"device-1"}"#;
    for payload in [USUAL, &spaced, reversed, USUAL] {
        for record in 0..10 {
            let read =
                fixed::decode(&names, &mut layout, fixed::InMilliseconds, payload.as_bytes());
            assert!(read.is_some(), "{payload}");
            assert!(record < 3 || layout.plan() == Plan::Follow, "record {record} of {payload}");
        }
    }
}

#[test]
fn metrics_cross_to_another_process_with_what_is_absent() {
    let metrics = Metrics::from([Some(24.7), None, Some(-0.0)]);
    let sent = postcard::to_allocvec(&metrics).unwrap();
    assert_eq!(postcard::from_bytes::<Metrics<3>>(&sent), Ok(metrics));
    assert!(postcard::from_bytes::<Metrics<2>>(&sent).is_err(), "two metrics, and three were sent");
}

/// The time of a record whose time field holds this JSON, in a unit, on both paths.
fn time_in(unit: TimeUnit, json: &str) -> Result<i64, DeadReason> {
    let payload = format!(r#"{{"id":"x","ts":{json}}}"#);
    let times = [decoder(), decoder().strict_only()].map(|decoder| {
        let mut decoder = decoder.in_time_unit(unit).unwrap();
        decoder.decode(payload.as_bytes()).map(|decoded| decoded.time.as_millis())
    });
    assert_eq!(times[0], times[1], "{payload}");
    times[0]
}

#[test]
fn a_time_may_be_in_another_unit() {
    use TimeUnit::{Microseconds, Nanoseconds, Rfc3339, Seconds};
    for (unit, json, millis) in [
        (Seconds, "1730638574", 1_730_638_574_000),
        (Seconds, "1730638574.1239999999999999999999999", 1_730_638_574_123),
        (Seconds, "1.730638574e9", 1_730_638_574_000),
        (Seconds, "1730638574123e-3", 1_730_638_574_123),
        (Seconds, "0.0009", 0),
        (Seconds, "-0.0", 0),
        (Microseconds, "1730638574123456", 1_730_638_574_123),
        (Microseconds, "999", 0),
        (Microseconds, "1e3", 1),
        (Nanoseconds, "1730638574123456789", 1_730_638_574_123),
        (Nanoseconds, "999999.999", 0),
        (Rfc3339, r#""2024-11-03T12:56:14.123Z""#, 1_730_638_574_123),
        (Rfc3339, r#""2024-11-03T13:56:14.123+01:00""#, 1_730_638_574_123),
        (Rfc3339, r#""2024\u002d11-03T12:56:14Z""#, 1_730_638_574_000),
    ] {
        assert_eq!(time_in(unit, json), Ok(millis), "{json} in {unit}");
    }
    for (unit, json, reason) in [
        (Seconds, "-1", DeadReason::BadTime),
        (Seconds, "-0.0001", DeadReason::BadTime),
        (Seconds, r#""1730638574""#, DeadReason::BadTime),
        (Seconds, "null", DeadReason::MissingTime),
        (Seconds, "1730638574123", DeadReason::Future),
        (Seconds, "1e300", DeadReason::Future),
        (Nanoseconds, "1e30000", DeadReason::Future),
        (Rfc3339, "1730638574123", DeadReason::BadTime),
        (Rfc3339, r#""yesterday""#, DeadReason::BadTime),
        (Rfc3339, r#""\ud800""#, DeadReason::NotJson),
        (Rfc3339, "null", DeadReason::MissingTime),
    ] {
        assert_eq!(time_in(unit, json), Err(reason), "{json} in {unit}");
    }
}

/// A checkpoint of a version that knew milliseconds only is continued.
#[test]
fn a_unit_is_part_of_the_shape_unless_it_is_the_default() {
    let shape = |unit| decoder().in_time_unit(unit).unwrap().shape();
    assert_eq!(decoder().shape(), "JSON with id, ts, a, b");
    assert_eq!(shape(TimeUnit::Milliseconds), decoder().shape());
    assert_eq!(shape(TimeUnit::Rfc3339), "JSON with id, ts, a, b, ts in rfc3339");
}

#[test]
fn the_unit_that_records_are_in_is_guessed() {
    let now = EventTime::from_millis(1_730_638_574_123);
    let guess = |json: &str| {
        let payload = format!(r#"{{"id":"x","ts":{json}}}"#);
        decoder().guess_time_unit(payload.as_bytes(), now)
    };
    assert_eq!(guess("1730638574"), Some(TimeUnit::Seconds));
    assert_eq!(guess("1730638574.5"), Some(TimeUnit::Seconds));
    assert_eq!(guess("1730638574123456"), Some(TimeUnit::Microseconds));
    assert_eq!(guess("1730638574123456789"), Some(TimeUnit::Nanoseconds));
    assert_eq!(guess(r#""2024-11-03T12:56:14Z""#), Some(TimeUnit::Rfc3339));
    assert_eq!(guess("17000"), None, "a clock that began in 1970");
    assert_eq!(guess("1730638574123"), None, "it is as it should be");
}

#[test]
fn a_reason_names_the_field() {
    let decoder = JsonFields::new("device_id", "ts", ["temperature", "humidity"]);
    for (reason, words) in [
        (DeadReason::NotJson, "not a JSON object"),
        (DeadReason::MissingKey, "no field `device_id`"),
        (DeadReason::MissingTime, "no field `ts`"),
        (DeadReason::BadTime, "`ts` is not a whole number of milliseconds since 1970"),
        (DeadReason::BadMetric, "`temperature` or `humidity` is not a number"),
    ] {
        assert_eq!(decoder.explain(reason), words);
    }
    assert_eq!(
        JsonFields::new("key", "ts", []).explain(DeadReason::BadMetric),
        "a metric is not a number"
    );
}
