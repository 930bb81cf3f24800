// The cells of a sheet in the page: a grid for eyes, keyboards and screen readers. A blank cell is made when it is first needed.
import { area, fitted, ground, inside, isFormula, letters, name } from './cells.js'
import { el } from './el.js'

const pen = document.createElement('canvas').getContext('2d')
const ROW = 20, NUMBERS = 30 // height of a row, width of the row numbers, in pixels
const linear = c => c <= 10 ? c / 3294 : ((c / 255 + .055) / 1.055) ** 2.4
export const light = ([r, g, b]) => .2126 * linear(r) + .7152 * linear(g) + .0722 * linear(b) > .179 // black reads better on it than white, by WCAG

export class Grid {
  constructor(sheet, view, opens, lists) { // a sheet of the document, the area to show, and which of its cells are inputs or have a list
    Object.assign(this, { sheet, view, nodes: new Map(), rows: new Map(), lefts: [], marked: [] })
    this.scales = sheet.scales.map(([ranges, points]) => ({ areas: ranges.split(' ').map(area), points }))
    this.width = NUMBERS
    for (let c = view.left; c <= view.right; c++) { this.lefts[c] = this.width; this.width += this._wide(c) }
    this.height = ROW * (view.bottom - view.top + 2)
    this.element = el('div', { className: 'grid', role: 'grid', aria: { 'aria-label': `sheet ${sheet.name}`, 'aria-readonly': true, 'aria-rowcount': sheet.rows, 'aria-colcount': sheet.cols } }, this._head())
    this.element.style.width = `${this.width}px`
    for (let r = view.top; r <= view.bottom; r++) this.rows.set(r, this.element.appendChild(this._row(r)))
    for (const cell of sheet.cells) if (inside(view, cell[0], cell[1])) {
      const look = sheet.styles[cell[2]], kind = opens(cell) ? 'input' : isFormula(cell) ? 'formula' : 'text'
      const node = this._node(cell[0], cell[1], [kind, look.bold && 'bold', look.italic && 'italic', lists(cell) && 'list'].filter(Boolean).join(' '))
      if (kind === 'input') node.setAttribute('aria-readonly', false)
      if (look.size) node.style.fontSize = `${look.size + 3}px`
      node.fmt = look.fmt
      this.rows.get(cell[0]).append(node)
    }
  }

  _wide(column) { return this.sheet.widths[column - 1] ?? 60 }
  _head() {
    const head = el('div', { className: 'row head', role: 'row' }, el('div', { className: 'number', role: 'columnheader', aria: { 'aria-label': 'row' } }))
    for (let c = this.view.left; c <= this.view.right; c++) {
      const title = el('div', { className: 'letter', role: 'columnheader', textContent: letters(c), aria: { 'aria-colindex': c } })
      title.style.cssText = `left:${this.lefts[c]}px;width:${this._wide(c)}px`
      head.append(title)
    }
    return head
  }
  _row(r) { return el('div', { className: 'row', role: 'row', aria: { 'aria-rowindex': r } }, el('div', { className: 'number', role: 'rowheader', textContent: r })) }
  _node(r, c, className) {
    const node = el('div', { className, role: 'gridcell', aria: { 'aria-colindex': c } })
    node.style.cssText = `left:${this.lefts[c]}px;width:${this._wide(c)}px`
    Object.assign(node, { at: name(r, c), column: c })
    this.nodes.set(node.at, node)
    return node
  }

  columnAt(x) { // the column at a distance from the left edge, in pixels of the sheet
    let c = this.view.left
    while (c < this.view.right && this.lefts[c + 1] <= x) c++
    return c
  }
  node(r, c) { // the element of a cell in view
    const found = this.nodes.get(name(r, c))
    if (found || !inside(this.view, r, c)) return found
    const row = this.rows.get(r)
    return row.insertBefore(this._node(r, c, 'blank'), [...row.children].find(n => n.column > c) ?? null)
  }

  show(values, touched = this.nodes.keys(), paper) { // the cells at these addresses; a scale is coloured anew as a whole when one of its cells changed
    const seen = new Set(touched)
    for (const at of seen) {
      const node = this.nodes.get(at)
      if (!node || !values.has(at)) continue
      const text = fitted(values.get(at), node.fmt, text => this._fits(node, text))
      if (node.firstChild ? node.firstChild.data !== text : text) node.firstChild ? node.firstChild.data = text : node.textContent = text
    }
    if (!this.tints) for (const scale of this.scales) this._scale(scale, values, seen, paper)
  }
  _fits(node, text) { // most are short enough to be seen at once
    const room = this._wide(node.column) - 2
    if (text.length * 7 <= room) return true
    pen.font = `${node.style.fontSize || '11px'} system-ui, sans-serif`
    return pen.measureText(text).width <= room
  }
  _scale(scale, values, seen, paper) {
    scale.at ??= this.sheet.cells.filter(c => scale.areas.some(a => inside(a, c[0], c[1]))).map(c => name(c[0], c[1]))
    if (!scale.at.some(at => seen.has(at))) return
    let low = Infinity, high = -Infinity
    const numbers = scale.at.filter(at => typeof values.get(at) === 'number')
    for (const at of numbers) { const v = values.get(at); if (v < low) low = v; if (v > high) high = v }
    for (const at of scale.at) if (this.nodes.has(at)) {
      const value = values.get(at)
      this._colour(this.nodes.get(at), typeof value === 'number' ? ground(value, scale.points, low, high, paper) : null)
    }
  }
  _colour(node, rgb) { // none where a cell has become blank
    const colour = rgb ? `rgb(${rgb.join(' ')})` : ''
    if ((node.colour ?? '') === colour) return
    node.colour = colour
    node.style.background = colour
    node.style.color = !rgb ? '' : light(rgb) ? '#000' : '#fff'
  }

  tint(colours) { // colours by address instead of the sheet's own scales; none brings the scales back
    this.tints = colours && Object.keys(colours).length ? colours : null
    for (const node of this.nodes.values()) {
      node.colour = null
      node.style.background = this.tints?.[node.at] ?? ''
      node.style.color = this.tints?.[node.at] ? '#000' : ''
    }
  }

  choose(r, c, reads) { // mark a cell and the areas that its formula reads
    this.chosen?.classList.remove('chosen')
    this.chosen?.setAttribute('tabindex', -1)
    for (const node of this.marked) node.classList.remove('read')
    this.chosen = this.node(r, c)
    this.chosen.classList.add('chosen')
    this.chosen.tabIndex = 0
    const { top, left, bottom, right } = this.view
    this.marked = reads.flatMap(a => {
      const found = []
      for (let i = Math.max(a.top, top); i <= Math.min(a.bottom, bottom); i++) for (let j = Math.max(a.left, left); j <= Math.min(a.right, right); j++) found.push(this.node(i, j))
      return found
    })
    for (const node of this.marked) node.classList.add('read')
    return this.chosen
  }
}
