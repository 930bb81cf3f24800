// Addresses, formats, colours, and which cells depend on which: everything a sheet needs that is not the page.
export const letters = n => { let s = ''; for (; n; n = Math.floor((n - 1) / 26)) s = String.fromCharCode(65 + (n - 1) % 26) + s; return s }
export const number = s => [...s.toUpperCase()].reduce((n, c) => n * 26 + c.charCodeAt(0) - 64, 0)
export const name = (row, column) => letters(column) + row

const REF = /(?:('(?:[^']|'')+'|[A-Za-z_][\w.]*)!)?\$?([A-Z]{1,3})\$?(\d+)(?::\$?([A-Z]{1,3})\$?(\d+))?(?![\w(.])/g

export function area(text) { // 'A1:B2' -> {top, left, bottom, right}
  const [, , left, top, right = left, bottom = top] = new RegExp(REF.source, 'i').exec(text) ?? []
  if (!left) throw new Error(`${text} is not a range such as A1:B3`)
  return { top: +top, left: number(left), bottom: +bottom, right: number(right) }
}
export function place(text) { // 'B3' -> [row, column]
  const [, column, row] = /^\$?([A-Z]{1,3})\$?([1-9]\d*)$/i.exec(String(text).trim()) ?? []
  if (!column) throw new Error(`${text || 'nothing'} is not the address of a cell, such as B3`)
  return [Number(row), number(column)]
}
export const inside = (a, row, column) => a.top <= row && row <= a.bottom && a.left <= column && column <= a.right

export function reads(formula, sheet, sheetIndex) { // the areas that a formula reads
  const bare = formula.replace(/"[^"]*"/g, '""')
  return [...bare.matchAll(REF)].map(([, s, left, top, right = left, bottom = top]) => ({
    sheet: s ? sheetIndex(s.replace(/^'|'$/g, '').replaceAll("''", "'")) : sheet,
    top: +top, left: number(left), bottom: +bottom, right: number(right),
  }))
}

export const VOLATILE = /\b(RAND|RANDBETWEEN|RANDARRAY|NOW|TODAY|INDIRECT|OFFSET)\s*\(/

export class Dependents { // which formulas change when cells change
  constructor(doc) {
    const index = s => doc.sheets.findIndex(({ name }) => name.toLowerCase() === s.toLowerCase())
    this.sizes = doc.sheets.map(({ rows, cols }) => [rows + 1, cols + 1])
    this.formulas = doc.sheets.flatMap(({ cells }, k) => cells.filter(isFormula).map(([row, column, , text]) =>
      ({ at: [k, row, column], reads: reads(text, k, index), always: VOLATILE.test(text) })))
  }
  of(edits) { // a map of marked cells for each sheet; passes until nothing is added
    const marks = this.sizes.map(([rows, cols]) => new Uint8Array(rows * cols))
    const mark = (k, r, c) => { marks[k][r * this.sizes[k][1] + c] = 1 }
    const touched = ({ sheet, top, left, bottom, right }) => {
      if (!marks[sheet]) return false
      const [rows, cols] = this.sizes[sheet]
      for (let r = top; r <= Math.min(bottom, rows - 1); r++) {
        for (let c = left; c <= Math.min(right, cols - 1); c++) if (marks[sheet][r * cols + c]) return true
      }
      return false
    }
    edits.forEach(([k, r, c]) => mark(k, r, c))
    const found = []
    let left = this.formulas
    for (let before = -1; before < found.length;) {
      before = found.length
      left = left.filter(f => {
        if (!f.always && !f.reads.some(touched)) return true
        mark(...f.at); found.push(f.at)
        return false
      })
    }
    return found
  }
}

export const isFormula = ([, , , content]) => typeof content === 'string' && /^\{?=/.test(content)
export const isInput = ([, , , content]) => typeof content === 'number'

export function typed(text) { // the number that somebody has typed; a comma may stand for the point
  if (/^[-+]?[1-9]\d{0,2}(,\d{3})+$/.test(text)) throw new Error(`${text} can be read in two ways: leave the comma out, or type a point`)
  const value = Number(text.replace('−', '-').replace(',', '.'))
  if (!/\d/.test(text) || /[box]/i.test(text) || Number.isNaN(value)) throw new Error(`${text || 'nothing'} is not a number`)
  if (value && Math.abs(Math.log10(Math.abs(value))) > 99) throw new Error(`${text} is beyond the numbers of this sheet, 1e-99 to 1e99`)
  return value
}

const general = (value, digits = Math.max(6, Math.min(11, String(Math.trunc(Math.abs(value))).length))) => String(Number(value.toPrecision(digits)))

export function fitted(value, fmt, fits) { // as in a spreadsheet program: no digit of a number is cut off, and a format that asks for too many shows none
  const text = shown(value, fmt)
  if (typeof value !== 'number' || fits(text)) return text
  if (/^General/.test(fmt ?? 'General')) for (let digits = 5; digits; digits--) if (fits(general(value, digits))) return general(value, digits)
  return '###'
}

export function shown(value, fmt = 'General') { // the same rules as the library's `shown_number`
  if (typeof value === 'boolean') return String(value).toUpperCase()
  if (typeof value !== 'number') return String(value ?? '').replace(/^'/, '')
  const parts = fmt.split(';')
  const part = value < 0 && parts.length > 1 ? parts[1] : value === 0 && parts.length > 2 ? parts[2] : parts[0]
  if (part === 'General') return general(parts.length > 1 ? Math.abs(value) : value)
  if (!part.includes('0')) return ''
  const percent = part.endsWith('%'), digits = (part.split('.')[1] ?? '').replace('%', '').length
  const n = (parts.length > 1 ? Math.abs(value) : value) * (percent ? 100 : 1)
  return (part.startsWith('-') ? '-' : '') + n.toFixed(digits) + (percent ? '%' : '')
}

const rgb = hex => [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16))
const mix = (a, b, share) => a.map((x, i) => Math.round(x + (b[i] - x) * share))

export function ground(value, points, low, high, paper) { // the colour of a number on a scale; its white is the paper's colour
  const colour = hex => hex === '#fcfcff' || hex === '#ffffff' ? paper : rgb(hex)
  const where = points.map(([kind, n]) => kind === 'min' ? low : kind === 'max' ? high : n)
  for (let i = 0; i + 1 < points.length; i++) if (value <= where[i + 1]) {
    const span = where[i + 1] - where[i]
    const share = span > 0 ? Math.min(1, Math.max(0, (value - where[i]) / span)) : value < where[i + 1] ? 0 : 1
    return mix(colour(points[i][2]), colour(points[i + 1][2]), share)
  }
  return colour(points.at(-1)[2])
}

export class Batch { // strokes that come faster than the engine computes: what came meanwhile is sent together
  constructor(send) { this.send = send; this.next = {} }
  add(entries) { Object.assign(this.next, entries); return this.flush() }
  async flush() {
    if (this.busy || !Object.keys(this.next).length) return
    this.busy = true
    const entries = this.next
    this.next = {}
    try { await this.send(entries) } finally { this.busy = false }
    return this.flush()
  }
}
