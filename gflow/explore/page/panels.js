// What the parts of an answer look like on the page.

import { clockOf, density, direction, graph, lossCurve, number, stairs, swing, valueCurves } from "./figures.js";

export const $ = id => document.getElementById(id);

export function make(tag, text = "", kind = "") {
  const made = document.createElement(tag);
  if (text !== "") made.textContent = text;
  if (kind) made.className = kind;
  return made;
}

const width = id => Math.max(220, Math.floor($(id).clientWidth));
const many = state => state.values[0].length > 6;
const count = (n, one, more = `${one}s`) => `${n} ${n === 1 ? one : more}`;

export function graphPanel(state, found, lit) {
  $("class").textContent = found.words;
  $("explored").classList.toggle("large", many(state));
  $("graphfigure").replaceChildren(graph(width("graphfigure"), state, found, lit));
  const lone = found.coupling.length > 1 ? `${found.coupling.length} components. ` : "";
  $("implies").textContent = lone + found.implies;
}

export function limitPanel(state, found, draws, chosen) {
  const table = make("table", "", `learned${many(state) ? " many" : ""}`), head = table.createTHead().insertRow(), body = table.createTBody();
  table.setAttribute("aria-label", "The limit");
  head.append(make("th"), ...state.values[0].map((_, j) => make("th", String(j + 1))));
  const laws = new Map(found.laws.map(law => [`${law.row},${law.column}`, law])), base = found.matrix ?? draws[chosen ?? 0]?.matrix, size = Math.max(...(base ?? [[0]]).flat().map(x => Math.abs(x ?? 0)));
  const room = Math.max(30, Math.floor((Math.max(width("learned"), many(state) ? 640 : 0) - 30) / state.values[0].length) - 4);
  const none = make("p", found.status === "degenerate" ? `The limit depends on the start, also within a component: ${found.reason}. Starts that are drawn show their own.` : `There is no limit that is known: ${found.status}. ${found.reason}.`, "hint");
  if (!base) {
    $("learned").replaceChildren(none);
    $("key").replaceChildren();
  } else {
    if (!found.matrix) varying(draws, base).forEach(([i, j]) => laws.set(`${i},${j}`, { kind: "open" }));
    base.forEach((row, i) => {
      const line = body.insertRow();
      line.append(make("th", String(i + 1)));
      row.forEach((value, j) => {
        const cell = line.insertCell(), law = laws.get(`${i},${j}`), drawn = draws.map(each => each.matrix?.[i]?.[j]).filter(x => x !== undefined && x !== null);
        if (law) {
          cell.className = "open";
          cell.append(density(room, many(state) ? 24 : 36, law, drawn, chosen));
          const std = found.std[i][j], text = chosen !== null && draws[chosen]?.matrix ? number(draws[chosen].matrix[i][j], 3) : law.kind === "open" ? "by the start" : law.kind === "values" ? law.values.map(p => number(p[0], 3)).join(" or ") : `${number(Math.abs(value) > 1e-9 * size ? value : 0, 3)} ± ${number(std, 3)}`;
          cell.append(make("small", law.kind === "values" && law.values.length > 2 && chosen === null ? `one of ${law.values.length}` : text));
          cell.title = `row ${i + 1}, column ${j + 1} depends on the start`;
        } else {
          cell.className = state.seen[i][j] ? "" : "fixed";
          cell.textContent = number(Math.abs(value) > 1e-9 * size ? value : 0, many(state) ? 3 : 4);
        }
      });
    });
    $("learned").replaceChildren(...(found.matrix ? [table] : [none, table]));
    const key = [["observed", "observed"], ["determined", "learned, the same from every start"], ["depends", "depends on the start: its law"]];
    const hidden = state.seen.flat().some(x => !x);
    $("key").replaceChildren(...key.filter(([name]) => name === "depends" ? laws.size : name === "determined" ? hidden && laws.size < state.seen.flat().filter(x => !x).length : true).map(([name, text]) => {
      const item = make("span", text), mark = make("i");
      mark.style.background = `var(--${name})`;
      item.prepend(mark);
      return item;
    }));
  }
  $("drawing").hidden = !found.depends && found.status === "converged";
}

// Where draws differ, no law says how they do.
function varying(draws, base) {
  const all = draws.map(each => each.matrix).filter(Boolean), size = Math.max(...base.flat().map(Math.abs)), found = [];
  base.forEach((row, i) => row.forEach((_, j) => {
    const values = all.map(W => W[i][j]);
    if (Math.max(...values) - Math.min(...values) > 1e-6 * size) found.push([i, j]);
  }));
  return found;
}

export function drawsPanel(draws, chosen, pick) {
  $("draw").textContent = draws.length ? "Draw ten more" : "Draw ten starts";
  $("drawn").replaceChildren(...draws.map((each, k) => {
    const made = make("button", each.seed === null ? `draw ${k + 1}` : `seed ${each.seed}`);
    made.setAttribute("aria-pressed", String(chosen === k));
    made.addEventListener("click", () => pick(chosen === k ? null : k));
    return made;
  }));
}

export function numbersPanel(found, minima) {
  const rows = [], told = (name, value, least, good) => {
    const cell = make("dd", value);
    if (least) cell.append(" ", make("span", least, good ? "good" : "more"));
    rows.push(make("dt", name), cell);
  };
  const least = minima && !minima.failed ? minima : null, [low, high] = least?.least_rank ?? [];
  told("rank", found.rank === null ? "not known" : String(found.rank), least && found.rank !== null ? (least.rank_is_least ? "the least possible" : `least possible: ${low === high ? low : `${low} to ${high}`}`) : "", least?.rank_is_least);
  told("nuclear norm", found.nuclear_norm === null ? (found.matrix ? "by the start" : "not known") : number(found.nuclear_norm, 6), least ? (least.norm_is_least ? "the least possible" : `least possible: ${number(least.least_norm[1], 6)}`) : "", least?.norm_is_least);
  if (found.log10_alpha !== null && found.log10_alpha !== undefined) { told("within 1 %", "from α below about 10"); rows.at(-1).append(make("sup", number(found.log10_alpha, 3))); }
  $("numbers").replaceChildren(...rows);
}

export function chainPanel(found) {
  const chain = found.chain;
  $("stairs").replaceChildren(chain.stops.length ? stairs(width("stairs"), chain) : make("p", "", "hint"));
  $("escapes").replaceChildren(...chain.stops.filter(stop => stop.leaves).map((stop, k) => {
    const made = make("div", "", "escape"), text = make("div");
    const after = chain.stops[k + 1];
    text.append(make("b", `rank ${stop.rank} → ${after ? after.rank : "?"}`));
    const said = [];
    if (stop.leaves === "rate") {
      said.push(`escape rate ${number(stop.rate, 4)}`);
      if (stop.stay !== null) said.push(`after ${number(stop.stay, 3)} log(1/α)`);
      if (chain.parts > 1) said.push(`component ${stop.component + 1}`);
      if (stop.together > 1) said.push(`${stop.together} columns at once`);
    } else if (stop.leaves === "inside") said.push(`a mode inside grows, rate ${number(stop.rate, 4)}`);
    else said.push("a new channel opens", `σ₁ of the residual ${number(stop.residual, 4)}`);
    said.push(`loss ${number(stop.loss, 4)}`);
    for (const each of said) text.append(make("p", each));
    if (stop.u) made.append(direction(stop.u, stop.v));
    made.append(text);
    return made;
  }));
  for (const text of found.warnings) $("escapes").append(make("p", text, "hint"));
}

export function verdictsPanel(answer) {
  const open = new Set([...document.querySelectorAll("#verdicts details[open]")].map(each => each.dataset.id));
  $("verdicts").replaceChildren(...(answer.verdicts ?? []).map(each => {
    const item = make("li"), fold = make("details"), head = make("summary");
    fold.dataset.id = each.id;
    fold.open = open.has(each.id);
    head.append(make("b", each.name), make("span", each.word, `verdict ${each.verdict}`), make("span", each.says, "says"));
    fold.append(head, make("p", each.reason), make("p", each.source));
    item.append(fold);
    return item;
  }));
  if (answer.failed) $("verdicts").append(make("li", answer.failed));
}

export function coursePanel(course, chain, which, pick) {
  if (course.failed) {
    for (const id of ["loss", "values", "plateaus"]) $(id).replaceChildren();
    $("ending").textContent = course.failed;
    return which;
  }
  const names = Object.keys(course.values), shown = names.includes(which) ? which : "W";
  $("loss").replaceChildren(lossCurve(width("loss"), course, chain));
  $("values").replaceChildren(valueCurves(width("values"), course, shown));
  if ([...$("which").querySelectorAll("input")].map(each => each.value).join() !== names.join()) {
    $("which").replaceChildren(...names.map(name => {
      const made = make("label"), input = make("input");
      Object.assign(input, { type: "radio", name: "which", value: name });
      made.append(input, make("span", name));
      input.addEventListener("change", () => pick(name));
      return made;
    }));
  }
  for (const each of $("which").querySelectorAll("input")) each.checked = each.value === shown;
  plateauTable(course);
  const far = course.distance === null ? "" : ` It ends ${number(course.distance, 2)} from the limit of the same start, at the most.`;
  $("ending").textContent = `${course.status}: ${course.message}, by ${course.method}.${far}`;
  return shown;
}

function plateauTable(course) {
  const table = $("plateaus"), clock = clockOf(course);
  table.replaceChildren(make("caption", `From plateau to plateau, in units of ${clock}`));
  const head = table.createTHead().insertRow(), body = table.createTBody();
  head.append(...["plateau", "rank", "loss", "left at", "in the limit", "stay"].map(text => make("th", text)));
  course.plateaus.forEach((each, k) => {
    const line = body.insertRow(), limit = each.end === null ? null : course.predicted[k];
    const cells = [k + 1, each.rank, number(each.loss, 4), each.end === null ? "stays" : number(each.end, 4), limit === null || limit === undefined ? "–" : number(limit, 4), each.end === null ? "–" : number(each.end - each.start, 4)];
    line.append(...cells.map(text => make("td", String(text))));
  });
}

export function sweepPanel(state, sweep) {
  if (sweep.failed || !sweep.points?.length) {
    $("swing").replaceChildren(make("p", sweep.failed ?? "Choose an observed entry and two ends: how an entry of the limit follows, and where it jumps.", "hint"));
    $("jumps").replaceChildren();
    return;
  }
  const now = Number(state.values[sweep.row]?.[sweep.column]);
  $("swing").replaceChildren(swing(width("swing"), sweep, now));
  $("jumps").replaceChildren(...sweep.jumps.map(jump => {
    const middle = (jump.low + jump.high) / 2, size = jump.size !== null && Math.abs(jump.size) > 1e-6 ? `, by ${number(jump.size, 3)}` : "";
    return make("li", jump.alone ? jump.says : `near ${number(middle, 4)}${size}: ${jump.says}`);
  }));
  if (sweep.done && !sweep.jumps.length) $("jumps").replaceChildren(make("li", "no jump between these ends"));
}

export function summaryPanel(found) {
  const rows = [["shape", `${found.shape[0]} × ${found.shape[1]}`], ["observed", `${found.observed} of ${found.shape[0] * found.shape[1]}`], ["class", found.words], ["coupling components", String(found.count)]];
  found.components.forEach((each, k) => rows.push([`component ${k + 1}`, `${count(each.rows, "row")}, ${count(each.columns, "column")}`]));
  $("facts").replaceChildren(...rows.flatMap(([name, text]) => [make("dt", name), make("dd", text)]));
  $("explained").textContent = found.text ?? found.says;
}
