use super::*;

fn refused(json: &str) -> (i32, Value) {
    let Refusal { id, error } = Request::read(json.as_bytes()).expect_err(json);
    (error.codes().json_rpc, json!(Id::read(id)))
}

#[test]
fn requests_are_read_as_they_are_written() {
    for (id, read) in [(json!("a"), Id::Text("a".to_owned())), (json!(7), Id::Number(7.into())), (json!(null), Id::Null)] {
        for operation in Operation::ALL {
            let json = json!({"jsonrpc": "2.0", "id": id, "method": operation.as_str(), "params": {"id": "t"}});
            let text = json.to_string();
            let request = Request::read(text.as_bytes()).unwrap();
            assert_eq!((Id::read(request.id), request.operation), (Some(read.clone()), operation));
            assert_eq!((json!(read), request.params), (id.clone(), r#"{"id":"t"}"#));
        }
    }
}

#[test]
fn params_may_be_left_out() {
    for json in [
        r#"{"jsonrpc": "2.0", "id": 1, "method": "GetExtendedAgentCard"}"#,
        r#"{"jsonrpc": "2.0", "id": 1, "method": "GetExtendedAgentCard", "params": null}"#,
    ] {
        assert_eq!(Request::read(json.as_bytes()).unwrap().params, "{}");
    }
}

#[test]
fn what_is_no_request_is_refused_with_its_id() {
    for (json, code, id) in [
        ("", -32700, json!(null)),
        ("{\"jsonrpc\": \"2.0\", ", -32700, json!(null)),
        ("7", -32600, json!(null)),
        ("[]", -32600, json!(null)),
        (r#"[{"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {}}]"#, -32600, json!(null)),
        (r#"{"id": 1, "method": "GetTask", "params": {}}"#, -32600, json!(1)),
        (r#"{"jsonrpc": "1.0", "id": 1, "method": "GetTask"}"#, -32600, json!(1)),
        (r#"{"jsonrpc": 2.0, "id": 1, "method": "GetTask"}"#, -32600, json!(1)),
        (r#"{"jsonrpc": "2.0", "id": "x", "params": {}}"#, -32600, json!("x")),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": 7}"#, -32600, json!(1)),
        (r#"{"jsonrpc": "2.0", "method": "GetTask", "params": {}}"#, -32600, json!(null)),
        (r#"{"jsonrpc": "2.0", "id": {}, "method": "GetTask", "params": {}}"#, -32600, json!(null)),
        (r#"{"jsonrpc": "2.0", "id": 1, "id": 2, "method": "GetTask", "params": {}}"#, -32600, json!(null)),
        (r#"{"jsonrpc": "2.0", "id": true, "method": "Nothing"}"#, -32600, json!(null)),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "tasks/get", "params": {}}"#, -32601, json!(1)),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "gettask", "params": {}}"#, -32601, json!(1)),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": ["t"]}"#, -32602, json!(1)),
        (r#"{"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": "t"}"#, -32602, json!(1)),
    ] {
        assert_eq!(refused(json), (code, id), "{json}");
    }
}

#[test]
fn answers_are_read_as_they_are_written() {
    for result in [Ok(json!({"id": "t"})), Ok(json!(null)), Err(A2aError::task_not_found("t"))] {
        let response = Response { id: Id::Number(1.into()), result };
        assert_eq!(Response::read(response.to_value().to_string().as_bytes()), Ok(response));
    }
}

#[test]
fn what_is_no_answer_is_the_agents_fault() {
    for json in [
        "<html>",
        "[]",
        r#"["2.0", 1, {}, null]"#,
        "{}",
        r#"{"jsonrpc": "2.0", "id": 1}"#,
        r#"{"jsonrpc": "2.0", "result": {}}"#,
        r#"{"id": 1, "result": {}}"#,
        r#"{"jsonrpc": "2.0", "id": 1, "result": {}, "error": {"code": 1}}"#,
        r#"{"jsonrpc": "2.0", "id": [], "result": {}}"#,
    ] {
        assert_eq!(Response::read(json.as_bytes()).unwrap_err().kind, ErrorKind::InvalidAgentResponse, "{json}");
    }
    let padded = br#"{"jsonrpc": "2.0", "id": 1, "result": null, "error": {"code": -32001, "message": "m"}}"#;
    assert_eq!(Response::read(padded).unwrap().result.unwrap_err().kind, ErrorKind::TaskNotFound);
}
