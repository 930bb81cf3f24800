// <digit-reader src="live/digit.json">: a canvas tied to the input cells of a workbook, and the cells behind it as pictures.
import { ask } from './client.js'
import { Batch, area, inside, isFormula, name, place, shown, typed } from './cells.js'
import { el } from './el.js'
import { DigitReader } from './stub.js'
import css from './draw.css'

let count = 0
const RED = [248, 105, 107]

export class OpenReader extends DigitReader { // what a digit reader becomes when it is opened
  async load(doc, bytes) {
    this.key = `digit ${++count}`
    this.doc = doc
    this.k = doc.sheets.findIndex(s => s.name === doc.digit.sheet)
    this.sheet = doc.sheets[this.k]
    this.cells = new Map(this.sheet.cells.map(c => [name(c[0], c[1]), c]))
    this.values = new Map(this.sheet.cells.map(c => [name(c[0], c[1]), c.length > 4 ? c[4] : c[3]]))
    this.canvasArea = area(doc.digit.input)
    await ask('open', { key: this.key, doc, bytes, sheet: this.k })
    await this.setMany({}) // the first evaluation is the slow one
    this._build()
    this._show()
  }

  // the same handle as a live sheet's
  async get(at) { return (await ask('exact', { key: this.key, cells: [place(at)] }))[0] }
  async set(at, value) { return this.setMany({ [at]: value }) }
  async inputs() { return [...this._at(this.canvasArea)] }
  async setMany(entries) {
    const edits = Object.entries(entries).map(([at, value]) => {
      const [row, column] = place(at)
      if (!inside(this.canvasArea, row, column)) throw new Error(`${at} is not a cell of the picture`)
      return [row, column, typed(String(value).trim())]
    })
    for (const [row, column, value] of edits) this.values.set(name(row, column), value)
    for (const [at, value] of await ask('edit', { key: this.key, edits })) this.values.set(at, value)
    if (this.pad) this._show()
  }

  *_at({ top, left, bottom, right }) { for (let r = top; r <= bottom; r++) for (let c = left; c <= right; c++) yield name(r, c) }

  _build() {
    this.pad = this._grid(this.canvasArea, 10, 'your digit: draw here with the mouse, or move the pen with the arrow keys and draw with Shift;')
    this.pad.classList.add('pad')
    this.pad.tabIndex = 0
    this.pad.setAttribute('role', 'application')
    this.layers = this.doc.digit.layers.map(({ name: title, areas }) => ({ title, grids: areas.map(a => this._grid(area(a), area(a).right - area(a).left > 9 ? 5 : 7, title)) }))
    this.bars = [...this._at(area(this.doc.digit.output))].map((at, digit) => {
      const bar = el('span', { className: 'bar' }), share = el('span', { className: 'share' })
      const row = el('button', { className: 'row', onclick: () => this._explain(at) }, el('b', { textContent: digit }), el('span', { className: 'track' }, bar), share)
      return { at, bar, share, row }
    })
    this.formula = el('code', { textContent: 'Click on any square or bar to see its formula.' })
    this.said = el('p', { className: 'said', role: 'status', aria: { 'aria-live': 'polite' } })
    const clear = el('button', { className: 'tool', textContent: 'Clear', onclick: () => this.clear() })
    const download = el('a', { className: 'tool', textContent: 'Download the workbook', href: new URL(this.getAttribute('src').replace(/json$/, 'xlsx'), document.baseURI).href, download: 'digit.xlsx' })
    const board = el('div', { className: 'board' }, el('div', {}, this.pad, el('p', {}, clear, ' ', download)),
      ...this.layers.map(l => el('figure', {}, el('div', { className: 'maps' }, ...l.grids), el('figcaption', { textContent: l.title }))),
      el('div', { className: 'bars' }, ...this.bars.map(b => b.row), this.said))
    this._cover(false)
    this.root.append(el('style', { textContent: css }), el('div', { className: 'app' }, board, el('p', { className: 'formula' }, this.formula)))
    this._pen()
  }

  _grid(a, scale, label) { // an area of cells as a picture; one pixel is one cell
    const canvas = el('canvas', { width: a.right - a.left + 1, height: a.bottom - a.top + 1, aria: { role: 'img', 'aria-label': `${label}, cells ${name(a.top, a.left)} to ${name(a.bottom, a.right)}` } })
    canvas.style.width = `${canvas.width * scale}px`
    canvas.area = a
    if (a !== this.canvasArea) canvas.addEventListener('click', e => this._explain(this._cellAt(canvas, e)))
    return canvas
  }

  _cellAt(canvas, e) {
    const box = canvas.getBoundingClientRect(), { area: a } = canvas
    const column = a.left + Math.floor((e.clientX - box.left) / box.width * canvas.width), row = a.top + Math.floor((e.clientY - box.top) / box.height * canvas.height)
    return name(Math.min(a.bottom, Math.max(a.top, row)), Math.min(a.right, Math.max(a.left, column)))
  }

  _explain(at) {
    const cell = this.cells.get(at)
    this.formula.textContent = cell && isFormula(cell) ? `${at}  ${cell[3]}  →  ${shown(this.values.get(at), '0.0000')}` : `${at}  ${this.values.get(at) ?? ''}`
  }

  _paint(canvas) {
    const ctx = canvas.getContext('2d'), pixels = ctx.createImageData(canvas.width, canvas.height)
    const values = [...this._at(canvas.area)].map(at => Number(this.values.get(at)) || 0), high = canvas === this.pad ? 1 : Math.max(...values, 1e-9)
    const ink = canvas === this.pad ? [24, 24, 27] : RED
    values.forEach((v, i) => { const share = Math.min(1, Math.max(0, v / high)); for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = 255 + (ink[c] - 255) * share; pixels.data[4 * i + 3] = 255 })
    ctx.putImageData(pixels, 0, 0)
  }

  _mark(canvas, [x, y]) { // where the pen of the keyboard stands
    const ctx = canvas.getContext('2d')
    ctx.fillStyle = '#2563eb'
    ctx.fillRect(Math.floor(x), Math.floor(y), 1, 1)
  }

  _show() {
    this._paint(this.pad)
    if (this.pen) this._mark(this.pad, this.pen)
    this.layers.forEach(l => l.grids.forEach(g => this._paint(g)))
    let best = 0
    this.bars.forEach(({ at, bar, share }, digit) => {
      const v = this.values.get(at)
      if (v > this.values.get(this.bars[best].at)) best = digit
      bar.style.width = `${100 * v}%`
      share.textContent = shown(v, '0%')
    })
    this.answer = best
    this.bars.forEach(({ row }, digit) => row.classList.toggle('best', digit === best))
    const empty = ![...this._at(this.canvasArea)].some(at => this.values.get(at) > 0)
    this.said.textContent = `${empty ? 'Nothing is drawn. ' : ''}The workbook reads ${/^8/.test(best) ? 'an' : 'a'} ${best}.`
  }

  _enter() { return this.pad }
  clear() { return this.setMany(Object.fromEntries([...this._at(this.canvasArea)].map(at => [at, 0]))) }

  _pen() { // a round pen of 1.3 cells, as the drawn digits have it
    let last = null
    const batch = new Batch(entries => this.setMany(entries))
    const place = e => { const box = this.pad.getBoundingClientRect(); return [(e.clientX - box.left) / box.width * this.pad.width, (e.clientY - box.top) / box.height * this.pad.height] }
    const dab = ([x, y]) => {
      const { top, left } = this.canvasArea
      for (let r = Math.max(0, Math.floor(y - 2.5)); r < Math.min(this.pad.height, y + 2.5); r++) {
        for (let c = Math.max(0, Math.floor(x - 2.5)); c < Math.min(this.pad.width, x + 2.5); c++) {
          const ink = Math.min(1, Math.max(0, 1.9 - Math.hypot(c + .5 - x, r + .5 - y))), at = name(top + r, left + c)
          if (ink > (batch.next[at] ?? this.values.get(at) ?? 0)) batch.next[at] = Math.round(ink * 1000) / 1000
        }
      }
    }
    this.pad.addEventListener('pointerdown', e => { this.pad.setPointerCapture(e.pointerId); last = place(e); dab(last); batch.flush(); e.preventDefault() })
    this.pad.addEventListener('pointermove', e => {
      if (!last) return
      const now = place(e), steps = Math.max(1, Math.ceil(Math.hypot(now[0] - last[0], now[1] - last[1]) * 2))
      for (let i = 1; i <= steps; i++) dab([last[0] + (now[0] - last[0]) * i / steps, last[1] + (now[1] - last[1]) * i / steps])
      last = now
      batch.flush()
    })
    this.pad.addEventListener('keydown', e => { // arrows move the pen, with Shift they draw
      const step = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[e.key]
      if (!step) return
      this.pen = (this.pen ?? [14, 14]).map((v, i) => Math.min(27.5, Math.max(.5, v + step[i])))
      if (e.shiftKey) { dab(this.pen); batch.flush() }
      this._show()
      e.preventDefault()
    })
    for (const end of ['pointerup', 'pointercancel']) this.pad.addEventListener(end, () => { last = null })
  }
}
