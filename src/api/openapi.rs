//! The OpenAPI 3.1 document (<https://spec.openapis.org/oas/v3.1.1.html>), made from the table of routes and the types that are sent.

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    problem::ProblemDocument,
    routes::{BASE, Parameter, ROUTES, Route, Takes},
};

/// Where schemas stand in the document.
const SCHEMAS: &str = "/components/schemas";

/// The whole document.
#[must_use]
pub fn document() -> Value {
    let mut answers =
        SchemaSettings::draft2020_12().with(|settings| settings.definitions_path = SCHEMAS.into()).for_serialize().into_generator();
    let problem = answers.subschema_for::<ProblemDocument<'static>>();
    let mut paths: Map<String, Value> = Map::new();
    for route in ROUTES {
        let operation = operation(route, &mut answers, &problem);
        let methods = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(methods) = methods.as_object_mut() {
            methods.insert(route.method.as_str().to_ascii_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Firsthand's profile API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Customer profiles of the key's site, for programs of the site's own. docs/profile-api.md says what is behind it.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": BASE }],
        "paths": paths,
        "components": {
            "schemas": answers.take_definitions(true),
            "securitySchemes": {
                "key": { "type": "http", "scheme": "bearer", "description": "A key that `firsthand api-key make` made: of one site, with scopes." },
            },
        },
    })
}

fn operation(route: &Route, answers: &mut SchemaGenerator, problem: &Schema) -> Value {
    let mut parameters: Vec<Value> = route.parameters.iter().map(parameter).collect();
    if route.path.contains("{id}") {
        let about = "The id of a profile, or of a part of one.";
        parameters.insert(0, json!({ "name": "id", "in": "path", "required": true, "description": about, "schema": { "type": "string" } }));
    }
    if route.name == "sendEvents" {
        let about = "By which a retry is known, of calls without a messageId.";
        let schema = json!({ "type": "string", "minLength": 1, "maxLength": 128 });
        parameters.push(json!({ "name": "Idempotency-Key", "in": "header", "required": false, "description": about, "schema": schema }));
    }
    let mut responses: Map<String, Value> = Map::new();
    responses.insert(
        String::from("200"),
        json!({ "description": "It is done.", "content": { "application/json": { "schema": (route.answer)(answers) } } }),
    );
    for (status, about) in problems(route) {
        responses
            .insert(status.to_string(), json!({ "description": about, "content": { "application/problem+json": { "schema": problem } } }));
    }
    let scopes: Vec<&str> = route.scope.iter().map(|scope| scope.name()).collect();
    let mut operation = json!({
        "operationId": route.name,
        "summary": route.about,
        "security": [{ "key": scopes }],
        "responses": responses,
    });
    if !parameters.is_empty() {
        operation["parameters"] = Value::Array(parameters);
    }
    if let Some(body) = route.body {
        // Each stands where it is used: what is taken in is small.
        let mut bodies = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true).into_generator();
        operation["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": body(&mut bodies) } } });
    }
    operation
}

fn parameter(parameter: &Parameter) -> Value {
    let schema = match parameter.takes {
        Takes::Count { most, otherwise } => json!({ "type": "integer", "minimum": 1, "maximum": most, "default": otherwise }),
        Takes::OneOf(words) => json!({ "type": "string", "enum": words }),
        Takes::Moment => json!({ "type": "string", "format": "date-time" }),
        Takes::Word => json!({ "type": "string", "maxLength": 1000 }),
    };
    json!({ "name": parameter.name, "in": "query", "required": false, "description": parameter.about, "schema": schema })
}

/// What may be said instead.
fn problems(route: &Route) -> Vec<(u16, &'static str)> {
    let mut all = vec![
        (401, "No key, one that is none, or one whose time is over."),
        (403, "The key has not the scope, or a page in a browser asks."),
        (429, "Too much in too short a time."),
        (503, "It cannot be done now."),
    ];
    if !route.parameters.is_empty() || route.body.is_some() {
        all.push((400, "The request is not what this document says."));
    }
    if route.scope.is_some() && route.name != "sendEvents" {
        all.push((404, "There is nothing of this name that the key could see."));
    }
    if route.body.is_some() {
        all.extend([
            (408, "The body did not arrive in time."),
            (413, "The body is too large."),
            (415, "The body's type or encoding is another."),
        ]);
    }
    if route.conflicts {
        all.push((409, "What is there stands against it."));
    }
    all.sort_unstable();
    all
}

/// The routes in words, for a person: method, path, scope, what it does.
#[must_use]
pub fn in_words() -> String {
    let rows = ROUTES.iter().map(|route| {
        let scope = route.scope.map_or("any key", |scope| scope.name());
        let address = format!("{BASE}{}", route.path);
        format!("{:<7}{address:<40}{scope}\n       {}\n", route.method.as_str(), route.about)
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every `$ref` in it.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(all) => all.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_route_is_in_the_document_and_every_reference_leads_somewhere() {
        let document = document();
        let operations: usize = document["paths"].as_object().unwrap().values().map(|methods| methods.as_object().unwrap().len()).sum();
        assert_eq!(operations, ROUTES.len());
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > 20);
        for reference in found {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
        let view = &document["components"]["schemas"]["ProfileView"];
        assert_eq!(view["properties"]["traits"]["$ref"], "#/components/schemas/TraitsView");
        assert_eq!(document["paths"]["/profiles/{id}"]["delete"]["security"][0]["key"][0], "profiles:erase");
    }
}
