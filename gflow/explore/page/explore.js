// The page of the explorer: one state, one socket, and panels that show the last good answer.

import { Grid, rounded } from "./grid.js";
import { number } from "./figures.js";
import { $, chainPanel, coursePanel, drawsPanel, graphPanel, limitPanel, make, numbersPanel, summaryPanel, sweepPanel, verdictsPanel } from "./panels.js";
import { save, svgText, tables } from "./take.js";

const PATIENT = 400;  // milliseconds after which a drag asks again although the limit has not come
const KEPT = 100;
let state = null, run = 0, parts = {}, faults = new Map(), chosenDraw = null, which = "W", lit = null;
let current = new Set();
let socket = null, tries = 0, sentAt = 0, waiting = false, pending = null, link = "", program = "", taken = null;
const past = [];

const grid = new Grid($("grid"), {
  state: () => state,
  fault: (i, j) => faults.get(`${i},${j}`),
  lit: at => { lit = at; if (parts.limit && !parts.limit.failed) graphPanel(state, parts.limit, lit); },
  chosen: () => editor(),
  step,
  toggle,
  value: setValue,
  nudge,
  settled: () => { if (pending) ask(); },
  paste: text => send({ open: text }, true),
});

function step() {
  const sizes = state.values.flat().map(Number).filter(x => Number.isFinite(x) && x !== 0).map(Math.abs);
  const rough = (sizes.length ? Math.max(...sizes) : 1) / 80, power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].find(m => m * power >= rough) * power;
}

function remember() {
  past.push(JSON.stringify(state));
  if (past.length > KEPT) past.shift();
  $("undo").disabled = false;
}

function toggle(i, j) {
  const value = state.values[i][j];
  if (value === null || value === "") { grid.edit(i, j); return; }
  remember();
  state.seen[i][j] = !state.seen[i][j];
  ask();
}

function setValue(i, j, value, dragged, first = true) {
  if (!dragged && String(state.values[i][j] ?? "") === String(value).trim() && !faults.size) return;
  if (first) remember();
  const text = String(value).trim();
  if (text === "" || text === "*") state.seen[i][j] = false;
  else {
    state.values[i][j] = dragged ? value : text;
    state.seen[i][j] = true;
  }
  grid.paint(i, j);
  editor();
  if (dragged) askGently(); else ask();
}

function nudge(i, j, steps) {
  const held = Number(state.values[i][j] ?? 0);
  if (Number.isFinite(held)) setValue(i, j, rounded(held + steps * step(), step() / 10), true);
}

function alter(change) {
  remember();
  change(state);
  ask();
}

// While something is dragged, the next question waits for the answer to the last one, unless that takes long.
function askGently() {
  if (!waiting || performance.now() - sentAt > PATIENT) ask();
  else {
    pending ??= setTimeout(() => ask(), PATIENT);
  }
}

function ask() {
  const { sweep, values } = state;
  if (sweep && !(state.seen[sweep.row]?.[sweep.column] && values[sweep.watched_row]?.[sweep.watched_column] !== undefined)) state.sweep = null;
  const { depth, exponent, seed, draws, name } = state;
  send({ ask: { values, seen: state.seen, depth, exponent, seed, draws, sweep: state.sweep, name } });
}

function send(message, kept = false) {
  if (kept && state) remember();
  clearTimeout(pending);
  pending = null;
  run += 1;
  faults = new Map();
  current = new Set();
  waiting = true;
  sentAt = performance.now();
  for (const each of document.querySelectorAll("[data-part]")) each.classList.add("stale");
  busy("");
  $("status").classList.remove("gone");
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ run, ...message }));
  if (state) { grid.show(); showFault(); }
}

function busy(text, stopped = false) {
  const on = text !== null;
  $("status").classList.toggle("busy", on);
  if (!on) $("running").textContent = stopped ? "stopped" : "up to date";
  else $("running").textContent = text || "computing";
  $("stop").hidden = !on;
  $("go").hidden = !stopped;
}

function fresh(name) {
  current.add(name);
  for (const each of document.querySelectorAll(`[data-part=${name}]`)) each.classList.remove("stale");
}

const SHOW = {
  limit: () => { if (told("limit")) return; graphPanel(state, parts.limit, lit); limits(); chainPanel(parts.limit); numbersPanel(parts.limit, parts.minima); },
  draws: () => { if (chosenDraw !== null && chosenDraw >= (parts.draws.draws ?? []).length) chosenDraw = null; drawsPanel(parts.draws.draws ?? [], chosenDraw, pick); limits(); },
  course: () => { which = coursePanel(parts.course, parts.limit?.chain, which, name => { which = name; SHOW.course(); }); },
  sweep: () => sweepPanel(state, parts.sweep),
  minima: () => { if (parts.limit && !parts.limit.failed) numbersPanel(parts.limit, parts.minima); },
  verdicts: () => verdictsPanel(parts.verdicts),
  summary: () => summaryPanel(parts.summary),
};

function told(name) {
  const failed = parts[name]?.failed;
  if (failed) $("learned").replaceChildren(make("p", failed, "hint"));
  return failed;
}

function limits() {
  if (parts.limit?.determined?.length === state.values.length && !parts.limit.failed) limitPanel(state, parts.limit, parts.draws?.draws ?? [], chosenDraw);
}

function pick(k) {
  chosenDraw = k;
  drawsPanel(parts.draws.draws, chosenDraw, pick);
  limits();
}

function showAll() {
  if (!state) return;
  for (const name of Object.keys(SHOW)) if (parts[name]) SHOW[name]();
}

function take(answer) {
  const { values, seen, depth, exponent, seed, draws, sweep, name } = answer;
  ({ link, program } = answer);
  if (pending && state) return;  // the hand is further already; what it has set is asked next
  state = { values, seen, depth, exponent, seed, draws, sweep, name };
  history.replaceState(null, "", `#${link}`);
  $("name").textContent = name;
  document.title = `${name} · gflow explore`;
  for (const each of document.querySelectorAll("[name=depth]")) each.checked = Number(each.value) === depth;
  if (document.activeElement !== $("alpha")) $("alpha").value = exponent;
  $("alphavalue").textContent = alphaText(exponent);
  if (document.activeElement !== $("seed")) $("seed").value = seed;
  grid.show();
  editor();
  sweepFields();
  showFault();
  if (taken === "program" || taken === "link") show(taken);
}

const alphaText = exponent => Number.isInteger(exponent) ? `1e${exponent}`.replace("-", "−") : `10^${String(exponent).replace("-", "−")}`;

function editor() {
  const [i, j] = grid.at, value = state.values[i][j];
  $("entrylabel").textContent = `Row ${i + 1}, column ${j + 1}`;
  if (document.activeElement !== $("entry")) $("entry").value = value ?? "";
  $("toggle").textContent = state.seen[i][j] ? "hide" : "show";
  const [d1, d2] = [state.values.length, state.values[0].length];
  $("rowless").disabled = d1 < 2; $("columnless").disabled = d2 < 2; $("rowmore").disabled = d1 >= largest; $("columnmore").disabled = d2 >= largest;
}
let largest = 12;

function showFault() {
  const first = [...faults][0], box = $("fault");
  box.hidden = !first;
  $("entry").setAttribute("aria-invalid", String(Boolean(first)));
  if (!first) return;
  const [at, text] = first, cell = at === "all" ? null : grid.cells[at.split(",")[0]]?.[at.split(",")[1]];
  box.textContent = text;
  const frame = $("grid").getBoundingClientRect(), place = cell?.getBoundingClientRect();
  box.style.top = `${place ? place.bottom - frame.top + 6 : frame.height + 6}px`;
  box.style.left = `${place ? Math.max(0, Math.min(place.left - frame.left, frame.width - 250)) : 0}px`;
}

function sweepFields() {
  const list = (id, wanted, held) => {
    const keep = $(id).value, options = [];
    state.values.forEach((row, i) => row.forEach((_, j) => { if (wanted(i, j)) options.push(`${i + 1}, ${j + 1}`); }));
    if ([...$(id).options].map(each => each.value).join(";") !== options.join(";")) {
      $(id).replaceChildren(...options.map(text => { const made = make("option", `(${text})`); made.value = text; return made; }));
      $(id).value = options.includes(keep) ? keep : options[0];
    }
    if (held && options.includes(held)) $(id).value = held;
  };
  const { sweep } = state, gap = state.seen.flatMap((row, i) => row.map((x, j) => x ? null : `${i + 1}, ${j + 1}`)).find(Boolean);
  const first = !$("watched").options.length;
  list("swept", (i, j) => state.seen[i][j], sweep && `${sweep.row + 1}, ${sweep.column + 1}`);
  list("watched", () => true, sweep ? `${sweep.watched_row + 1}, ${sweep.watched_column + 1}` : first ? gap : null);
  if (sweep && ![$("low"), $("high")].includes(document.activeElement)) { $("low").value = sweep.low; $("high").value = sweep.high; }
  else if (first) ends();
}

function ends() {
  const [i, j] = $("swept").value.split(",").map(x => Number(x) - 1), value = Number(state.values[i]?.[j] ?? 0);
  const reach = 40 * step();
  $("low").value = rounded(value - reach, reach / 10);
  $("high").value = rounded(value + reach, reach / 10);
}

function receive(event) {
  const said = JSON.parse(event.data);
  if (said.hello) return hello(said.hello);
  if (said.full) return gone(said.full);
  if (said.reporting) return reporting(said.reporting);
  if (said.run !== run) return undefined;
  if (said.bad) return bad(said.bad);
  if (said.same) return said.same.forEach(fresh);
  if (said.running !== undefined) return busy(said.done !== null && said.done !== undefined && said.total ? `${said.running} ${Math.round(100 * said.done / said.total)} %` : said.running);
  if (said.over) return pending ? undefined : busy(null, Boolean(said.stopped));
  if (said.part === "state") return take(said.answer);
  if (said.part === "summary") { $("explored").hidden = true; $("summary").hidden = false; $("name").textContent = said.answer.name; }
  if (said.part) {
    parts[said.part] = said.answer;
    fresh(said.part);
    if (said.part === "limit") {
      waiting = false;
      document.body.dataset.limit = String(run);
      if (pending) ask();
    }
    SHOW[said.part]();
  }
  return undefined;
}

function bad({ says, cells }) {
  for (const { row, column, says: text } of cells) faults.set(`${row},${column}`, text);
  if (!cells.length) faults.set("all", says);
  waiting = false;
  busy(null);
  $("running").textContent = "waiting for a value";
  $("status").classList.add("gone");
  if (state) grid.show();
  showFault();
}

function hello({ examples, largest: most }) {
  largest = most;
  const first = make("option", "…");
  first.value = "";
  $("examples").replaceChildren(first, ...examples.map(({ name, says }) => { const made = make("option", name); made.value = name; made.title = says; return made; }));
  if (state) ask(); else send({ open: location.hash.includes("m=") ? location.hash : "" });
}

function gone(text) {
  $("notice").hidden = false;
  $("notice").textContent = text;
  $("status").classList.remove("busy");
  $("status").classList.add("gone");
  $("running").textContent = "ended";
  $("stop").hidden = $("go").hidden = true;
}

function connect() {
  const address = new URL("socket", location.href.split("#")[0]);
  address.protocol = "ws:";
  socket = new WebSocket(address);
  let full = false;
  socket.addEventListener("open", () => { tries = 0; $("notice").hidden = true; $("status").classList.remove("gone"); });
  socket.addEventListener("message", event => { full ||= event.data.startsWith('{"full"'); receive(event); });
  socket.addEventListener("close", () => {
    if (full) return;
    gone(`The explorer has ended; what is shown stays. To go on: gflow explore --link '#${link}'`);
    if (tries < 3) setTimeout(connect, 1000 * 3 ** tries++);
  });
}

function show(kind) {
  taken = kind;
  const text = kind === "program" ? program : `${location.href.split("#")[0]}#${link}`;
  $("taken").hidden = false;
  $("takentitle").textContent = kind === "program" ? "Python that computes what is shown" : "A link to this state; it can be pasted into any explorer";
  $("takentext").textContent = text;
  $("save").hidden = kind === "link";
  $("copied").textContent = "";
}

const TAKE = {
  program: () => show("program"),
  link: () => show("link"),
  json: () => save("gflow-explore.json", JSON.stringify({ state, ...fitting() }, null, 1), "application/json"),
  csv: () => { for (const [name, text] of Object.entries(tables(state, fitting()))) save(name, text, "text/csv"); },
  svg: () => { for (const each of document.querySelectorAll(".figure[data-figure] > svg")) if (Number(each.getAttribute("height")) > 20) save(`${each.parentElement.dataset.figure}.svg`, svgText(each), "image/svg+xml"); },
};

// The parts that belong to the state: one that is still greyed is that of another matrix, and is not given away.
const fitting = () => Object.fromEntries(Object.entries(parts).filter(([name]) => current.has(name)));

function reporting(said) {
  if (said.report) {
    const bytes = Uint8Array.from(atob(said.report.data), letter => letter.charCodeAt(0));
    save(said.report.name, bytes, "application/zip");
    $("reporting").textContent = `saved as ${said.report.name}`;
  } else if (said.bad) $("reporting").textContent = said.bad.says;
  else if (said.running) { $("reporting").textContent = `${said.running} …`; return; }
  else return;
  $("report").disabled = false;
}

function wire() {
  for (const button of document.querySelectorAll("[data-take]")) button.addEventListener("click", () => TAKE[button.dataset.take]());
  const on = (id, kind, what) => $(id).addEventListener(kind, what);
  on("copy", "click", async () => {
    try { await navigator.clipboard.writeText($("takentext").textContent); $("copied").textContent = "copied"; }
    catch { getSelection().selectAllChildren($("takentext")); $("copied").textContent = "marked: copy it"; }
  });
  on("save", "click", () => save("explored.py", program, "text/x-python"));
  on("fold", "click", () => { taken = null; $("taken").hidden = true; });
  on("report", "click", () => { $("report").disabled = true; $("reporting").textContent = "starting …"; socket.send(JSON.stringify({ run, report: state })); });
  on("stop", "click", () => { run += 1; socket.send(JSON.stringify({ run, stop: true })); });
  on("go", "click", () => ask());
  on("undo", "click", () => { state = JSON.parse(past.pop()); $("undo").disabled = !past.length; ask(); });
  on("examples", "change", () => { if ($("examples").value) { send({ example: $("examples").value }, true); $("examples").value = ""; } });
  on("toggle", "click", () => toggle(...grid.at));
  on("less", "click", () => nudge(...grid.at, -1));
  on("more", "click", () => nudge(...grid.at, 1));
  on("entry", "change", () => setValue(...grid.at, $("entry").value, false));
  on("entry", "keydown", event => { if (event.key === "Enter") setValue(...grid.at, $("entry").value, false); });
  on("rowmore", "click", () => alter(s => { s.values.push(s.values[0].map(() => null)); s.seen.push(s.values[0].map(() => false)); }));
  on("rowless", "click", () => alter(s => { s.values.pop(); s.seen.pop(); }));
  on("columnmore", "click", () => alter(s => { s.values.forEach(row => row.push(null)); s.seen.forEach(row => row.push(false)); }));
  on("columnless", "click", () => alter(s => { s.values.forEach(row => row.pop()); s.seen.forEach(row => row.pop()); }));
  for (const each of document.querySelectorAll("[name=depth]")) each.addEventListener("change", () => alter(s => { s.depth = Number(each.value); chosenDraw = null; }));
  on("draw", "click", () => alter(s => { s.draws = Math.min(s.draws + 10, 50); }));
  on("newseed", "click", () => alter(s => { s.seed += Math.max(s.draws, 1); s.draws ||= 10; chosenDraw = null; }));
  on("alpha", "input", () => { state.exponent = Number($("alpha").value); $("alphavalue").textContent = alphaText(state.exponent); askGently(); });
  on("seed", "change", () => alter(s => { s.seed = Math.max(0, Math.trunc(Number($("seed").value) || 0)); }));
  on("swept", "change", ends);
  on("sweeping", "click", () => {
    const [row, column] = $("swept").value.split(",").map(x => Number(x) - 1), [watched_row, watched_column] = $("watched").value.split(",").map(x => Number(x) - 1);
    const [low, high] = ["low", "high"].map(id => Number($(id).value.replace("−", "-").replace(",", ".")));
    const wrong = !(low < high) ? "The sweep runs from a lower to a higher number." : "";
    $("sweepfault").hidden = !wrong;
    $("sweepfault").textContent = wrong;
    if (!wrong) alter(s => { s.sweep = { row, column, watched_row, watched_column, low, high }; });
  });
  addEventListener("hashchange", () => { if (location.hash.slice(1) !== link && location.hash.includes("m=")) send({ open: location.hash }, true); });
  addEventListener("keydown", event => { if ((event.ctrlKey || event.metaKey) && event.key === "z" && event.target.nodeName !== "INPUT" && past.length) { event.preventDefault(); $("undo").click(); } });
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; showAll(); } });
  for (const head of document.querySelectorAll("[data-part] > h2")) head.append(make("span", "not up to date yet", "late"));
}

wire();
connect();
