// <live-sheet src="live/conv.json" sheet="convolutions" view="A1:BI30">: a picture of a sheet that becomes the sheet itself on a click.
import { ask } from './client.js'
import { Batch, Dependents, area, ground, inside, isFormula, isInput, name, letters, reads, shown } from './cells.js'
import { edited } from './download.js'
import { LiveSheet } from './stub.js'
import css from './sheet.css'

const el = (tag, props = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), props)
  for (const [k, v] of Object.entries(props.aria ?? {})) node.setAttribute(k, v)
  node.append(...children)
  return node
}
const css_rgb = ([r, g, b]) => `rgb(${r} ${g} ${b})`
const linear = c => c <= 10 ? c / 3294 : ((c / 255 + .055) / 1.055) ** 2.4
const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b) > .179 // black reads better on it than white, by WCAG
export const plain = value => typeof value === 'string' ? value.replace(/^'/, '') : value // a word without the mark of a text
let count = 0
const KERNELS = { // as in the chapter: what each one looks for
  'top edge': [1, 1, 1, 0, 0, 0, -1, -1, -1], 'left edge': [1, 0, -1, 1, 0, -1, 1, 0, -1], 'bottom edge': [-1, -1, -1, 0, 0, 0, 1, 1, 1],
  blur: Array(9).fill(1 / 9), sharpen: [0, -1, 0, -1, 5, -1, 0, -1, 0], 'the picture itself': [0, 0, 0, 0, 1, 0, 0, 0, 0],
}

export class OpenSheet extends LiveSheet { // what a live sheet becomes when it is opened
  async load(doc, bytes = null) { // a document of the library, and the engine's own bytes where they are at hand
    this.doc = doc
    this.key = `sheet ${++count}`
    const wanted = this.getAttribute('sheet')
    this.k = wanted ? doc.sheets.findIndex(s => s.name === wanted) : 0
    if (this.k < 0) throw new Error(`there is no sheet ${wanted}`)
    this.sheet = doc.sheets[this.k]
    this.cells = new Map(this.sheet.cells.map(c => [name(c[0], c[1]), c]))
    this.values = new Map(this.sheet.cells.map(c => [name(c[0], c[1]), c.length > 4 ? c[4] : c[3]]))
    this.lists = (this.sheet.choices ?? []).map(([range, values]) => [area(range), values])
    this.first = new Map(this.sheet.cells.filter(c => this._opens(c)).map(c => [name(c[0], c[1]), c[3]]))
    this.past = []
    this.dependents = new Dependents(doc)
    this.scales = this.sheet.scales.map(([ranges, points]) => ({ areas: ranges.split(' ').map(area), points }))
    await ask('open', { key: this.key, doc, bytes })
    this._build()
    await this._refresh(this.sheet.cells.filter(isFormula).map(c => [this.k, c[0], c[1]]))
    if (!bytes) return
    await ask('edit', { key: this.key, edits: [], cells: [] }) // the first evaluation is the slow one
  }

  // ---- what programs and readers with a console use -------------------------------------------------------------
  inputs() { return Promise.resolve([...this.cells].filter(([, c]) => this._opens(c)).map(([at]) => at)) }
  formulas() { return Promise.resolve([...this.cells].filter(([, c]) => isFormula(c)).map(([at]) => at)) }
  async get(at) { return (await this.getMany([at]))[0] }
  async getMany(addresses) { // with all digits
    return ask('exact', { key: this.key, cells: addresses.map(at => { const { top, left } = area(at); return [this.k, top, left] }) })
  }
  set(at, text) { return this.setMany({ [at]: text }) }
  async setMany(entries) { // {'A1': '0.5', …}: many cells, one recalculation
    const edits = Object.entries(entries).map(([at, text]) => {
      at = at.toUpperCase()
      const cell = this.cells.get(at)
      if (!this._opens(cell)) throw new Error(`${at} is not an input of this sheet`)
      return { at, cell, old: this.values.get(at), value: this._meant(cell, String(text).trim()) }
    })
    this.past.push(edits.map(({ at, old }) => [at, old]))
    await this._apply(edits)
  }
  _list(cell) { return cell && this.lists.find(([a]) => inside(a, cell[0], cell[1]))?.[1] } // what may be chosen there
  _opens(cell) { return Boolean(cell) && (isInput(cell) || !isFormula(cell) && Boolean(this._list(cell))) }
  _meant(cell, text) { // a number, or a word of the cell's list
    const word = this._list(cell)?.find(w => w.toLowerCase() === text.toLowerCase())
    if (word !== undefined && !isInput(cell)) return `'${word}`
    if (!isInput(cell)) throw new Error(`${text || 'nothing'} is not in the list: ${this._list(cell).slice(0, 12).join(', ')}`)
    const value = Number(text.replace(',', '.'))
    if (text === '' || !Number.isFinite(value)) throw new Error(`${text || 'nothing'} is not a number`)
    return value
  }
  async _apply(edits) {
    const places = edits.map(({ cell, value }) => [this.k, cell[0], cell[1], value])
    for (const { at, value } of edits) this.values.set(at, value)
    const changed = this.dependents.of(places).filter(([k]) => k === this.k)
    await this._refresh(changed, places)
    this.dispatchEvent(new CustomEvent('change', { detail: Object.fromEntries(edits.map(e => [e.at, plain(e.value)])) }))
  }
  async undo() {
    const last = this.past.pop()
    if (last) await this._apply(last.map(([at, value]) => ({ at, cell: this.cells.get(at), value })))
    this._say(last ? 'Undone' : 'Nothing to undo')
  }
  async reset() {
    const back = [...this.cells].filter(([, c]) => this._opens(c)).map(([at, cell]) => ({ at, cell, value: this.first.get(at) }))
    const edits = back.filter(({ at, value }) => this.values.get(at) !== value)
    this.past.push(edits.map(({ at }) => [at, this.values.get(at)]))
    await this._apply(edits)
    this._say('Everything is as it was')
  }
  async recalculate() { // new random numbers
    await this._refresh(this.dependents.of([]).filter(([k]) => k === this.k), [])
    this._say('New random numbers')
  }
  async download() {
    const file = new URL(this.address.href.replace(/\.json$/, '.xlsx'))
    const changed = [...this.cells].filter(([at, c]) => this._opens(c) && this.values.get(at) !== this.first.get(at))
    const bytes = await edited(await (await fetch(file)).arrayBuffer(), this.sheet.name, changed.map(([at]) => [at, this.values.get(at)]))
    const link = el('a', { href: URL.createObjectURL(new Blob([bytes])), download: file.pathname.split('/').pop() })
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 1000)
  }

  async _refresh(places, edits) { // recalculate where there are edits, read these formulas, show them
    const values = await ask(edits ? 'edit' : 'read', { key: this.key, edits, cells: places })
    places.forEach(([, r, c], i) => this.values.set(name(r, c), values[i]))
    const touched = new Set([...places, ...(edits ?? [])].map(([, r, c]) => name(r, c)))
    this._paint(touched)
  }

  // ---- the page ----------------------------------------------------------------------------------------------------
  _build() {
    const view = this.getAttribute('view')
    this.shown = view ? area(view) : { top: 1, left: 1, bottom: this.sheet.rows, right: this.sheet.cols }
    this.address_ = el('output', { className: 'address' })
    this.bar = el('input', { className: 'bar', spellcheck: false, autocomplete: 'off', aria: { 'aria-label': 'content of the selected cell' } })
    this.bar.setAttribute('list', 'choices')
    this.choices = el('datalist', { id: 'choices' })
    this.status = el('div', { className: 'status', role: 'status', aria: { 'aria-live': 'polite' } })
    const button = (text, title, onclick) => el('button', { textContent: text, title, onclick, aria: { 'aria-label': title } })
    const zoom = factor => () => this._zoom(factor ? this.zoom * factor : this._fit())
    const tools = el('div', { className: 'tools', role: 'toolbar', aria: { 'aria-label': 'sheet' } },
      button('−', 'smaller: the key [', zoom(1 / 1.25)), button('+', 'larger: the key ]', zoom(1.25)), button('⤢', 'fit the width: the key f', zoom(0)), button('⊞', 'show the whole sheet: the key w', () => this._whole()),
      button('▶', 'walk through this block of formulas', () => this._walk()),
      ...(this.dependents.formulas.some(f => f.always) ? [button('⚄', 'new random numbers', () => this.recalculate())] : []),
      ...(this.hasAttribute('kernel') ? [this._kernels()] : []),
      button('↶', 'undo', () => this.undo()), button('⟲', 'put everything back', () => this.reset()), button('⤓', 'download this workbook as edited', () => this.download()))
    this.box = el('div', { className: 'box', tabIndex: -1 }, this._table())
    this.app = el('div', { className: 'app' }, el('div', { className: 'line' }, this.address_, this.bar, this.choices, tools), this.box, this.status)
    this._uncover()
    this.root.append(el('style', { textContent: css }), this.app)
    this._watchTheme()
    this.zoom = 1
    zoom(0)()
    this._listen()
    this._paint(null)
    this._select(this._home())
  }

  _kernels() { // a list of kernels for the 3 x 3 cells that `kernel` names
    const a = area(this.getAttribute('kernel')), places = []
    for (let r = a.top; r < a.top + 3; r++) for (let c = a.left; c < a.left + 3; c++) places.push(name(r, c))
    const choose = el('select', { aria: { 'aria-label': 'kernel' } }, el('option', { textContent: 'kernel …', value: '' }), ...Object.keys(KERNELS).map(k => el('option', { textContent: k, value: k })))
    choose.addEventListener('change', () => choose.value && this.setMany(Object.fromEntries(places.map((at, i) => [at, KERNELS[choose.value][i]]))))
    return choose
  }

  _width() { return this.sheet.widths.slice(this.shown.left - 1, this.shown.right).reduce((a, b) => a + b, 34) }
  _fit() { return Math.max(.45, Math.min(1.3, (this.clientWidth - 4) / this._width())) } // never so small that numbers cannot be read
  _whole() { // width and height: of a large network you see the pictures that its numbers make
    const height = 20 * (this.shown.bottom - this.shown.top + 2), room = parseFloat(getComputedStyle(this.box).maxHeight) || 540
    this._zoom(Math.min(1.3, (this.clientWidth - 4) / this._width(), room / height))
    this.box.scrollTo(0, 0)
    this._say('The whole sheet')
  }
  _zoom(zoom) {
    this.zoom = Math.min(3, Math.max(.08, zoom))
    this.box.style.setProperty('--zoom', this.zoom)
    this.box.classList.toggle('far', this.zoom < .4)
  }

  _home() { return [...this.cells].find(([, c]) => isInput(c) && inside(this.shown, c[0], c[1]))?.[0] ?? name(this.shown.top, this.shown.left) }

  _table() {
    const { top, left, bottom, right } = this.shown
    const columns = Array.from({ length: right - left + 1 }, (_, i) => left + i), rows = Array.from({ length: bottom - top + 1 }, (_, i) => top + i)
    const width = c => this.sheet.widths[c - 1] ?? 60
    const group = el('colgroup', {}, el('col', { className: 'rownames' }), ...columns.map(c => { const col = el('col'); col.style.width = `calc(${width(c)}px * var(--zoom))`; return col }))
    const head = el('thead', {}, el('tr', { role: 'row' }, el('th', { role: 'columnheader', aria: { 'aria-label': 'row' } }), ...columns.map(c => el('th', { role: 'columnheader', scope: 'col', textContent: letters(c) }))))
    this.tds = new Map()
    const body = el('tbody', {}, ...rows.map(r => el('tr', { role: 'row', aria: { 'aria-rowindex': r } }, el('th', { role: 'rowheader', scope: 'row', textContent: r }), ...columns.map(c => {
      const td = el('td', { role: 'gridcell', tabIndex: -1 })
      td.at = name(r, c)
      this.tds.set(td.at, td)
      return td
    }))))
    const total = 30 + columns.reduce((sum, c) => sum + width(c), 0)
    this.table = el('table', { role: 'grid', aria: { 'aria-label': `sheet ${this.sheet.name}`, 'aria-rowcount': this.sheet.rows, 'aria-colcount': this.sheet.cols } }, group, head, body)
    this.table.style.width = `calc(${total}px * var(--zoom))`
    for (const [at, cell] of this.cells) {
      const td = this.tds.get(at), look = this.sheet.styles[cell[2]]
      if (!td) continue
      td.classList.add(this._opens(cell) ? 'input' : isFormula(cell) ? 'formula' : 'text')
      td.setAttribute('aria-readonly', !this._opens(cell))
      if (look.bold) td.classList.add('bold')
      if (look.italic) td.classList.add('italic')
      if (look.size) td.style.fontSize = `calc(${look.size + 3}px * var(--zoom))`
    }
    return this.table
  }

  _paint(touched) { // show values; a scale is coloured anew as a whole when one of its cells changed
    const show = ([at, value]) => {
      const td = this.tds.get(at), cell = this.cells.get(at)
      if (!td || !cell) return
      const span = td.firstChild ?? td.appendChild(document.createElement('span')), text = shown(value, this.sheet.styles[cell[2]].fmt)
      if (span.textContent !== text) span.textContent = text
    }
    touched ? touched.forEach(at => show([at, this.values.get(at)])) : [...this.values].forEach(show)
    const paper = this._dark ? [30, 33, 38] : [255, 255, 255]
    for (const scale of this.tints ? [] : this.scales) {
      scale.at ??= [...this.cells].filter(([, c]) => scale.areas.some(a => inside(a, c[0], c[1]))).map(([at]) => at)
      if (touched && !scale.at.some(at => touched.has(at))) continue
      const numbers = scale.at.map(at => [at, this.values.get(at)]).filter(([, v]) => typeof v === 'number')
      let low = Infinity, high = -Infinity
      for (const [, v] of numbers) { if (v < low) low = v; if (v > high) high = v }
      for (const [at, v] of numbers) {
        const td = this.tds.get(at)
        if (!td) continue
        const colour = ground(v, scale.points, low, high, paper)
        td.style.background = css_rgb(colour)
        td.style.color = light(colour) ? '#000' : '#fff'
      }
    }
  }

  tint(colours) { // colours by address instead of the sheet's own scales, for example gradients; none brings the scales back
    this.tints = colours && Object.keys(colours).length ? colours : null
    for (const td of this.tds.values()) { td.style.background = this.tints?.[td.at] ?? ''; td.style.color = this.tints?.[td.at] ? '#000' : '' }
    this._paint(null)
  }

  _select(at, focus = false) {
    const td = this.tds.get(at)
    if (!td) return
    for (const old of this.table.querySelectorAll('.chosen, .read')) old.classList.remove('chosen', 'read')
    if (this.at) this.tds.get(this.at).tabIndex = -1
    this.at = at
    td.classList.add('chosen')
    td.tabIndex = 0
    const cell = this.cells.get(at)
    this.address_.value = at
    this.bar.value = this._content(cell, at)
    this.bar.readOnly = !this._opens(cell)
    this.choices.replaceChildren(...(this._list(cell) ?? []).map(value => el('option', { value })))
    if (cell && isFormula(cell)) this._readsOf(cell).forEach(a => this._mark(a))
    if (focus) { td.focus({ preventScroll: false }); this._say(this._spoken(at, cell)) }
  }
  _content(cell, at) { return !cell ? '' : isFormula(cell) ? cell[3] : String(this.values.get(at)).replace(/^'/, '') }
  _spoken(at, cell) {
    if (!cell) return `${at}, empty`
    const value = shown(this.values.get(at), this.sheet.styles[cell[2]].fmt)
    return this._opens(cell) ? `${at}, input, ${value}` : isFormula(cell) ? `${at}, ${value}, formula ${cell[3].slice(0, 200)}` : `${at}, ${value}`
  }
  _readsOf(cell) { return reads(cell[3], this.k, s => this.doc.sheets.findIndex(d => d.name.toLowerCase() === s.toLowerCase())).filter(a => a.sheet === this.k) }
  _mark({ top, left, bottom, right }) {
    for (let r = Math.max(top, this.shown.top); r <= Math.min(bottom, this.shown.bottom); r++) {
      for (let c = Math.max(left, this.shown.left); c <= Math.min(right, this.shown.right); c++) this.tds.get(name(r, c)).classList.add('read')
    }
  }

  async _walk() { // the window over the picture: select one formula of the block after the other
    if (this._walking) { this._walking = false; return }
    const begin = this.cells.get(this.at)
    if (!begin || !isFormula(begin)) return this._say('Choose a formula first: the walk shows what each one reads')
    this._walking = true
    for (let [r, c] = begin; this._walking && this.isConnected;) {
      this._select(name(r, c))
      await new Promise(done => setTimeout(done, 120))
      const next = this.cells.get(name(r, c + 1))
      if (next && isFormula(next)) { c++; continue }
      while (isFormula(this.cells.get(name(r, c - 1)) ?? [])) c--
      r++
      if (!isFormula(this.cells.get(name(r, c)) ?? [])) break
    }
    this._walking = false
  }

  async _commit(down) {
    const at = this.at, text = this.bar.value
    if (this.bar.readOnly || text === this._content(this.cells.get(at), at)) return this._move(down, 0)
    try {
      await this.set(at, text)
      this._say(`${at} is ${text}; everything behind it has changed`)
      this._move(down, 0)
    } catch (e) { this._say(e.message); this.bar.select() }
  }

  _move(rows, columns, far = false) {
    const { top, left } = area(this.at)
    const limit = (v, low, high) => Math.min(high, Math.max(low, v))
    const { shown } = this
    const r = far && rows ? (rows > 0 ? shown.bottom : shown.top) : limit(top + rows, shown.top, shown.bottom)
    const c = far && columns ? (columns > 0 ? shown.right : shown.left) : limit(left + columns, shown.left, shown.right)
    this._select(name(r, c), true)
  }

  _listen() {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], PageUp: [-10, 0], PageDown: [10, 0] }
    this.table.addEventListener('keydown', e => {
      if (moves[e.key]) { this._move(...moves[e.key], e.ctrlKey || e.metaKey); return e.preventDefault() }
      if (e.key === 'Home' || e.key === 'End') { this._move(0, e.key === 'Home' ? -1 : 1, true); return e.preventDefault() }
      if ((e.ctrlKey || e.metaKey) && e.key === 'z') { this.undo(); return e.preventDefault() }
      const letters = !this.bar.readOnly && this._list(this.cells.get(this.at))
      if (letters && e.key.length === 1 && /\p{L}/u.test(e.key) && !e.ctrlKey && !e.metaKey) { this.bar.value = e.key; this.bar.focus(); return e.preventDefault() }
      if (e.key === ']' || e.key === '[') { this._zoom(this.zoom * (e.key === ']' ? 1.25 : .8)); return e.preventDefault() }
      if (e.key === 'w') { this._whole(); return e.preventDefault() }
      if (e.key === 'f') { this._zoom(this._fit()); return e.preventDefault() }
      if (e.key === 'Enter' || e.key === 'F2') { this.bar.focus(); this.bar.select(); return e.preventDefault() }
      if (/^[-+.,0-9]$/.test(e.key) && !this.bar.readOnly && !e.ctrlKey && !e.metaKey) { this.bar.value = e.key; this.bar.focus(); e.preventDefault() }
    })
    this.bar.addEventListener('keydown', e => {
      if (e.key === 'Enter') { this._commit(e.shiftKey ? -1 : 1); e.preventDefault() }
      if (e.key === 'Escape') { this._select(this.at, true); e.preventDefault() }
    })
    this.bar.addEventListener('change', () => this.choices.children.length && this._commit(0))
    this.table.addEventListener('pointerdown', e => {
      const td = e.composedPath().find(n => n.at)
      if (td) { this._walking = false; this._select(td.at, true) }
    })
    this.table.addEventListener('dblclick', () => { if (!this.bar.readOnly) { this.bar.focus(); this.bar.select() } })
    this._painting()
  }

  _painting() { // paint="A4:AB31": draw with the mouse; a cell that has ink loses it
    if (!this.hasAttribute('paint')) return
    const canvas = area(this.getAttribute('paint'))
    this.box.classList.add('paintable')
    let ink = null
    const batch = new Batch(entries => this.setMany(entries))
    const at = e => this.root.elementsFromPoint(e.clientX, e.clientY).find(n => n.at)
    const stroke = e => {
      const td = at(e), cell = td && this.cells.get(td.at)
      if (!cell || !isInput(cell) || !inside(canvas, cell[0], cell[1])) return
      ink ??= this.values.get(td.at) > .5 ? 0 : 1
      if ((batch.next[td.at] ?? this.values.get(td.at)) !== ink) batch.add({ [td.at]: ink })
    }
    this.table.addEventListener('pointerdown', e => { if (e.shiftKey || e.pointerType !== 'mouse' ? false : e.button === 0) { ink = null; this._drawing = true } })
    this.table.addEventListener('pointermove', e => { if (this._drawing && e.buttons === 1) stroke(e) })
    window.addEventListener('pointerup', () => { this._drawing = false })
  }

  _say(text) { this.status.textContent = text }

  _watchTheme() {
    const look = () => {
      const [r, g, b] = (getComputedStyle(document.body).backgroundColor.match(/\d+/g) ?? [255, 255, 255]).map(Number)
      const seen = getComputedStyle(document.body).backgroundColor
      this._dark = seen !== 'rgba(0, 0, 0, 0)' && !light([r, g, b])
      this.classList.toggle('dark', this._dark)
      if (this.tds) this._paint(null)
    }
    look()
    const watch = new MutationObserver(look)
    for (const node of [document.documentElement, document.body]) watch.observe(node, { attributes: true, attributeFilter: ['class', 'data-bs-theme', 'data-theme'] })
  }
}
