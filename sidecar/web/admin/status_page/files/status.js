"use strict";
// Asks for the page again and again and takes over what differs, so that focus, selection and scrolling stay as they
// are and the server alone knows how things look. Between two answers it counts down. When no answer comes it says so.

const EVERY_MS = 2000;
const PATIENCE_MS = 3000;
// A tab in the background is woken rarely: what it shows is not live until there is another answer.
const LIVE_MS = 8000;
// Instants are whole seconds. An end that moves by less than this is the same one, and its countdown does not jump.
const SAME_MS = 1500;

const pause = document.getElementById("pause");
const notLive = document.getElementById("not-live");
const ends = new WeakMap();
const icon = (page) => page.querySelector("link[rel=icon]");
let answeredAt = performance.now();
let paused = false;

// -- taking over --------------------------------------------------------------------------------------------------

const nameOf = (node) => node.nodeName + (node.nodeType === 1 ? " " + (node.dataset.key || node.id) : "");

function takeOver(old, fresh) {
  if (old.nodeType !== 1) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  if ("own" in old.dataset) return;
  const counting = "left" in old.dataset && "left" in fresh.dataset;
  for (const { name, value } of fresh.attributes)
    if (old.getAttribute(name) !== value && !(counting && name === "width")) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  if (!counting) takeOverChildren(old, fresh);
}

function takeOverChildren(old, fresh) {
  let here = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    let found = here;
    while (found && nameOf(found) !== nameOf(wanted)) found = found.nextSibling;
    if (!found) {
      old.insertBefore(document.importNode(wanted, true), here);
      continue;
    }
    while (here !== found) here = remove(here);
    takeOver(here, wanted);
    here = here.nextSibling;
  }
  while (here) here = remove(here);
}

function remove(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
}

// -- counting down ------------------------------------------------------------------------------------------------

function noteEnds() {
  for (const element of document.querySelectorAll("[data-left]")) {
    const end = answeredAt + 1000 * Number(element.dataset.left);
    const known = ends.get(element);
    if (known === undefined || Math.abs(known - end) > SAME_MS) ends.set(element, end);
  }
}

function countDown() {
  for (const element of document.querySelectorAll("[data-left]")) {
    const left = Math.max(0, (ends.get(element) - performance.now()) / 1000);
    const text = span(Math.floor(left));
    if ("of" in element.dataset) element.setAttribute("width", Math.min(100, (100 * left) / element.dataset.of) + "%");
    else if (element.textContent !== text) element.textContent = text;
  }
}

function span(seconds) {
  for (const [size, unit, part, smaller] of [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]]) {
    const rest = Math.floor((seconds % size) / part);
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}` + (rest ? ` ${rest} ${smaller}` : "");
  }
  return `${seconds} s`;
}

// -- asking -------------------------------------------------------------------------------------------------------

function stands(why) {
  const at = document.querySelector("main").dataset.at.slice(11, 19);
  const text = `${why} The data below is as of ${at} UTC.`;
  document.documentElement.classList.add("stands");
  notLive.hidden = false;
  if (notLive.textContent !== text) notLive.textContent = text;
  icon(document).href = "data:,";
  document.title = `${paused ? "Paused" : "No answer"} · token-sidecar`;
}

function lives() {
  document.documentElement.classList.remove("stands");
  notLive.hidden = true;
  notLive.textContent = "";
}

async function ask() {
  try {
    const answer = await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    return answer.ok && fresh.querySelector("main[data-at]") ? fresh : null;
  } catch {
    return null;
  }
}

async function look() {
  const fresh = await ask();
  if (paused) return;
  if (!fresh) {
    stands("The sidecar does not answer.");
  } else if (fresh.documentElement.dataset.version !== document.documentElement.dataset.version) {
    location.reload(); // another version may have another script
  } else {
    answeredAt = performance.now();
    lives();
    document.title = fresh.title;
    if (icon(document).href !== icon(fresh).href) icon(document).href = icon(fresh).href;
    takeOver(document.body, fresh.body);
    noteEnds();
    countDown(); // or a moment and the time until it would differ up to the next tick
  }
}

async function goOn() {
  if (!paused) await look();
  setTimeout(goOn, EVERY_MS);
}

function tick() {
  if (!paused && performance.now() - answeredAt > LIVE_MS) stands("The sidecar does not answer.");
  if (!document.documentElement.classList.contains("stands")) countDown();
}

pause.hidden = false;
pause.addEventListener("click", () => {
  paused = !paused;
  pause.textContent = paused ? "Resume updates" : "Pause updates";
  if (paused) stands("Updates are paused.");
  else look();
});
document.addEventListener("visibilitychange", () => document.hidden || paused || look());
noteEnds();
setInterval(tick, 250);
setTimeout(goOn, EVERY_MS);
