// <live-sheet src="live/convolutions.json" sheet="convolutions" view="A1:BJ31">: a picture of a sheet that becomes the sheet itself on a click.
import { ask } from './client.js'
import { VOLATILE, area, inside, isFormula, isInput, name, place, reads, shown, typed } from './cells.js'
import { edited } from './download.js'
import { drawable } from './paint.js'
import { el } from './el.js'
import { Grid, light } from './grid.js'
import { LiveSheet } from './stub.js'
import css from './sheet.css'

const MOST = 1.3, FAR = .45 // zoom at which a sheet opens at most, and below which numbers cannot be read
export const plain = value => typeof value === 'string' ? value.replace(/^'/, '') : value // a word without the mark of a text
let count = 0

export class OpenSheet extends LiveSheet { // what a live sheet becomes when it is opened
  async load(doc, bytes = null) { // a document of the library, and the engine's own bytes where they are at hand
    const wanted = this.getAttribute('sheet')
    this.doc = doc
    this.key = `sheet ${++count}`
    this.k = wanted ? doc.sheets.findIndex(s => s.name === wanted) : 0
    if (this.k < 0) throw new Error(`there is no sheet ${wanted}`)
    const computes = this._compute(doc, bytes) // in the worker, while the page builds the grid
    this.sheet = doc.sheets[this.k]
    this.cells = new Map(this.sheet.cells.map(c => [name(c[0], c[1]), c]))
    this.values = new Map(this.sheet.cells.map(c => [name(c[0], c[1]), c.length > 4 ? c[4] : c[3]]))
    this.lists = (this.sheet.choices ?? []).map(([range, words]) => [area(range), words])
    this.hints = (this.sheet.hints ?? []).map(([range, text]) => [area(range), text])
    this.first = new Map(this._free().map(([at, c]) => [at, c[3]]))
    this.past = []
    this._build()
    this._take(await computes)
  }
  async _compute(doc, bytes) {
    await ask('open', { key: this.key, doc, bytes, sheet: this.k })
    return this._send([]) // the first evaluation is the slow one; random numbers are new in each page
  }

  // ---- what programs and readers with a console use -------------------------------------------------------------
  inputs() { return Promise.resolve(this._free().map(([at]) => at)) }
  formulas() { return Promise.resolve([...this.cells].filter(([, c]) => isFormula(c)).map(([at]) => at)) }
  async get(at) { return (await this.getMany([at]))[0] }
  async getMany(addresses) { return ask('exact', { key: this.key, cells: addresses.map(place) }) } // with all digits
  set(at, text) { return this.setMany({ [at]: text }) }
  async setMany(entries, tell = true) { // {'A1': '0.5', …}: many cells, one recalculation
    const edits = Object.entries(entries).map(([at, text]) => {
      at = name(...place(at))
      const cell = this.cells.get(at)
      if (!this._opens(cell)) throw new Error(`${at} is not an input of this sheet`)
      return [at, this._meant(cell, String(text).trim())]
    })
    if (!edits.length) return
    this.past.push(edits.map(([at]) => [at, this.values.get(at)]))
    await this._apply(edits, tell)
  }
  async undo() {
    const last = this.past.pop()
    if (last) await this._apply(last)
    this._say(last ? 'Undone' : 'Nothing to undo')
  }
  async reset() {
    const changed = this._changed()
    if (changed.length) {
      this.past.push(changed)
      await this._apply(changed.map(([at]) => [at, this.first.get(at)]))
    }
    this._say('Everything is as it was')
  }
  async recalculate() { // new random numbers
    this._take(await this._send([]))
    this._say('New random numbers')
  }
  async download() {
    const file = new URL(this.address.href.replace(/\.json$/, '.xlsx'))
    const at = await this.formulas(), values = await this.getMany(at)
    const bytes = await edited(await (await fetch(file)).arrayBuffer(), this.sheet.name, this._changed(), at.map((a, i) => [a, values[i]]))
    const link = el('a', { href: URL.createObjectURL(new Blob([bytes])), download: file.pathname.split('/').pop() })
    link.click()
    setTimeout(() => URL.revokeObjectURL(link.href), 1000)
  }

  // ---- inputs, and what follows from them -----------------------------------------------------------------------
  _list(cell) { return cell && this.lists.find(([a]) => inside(a, cell[0], cell[1]))?.[1] } // what may be chosen there
  _opens(cell) { return Boolean(cell) && (isInput(cell) || !isFormula(cell) && Boolean(this._list(cell))) }
  _free() { return [...this.cells].filter(([, c]) => this._opens(c)) }
  _changed() { return [...this.first].filter(([at, v]) => this.values.get(at) !== v).map(([at]) => [at, this.values.get(at)]) }
  _meant(cell, text) { // a number, or one of the cell's list
    const list = this._list(cell), word = list?.find(w => w.toLowerCase() === text.toLowerCase())
    if (list && word === undefined) throw new Error(`${text || 'nothing'} is not in the list: ${list.slice(0, 12).join(', ')}`)
    if (!isInput(cell)) return `'${word}`
    return typed(text)
  }
  _send(edits) { return ask('edit', { key: this.key, edits: edits.map(([at, v]) => { const [row, column] = this.cells.get(at); return [row, column, v] }) }) }
  async _apply(edits, tell = true) {
    for (const [at, value] of edits) this.values.set(at, value)
    this._take(await this._send(edits), edits.map(([at]) => at))
    if (tell) this.dispatchEvent(new CustomEvent('change', { detail: Object.fromEntries(edits.map(([at, v]) => [at, plain(v)])) }))
  }
  _take(news, typed = []) { // what the engine has computed: address and value of each formula behind an edit
    for (const [at, value] of news) this.values.set(at, value)
    this._show([...typed, ...news.map(([at]) => at)])
  }
  _show(touched) {
    this.grid.show(this.values, touched, this._dark ? [30, 33, 38] : [255, 255, 255])
    if (this.at && this.root.activeElement !== this.bar) this._fill() // not over what is being typed
  }
  tint(colours) { this.grid.tint(colours); this._show() } // colours by address, for example gradients, instead of the sheet's own

  // ---- the page -------------------------------------------------------------------------------------------------
  _build() {
    const view = this.getAttribute('view'), room = this.clientWidth - 4
    this.view = view ? area(view) : { top: 1, left: 1, bottom: this.sheet.rows, right: this.sheet.cols }
    this.grid = new Grid(this.sheet, this.view, c => this._opens(c), c => this._list(c))
    this.address_ = el('output', { className: 'address' })
    this.bar = el('input', { className: 'bar', spellcheck: false, autocomplete: 'off', aria: { 'aria-label': 'content of the selected cell' } })
    this.choice = el('select', { className: 'bar', aria: { 'aria-label': 'choose the content of the selected cell' } })
    this.status = el('div', { className: 'status', role: 'status', aria: { 'aria-live': 'polite' } })
    this.box = el('div', { className: 'box', tabIndex: -1 }, this.grid.element)
    this._watchTheme()
    this._zoom(this._fit(room))
    this._show()
    this.app = el('div', { className: 'app' }, el('div', { className: 'line' }, this.address_, this.bar, this.choice, this._tools()), this.box, this.status)
    this._select(this._home())
    this._cover(false)
    this.root.append(el('style', { textContent: css }), this.app)
    this._listen()
    if (this.hasAttribute('paint')) drawable(this, area(this.getAttribute('paint')))
  }
  _tools() {
    const button = (text, title, onclick) => el('button', { textContent: text, title, onclick, aria: { 'aria-label': title } })
    const chance = this.doc.sheets.some(s => s.cells.some(c => isFormula(c) && VOLATILE.test(c[3])))
    return el('div', { className: 'tools', role: 'toolbar', aria: { 'aria-label': 'sheet' } },
      button('−', 'smaller: the key [', () => this._zoom(this.zoom / 1.25)), button('+', 'larger: the key ]', () => this._zoom(this.zoom * 1.25)),
      button('⤢', 'fit the width: the key f', () => this._zoom(this._fit())), button('⊞', 'show the whole sheet: the key w', () => this._whole()),
      button('▶', 'walk through this block of formulas', () => this._walk()), chance ? button('⚄', 'new random numbers', () => this.recalculate()) : '',
      button('↶', 'undo', () => this.undo()), button('⟲', 'put everything back', () => this.reset()), this.hasAttribute('src') ? button('⤓', 'download this workbook as edited', () => this.download()) : '')
  }

  _fit(room = this.clientWidth - 4) { return Math.max(room < 600 ? .65 : FAR, Math.min(MOST, room / this.grid.width)) } // on a phone, part of it, to be read
  _whole() { // width and height: of a large network you see the pictures that its numbers make
    const height = parseFloat(getComputedStyle(this.box).maxHeight) || 540
    this._zoom(Math.min(MOST, (this.clientWidth - 4) / this.grid.width, height / this.grid.height))
    this.box.scrollTo(0, 0)
    this._say('The whole sheet')
  }
  _zoom(zoom) {
    this.zoom = Math.min(3, Math.max(.08, zoom))
    this.grid.element.style.zoom = this.zoom
    this.box.classList.toggle('far', this.zoom < FAR)
  }

  _enter() { return this.grid.chosen }
  _home() { return this._free().find(([, c]) => inside(this.view, c[0], c[1]))?.[0] ?? name(this.view.top, this.view.left) }
  _select(at, focus = false) {
    const { top, left } = area(at), cell = this.cells.get(at), list = this._list(cell)
    const node = this.grid.choose(top, left, cell && isFormula(cell) ? this._readsOf(cell) : [])
    this.at = this.address_.value = at
    this.bar.readOnly = !this._opens(cell)
    this.bar.hidden = Boolean(list)
    this.choice.hidden = !list
    if (list) this.choice.replaceChildren(...list.map(word => el('option', { value: word, textContent: word })))
    this._fill()
    if (focus) { node.focus({ preventScroll: false }); this._say(this._spoken(at, cell)) }
  }
  _fill() { this.choice.value = this.bar.value = this._content(this.cells.get(this.at), this.at) } // the field shows what the selected cell holds
  _content(cell, at) { return !cell ? '' : isFormula(cell) ? cell[3] : String(plain(this.values.get(at))) }
  _spoken(at, cell) {
    const { top, left } = area(at), hint = this.hints.find(([a]) => inside(a, top, left))?.[1]
    return this._told(at, cell) + (hint ? `. ${hint}` : '')
  }
  _told(at, cell) {
    if (!cell) return `${at}, empty`
    const value = shown(this.values.get(at), this.sheet.styles[cell[2]].fmt)
    if (this._opens(cell)) return `${at}, input, ${value}${this._list(cell) ? ', chosen from a list' : ''}`
    return isFormula(cell) ? `${at}, ${value}, formula ${cell[3].slice(0, 200)}` : `${at}, ${value}`
  }
  _readsOf(cell) { return reads(cell[3], this.k, s => this.doc.sheets.findIndex(d => d.name.toLowerCase() === s.toLowerCase())).filter(a => a.sheet === this.k) }

  _inSight() { // the selected cell, and those that it reads
    const box = this.box.getBoundingClientRect()
    return [this.grid.chosen, ...this.grid.marked].every(node => {
      const { left, right, top, bottom } = node.getBoundingClientRect()
      return left >= box.left && right <= box.right && top >= box.top && bottom <= box.bottom
    })
  }
  async _walk() { // the window over the picture: select one formula of the block after the other; one a press for who wants little motion
    if (this._walking) { this._walking = null; return }
    const formula = (r, c) => { const cell = this.cells.get(name(r, c)); return Boolean(cell) && isFormula(cell) && inside(this.view, r, c) }
    let { top: r, left: c } = area(this.at)
    if (!formula(r, c)) return this._say('Choose a formula first: the walk shows what each one reads')
    const next = () => {
      if (formula(r, ++c)) return
      for (c--; formula(r, c - 1);) c--
      r++
    }
    if (!this._inSight()) this._whole()
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) {
      next()
      return formula(r, c) ? this._select(name(r, c)) : this._say('The last one')
    }
    const mine = this._walking = {} // a walk that was stopped does not go on beside the next one
    for (; this._walking === mine && this.isConnected && formula(r, c); next()) {
      this._select(name(r, c))
      await new Promise(done => setTimeout(done, 120))
      if (this.at !== name(r, c)) break // the reader went elsewhere
    }
    if (this._walking === mine) this._walking = null
  }

  async _commit(text, down = 0) { // go on by some rows, or nowhere: the reader is there already
    const at = this.at, cell = this.cells.get(at)
    try {
      if (this._opens(cell) && text !== this._content(cell, at)) {
        await this.set(at, text)
        this._say(`${at} is ${this._content(cell, at)}; everything behind it has changed`)
      }
      if (down) this._move(down, 0)
    } catch (e) {
      this._say(down ? e.message : `${e.message}: ${at} stays ${this._content(cell, at)}`)
      down ? this.bar.select() : this._fill()
    }
  }

  async _paste(text) { // rows and columns as other programs copy them, from the selected cell on: all of them or none
    const { top, left } = area(this.at), rows = text.replace(/\r?\n$/, '').split(/\r?\n/).map(line => line.split('\t'))
    try {
      await this.setMany(Object.fromEntries(rows.flatMap((row, i) => row.map((content, j) => [name(top + i, left + j), content]))))
      this._say(`${rows.flat().length} cells pasted from ${this.at} on; everything behind them has changed`)
    } catch (e) { this._say(`Nothing was pasted: ${e.message}`) }
  }

  _move(rows, columns, far = false) {
    const { top, left } = area(this.at), { view } = this
    const limit = (v, low, high) => Math.min(high, Math.max(low, v))
    const r = far && rows ? (rows > 0 ? view.bottom : view.top) : limit(top + rows, view.top, view.bottom)
    const c = far && columns ? (columns > 0 ? view.right : view.left) : limit(left + columns, view.left, view.right)
    this._select(name(r, c), true)
  }

  _listen() {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], PageUp: [-10, 0], PageDown: [10, 0] }
    const keys = { ']': () => this._zoom(this.zoom * 1.25), '[': () => this._zoom(this.zoom / 1.25), Enter: () => this._edit(), F2: () => this._edit() }
    const letters = { w: () => this._whole(), f: () => this._zoom(this._fit()) }
    this.grid.element.addEventListener('keydown', e => {
      const held = e.ctrlKey || e.metaKey
      if (moves[e.key]) this._move(...moves[e.key], held)
      else if (e.key === 'Home' || e.key === 'End') this._move(0, e.key === 'Home' ? -1 : 1, true)
      else if (held) { if (e.key !== 'z') return; this.undo() }
      else if (keys[e.key]) keys[e.key]()
      else if (!this.choice.hidden && /^[\p{L}\d]$/u.test(e.key)) this._edit(e.key)
      else if (letters[e.key]) letters[e.key]()
      else if (/^[-+.,0-9]$/.test(e.key) && !this.bar.readOnly) this._edit(e.key)
      else return
      e.preventDefault()
    })
    for (const field of [this.bar, this.choice]) field.addEventListener('keydown', e => {
      if (e.key === 'Enter') this._commit(field.value, e.shiftKey ? -1 : 1)
      else if (e.key === 'Escape') this._select(this.at, true)
      else return
      e.preventDefault()
    })
    this.bar.addEventListener('blur', () => this._commit(this.bar.value)) // what was typed counts, wherever the reader goes
    this.choice.addEventListener('change', () => this._commit(this.choice.value))
    this.grid.element.addEventListener('pointerdown', e => {
      const at = this._under(e)
      if (!at) return
      this._walking = null
      this.bar.blur()
      this._select(at, true)
      e.preventDefault()
    })
    this.grid.element.addEventListener('paste', e => { e.preventDefault(); this._paste(e.clipboardData.getData('text')) })
    this.grid.element.addEventListener('dblclick', () => this._edit())
  }
  _under({ clientX, clientY }) { // the address of the cell under the pointer, blank ones too
    const seen = this.root.elementsFromPoint(clientX, clientY), node = seen.find(n => n.at)
    if (node || seen[0]?.className !== 'row') return node?.at
    const row = Number(seen[0].getAttribute('aria-rowindex')), x = (clientX - seen[0].getBoundingClientRect().left) / this.zoom
    return name(row, this.grid.columnAt(x))
  }
  _edit(key) { // type over the selected cell, or choose from its list
    if (this.bar.readOnly) return
    if (this.choice.hidden) { if (key) this.bar.value = key; this.bar.focus(); if (!key) this.bar.select(); return }
    this.choice.focus()
    const words = this._list(this.cells.get(this.at)), at = words.indexOf(this.choice.value) + 1
    const next = key && [...words.slice(at), ...words].find(w => w.toLowerCase().startsWith(key.toLowerCase()))
    if (next) { this.choice.value = next; this._commit(next) }
  }

  _say(text) { this.status.textContent = text }

  _watchTheme() {
    const look = () => {
      const seen = getComputedStyle(document.body).backgroundColor
      this._dark = seen !== 'rgba(0, 0, 0, 0)' && !light(seen.match(/\d+/g).map(Number))
      this.classList.toggle('dark', this._dark)
      if (this.app) this._show()
    }
    look()
    const watch = new MutationObserver(look)
    for (const node of [document.documentElement, document.body]) watch.observe(node, { attributes: true, attributeFilter: ['class', 'data-bs-theme', 'data-theme', 'data-jp-theme-light'] })
  }
}
