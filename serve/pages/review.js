import { $, post, request } from "./common.js";

const NAME = "memefuse-reviewer";
const KEYS = { h: "hateful", n: "not", s: "skip" };

let reviewer = localStorage.getItem(NAME);
let meme = null;
let busy = false;

// Show what a request offers. Only one runs at a time: a key that is pressed twice decides once.
async function act(path, content = {}) {
  if (busy || !reviewer) return;
  setBusy(true);
  try {
    await show(await post(path, { reviewer, ...content }));
  } catch (error) {
    if (error.status === 409) await post("/review/next", { reviewer }).then(show, () => {});
    say(error.status ? error.message : "The service does not answer. Nothing was saved.", true);
  } finally {
    setBusy(false);
  }
}

function decide(decision) {
  if (meme) act("/review/decide", { row: meme.row, decision });
}

async function show(offer) {
  meme = offer.meme;
  hide();
  $("left").textContent = `${offer.left} left`;
  $("meme").hidden = !meme;
  $("choices").hidden = false;
  $("again").hidden = Boolean(meme) || offer.left === 0;
  if (!meme) return say(offer.left ? "Other reviewers have the last memes." : "All done. Thank you.");
  say("");
  $("caption").textContent = meme.caption;
  $("veil").hidden = !meme.picture;
  if (meme.picture) await showPicture(meme.row);
}

async function showPicture(row) {
  const image = $("picture");
  if (image.src) URL.revokeObjectURL(image.src);
  image.removeAttribute("src");
  try {
    // An <img> cannot send the token.
    const response = await request(`/review/picture/${row}`);
    image.src = URL.createObjectURL(await response.blob());
  } catch (error) {
    $("veil").hidden = true;
    say(error.message, true);
  }
}

function say(text, isError = false) {
  $("message").className = isError ? "error" : "";
  $("message").textContent = text;
}

function setBusy(value) {
  busy = value;
  for (const button of $("choices").children) {
    button.disabled = busy || (!meme && button.id !== "undo");
  }
}

function reveal(shown) {
  $("veil").classList.toggle("shown", shown);
  $("veil").setAttribute("aria-pressed", String(shown));
}

const hide = () => reveal(false);

function start() {
  $("who").hidden = true;
  $("signed").hidden = false;
  $("name").textContent = reviewer;
  act("/review/next");
}

$("who").addEventListener("submit", (event) => {
  event.preventDefault();
  reviewer = $("reviewer").value.trim();
  if (!reviewer) return;
  localStorage.setItem(NAME, reviewer);
  start();
});
$("veil").addEventListener("click", () => reveal(!$("veil").classList.contains("shown")));
$("undo").addEventListener("click", () => act("/review/undo"));
$("more").addEventListener("click", () => act("/review/next"));
$("rename").addEventListener("click", () => {
  localStorage.removeItem(NAME);
  location.reload();
});
for (const button of document.querySelectorAll("[data-decision]")) {
  button.addEventListener("click", () => decide(button.dataset.decision));
}
document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input, textarea") || document.querySelector("dialog[open]");
  if (typing || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const key = event.key.toLowerCase();
  if (key in KEYS) decide(KEYS[key]);
  else if (key === "u") act("/review/undo");
  else if (key === "r") reveal(true);
});
document.addEventListener("keyup", (event) => {
  if (event.key.toLowerCase() === "r") hide();
});

if (reviewer) start();
else {
  $("who").hidden = false;
  $("reviewer").focus();
}
