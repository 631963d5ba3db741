// Draws the plots of a report from the numbers embedded in the page. Colours follow the reader's light or dark scheme.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("charts").textContent);
  const drawn = [];
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const number = (value) => (value == null ? "" : value.toLocaleString("en", value < 100 ? { maximumSignificantDigits: 3 } : { maximumFractionDigits: 0 }));
  const upward = (u, low, high) => [0, high > 0 ? high * 1.18 : 1];
  const font = "12px system-ui, -apple-system, 'Segoe UI', Roboto, Arial, sans-serif";

  const axis = (more) => ({
    stroke: colour("muted"), font, grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false }, gap: 6,
    values: (u, ticks) => ticks.map((tick) => (tick == null ? "" : number(tick))), ...more,
  });
  const series = (label, name, more) => ({
    label, stroke: colour(name), width: 2, points: { size: 6, fill: colour(name) }, value: (u, value) => number(value), ...more,
  });
  const percentiles = (more) => [series("p50", "accent", more), series("p95", "second", more), series("p99", "third", more)];

  // A dashed line across the plot at a value of one scale: the chosen number of users, the latency limit.
  const line = (scale, value, text) => (u) => {
    if (value == null) return;
    const across = scale === "x";
    if (value < u.scales[scale].min || value > u.scales[scale].max) return;
    const at = u.valToPos(value, scale, true);
    const { left, top, width, height } = u.bbox;
    const ctx = u.ctx;
    ctx.save();
    ctx.strokeStyle = ctx.fillStyle = colour(across ? "muted" : "bad");
    ctx.setLineDash([5, 4]);
    ctx.lineWidth = devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(across ? at : left, across ? top : at);
    ctx.lineTo(across ? at : left + width, across ? top + height : at);
    ctx.stroke();
    ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
    ctx.textBaseline = across ? "top" : "bottom";
    ctx.textAlign = across && at > left + width * 0.75 ? "right" : "left";
    const nudge = (ctx.textAlign === "right" ? -5 : 5) * devicePixelRatio;
    ctx.fillText(text, across ? at + nudge : left + nudge, across ? top + 2 * devicePixelRatio : at - 3 * devicePixelRatio);
    ctx.restore();
  };

  const shapes = {
    "throughput-users": ({ levels, chosen_users }) => ({
      columns: [levels.users, levels.per_minute],
      series: [series("inv / min", "accent")],
      marks: [line("x", chosen_users, "reported")], xLabel: "users",
    }),
    "latency-users": ({ levels, chosen_users }) => ({
      columns: [levels.users, levels.p50_ms, levels.p95_ms, levels.p99_ms],
      series: percentiles({}),
      marks: [line("x", chosen_users, "reported"), line("y", data.threshold_ms, "limit")], xLabel: "users",
    }),
    "latency-rates": ({ rates, sustained_per_minute }) => ({
      columns: [rates.rate_per_minute, rates.p50_ms, rates.p95_ms, rates.p99_ms],
      series: percentiles({}),
      marks: [line("x", sustained_per_minute, "holds"), line("y", data.threshold_ms, "limit")], xLabel: "arrivals / min",
    }),
    "throughput-time": ({ time }) => ({
      columns: [time.seconds, time.users, time.per_minute],
      series: [
        series("users", "muted", { scale: "users", width: 1, fill: colour("grid"), points: { show: false }, paths: uPlot.paths.stepped({ align: -1 }) }),
        series("inv / min", "accent", { points: { show: false } }),
      ],
      marks: [], xLabel: "s", users: true,
    }),
    "latency-time": ({ time }) => ({
      columns: [time.seconds, time.p50_ms, time.p95_ms, time.p99_ms],
      series: percentiles({ points: { show: false } }),
      marks: [line("y", data.threshold_ms, "limit")], xLabel: "s",
    }),
  };

  const plot = (place) => {
    const shape = shapes[place.dataset.plot](data.trials[place.dataset.trial]);
    const xs = shape.columns[0];
    const overUsers = shape.xLabel === "users";
    const unit = shape.xLabel === "s" ? " s" : "";
    const axes = [
      axis({ size: 26, ...(overUsers ? { splits: () => [...new Set(xs)], filter: (u, splits) => thinned(u, splits) } : {}), values: (u, ticks) => ticks.map((tick) => (tick == null ? "" : `${number(tick)}${unit}`)) }),
      axis({ size: 58 }),
    ];
    const scales = { x: { time: false, ...(overUsers ? { distr: 3, log: 2, range: (u, low, high) => [low / 1.15, high * 1.15] } : {}) }, y: { range: upward } };
    if (shape.users) {
      axes.push(axis({ scale: "users", side: 1, size: 36, grid: { show: false }, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500] }));
      scales.users = { range: upward };
    }
    const options = {
      width: place.clientWidth, height: 190, scales, axes, legend: { live: true },
      cursor: { drag: { x: false, y: false }, points: { size: 8 } },
      series: [{ label: shape.xLabel === "s" ? "time" : shape.xLabel, value: (u, value) => number(value) }, ...shape.series],
      hooks: { draw: shape.marks },
    };
    return new uPlot(options, shape.columns, place);
  };

  // Keeps the tick labels of a logarithmic axis from running into each other.
  const thinned = (u, splits) => {
    let last = -Infinity;
    return splits.map((split) => {
      const at = u.valToPos(split, "x");
      if (at - last < 22) return null;
      last = at;
      return split;
    });
  };

  const padded = (low, high) => {
    const room = (high - low || high || 1) * 0.18;
    return [Math.max(0, low - room), high + room];
  };

  // The 95% intervals of a point, as lines from end to end in pixels: of its latency, and by its throughput of its cost.
  const intervals = (u, { latency_between_ms, usd_between }, x, y) => {
    const along = (values, scale) => values.map((value) => u.valToPos(value, scale, true));
    const lines = [];
    if (!latency_between_ms.includes(null)) lines.push(along(latency_between_ms, "x").map((at) => [at, y]));
    if (!usd_between.includes(null)) lines.push(along(usd_between, "y").map((at) => [x, at]));
    return lines;
  };

  const cross = (u, lines) => {
    const ctx = u.ctx;
    ctx.save();
    ctx.strokeStyle = colour("muted");
    ctx.globalAlpha = 0.6;
    ctx.setLineDash([]);
    ctx.lineWidth = 2 * devicePixelRatio;
    ctx.beginPath();
    lines.forEach(([from, to]) => { ctx.moveTo(...from); ctx.lineTo(...to); });
    ctx.stroke();
    ctx.restore();
  };

  const disc = (u, point, x, y) => {
    const ctx = u.ctx;
    const scale = devicePixelRatio;
    ctx.beginPath();
    ctx.arc(x, y, 9 * scale, 0, 2 * Math.PI);
    ctx.fillStyle = colour("card");
    ctx.fill();
    ctx.fillStyle = colour(point.pareto ? "accent" : "muted");
    ctx.globalAlpha = point.pareto ? 1 : 0.65;
    ctx.fill();
    ctx.globalAlpha = 1;
    ctx.fillStyle = colour("card");
    ctx.font = `bold ${10.5 * scale}px system-ui, sans-serif`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.fillText(String(point.rank), x, y + 0.5 * scale);
  };

  // Names stand right of, left of, above or below their disc: wherever they cover nothing. Where there is no room, none.
  const names = (u, placed) => {
    const ctx = u.ctx;
    const scale = devicePixelRatio;
    const { left, top, width, height } = u.bbox;
    const taken = placed.map(({ x, y }) => [x - 9 * scale, y - 9 * scale, x + 9 * scale, y + 9 * scale]);
    placed.forEach(({ lines }) => lines.forEach(([[a, b], [c, d]]) => taken.push([Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)])));
    ctx.fillStyle = colour("text");
    ctx.font = `${12 * scale}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    for (const { point, x, y } of placed) {
      const long = ctx.measureText(point.name).width;
      const half = 7 * scale;
      const spots = [[x + 14 * scale, y], [x - 14 * scale - long, y], [x - long / 2, y - 18 * scale], [x - long / 2, y + 18 * scale]];
      const boxes = spots.map(([at, middle]) => [at, middle - half, at + long, middle + half]);
      const free = boxes.findIndex(([a, b, c, d]) => a > left && c < left + width && b > top && d < top + height
        && taken.every(([e, f, g, h]) => c < e || a > g || d < f || b > h));
      if (free < 0) continue;
      taken.push(boxes[free]);
      ctx.fillText(point.name, ...spots[free]);
    }
  };

  const pareto = (place) => {
    const points = [...data.points].sort((a, b) => a.latency_ms - b.latency_ms);
    const xs = points.map((point) => point.latency_ms);
    const costs = points.map((point) => point.usd_per_million);
    const front = points.map((point) => (point.pareto ? point.usd_per_million : null));
    const draw = (u) => {
      const placed = points.map((point) => ({ point, x: u.valToPos(point.latency_ms, "x", true), y: u.valToPos(point.usd_per_million, "y", true) }));
      placed.forEach((one) => { one.lines = intervals(u, one.point, one.x, one.y); });
      placed.forEach(({ lines }) => cross(u, lines));
      placed.forEach(({ point, x, y }) => disc(u, point, x, y));
      names(u, placed);
    };
    const options = {
      width: place.clientWidth, height: 330, legend: { show: false },
      cursor: { drag: { x: false, y: false }, points: { show: false } },
      scales: { x: { time: false, range: (u, low, high) => padded(low, high) }, y: { range: (u, low, high) => padded(low, high) } },
      axes: [
        axis({ label: "latency, ms", labelFont: font, labelSize: 22, size: 28 }),
        axis({ label: "$ per million inferences", labelFont: font, labelSize: 22, size: 58 }),
      ],
      series: [
        { label: "latency" },
        series("cost", "muted", { paths: () => null, points: { show: false } }),
        series("front", "accent", { spanGaps: true, width: 1.5, dash: [6, 4], points: { show: false } }),
      ],
      hooks: { draw: [draw] },
    };
    return new uPlot(options, [xs, costs, front], place);
  };

  const show = (place) => {
    if (place.firstChild || !place.clientWidth) return;
    drawn.push({ place, chart: place.id === "pareto" ? pareto(place) : plot(place) });
  };
  const showAll = () => document.querySelectorAll(".plot").forEach(show);
  const redraw = () => {
    drawn.splice(0).forEach(({ chart }) => chart.destroy());
    showAll();
  };
  const openTarget = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target instanceof HTMLDetailsElement) target.open = true;
  };
  document.querySelectorAll("details.trial").forEach((trial) => trial.addEventListener("toggle", showAll));
  scheme.addEventListener("change", redraw);
  addEventListener("hashchange", openTarget);
  let waiting = 0;
  addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(redraw, 150); });
  openTarget();
  showAll();
})();
