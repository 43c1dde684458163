//! Values of a JSON schema: since the schemas come from our types, so does everything that those can hold.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::strategy::{BoxedStrategy, Union};
use serde_json::{Map, Value, json};

/// Values of this schema.
pub(crate) fn values(schema: &Value) -> BoxedStrategy<Value> {
    value(schema, schema)
}

fn value(schema: &Value, root: &Value) -> BoxedStrategy<Value> {
    if let Some(reference) = schema["$ref"].as_str() {
        return value(root.pointer(reference.trim_start_matches('#')).unwrap(), root);
    }
    let own = schema.get("properties").map(|properties| object(properties, schema, root));
    let any_of = schema.get("oneOf").or(schema.get("anyOf")).and_then(Value::as_array);
    let chosen = any_of.map(|list| Union::new(list.iter().map(|one| value(one, root))).boxed());
    match (own, chosen) {
        // The contents of a part stand beside its other fields.
        (Some(own), Some(chosen)) => (own, chosen).prop_map(|(own, chosen)| merged(own, chosen)).boxed(),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => simple(schema, root),
    }
}

fn merged(mut own: Value, mut chosen: Value) -> Value {
    own.as_object_mut().unwrap().append(chosen.as_object_mut().unwrap());
    own
}

fn object(properties: &Value, schema: &Value, root: &Value) -> BoxedStrategy<Value> {
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let fields = properties.as_object().unwrap().iter().map(|(name, inner)| {
        let (name, inner) = (name.clone(), value(inner, root));
        let shown = if required.contains(&name.as_str()) { Just(true).boxed() } else { any::<bool>().boxed() };
        (shown, inner).prop_map(move |(shown, inner)| shown.then(|| (name.clone(), inner)))
    });
    let fields: Vec<_> = fields.collect();
    fields.prop_map(|fields| Value::Object(fields.into_iter().flatten().collect())).boxed()
}

fn simple(schema: &Value, root: &Value) -> BoxedStrategy<Value> {
    if let Some(constant) = schema.get("const") {
        return Just(constant.clone()).boxed();
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
        _ => return json_values(),
    };
    Union::new(types.into_iter().map(|name| typed(name, schema, root))).boxed()
}

fn typed(name: &str, schema: &Value, root: &Value) -> BoxedStrategy<Value> {
    match name {
        "null" => Just(Value::Null).boxed(),
        "boolean" => any::<bool>().prop_map(Value::from).boxed(),
        "integer" => prop_oneof![Just(0), 1..=100, Just(i32::MAX)].prop_map(Value::from).boxed(),
        "string" if schema["format"] == "date-time" => times(),
        "string" if schema["contentEncoding"] == "base64" => base64(),
        "string" => texts().prop_map(Value::from).boxed(),
        "array" => vec(value(&schema["items"], root), 0..3).prop_map(Value::from).boxed(),
        "object" => map(value(&schema["additionalProperties"], root)),
        other => panic!("{other}: {schema}"),
    }
}

/// Never empty: protobuf tells an empty `Struct` from none, we do not.
fn map(inner: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    btree_map(texts(), inner, 1..3).prop_map(|map: BTreeMap<_, _>| Value::Object(map.into_iter().collect())).boxed()
}

fn texts() -> BoxedStrategy<String> {
    prop_oneof![Just(String::new()), "[a-z]{1,8}", any::<String>()].boxed()
}

/// Milliseconds, since more is cut.
fn times() -> BoxedStrategy<Value> {
    (1..=9999_u32, 1..=12_u32, 1..=28_u32, 0..86_400_000_u32)
        .prop_map(|(year, month, day, time)| {
            let (hour, minute, second, milli) = (time / 3_600_000, time / 60_000 % 60, time / 1000 % 60, time % 1000);
            json!(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"))
        })
        .boxed()
}

fn base64() -> BoxedStrategy<Value> {
    prop_oneof![Just(""), Just("+/8="), Just("-_8"), Just("AAAA"), Just("aGk")].prop_map(Value::from).boxed()
}

/// Any JSON. Floats are halves, so that writing and reading them is exact.
pub(crate) fn json_values() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i32>().prop_map(|half| json!(f64::from(half) / 2.0)),
        texts().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map(texts(), inner, 0..3).prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
    .boxed()
}

/// The same with something strange at one place.
pub(crate) fn broken(values: BoxedStrategy<Value>) -> BoxedStrategy<Value> {
    let small =
        prop_oneof![Just(json!(5)), Just(json!("5")), Just(json!(-1)), Just(json!(1.0)), Just(json!([])), Just(json!({}))];
    let strange = prop_oneof![json_values(), small, Just(Value::Null)];
    let broken = (values, 0..20_usize, strange).prop_map(|(mut value, mut place, with)| {
        replace(&mut value, &mut place, &with);
        value
    });
    broken.boxed()
}

/// Replaces the value at one place, counted over all values in their order.
fn replace(value: &mut Value, place: &mut usize, with: &Value) {
    if *place == 0 {
        *value = with.clone();
    }
    *place = place.wrapping_sub(1);
    match value {
        Value::Array(list) => list.iter_mut().for_each(|inner| replace(inner, place, with)),
        Value::Object(object) => object.values_mut().for_each(|inner| replace(inner, place, with)),
        _ => {}
    }
}
