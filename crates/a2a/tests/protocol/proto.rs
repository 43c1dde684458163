//! The normative proto, read by reflection. It is not part of this repository; it is found where cargo keeps the sources of the locked
//! version of a2a-pb, which carries it, or where `A2A_PROTO` points.

use std::path::{Path, PathBuf};

use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value, json};

const PACKAGE: &str = "lf.a2a.v1";
/// `google.api.FieldBehavior`.
const REQUIRED: i32 = 2;

/// The proto. Another crate of ours depends on the one that carries it, so whoever builds all has it.
pub(crate) fn pool() -> DescriptorPool {
    let path =
        find().unwrap_or_else(|why| panic!("no a2a.proto at hand: {why}; run `cargo fetch`, or set A2A_PROTO to its path"));
    let mut compiler = protox::Compiler::new([path.parent().unwrap()]).unwrap();
    compiler.include_imports(true).open_file(path.file_name().unwrap()).unwrap();
    compiler.descriptor_pool()
}

fn find() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("A2A_PROTO") {
        return Ok(path.into());
    }
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home
        .or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")))
        .ok_or("neither CARGO_HOME nor HOME is set")?;
    let carrier =
        format!("a2a-pb-{}", locked(include_str!("../../../../Cargo.lock"), "a2a-pb").ok_or("Cargo.lock has no a2a-pb")?);
    let sources = home.join("registry/src");
    let mut found = folders(&sources).into_iter().map(|registry| registry.join(&carrier).join("proto/a2a.proto"));
    found.find(|path| path.exists()).ok_or_else(|| format!("{} has no {carrier}", sources.display()))
}

/// The version of a crate that the lock file names.
fn locked<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    rest.split('"').next()
}

#[test]
fn the_version_is_the_locked_one() {
    let lock = "[[package]]\nname = \"a\"\nversion = \"0.3.2\"\n\n[[package]]\nname = \"a-b\"\nversion = \"0.3.11\"\n";
    assert_eq!([locked(lock, "a"), locked(lock, "a-b"), locked(lock, "b")], [Some("0.3.2"), Some("0.3.11"), None]);
}

fn folders(path: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(path).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// The messages of A2A.
pub(crate) fn messages(pool: &DescriptorPool) -> Vec<MessageDescriptor> {
    pool.all_messages().filter(|message| message.package_name() == PACKAGE && !message.is_map_entry()).collect()
}

/// Whether the spec says so.
pub(crate) fn is_required(field: &FieldDescriptor) -> bool {
    let behavior = field.parent_pool().get_extension_by_name("google.api.field_behavior").unwrap();
    let options = field.options();
    let said = options.get_extension(&behavior);
    said.as_list().is_some_and(|list| list.iter().any(|value| value.as_enum_number() == Some(REQUIRED)))
}

/// Names of the REQUIRED fields.
pub(crate) fn required(message: &MessageDescriptor) -> Vec<String> {
    message.fields().filter(is_required).map(|field| field.json_name().to_owned()).collect()
}

/// JSON as the proto understands it.
pub(crate) fn dynamic(message: &MessageDescriptor, json: &Value) -> DynamicMessage {
    let options = prost_reflect::DeserializeOptions::new().deny_unknown_fields(false);
    DynamicMessage::deserialize_with_options(message.clone(), json, &options)
        .unwrap_or_else(|error| panic!("{}: {error}: {json}", message.name()))
}

/// What the JSON says, in protobuf's own words: the same for all that means the same.
pub(crate) fn says(message: &MessageDescriptor, json: &Value) -> Value {
    let mut says = serde_json::to_value(dynamic(message, json)).unwrap();
    without_empty_metadata(&mut says);
    says
}

/// Protobuf tells an empty `Struct` from none. For metadata that means nothing, so we do not.
fn without_empty_metadata(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(without_empty_metadata),
        Value::Object(object) => {
            object.retain(|key, value| key != "metadata" || *value != json!({}));
            object.values_mut().for_each(without_empty_metadata);
        }
        _ => {}
    }
}

/// The message with everything that can be set at once. Where the proto has a choice, `choice` makes it.
pub(crate) fn maximal(message: &MessageDescriptor, choice: usize) -> Value {
    let is_chosen = |field: &FieldDescriptor| match field.containing_oneof() {
        Some(oneof) if !oneof.is_synthetic() => {
            let members: Vec<_> = oneof.fields().collect();
            members[choice % members.len()] == *field
        }
        _ => true,
    };
    object(message.fields().filter(is_chosen), |inner| maximal(inner, choice))
}

/// The message with nothing but what is REQUIRED, and the first member of a choice.
pub(crate) fn minimal(message: &MessageDescriptor) -> Value {
    let is_first = |field: &FieldDescriptor| match field.containing_oneof() {
        Some(oneof) if !oneof.is_synthetic() => oneof.fields().next().as_ref() == Some(field),
        _ => false,
    };
    object(message.fields().filter(|field| is_required(field) || is_first(field)), minimal)
}

fn object(fields: impl Iterator<Item = FieldDescriptor>, inner: impl Fn(&MessageDescriptor) -> Value) -> Value {
    fields.map(|field| (field.json_name().to_owned(), sample(&field, &inner))).collect::<Map<_, _>>().into()
}

fn sample(field: &FieldDescriptor, inner: &impl Fn(&MessageDescriptor) -> Value) -> Value {
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else { unreachable!("entries are messages") };
        return json!({"oauth": single(&entry.map_entry_value_field(), inner)});
    }
    let single = single(field, inner);
    if field.is_list() { json!([single]) } else { single }
}

fn single(field: &FieldDescriptor, inner: &impl Fn(&MessageDescriptor) -> Value) -> Value {
    match field.kind() {
        Kind::String => json!(text(field.name())),
        Kind::Bytes => json!("+/8="),
        Kind::Bool => json!(true),
        Kind::Int32 => json!(7),
        Kind::Enum(values) => json!(values.values().last().unwrap().name()),
        Kind::Message(message) => match message.full_name() {
            "google.protobuf.Struct" => json!({"https://example.org/ext": {"list": [1, 1.5, "a", null, true]}}),
            "google.protobuf.Value" => json!([{"a": null}, 7]),
            "google.protobuf.Timestamp" => json!("2026-11-02T03:07:30.125Z"),
            _ => inner(&message),
        },
        other => panic!("{}: no field of A2A was {other:?}", field.full_name()),
    }
}

/// A text that keeps the rules for fields of this name.
fn text(name: &str) -> &'static str {
    match name {
        "location" => "header",
        "extensions" | "uri" => "https://example.org/ext",
        name if name.ends_with("url") => "https://example.org/a",
        _ => "text",
    }
}
