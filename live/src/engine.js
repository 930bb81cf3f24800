// A workbook in IronCalc: filled from the library's plain document, edited, read. Runs in a worker, and in node at build time.
import init, { Model } from '@ironcalc/wasm'

const EXACT = '0.0000000000000000E+00' // the engine gives formatted text only: its usual format is quick and keeps 9 digits, this one keeps 15
const NUMBER = 1

export const start = wasm => init({ module_or_path: wasm })

function put(model, sheet, row, column, content) {
  if (typeof content !== 'string') return model.setUserInput(sheet, row, column, String(content))
  if (content.startsWith('{=')) { // this engine cannot negate an array, and 0 - x is the same number
    return model.setUserArrayFormula(sheet, row, column, 1, 1, content.slice(1, -1).replaceAll('(-(', '(0-('))
  }
  model.setUserInput(sheet, row, column, content)
}

export function fill(doc) {
  const model = new Model('book', 'en', 'UTC', 'en')
  model.pauseEvaluation()
  doc.sheets.forEach(({ name }, k) => { if (k) model.newSheet(); model.renameSheet(k, name) })
  doc.sheets.forEach((sheet, k) => {
    for (const [row, column, , content] of sheet.cells) put(model, k, row, column, content)
  })
  model.resumeEvaluation()
  model.evaluate()
  return model
}

export function open(doc, bytes) { // bytes of another release of the engine cannot be read: then fill anew
  if (bytes) try { return Model.from_bytes(bytes, 'en') } catch { /* fall through to the document */ }
  return fill(doc)
}

export function edit(model, edits) { // [sheet, row, column, content], then one evaluation of the whole workbook
  model.pauseEvaluation()
  for (const [sheet, row, column, content] of edits) put(model, sheet, row, column, content)
  model.resumeEvaluation()
  model.evaluate()
}

export function read(model, sheet, row, column) { // quick, for the eye
  const text = model.getFormattedCellValue(sheet, row, column)
  return text !== '' && model.getCellType(sheet, row, column) === NUMBER ? Number(text) : text
}

export function exact(model, cells) { // all digits, for comparisons; that format knows no blank cells, and no exponent of three digits
  const style = format => cells.forEach(([sheet, row, column]) => model.updateRangeStyle({ sheet, row, column, width: 1, height: 1 }, 'num_fmt', format))
  const quick = cells.map(at => read(model, ...at))
  style(EXACT)
  const values = cells.map((at, i) => { const v = read(model, ...at); return quick[i] !== '' && Number.isFinite(v) ? v : quick[i] })
  style('general')
  return values
}
