
"use strict";
const buttons = [document.getElementById("out"), document.getElementById("in")];
const outcome = document.getElementById("outcome");
buttons.forEach((button, undo) => button.addEventListener("click", async () => {
  outcome.textContent = "";
  buttons.forEach((each) => { each.disabled = true; });
  let done = false;
  try {
    const message = { method: "POST", body: JSON.stringify({ o: undo ? 0 : 1 }), credentials: "same-origin", headers: { "content-type": "text/plain" } };
    done = (await fetch("e", message)).ok;
  } catch {
    // Said below, like an answer that is none.
  }
  outcome.textContent = done ? button.dataset.done : button.dataset.failed;
  buttons.forEach((each) => { each.disabled = false; });
}));
