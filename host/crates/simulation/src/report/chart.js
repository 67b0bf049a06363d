'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const points = data.demand.length;
  const NS = 'http://www.w3.org/2000/svg';
  const W = 1200, H = 420, LEFT = 52, RIGHT = 16, TOP = 18, BOTTOM = 30;
  const color = index => `var(--c${index % 8})`;

  const make = (tag, attributes, parent, text) => {
    const element = document.createElementNS(NS, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (text !== undefined) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  };

  // The value of a line of steps at a point: the last step at or before it.
  const stepIndex = (steps, at) => {
    let low = 0, high = steps.length - 1, found = -1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (steps[middle][0] <= at) { found = middle; low = middle + 1; } else high = middle - 1;
    }
    return found;
  };
  const valueAt = (steps, at) => { const index = stepIndex(steps, at); return index < 0 ? 0 : steps[index][1]; };

  const nice = (most, wanted) => {
    const raw = most / wanted, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].find(factor => factor * power >= raw) * power;
    return step || 1;
  };
  const isDated = data.start_ms > 1e11;
  const time = at => {
    const seconds = at * data.point_s;
    if (isDated) return new Date(data.start_ms + seconds * 1000).toISOString().slice(5, 16).replace('T', ' ');
    const days = Math.floor(seconds / 86400), rest = new Date((seconds % 86400) * 1000).toISOString().slice(11, 16);
    return days ? `${days}d ${rest}` : rest;
  };
  const number = value => Number(value.toPrecision(4)).toString();

  // Supply in requests per second: one scale for all lines.
  const lines = [
    { name: 'required', steps: data.required, stroke: 'var(--required)', thin: true, shown: false },
    { name: 'optimum', steps: data.optimum, stroke: 'var(--optimum)', thin: true, shown: true },
    ...data.policies.map((policy, index) => (
      { name: policy.name, steps: policy.ready, changes: policy.changes, stroke: color(index), shown: index < 4 })),
  ];

  let from = 0, to = Math.max(points, 1);
  const holder = document.getElementById('time');
  const tip = document.getElementById('tip');

  const draw = () => {
    holder.replaceChildren();
    const svg = make('svg', { viewBox: `0 0 ${W} ${H}`, role: 'img', 'aria-label': 'Demand and capacity over time' }, null);
    holder.append(svg);
    const shown = lines.filter(line => line.shown);
    let most = 0;
    const first = Math.max(0, Math.floor(from)), last = Math.min(points, Math.ceil(to));
    for (let at = first; at < last; at++) if (data.demand[at] > most) most = data.demand[at];
    for (const line of shown) {
      most = Math.max(most, valueAt(line.steps, first) * data.capacity);
      for (let index = Math.max(0, stepIndex(line.steps, first)); index < line.steps.length && line.steps[index][0] < last; index++) {
        most = Math.max(most, line.steps[index][1] * data.capacity);
      }
    }
    most = most || 1;
    const x = at => LEFT + (at - from) / (to - from) * (W - LEFT - RIGHT);
    const y = value => H - BOTTOM - value / (most * 1.05) * (H - TOP - BOTTOM);
    const step = nice(most, 5);
    for (let value = 0; value <= most * 1.05; value += step) {
      make('line', { class: 'grid', x1: LEFT, x2: W - RIGHT, y1: y(value), y2: y(value) }, svg);
      make('text', { x: LEFT - 6, y: y(value) + 4, 'text-anchor': 'end' }, svg, number(value));
    }
    make('text', { x: LEFT, y: TOP - 3 }, svg, 'requests/s');
    for (let mark = 0; mark <= 6; mark++) {
      const at = from + (to - from) * mark / 6;
      make('text', { x: x(at), y: H - 10, 'text-anchor': mark === 0 ? 'start' : mark === 6 ? 'end' : 'middle' }, svg, time(at));
    }
    // No more than two points a pixel: the most and the least of what falls onto it.
    const each = Math.max(1, Math.floor((last - first) / (W - LEFT - RIGHT)));
    let path = `M${x(first)} ${y(0)}`;
    for (let at = first; at < last; at += each) {
      let high = 0;
      for (let index = at; index < Math.min(last, at + each); index++) high = Math.max(high, data.demand[index]);
      path += `L${x(at).toFixed(1)} ${y(high).toFixed(1)}L${x(Math.min(last, at + each)).toFixed(1)} ${y(high).toFixed(1)}`;
    }
    make('path', { class: 'area', d: `${path}L${x(last)} ${y(0)}Z` }, svg);
    for (const line of shown) {
      let index = Math.max(0, stepIndex(line.steps, first));
      if (!line.steps.length) continue;
      let value = line.steps[index][1] * data.capacity, pixel = -1;
      let stroke = `M${x(Math.max(from, line.steps[index][0])).toFixed(1)} ${y(value).toFixed(1)}`;
      for (index++; index < line.steps.length && line.steps[index][0] < to; index++) {
        value = line.steps[index][1] * data.capacity;
        const at = x(line.steps[index][0]);
        stroke += Math.floor(at * 2) === pixel ? `V${y(value).toFixed(1)}` : `H${at.toFixed(1)}V${y(value).toFixed(1)}`;
        pixel = Math.floor(at * 2);
      }
      make('path', { class: `line${line.thin ? ' thin' : ''}`, stroke: line.stroke, d: `${stroke}H${x(Math.min(to, points)).toFixed(1)}` }, svg);
    }
    const cross = make('line', { class: 'cross', y1: TOP, y2: H - BOTTOM, visibility: 'hidden' }, svg);
    const drag = make('rect', { class: 'drag', y: TOP, height: H - TOP - BOTTOM, width: 0 }, svg);
    const place = event => {
      const box = svg.getBoundingClientRect();
      const share = ((event.clientX - box.left) / box.width * W - LEFT) / (W - LEFT - RIGHT);
      return from + Math.min(1, Math.max(0, share)) * (to - from);
    };
    let begun = null;
    svg.addEventListener('pointerdown', event => { begun = place(event); svg.setPointerCapture(event.pointerId); });
    svg.addEventListener('pointermove', event => {
      const at = place(event);
      cross.setAttribute('x1', x(at)); cross.setAttribute('x2', x(at)); cross.setAttribute('visibility', 'visible');
      if (begun !== null) {
        drag.setAttribute('x', x(Math.min(begun, at)));
        drag.setAttribute('width', Math.abs(x(at) - x(begun)));
      }
      tell(Math.min(points - 1, Math.floor(at)), event);
    });
    svg.addEventListener('pointerup', event => {
      const at = place(event);
      if (begun !== null && Math.abs(at - begun) > (to - from) / 100) {
        [from, to] = [Math.min(begun, at), Math.max(Math.min(begun, at) + 2, Math.max(begun, at))];
        draw();
      }
      begun = null;
    });
    svg.addEventListener('pointerleave', () => { tip.hidden = true; cross.setAttribute('visibility', 'hidden'); });
    svg.addEventListener('dblclick', () => { from = 0; to = points; draw(); });
    svg.addEventListener('wheel', event => {
      event.preventDefault();
      const at = place(event), factor = event.deltaY < 0 ? 0.8 : 1.25;
      const width = Math.min(points, Math.max(4, (to - from) * factor));
      from = Math.max(0, Math.min(points - width, at - (at - from) / (to - from) * width));
      to = from + width;
      draw();
    }, { passive: false });
  };

  const tell = (at, event) => {
    tip.replaceChildren();
    const say = (bold, text) => {
      const row = document.createElement('div'), name = document.createElement('b');
      name.textContent = bold;
      row.append(name, ` ${text}`);
      tip.append(row);
    };
    say(time(at), `${number(data.demand[at])} requests/s, ${valueAt(data.required, at)} needed`);
    for (const line of lines.filter(line => line.shown)) {
      let text = `${valueAt(line.steps, at)} ready`;
      const index = line.changes ? stepIndex(line.changes, at) : -1;
      if (index >= 0) {
        const [tick, before, after, reason] = line.changes[index];
        text += `; ${time(tick)}: ${before} → ${after}, ${reason}`;
      }
      say(line.name, text);
    }
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - box.width - 8))}px`;
    tip.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - box.height - 8))}px`;
  };

  const legend = document.getElementById('legend');
  for (const line of lines) {
    const button = document.createElement('button'), mark = document.createElement('i');
    button.type = 'button';
    mark.style.background = line.stroke;
    button.append(mark, line.name);
    button.setAttribute('aria-pressed', line.shown);
    button.addEventListener('click', () => {
      line.shown = !line.shown;
      button.setAttribute('aria-pressed', line.shown);
      draw();
    });
    legend.append(button);
  }

  const costs = () => {
    const h = 300;
    const svg = make('svg', { viewBox: `0 0 ${W} ${h}`, role: 'img', 'aria-label': 'Cost against unserved requests' }, null);
    document.getElementById('cost').append(svg);
    const all = [...data.policies.map((policy, index) => ({ ...policy.point, fill: color(index) })),
      ...data.bounds.map(point => ({ ...point, fill: 'var(--optimum)' }))];
    // What is far off the scale, as a static peak often is, would press all others together.
    const sorted = all.map(point => point.cost).sort((one, other) => one - other);
    const median = sorted[Math.floor((sorted.length - 1) / 2)] || 1;
    const drawn = all.filter(point => point.cost <= median * 4);
    const least = 0.001;
    const share = value => Math.log10(Math.max(value, least));
    const high = Math.max(share(least) + 1, ...drawn.map(point => share(point.unserved_pct)));
    const most = Math.max(...drawn.map(point => point.cost)) * 1.1 || 1;
    const x = value => LEFT + 20 + (share(value) - share(least)) / (high - share(least)) * (W - LEFT - RIGHT - 220);
    const y = cost => h - BOTTOM - 12 - cost / most * (h - TOP - BOTTOM - 12);
    const step = nice(most, 4);
    for (let cost = 0; cost <= most; cost += step) {
      make('line', { class: 'grid', x1: LEFT, x2: W - RIGHT, y1: y(cost), y2: y(cost) }, svg);
      make('text', { x: LEFT - 6, y: y(cost) + 4, 'text-anchor': 'end' }, svg, `$${number(cost)}`);
    }
    for (let power = -3; power <= Math.ceil(high); power++) {
      if (power > high + 0.01) break;
      const value = 10 ** power;
      make('line', { class: 'grid', x1: x(value), x2: x(value), y1: TOP, y2: h - BOTTOM - 12 }, svg);
      make('text', { x: x(value), y: h - 24, 'text-anchor': 'middle' }, svg, power === -3 ? '≤ 0.001' : number(value));
    }
    make('text', { x: W / 2, y: h - 6, 'text-anchor': 'middle' }, svg, 'unserved requests, %');
    // Names that would stand on each other are moved apart.
    const taken = [];
    for (const point of drawn.sort((one, other) => y(one.cost) - y(other.cost))) {
      const at = [x(point.unserved_pct), y(point.cost)];
      make('circle', { cx: at[0], cy: at[1], r: 5, fill: point.fill }, svg);
      let down = at[1] + 4;
      while (taken.some(([other, line]) => Math.abs(other - at[0]) < 160 && Math.abs(line - down) < 14)) down += 14;
      taken.push([at[0], down]);
      // A name has room on the side of the middle.
      const isLeft = at[0] > W * 0.6;
      make('text', { class: 'name', x: at[0] + (isLeft ? -9 : 9), y: down, 'text-anchor': isLeft ? 'end' : 'start' }, svg,
        `${point.name}  $${point.cost.toFixed(2)}`);
    }
    const away = all.filter(point => !drawn.includes(point));
    if (away.length) {
      const names = away.map(point => `${point.name} $${point.cost.toFixed(2)}`).join(', ');
      make('text', { x: W - RIGHT - 4, y: TOP + 4, 'text-anchor': 'end' }, svg, `beyond the scale: ${names}`);
    }
  };

  if (points > 0) draw();
  costs();
})();
