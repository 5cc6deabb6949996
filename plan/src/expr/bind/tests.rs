use std::time::Duration;

use arrow_schema::Field;

use super::*;
use crate::expr::{call, col, lit, when};

fn schema() -> Schema {
    let field = |name: &str, data_type| Field::new(name, data_type, true);
    Schema::new(vec![
        Field::new("id", DataType::Int64, false),
        field("small", DataType::Int8),
        field("temperature", DataType::Float64),
        field("price", DataType::Decimal128(10, 2)),
        field("city", DataType::Utf8),
        field("ts", types::timestamp(TimeUnit::Millisecond)),
        field("at", DataType::Struct(vec![Field::new("lat", DataType::Float64, false)].into())),
    ])
}

fn bound(expr: Expr) -> TypedExpr {
    expr.bind(&schema()).unwrap()
}

fn refused(expr: Expr) -> String {
    expr.bind(&schema()).unwrap_err().to_string()
}

#[test]
fn a_constant_takes_the_type_of_the_column_beside_it() {
    let TypedKind::Binary(_, _, right) = bound(col("small").gt(lit(5))).kind else { panic!() };
    assert_eq!(right.data_type, DataType::Int8);
    // 300 is no TINYINT: the column becomes wider, and nothing is ever greater.
    let TypedKind::Binary(left, _, _) = bound(col("small").gt(lit(300))).kind else { panic!() };
    assert_eq!(left.data_type, DataType::Int64);
    assert_eq!(bound(lit(2) * col("small")).data_type, DataType::Int8);
    assert_eq!(bound(col("temperature") + lit(1)).data_type, DataType::Float64);
}

#[test]
fn decimals_are_exact() {
    let factor = Literal::Decimal { unscaled: 908, scale: 3 };
    let price = |e: Expr| bound(e).data_type;
    assert_eq!(price(Expr::Literal(factor) * col("id")), DataType::Decimal128(22, 3));
    assert_eq!(price(col("price") + col("price")), DataType::Decimal128(11, 2));
    assert_eq!(price(col("price") * lit(3)), DataType::Decimal128(11, 2));
    assert_eq!(price(col("price") / lit(3)), DataType::Decimal128(14, 6));
    assert_eq!(price(col("price") * col("temperature")), DataType::Float64);
}

#[test]
fn times_and_lengths_of_time_can_be_added() {
    let minute = || lit(Duration::from_secs(60));
    let ms = types::timestamp(TimeUnit::Millisecond);
    assert_eq!(bound(col("ts") + minute()).data_type, ms);
    assert_eq!(bound(minute() + col("ts")).data_type, ms);
    assert_eq!(bound(col("ts") - col("ts")).data_type, DataType::Duration(TimeUnit::Millisecond));
    assert_eq!(bound(minute() * lit(5)).data_type, DataType::Duration(TimeUnit::Millisecond));
    let micro = lit(Duration::from_micros(1));
    assert_eq!(bound(col("ts") + micro).data_type, types::timestamp(TimeUnit::Microsecond));
    assert!(refused(col("ts") + lit(5)).contains("does not take TIMESTAMP(3) and BIGINT"));
}

#[test]
fn what_is_null_where_is_known() {
    assert!(!bound(col("id") + lit(1)).nullable);
    assert!(bound(col("id") + col("small")).nullable);
    assert!(!bound(call("coalesce", [col("small"), lit(0)])).nullable);
    assert!(!bound(col("small").is_null()).nullable);
    assert!(bound(when(col("id").gt(lit(0)), lit(1)).or_null()).nullable);
    assert!(!bound(when(col("small").gt(lit(0)), lit(1)).otherwise(lit(2))).nullable);
}

#[test]
fn a_misspelt_column_gets_the_nearest_name() {
    assert_eq!(
        refused(col("temprature").gt(lit(3))),
        "in `temprature`: there is no column `temprature`; did you mean `temperature`?"
    );
    let error = refused(col("pressure"));
    assert!(error.ends_with("there are id, small, temperature, price, city, ts, at"), "{error}");
}

#[test]
fn text_is_compared_with_text_only() {
    let error = refused(col("city").eq(lit(5)));
    assert!(error.contains("TEXT and BIGINT have no type in common; cast one of them"), "{error}");
    assert!(refused(col("ts").gt(lit("2026-01-01"))).contains("have no type in common"));
    assert!(refused(col("city") + lit(1)).contains("cast a text that holds a number"));
    assert_eq!(bound(col("city").cast(DataType::Int64) + lit(1)).data_type, DataType::Int64);
}

#[test]
fn a_condition_is_true_or_false() {
    let error = col("id").bind_condition(&schema()).unwrap_err().to_string();
    assert_eq!(error, "in `id`: a condition is a BOOLEAN, and this is BIGINT");
    assert!(refused(col("id").and(lit(true))).contains("AND takes BOOLEANs"));
    assert!(refused(col("id").not()).contains("NOT takes a BOOLEAN"));
}

#[test]
fn a_field_of_a_struct_is_found_by_its_name() {
    assert_eq!(bound(col("at").field("lat")).data_type, DataType::Float64);
    assert!(refused(col("at").field("lon")).contains("there is no field `lon`; there are lat"));
    assert!(refused(col("at").eq(col("at"))).contains("no order and no equality"));
    assert!(refused(col("id").field("lat")).contains("a field takes a STRUCT"));
}

#[test]
fn a_cast_that_has_no_meaning_is_refused() {
    assert!(refused(col("ts").cast(DataType::Int64)).contains("cannot be turned into BIGINT"));
    assert!(bound(col("city").try_cast(DataType::Int64)).nullable);
}

#[test]
fn a_function_of_the_program_takes_what_it_says() {
    let double = UserFunction::new(
        "double",
        [DataType::Float64],
        DataType::Float64,
        std::sync::Arc::new(()),
    );
    assert_eq!(bound(double.call([col("small")])).data_type, DataType::Float64);
    assert!(
        refused(double.call([col("city")])).contains("double takes (DOUBLE), and is given (TEXT)")
    );
}

#[test]
fn the_columns_of_an_expression_are_known() {
    assert_eq!(bound((col("small") + col("id")).gt(col("small"))).columns(), [0, 1]);
}
