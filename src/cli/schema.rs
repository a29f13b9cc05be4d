//! `posctl schema`: the forms that programs can rely on, offline: posctl's own documents as JSON Schema, or the
//! interfaces of the bus as XML.
use super::args::care::SchemaForm;
use super::failure::Exit;
use super::screen::Screen;
use serde_json::{Value as Json, json};

/// The contract of the bus, as it ships.
const XML: &str = include_str!("../../systemd/dbus/org.posd.Pos1.xml");

/// `posctl schema`
pub(crate) fn schema(screen: &Screen, form: SchemaForm) -> Exit {
    match form {
        SchemaForm::Json => {
            let schema = documents();
            let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
            screen.answer(json!({ "json-schema": schema }), &text);
        }
        SchemaForm::Dbus => screen.answer(json!({ "xml": XML }), XML),
    }
    Exit::Done
}

/// Every document of `--json`: an answer or an error. What an answer holds depends on the command, and may grow.
fn documents() -> Json {
    let answer = json!({
        "type": "object",
        "required": ["schema", "ok", "data"],
        "properties": {
            "schema": { "const": "posctl.v1" },
            "ok": { "const": true },
            "data": { "type": "object", "description": "by command; keys may be added" },
        },
        "additionalProperties": false,
    });
    let error = json!({
        "type": "object",
        "required": ["schema", "ok", "error"],
        "properties": {
            "schema": { "const": "posctl.v1" },
            "ok": { "const": false },
            "error": {
                "type": "object",
                "required": ["name", "message", "details"],
                "properties": {
                    "name": { "type": "string", "description": "an error name of the bus, or one of posctl's own" },
                    "message": { "type": "string", "description": "cause and next step, English" },
                    "details": { "type": "object" },
                },
                "additionalProperties": false,
            },
        },
        "additionalProperties": false,
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "posctl.v1",
        "description": "one document on stdout; of watch and monitor one a line",
        "oneOf": [answer, error],
    })
}
