// Everything that is shown can be taken away: as text, as tables, as pictures.

import { $ } from "./panels.js";

const DRAWN = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "font-size", "font-family", "font-weight", "text-anchor", "opacity"];

export function svgText(drawing) {
  const copy = drawing.cloneNode(true), from = [drawing, ...drawing.querySelectorAll("*")], to = [copy, ...copy.querySelectorAll("*")];
  from.forEach((each, k) => {
    const look = getComputedStyle(each);
    to[k].removeAttribute("class");
    to[k].removeAttribute("style");
    if (["svg", "title"].includes(each.nodeName)) return;
    for (const name of DRAWN) to[k].setAttribute(name, look.getPropertyValue(name));
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  const paper = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  const [, , width, height] = drawing.getAttribute("viewBox").split(" ");
  for (const [name, value] of [["width", width], ["height", height], ["fill", getComputedStyle($("take")).backgroundColor]]) paper.setAttribute(name, value);
  copy.prepend(paper);
  return new XMLSerializer().serializeToString(copy);
}

export function save(name, content, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const quoted = x => x === null || x === undefined ? "" : typeof x === "string" && /[",\n]/.test(x) ? `"${x.replaceAll('"', '""')}"` : String(x);
const csv = rows => rows.map(row => row.map(quoted).join(",") + "\n").join("");

// Tables by name, rows and columns counted from 1 as in the files of a report.
export function tables(state, parts) {
  const found = {}, { limit, draws, course, sweep } = parts;
  if (limit) {
    const rows = [["row", "column", "observed", "value", "limit", "determined", "std", ...(draws?.draws ?? []).map((each, k) => each.seed === null ? `draw_${k + 1}` : `seed_${each.seed}`)]];
    state.values.forEach((row, i) => row.forEach((value, j) => rows.push([i + 1, j + 1, state.seen[i][j] ? 1 : 0, value, limit.matrix?.[i][j], limit.determined[i][j] ? 1 : 0, limit.std[i][j], ...(draws?.draws ?? []).map(each => each.matrix?.[i][j])])));
    found["limit.csv"] = csv(rows);
    found["chain.csv"] = csv([["stop", "time", "rank", "loss", "escape_rate", "component"], ...limit.chain.stops.map((s, k) => [k + 1, s.time, s.rank, s.loss, s.rate, s.component === undefined ? "" : s.component + 1])]);
  }
  if (course?.times) {
    const names = Object.entries(course.values).flatMap(([name, rows]) => rows[0].map((_, k) => `sigma_${k + 1}_${name}`));
    found["trajectory.csv"] = csv([["time", "loss", ...names], ...course.times.map((t, k) => [t * course.unit, course.losses[k], ...Object.values(course.values).flatMap(rows => rows[k])])]);
  }
  if (sweep?.points?.length) found["sweep.csv"] = csv([["value", "entry", "std", "class", "status", "ranks"], ...sweep.points.map(p => [p.x, p.y, p.std, p.kind, p.status, p.chain.join("-")])]);
  return found;
}
