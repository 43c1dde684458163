//! Our types against the normative proto: no message, field, enum value or operation is missing, none is invented, and what is REQUIRED
//! there is REQUIRED here.

use std::collections::BTreeSet;

use a2a::{ErrorKind, Operation, Role, TaskState};
use prost_reflect::{MessageDescriptor, SerializeOptions};
use serde_json::{Value, json};

use crate::kinds::{KINDS, kind};
use crate::proto::{dynamic, is_required, maximal, messages, minimal, pool, required, says};

/// More than any oneof of the proto has members.
const CHOICES: usize = 5;

fn violations(result: Result<impl std::fmt::Debug, a2a::A2aError>) -> BTreeSet<String> {
    match result.unwrap_err().kind {
        ErrorKind::InvalidParams { violations } => violations.into_iter().map(|violation| violation.field).collect(),
        other => panic!("{other:?}"),
    }
}

fn set<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    items.into_iter().collect()
}

fn without(json: &Value, name: &str) -> Value {
    let mut json = json.clone();
    json.as_object_mut().unwrap().remove(name);
    json
}

fn bytes(json: &Value) -> Vec<u8> {
    serde_json::to_vec(json).unwrap()
}

#[test]
fn no_message_is_missing_and_none_is_invented() {
    let pool = pool();
    let theirs = messages(&pool);
    assert_eq!(set(theirs.iter().map(MessageDescriptor::name)), set(KINDS.iter().map(|kind| kind.name)));
}

#[test]
fn enums_have_the_same_names_and_numbers() {
    let pool = pool();
    let theirs = |name: &str| -> BTreeSet<(i32, String)> {
        let values = pool.get_enum_by_name(name).unwrap();
        values.values().filter(|value| value.number() != 0).map(|value| (value.number(), value.name().to_owned())).collect()
    };
    let states = TaskState::ALL.iter().map(|state| (state.number(), state.as_str().to_owned()));
    let roles = Role::ALL.iter().map(|role| (role.number(), role.as_str().to_owned()));
    assert_eq!(theirs("lf.a2a.v1.TaskState"), set(states));
    assert_eq!(theirs("lf.a2a.v1.Role"), set(roles));
    assert_eq!(pool.all_enums().filter(|found| found.package_name() == "lf.a2a.v1").count(), 2);
}

#[test]
fn operations_are_the_service() {
    let pool = pool();
    let service = pool.get_service_by_name("lf.a2a.v1.A2AService").unwrap();
    let theirs = service.methods().map(|method| (method.name().to_owned(), method.is_server_streaming()));
    assert_eq!(set(theirs), set(Operation::ALL.map(|operation| (operation.to_string(), operation.is_streaming()))));
}

#[test]
fn fields_have_the_same_names_and_the_same_are_required() {
    let pool = pool();
    for message in messages(&pool) {
        let schema = (kind(message.name()).schema)().to_value();
        let theirs = message.fields().map(|field| field.json_name().to_owned());
        assert_eq!(properties(&schema), set(theirs), "{}", message.name());
        let ours = schema["required"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap().to_owned());
        assert_eq!(set(ours), set(required(&message)), "{}", message.name());
    }
}

/// Of the object itself and of its alternatives.
fn properties(schema: &Value) -> BTreeSet<String> {
    let own = schema["properties"].as_object().into_iter().flat_map(|map| map.keys().cloned());
    let others = schema["oneOf"].as_array().into_iter().flatten().flat_map(properties);
    own.chain(others).collect()
}

#[test]
fn everything_survives_reading_and_writing() {
    let pool = pool();
    for message in messages(&pool) {
        for choice in 0..CHOICES {
            let json = maximal(&message, choice);
            let theirs = says(&message, &json);
            let ours = (kind(message.name()).again)(json.clone()).unwrap_or_else(|error| panic!("{json}: {error}"));
            assert_eq!(ours, json, "{}", message.name());
            assert_eq!(says(&message, &ours), theirs, "{}", message.name());
            (kind(message.name()).read_valid)(&bytes(&json)).unwrap_or_else(|error| panic!("{json}: {error}"));
        }
    }
}

/// ProtoJSON parsers take the proto's own names, numbers of enums, and, as protobuf has it, floats for all numbers in `metadata`.
#[test]
fn the_other_spellings_read_alike() {
    let pool = pool();
    let options = SerializeOptions::new().use_proto_field_name(true).use_enum_numbers(true);
    for message in messages(&pool) {
        for choice in 0..CHOICES {
            let json = maximal(&message, choice);
            let theirs = says(&message, &json);
            let spelled = dynamic(&message, &json).serialize_with_options(serde_json::value::Serializer, &options).unwrap();
            let ours = (kind(message.name()).again)(spelled.clone()).unwrap_or_else(|error| panic!("{spelled}: {error}"));
            assert_eq!(says(&message, &ours), theirs, "{}", message.name());
        }
    }
}

#[test]
fn a_minimal_message_is_valid_and_written_with_its_required_fields_only() {
    let pool = pool();
    for message in messages(&pool) {
        let json = minimal(&message);
        assert_eq!((kind(message.name()).again)(json.clone()), Ok(json.clone()), "{}", message.name());
        (kind(message.name()).read_valid)(&bytes(&json)).unwrap_or_else(|error| panic!("{}: {error}", message.name()));
    }
}

#[test]
fn each_required_field_is_missed_by_its_name() {
    let pool = pool();
    for message in messages(&pool) {
        let json = minimal(&message);
        for name in required(&message) {
            let (mut null, expected) = (json.clone(), set([name.clone()]));
            assert_eq!(violations((kind(message.name()).again)(without(&json, &name))), expected, "{}", message.name());
            null[&name] = Value::Null;
            assert_eq!(violations((kind(message.name()).again)(null)), expected, "{}", message.name());
        }
    }
}

/// Written, because REQUIRED; refused by the rules, because empty. In the answer to ListTasks, empty says something; OpenAPI lets scopes
/// be empty.
#[test]
fn each_required_field_is_written_empty_but_not_valid_so() {
    let pool = pool();
    for message in messages(&pool) {
        for field in message.fields().filter(is_required) {
            let name = field.json_name();
            let mut json = minimal(&message);
            json[name] = match &json[name] {
                Value::String(text) if !text.starts_with("TASK_STATE") && !text.starts_with("ROLE") => json!(""),
                Value::Array(_) => json!([]),
                Value::Object(_) if field.is_map() => json!({}),
                Value::Number(_) => json!(0),
                _ => continue,
            };
            assert_eq!((kind(message.name()).again)(json.clone()), Ok(json.clone()), "{}", message.name());
            let may_be_empty = message.name() == "ListTasksResponse" || name == "scopes";
            let valid = (kind(message.name()).read_valid)(&bytes(&json));
            if may_be_empty {
                assert_eq!(valid, Ok(()), "{}.{name}", message.name());
            } else {
                assert_eq!(violations(valid), set([name.to_owned()]), "{}", message.name());
            }
        }
    }
}

#[test]
fn null_and_unknown_fields_are_ignored() {
    let pool = pool();
    for message in messages(&pool) {
        let minimal = minimal(&message);
        for field in message.fields().filter(|field| !is_required(field) && minimal.get(field.json_name()).is_none()) {
            // `null` is a value of google.protobuf.Value.
            if field.full_name() == "lf.a2a.v1.Part.data" {
                continue;
            }
            let mut json = minimal.clone();
            json[field.json_name()] = Value::Null;
            json["somethingNew"] = json!({"a": [1]});
            assert_eq!((kind(message.name()).again)(json), Ok(minimal.clone()), "{}", field.full_name());
        }
    }
}

#[test]
fn two_members_of_a_oneof_are_refused_and_so_is_none() {
    let pool = pool();
    for message in messages(&pool) {
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            let mut both = maximal(&message, 0);
            both.as_object_mut().unwrap().append(maximal(&message, 1).as_object_mut().unwrap());
            let mut none = maximal(&message, 0);
            oneof.fields().for_each(|field| none = without(&none, field.json_name()));
            for json in [both, none] {
                assert_eq!(violations((kind(message.name()).again)(json)), set([String::new()]), "{}", message.name());
            }
        }
    }
}
