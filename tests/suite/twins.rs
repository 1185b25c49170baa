//! One purchase, told of by the shop's page, by its backend, or by both: with the demonstration's documents, and in the words of the demonstration's
//! shop, it arrives once at every destination, with what the backend says of money and products, and of the visit in which it was made.

use std::{fs, path::Path, time::Duration};

use firsthand::protocol::server::fingerprint;
use serde_json::{Value, json};

use crate::{
    http_client::{Answer, Request},
    installation::{Installation, Running, eventually},
};

const PATIENCE: Duration = Duration::from_secs(60);
const KEY: &str = "fhk_of_the_shop";
const ORIGIN: &str = "http://127.0.0.1";
/// Orders that a hostile browser guesses.
const GUESSES: usize = 1_000;

/// The demonstration's documents, of a shop whose backend sends its purchases, and for which a page's wait so long; with one more destination.
fn documents(twin_wait_seconds: u32) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/demonstration/documents.toml");
    let shop = fs::read_to_string(file).unwrap().replace("/prefix", "/keso").replace("origins = []", &format!("origins = [\"{ORIGIN}\"]"));
    let backend = format!(
        "keys = {{ server = [\"{}\"] }}\nserver_purchases = {{ twin_wait_seconds = {twin_wait_seconds} }}\n\n[[destination]]",
        fingerprint(KEY)
    );
    let warehouse = shop.rsplit("[[destination]]").next().unwrap().replace("customers", "warehouse");
    shop.replacen("\n[[destination]]", &backend, 1) + "\n[[destination]]" + &warehouse
}

/// A visitor of the shop, from an address of their own.
struct Visitor<'s> {
    server: &'s Running,
    address: &'static str,
    cookie: String,
}

impl<'s> Visitor<'s> {
    /// One who follows a link of the newsletter's, and agrees.
    fn agrees(server: &'s Running, address: &'static str) -> Self {
        let page = format!("{ORIGIN}/shop?utm_source=newsletter&utm_medium=email&utm_campaign=autumn");
        let mut visitor = Self { server, address, cookie: String::new() };
        let answer = visitor.says(&json!({ "g": ["analytics"], "e": [{ "k": "page_view", "i": format!("view-{address}"), "p": page }] }));
        answer.header("set-cookie").expect("a cookie").split(';').next().unwrap().clone_into(&mut visitor.cookie);
        visitor
    }

    fn asks(&self, path: &str, body: String) -> Answer {
        let mut request =
            Request::beacon(body).with("X-Forwarded-For", self.address).instead("Host", "127.0.0.1").instead("Origin", ORIGIN);
        request.path = path.to_owned();
        self.server.send(&if self.cookie.is_empty() { request } else { request.with("Cookie", &self.cookie) })
    }

    fn says(&self, message: &Value) -> Answer {
        let answer = self.asks("/keso/e", message.to_string());
        assert_eq!(answer.status, 204);
        answer
    }

    /// What the shop keeps with an order.
    fn ticket(&self) -> String {
        let answer = self.asks("/keso/v", String::new());
        assert_eq!(answer.status, 200);
        answer.text()
    }

    /// The thank-you page, in the shop's words; what it says of money is the page's own.
    fn sees_thank_you_page(&self, order: &str, value: f64) {
        let item = json!({ "id": "LK-page", "name": "Said by the page", "price": value, "quantity": 1 });
        let purchase = json!({ "k": "purchase", "i": format!("page-{order}"), "p": format!("{ORIGIN}/thank-you"), "x": order, "v": value, "m": "EUR", "y": [item] });
        self.says(&json!({ "g": ["analytics"], "e": [purchase] }));
    }
}

/// What the shop's backend sends of an order.
fn order(id: &str, value: f64, ticket: Option<&str>) -> Value {
    json!({ "event": "Order Completed", "messageId": format!("order-{id}"), "ticket": ticket,
            "properties": { "order_id": id, "revenue": value, "currency": "EUR", "tax": 1.5,
                            "products": [{ "product_id": "LK-bowl", "name": "Wide bowl", "price": 24, "quantity": 2 }] } })
}

fn by_backend(server: &Running, said: &Value) -> Value {
    let mut request = Request::beacon(said.to_string())
        .instead("Host", "127.0.0.1")
        .instead("Origin", ORIGIN)
        .with("Authorization", &format!("Bearer {KEY}"));
    request.path = String::from("/keso/v1/events");
    let answer = server.send(&request);
    assert_eq!(answer.status, 200, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

/// The purchases that a destination has got, by their values.
fn purchases(installation: &Installation, destination: &str) -> Vec<Value> {
    installation.outbox(destination).into_iter().filter(|event| event["name"] == "purchase").collect()
}

fn values(purchases: &[Value]) -> Vec<f64> {
    let mut values: Vec<f64> = purchases.iter().map(|purchase| purchase["value"].as_f64().unwrap()).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// How many of a destination's events have ended so.
fn ended(installation: &Installation, destination: &str, rule: &str) -> i64 {
    installation.ledger(destination).iter().filter(|(_, of, _)| of == rule).map(|(.., count)| count).sum()
}

#[test]
fn a_purchase_arrives_once_with_and_without_the_thank_you_page() {
    let installation = Installation::new(&documents(4));
    let server = installation.start();
    let visitor = Visitor::agrees(&server, "192.0.2.41");
    let ticket = visitor.ticket();
    // Both, the page first; both, the backend first; the backend's alone; the page's alone.
    visitor.sees_thank_you_page("LK-1", 1.0);
    by_backend(&server, &order("LK-1", 48.0, Some(&ticket)));
    by_backend(&server, &order("LK-2", 52.0, Some(&ticket)));
    visitor.sees_thank_you_page("LK-2", 2.0);
    by_backend(&server, &order("LK-3", 56.0, Some(&ticket)));
    // A retry with an id of its own is the same order.
    let mut again = order("LK-3", 56.0, Some(&ticket));
    again["messageId"] = json!("another");
    by_backend(&server, &again);
    visitor.sees_thank_you_page("LK-4", 4.0);
    for destination in ["customers", "warehouse"] {
        eventually("every purchase", PATIENCE, || purchases(&installation, destination).len() >= 4);
        eventually("the twins' ends", PATIENCE, || ended(&installation, destination, "merged_into_twin") == 2);
        let arrived = purchases(&installation, destination);
        assert_eq!(values(&arrived), [4.0, 48.0, 52.0, 56.0], "{destination}");
        let view = installation.outbox(destination).into_iter().find(|event| event["name"] == "page_view").unwrap();
        for purchase in &arrived {
            let what = format!("{destination}: {purchase}");
            assert_eq!((&purchase["session_id"], &purchase["visitor_id"]), (&view["session_id"], &view["visitor_id"]), "{what}");
            if purchase["value"] != 4.0 {
                assert_eq!(purchase["campaign"], json!({ "source": "newsletter", "medium": "email", "name": "autumn" }), "{what}");
                assert_eq!((&purchase["items"][0]["id"], &purchase["items"][0]["quantity"]), (&json!("LK-bowl"), &json!(2.0)), "{what}");
                assert_eq!(purchase["currency"], "EUR", "{what}");
            }
        }
        assert_eq!(arrived.iter().filter(|purchase| purchase["items"][0]["id"] == "LK-page").count(), 1);
    }
    eventually("every purchase, as one", PATIENCE, || ended(&installation, "measurement", "merged_into_twin") == 2);
    assert_eq!(purchases(&installation, "measurement").len(), 4);
    // What is told of no order, without consent, is left to the backend; who objects is in neither.
    let nobody = Visitor { server: &server, address: "192.0.2.42", cookie: String::new() };
    assert_eq!(nobody.asks("/keso/v", String::new()).status, 204, "who has not agreed gets no ticket");
    nobody.says(&json!({ "e": [{ "k": "purchase", "i": "page-LK-5", "x": "LK-5", "v": 5, "m": "EUR" }] }));
    by_backend(&server, &order("LK-5", 60.0, None));
    let refused = by_backend(&server, &order("LK-6", 64.0, Some("no")));
    assert_eq!(refused["results"][0], json!({ "index": 0, "result": "refused", "reason": "consent_ended" }));
    eventually("it", PATIENCE, || ended(&installation, "measurement", "left_to_backend") == 1);
    eventually("the backend's", PATIENCE, || purchases(&installation, "measurement").len() == 5);
    assert_eq!(purchases(&installation, "customers").len(), 4);
    assert!(server.stop().success());
    assert_eq!(purchases(&installation, "measurement").len(), 5);
}

#[test]
fn what_waits_for_its_twin_survives_a_kill_and_leaves_once() {
    let installation = Installation::new(&documents(6));
    let server = installation.start();
    let visitor = Visitor::agrees(&server, "192.0.2.41");
    let ticket = visitor.ticket();
    by_backend(&server, &order("LK-1", 48.0, Some(&ticket)));
    eventually("the backend's", PATIENCE, || purchases(&installation, "customers").len() == 1);
    for (order, value) in [("LK-1", 1.0), ("LK-2", 2.0), ("LK-3", 3.0)] {
        visitor.sees_thank_you_page(order, value);
    }
    // The courier has read them, and its state is written.
    let open = || {
        installation.number(
            "state.db",
            "SELECT count(*) FROM consumer_open JOIN destination_numbers ON number = destination WHERE name = 'customers'",
        )
    };
    eventually("what waits, at rest", PATIENCE, || open() == 1 && ended(&installation, "customers", "merged_into_twin") == 1);
    server.kill();

    let server = installation.start();
    by_backend(&server, &order("LK-2", 52.0, Some(&ticket)));
    eventually("the page's own, and the twin's end", PATIENCE, || {
        purchases(&installation, "customers").len() == 3 && ended(&installation, "customers", "merged_into_twin") == 2
    });
    assert_eq!(values(&purchases(&installation, "customers")), [3.0, 48.0, 52.0]);
    // A backend that comes after the wait is not suppressed: the receiver tells the two by their order.
    by_backend(&server, &order("LK-3", 56.0, Some(&ticket)));
    eventually("the late one", PATIENCE, || purchases(&installation, "customers").len() == 4);
    let of_order: Vec<Value> = purchases(&installation, "customers")
        .into_iter()
        .filter(|purchase| [3.0, 56.0].contains(&purchase["value"].as_f64().unwrap()))
        .collect();
    assert!(of_order[0]["transaction_id"].is_string() && of_order[0]["transaction_id"] == of_order[1]["transaction_id"]);
    assert!(server.stop().success());
}

#[test]
fn a_thousand_guessed_orders_neither_suppress_nor_alter_one() {
    let installation = Installation::new(&documents(30));
    let server = installation.start();
    let (buyer, hostile) = (Visitor::agrees(&server, "192.0.2.41"), Visitor::agrees(&server, "192.0.2.66"));
    let ticket = buyer.ticket();
    let ids: Vec<String> = (0..GUESSES).map(|number| format!("LK-{number}")).collect();
    let guess = |ids: &[String]| {
        let events: Vec<Value> =
            ids.iter().map(|id| json!({ "k": "purchase", "i": format!("order-{id}"), "x": id, "v": 0.5, "m": "EUR" })).collect();
        hostile.says(&json!({ "g": ["analytics"], "e": events }));
    };
    ids[..GUESSES / 2].chunks(40).for_each(guess);
    for some in ids.chunks(100) {
        let batch: Vec<Value> = some.iter().map(|id| order(id, 48.0, Some(&ticket))).collect();
        assert_eq!(by_backend(&server, &json!({ "batch": batch }))["stored"], json!(some.len()));
    }
    ids[GUESSES / 2..].chunks(40).for_each(guess);
    eventually("every order", PATIENCE, || purchases(&installation, "customers").len() >= GUESSES);
    eventually("the guesses' ends", PATIENCE * 2, || {
        ended(&installation, "customers", "merged_into_twin") == i64::try_from(GUESSES).unwrap()
    });
    let arrived = purchases(&installation, "customers");
    assert_eq!(arrived.len(), GUESSES);
    let view = installation.outbox("customers").into_iter().find(|event| event["name"] == "page_view").unwrap();
    for purchase in &arrived {
        assert_eq!((&purchase["value"], &purchase["visitor_id"]), (&json!(48.0), &view["visitor_id"]), "{purchase}");
    }
    assert!(server.stop().success());
}
