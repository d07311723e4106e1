//! A JSON Schema of the sweep file, for editors: made of the tables of keys, so that it knows what the reader knows.
//!
//! It sees types, words and bounds. Conditions between keys (cases that cover everything, a model by path or by preset)
//! are the reader's: `converge plan`.

use serde_json::{Map, Value, json};

use super::parameters::DISTRIBUTIONS;
use super::section_key::{SECTION_KEYS, SectionKey, Shape};
use crate::failure::FailureClass;
use crate::key::{Bounds, KEYS, Key, Kind};

/// The dialect.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// A length of time: whole numbers with a unit each.
const WALL_TIME: &str = "^\\s*([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?\\s*$";
/// One number with its unit.
const SECONDS: &str = "^[0-9]+\\s*[smhd]$";

/// Returns the schema.
pub fn schema() -> Value {
    let settings = |section: &str| {
        let keys = KEYS.iter().filter(|key| key.section().0 == section);
        let properties: Map<String, Value> = keys
            .map(|key| (key.section().1.to_string(), described(value_of(key.kind), key)))
            .collect();
        json!({ "type": "object", "additionalProperties": false, "properties": properties })
    };
    let sections = |section: &str| {
        let keys = SECTION_KEYS
            .iter()
            .filter_map(|key| Some((key, key.name.strip_prefix(section)?.strip_prefix('.')?)));
        let properties: Map<String, Value> = keys
            .filter_map(|(key, field)| Some((field.to_string(), section_value(key)?)))
            .collect();
        json!({ "type": "object", "additionalProperties": false, "properties": properties })
    };
    json!({
        "$schema": DIALECT,
        "title": "Sweep file of converge",
        "description": "A hyperparameter sweep that fine-tunes BERT. Every key: docs/sweep-file.md.",
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "extends": { "type": "string", "minLength": 1, "description": "a base file, relative to this one" },
            "sweep": sections("sweep"),
            "parameters": parameters(),
            "enqueue": enqueue(),
            "constraints": {
                "description": "points of the search space that are left out",
                "type": "array",
                "items": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["unless"],
                    "properties": { "unless": {
                        "type": "string",
                        "description": "a point is left out where this holds: optimizer == 'sgd' && learning_rate < 2e-5",
                    } },
                },
            },
            "train": settings("train"),
            "model": settings("model"),
            "data": settings("data"),
            "early_stop": sections("early_stop"),
            "run": sections("run"),
            "budget": sections("budget"),
            "failure": sections("failure"),
        },
        // What a base may give is not needed here.
        "anyOf": [
            { "required": ["extends"] },
            { "required": ["sweep"], "properties": { "sweep": { "required": ["name"] } } },
        ],
    })
}

fn described(mut schema: Value, key: &Key) -> Value {
    schema["description"] = key.meaning.into();
    schema
}

fn bounded(bounds: Bounds) -> Value {
    match bounds {
        Bounds::Positive => json!({ "type": "number", "exclusiveMinimum": 0 }),
        Bounds::NonNegative => json!({ "type": "number", "minimum": 0 }),
        Bounds::Share => json!({ "type": "number", "minimum": 0, "exclusiveMaximum": 1 }),
        Bounds::Factor => json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1 }),
    }
}

/// The values of a setting.
fn value_of(kind: Kind) -> Value {
    match kind {
        Kind::Float(bounds) => bounded(bounds),
        Kind::Integer(min) => json!({ "type": "integer", "minimum": min }),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Text | Kind::Path => json!({ "type": "string", "minLength": 1 }),
        Kind::ChoiceOrInteger(words, min) => {
            json!({ "anyOf": [{ "enum": words }, { "type": "integer", "minimum": min }] })
        }
        Kind::ChoiceOrList(words) => json!({ "anyOf": [
            { "enum": words },
            { "type": "array", "minItems": 1, "items": { "type": "number", "exclusiveMinimum": 0 } },
        ] }),
    }
}

fn parameters() -> Value {
    let mut properties = Map::new();
    for key in KEYS {
        let case = case(key);
        let schema = json!({ "anyOf": [case, { "type": "array", "minItems": 1, "items": case }] });
        properties.insert(key.short_name().to_string(), described(schema.clone(), key));
        // `train.learning_rate` is another spelling.
        if key.short_name() != key.name {
            properties.insert(key.name.to_string(), described(schema, key));
        }
    }
    for section in ["train", "model", "data"] {
        let inner: Map<String, Value> = KEYS
            .iter()
            .filter(|key| key.section().0 == section)
            .map(|key| (key.section().1.to_string(), properties[key.short_name()].clone()))
            .collect();
        let table = json!({ "type": "object", "additionalProperties": false, "properties": inner });
        properties.insert(section.to_string(), table);
    }
    json!({
        "description": "what is searched: any key of [train], or another by its dotted name",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
    })
}

/// One case of a parameter.
fn case(key: &Key) -> Value {
    let value = value_of(key.kind);
    let number = match key.kind {
        Kind::Float(bounds) => Some(bounded(bounds)),
        Kind::Integer(min) | Kind::ChoiceOrInteger(_, min) => {
            Some(json!({ "type": "integer", "minimum": min }))
        }
        Kind::Choice(_) | Kind::Boolean | Kind::Text | Kind::Path | Kind::ChoiceOrList(_) => None,
    };
    let mut properties = json!({
        "value": value,
        "values": { "type": "array", "minItems": 1, "items": value },
        "distribution": { "enum": DISTRIBUTIONS },
        "when": { "type": "object", "description": "the case holds where these keys have these values" },
    });
    let mut ways = vec![json!({ "required": ["value"] }), json!({ "required": ["values"] })];
    if let Some(number) = number {
        properties["min"] = number.clone();
        properties["max"] = number;
        properties["step"] = json!({ "type": "number", "exclusiveMinimum": 0 });
        properties["count"] =
            json!({ "type": "integer", "minimum": 2, "description": "points of it in a grid" });
        ways.push(json!({ "required": ["min", "max"] }));
    }
    json!({ "type": "object", "additionalProperties": false, "properties": properties, "oneOf": ways })
}

fn enqueue() -> Value {
    let mut properties = Map::new();
    for key in KEYS {
        for name in [key.short_name(), key.name] {
            properties.insert(name.to_string(), described(value_of(key.kind), key));
        }
    }
    for section in ["train", "model", "data"] {
        properties.insert(section.to_string(), json!({ "type": "object" }));
    }
    json!({
        "description": "configurations that run first",
        "type": "array",
        "items": {
            "type": "object", "additionalProperties": false, "minProperties": 1, "properties": properties,
        },
    })
}

/// The values of another key; none where no file may give it.
fn section_value(key: &SectionKey) -> Option<Value> {
    let mut schema = match key.shape {
        Shape::CommandLine => return None,
        Shape::Name => json!({ "type": "string", "pattern": "^[\\w\\-.]+$" }),
        Shape::Text => json!({ "type": "string", "minLength": 1 }),
        Shape::Choice(words) => json!({ "enum": words }),
        Shape::Integer(min) => json!({ "type": "integer", "minimum": min }),
        Shape::WordOrInteger(words) => {
            json!({ "anyOf": [{ "enum": words }, { "type": "integer", "minimum": 1 }] })
        }
        Shape::Number => json!({ "type": "number", "minimum": 0 }),
        Shape::Positive => json!({ "type": "number", "exclusiveMinimum": 0 }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Objective => json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "metric": { "type": "string", "minLength": 1 },
                "goal": { "enum": ["maximize", "minimize"] },
                "at": { "enum": ["best", "last"] },
            },
        }),
        Shape::WallTime => json!({ "type": "string", "pattern": WALL_TIME, "minLength": 2 }),
        Shape::Seconds => json!({ "anyOf": [
            { "type": "integer", "minimum": 1 }, { "type": "string", "pattern": SECONDS },
        ] }),
        Shape::Retries => {
            let classes: Map<String, Value> = FailureClass::ALL
                .into_iter()
                .map(|class| (class.word().to_string(), json!({ "type": "integer", "minimum": 0 })))
                .collect();
            json!({ "type": "object", "additionalProperties": false, "properties": classes })
        }
        Shape::Script => json!({}),
    };
    schema["description"] = key.meaning.into();
    Some(schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_knows_every_key_and_what_it_takes() {
        let schema = schema();
        for key in KEYS {
            let (section, field) = key.section();
            assert!(schema["properties"][section]["properties"][field].is_object(), "{}", key.name);
            let parameters = &schema["properties"]["parameters"]["properties"];
            assert!(parameters[key.short_name()].is_object(), "{}", key.name);
        }
        let rate = &schema["properties"]["train"]["properties"]["learning_rate"];
        assert_eq!(rate["exclusiveMinimum"], 0);
        assert!(schema["properties"]["run"]["properties"].get("worker").is_none());
    }
}
