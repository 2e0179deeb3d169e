// A card: the latest figures and a line each over the last minutes.

import { element } from "/pages/dom.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 100, HEIGHT = 40;

function drawn(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

export class Card {
  /** `lines` are names of what is drawn, `format` makes text of a value, `most` fixes the scale. */
  constructor(title, lines, format, most = null) {
    this.format = format;
    this.most = most;
    this.series = lines.map(() => []);
    this.figures = lines.map(() => element("strong", { textContent: "–" }));
    this.lines = lines.map((_, at) => drawn("polyline", { class: at ? "second" : "" }));
    this.top = element("span");
    const svg = drawn("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": true });
    svg.append(drawn("line", { x1: 0, x2: WIDTH, y1: HEIGHT, y2: HEIGHT }), ...this.lines);
    this.element = element("div", { className: "card" },
      element("h2", { textContent: title }),
      element("div", { className: "now" }, ...lines.map((name, at) =>
        element("div", { className: at ? "second" : "" }, this.figures[at], element("span", { textContent: name })))),
      element("div", { className: "scale" }, this.top),
      svg,
      element("div", { className: "scale" }, element("span", { textContent: "5 min ago" }), element("span", { textContent: "now" })));
  }

  /** One value per line, null where there is none; `room` is how many points are drawn. */
  push(values, room) {
    values.forEach((value, at) => {
      this.figures[at].textContent = value === null ? "–" : this.format(value);
      this.series[at] = [...this.series[at], value].slice(-room);
    });
    const peak = this.most ?? Math.max(...this.series.flat().filter((value) => value !== null), 0);
    this.top.textContent = peak ? this.format(peak) : "";
    this.series.forEach((series, at) => {
      const points = series.map((value, index) => {
        const x = WIDTH * (1 - (series.length - 1 - index) / (room - 1));
        return value === null ? null : `${x.toFixed(2)},${(HEIGHT * (1 - value / (peak || 1))).toFixed(2)}`;
      });
      this.lines[at].setAttribute("points", points.filter(Boolean).join(" "));
    });
  }
}
