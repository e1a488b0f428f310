// The explanation below the prediction: what each part of a meme adds to the probability.

import { $, percent, request } from "./common.js";

const ROWS = ["Top", "Middle", "Bottom"];
const COLUMNS = ["left", "centre", "right"];
const LISTED = 8; // words with the largest contributions
const LONGEST = 120; // characters of a training caption

let running = null;
let shownPicture = "";

// Hide the explanation of an earlier meme; `possible`: whether there is a prediction to explain.
export function forget(possible) {
  running?.abort();
  running = null;
  $("why").disabled = !possible;
  $("why-status").hidden = true;
  $("explanation").hidden = true;
}

export async function explain(picture, caption, threshold) {
  if (running) return;
  const mine = (running = new AbortController());
  say("Explaining: each word and part of the picture is left out once.");
  const body = new FormData();
  if (picture) body.append("picture", picture, "picture");
  body.append("caption", caption);
  try {
    const options = { method: "POST", body, signal: mine.signal };
    const [answer] = await (await request("/predict?explain=true", options)).json();
    if (mine !== running) return; // the meme has changed
    show(answer.explanation, picture, threshold);
    $("why-status").hidden = true;
  } catch (error) {
    if (mine === running) say(error.status ? error.message : "The service does not answer.", true);
  } finally {
    if (mine === running) running = null;
  }
}

function say(text, wrong = false) {
  $("why-status").hidden = false;
  $("why-status").className = wrong ? "error" : "note";
  $("why-status").textContent = text;
}

function show(found, picture, threshold) {
  $("alone").replaceChildren(...shares(found).map((share) => bar(...share, threshold)));
  showWords(found.words);
  showParts(found.picture, picture);
  $("nearest").replaceChildren(...found.nearest.map(neighbour));
  $("novelty").textContent = noveltyText(found.novelty);
  $("explanation").hidden = false;
  $("why-title").focus();
}

function shares({ probability, picture_alone, caption_alone, picture }) {
  if (picture_alone === null) return [[picture.length ? "Picture" : "Caption", probability]];
  return [["Picture alone", picture_alone], ["Caption alone", caption_alone], ["Both", probability]];
}

function bar(name, share, threshold) {
  const row = make("div", "share");
  row.dataset.decision = share > threshold ? "hateful" : "not";
  const meter = make("div", "bar");
  const values = { role: "meter", "aria-label": name, "aria-valuemin": 0, "aria-valuemax": 100 };
  for (const [key, value] of Object.entries(values)) meter.setAttribute(key, value);
  meter.setAttribute("aria-valuenow", (100 * share).toFixed(1));
  meter.append(make("div", "fill"));
  meter.firstChild.style.width = `${100 * share}%`;
  row.append(make("span", "", name), meter, make("span", "value", percent(share)));
  return row;
}

function showWords(words) {
  $("words-part").hidden = !words.length;
  const largest = Math.max(...words.map(size), 0.01);
  $("words").replaceChildren(
    ...words.flatMap((word) => {
      const coloured = make("span", "word", word.what);
      coloured.dataset.tone = tone(word, largest);
      coloured.append(make("span", "visually-hidden", ` (${signed(word)})`));
      return [coloured, " "];
    }),
  );
  const listed = [...words].sort((a, b) => size(b) - size(a)).slice(0, LISTED);
  $("word-list").replaceChildren(
    ...listed.map((word) => {
      const item = make("li");
      item.append(make("span", "", word.what), make("span", "value", signed(word)));
      return item;
    }),
  );
}

function showParts(parts, picture) {
  $("parts-part").hidden = !parts.length;
  if (shownPicture) URL.revokeObjectURL(shownPicture);
  shownPicture = picture ? URL.createObjectURL(picture) : "";
  $("parts-picture").hidden = !picture;
  if (picture) $("parts-picture").src = shownPicture;
  else $("parts-picture").removeAttribute("src");
  const largest = Math.max(...parts.map(size), 0.01);
  const ordered = [...parts].sort((a, b) => a.row - b.row || a.column - b.column);
  $("parts").replaceChildren(
    ...ordered.map((part) => {
      const item = make("li");
      item.dataset.tone = tone(part, largest);
      const place = `${ROWS[part.row]} ${COLUMNS[part.column]}: `;
      item.append(make("span", "visually-hidden", place), make("span", "chip", signed(part)));
      return item;
    }),
  );
}

function neighbour({ id, caption, label, similarity }) {
  const row = make("tr");
  const name = make("th", "", caption.length > LONGEST ? `${caption.slice(0, LONGEST)}…` : caption);
  name.scope = "row";
  name.append(make("span", "note", `${caption ? "" : "No caption, "}${id}`));
  row.append(name, make("td", label ? "hateful" : "", label ? "Hateful" : "Not hateful"));
  row.append(make("td", "value", similarity.toFixed(2)));
  return row;
}

function noveltyText(novelty) {
  const share = `${Math.round(100 * novelty)}\u00a0%`;
  const means =
    novelty >= 0.95
      ? "nothing like it was seen, so do not rely on the probability"
      : novelty >= 0.75
        ? "it is unusual, so rely less on the probability"
        : "others like it were seen";
  return `${share} of the training memes have a closer neighbour than this meme has: ${means}.`;
}

// "up" or "down" and a strength of 0 to 3, for the colours.
function tone(part, largest) {
  const strength = size(part) < 0.0005 ? 0 : Math.ceil((3 * size(part)) / largest);
  return `${part.contribution > 0 ? "up" : "down"}${strength}`;
}

const size = (part) => Math.abs(part.contribution);

// The contribution in percentage points, such as +3.1.
function signed({ contribution }) {
  const digits = (100 * Math.abs(contribution)).toFixed(1);
  return Number(digits) === 0 ? digits : `${contribution > 0 ? "+" : "\u2212"}${digits}`;
}

function make(tag, className = "", text = "") {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

// A file that the browser cannot show leaves the grid on a plain ground.
$("parts-picture").addEventListener("error", () => ($("parts-picture").hidden = true));
