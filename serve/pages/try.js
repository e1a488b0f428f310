import { $, percent, request, showModel } from "./common.js";
import { explain, forget } from "./why.js";

const DELAY = 300; // milliseconds without typing before a prediction
const MAX_BYTES = 19_500_000; // the service takes 20 MB with all the rest

let picture = null;
let timer = 0;
let running = null;
let limit = 0; // the threshold of the latest answer

function predictSoon() {
  forget(false);
  clearTimeout(timer);
  timer = setTimeout(predict, DELAY);
}

async function predict() {
  running?.abort();
  forget(false);
  const caption = $("caption").value;
  if (!picture && !caption.trim()) return showNothing();
  const mine = (running = new AbortController());
  const body = new FormData();
  if (picture) body.append("picture", picture, "picture");
  body.append("caption", caption);
  $("result").classList.add("busy");
  try {
    const response = await request("/predict", { method: "POST", body, signal: mine.signal });
    const [answer] = await response.json();
    if (mine === running) show(answer, caption);
  } catch (error) {
    if (mine !== running) return; // a newer request answers
    if (error.status === 429) predictSoon();
    else showError(error.status ? error.message : "The service does not answer.");
  } finally {
    if (mine === running) $("result").classList.remove("busy");
  }
}

function show({ probability, decision, threshold, caption, model }, typed) {
  limit = threshold;
  forget(true);
  setBar(probability, threshold, percent(probability), decision ? "hateful" : "not");
  $("decision").textContent = decision ? "Hateful" : "Not hateful";
  $("detail").className = "note";
  $("detail").textContent =
    `Probability of being hateful. Above ${percent(threshold)}, a meme counts as hateful. ` +
    `Model ${model.stamp}.`;
  const read = caption && caption !== typed.trim();
  $("used").hidden = !read;
  $("used").textContent = read ? `Caption as used: ${caption}` : "";
}

function showNothing() {
  running = null;
  $("result").classList.remove("busy");
  setBar(0, null, "–", "");
  $("decision").textContent = "Nothing to judge yet";
  $("detail").className = "note";
  $("detail").textContent = "The probability of being hateful appears here, while you type.";
  $("used").hidden = true;
}

function showError(message) {
  setBar(0, null, "–", "");
  $("decision").textContent = "No prediction";
  $("detail").className = "error";
  $("detail").textContent = message.charAt(0).toUpperCase() + message.slice(1);
  $("used").hidden = true;
}

function setBar(probability, threshold, text, decision) {
  $("number").textContent = text;
  $("result").dataset.decision = decision;
  $("fill").style.width = `${100 * probability}%`;
  $("bar").setAttribute("aria-valuenow", (100 * probability).toFixed(1));
  $("bar").setAttribute("aria-valuetext", text);
  for (const id of ["mark", "mark-name"]) {
    $(id).hidden = threshold === null;
    // The name stays inside the card.
    const place = id === "mark" ? threshold : Math.min(Math.max(threshold, 0.12), 0.88);
    $(id).style.left = `${100 * place}%`;
  }
}

function choose(file) {
  if (file && file.size > MAX_BYTES) {
    clearTimeout(timer);
    running?.abort();
    running = null;
    forget(false);
    return showError(`${file.name} has more than 20 MB. Choose a smaller picture.`);
  }
  if ($("preview").src) URL.revokeObjectURL($("preview").src);
  picture = file;
  $("preview").hidden = !file;
  $("hint").hidden = Boolean(file);
  $("tools").hidden = !file;
  $("file").textContent = file ? `${file.name}, ${Math.ceil(file.size / 1000)} kB` : "";
  if (file) $("preview").src = URL.createObjectURL(file);
  else $("preview").removeAttribute("src");
  predictSoon();
}

// A file that the browser cannot show may still be a picture for the service, such as a TIFF.
$("preview").addEventListener("error", () => {
  if (!picture) return;
  $("preview").hidden = true;
  $("hint").hidden = false;
});
$("picture").addEventListener("change", () => {
  if ($("picture").files[0]) choose($("picture").files[0]);
  $("picture").value = ""; // so that the same file can be chosen again
});
$("remove").addEventListener("click", () => {
  choose(null);
  $("picture").focus();
});
$("caption").addEventListener("input", predictSoon);
$("why").addEventListener("click", () => explain(picture, $("caption").value, limit));
document.addEventListener("paste", (event) => {
  const [file] = event.clipboardData.files;
  if (!file) return;
  event.preventDefault();
  choose(file);
});
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  $("drop").classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) $("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  if (event.dataTransfer.files[0]) choose(event.dataTransfer.files[0]);
});

showModel($("model"));
if ($("caption").value.trim()) predictSoon(); // kept by the browser over a reload
